//! `gateway.toml`: what belongs to the machine. Raw text in, checked values out.
//!
//! Credentials are named by path, never written into the file.

pub mod mapping;
mod radios;
pub mod relays;
pub mod satellite;
mod serial;
mod spool;
mod uplink;

pub use radios::{Backend, Radio};

use crate::{
    capture::serial as lines,
    document::{self, Problems, Report, Table},
    spool as storage,
    uplink::{self as publishing, Scheme, Server},
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use vitrine_protocol::{Id, topic::Gateway};

/// A checked `gateway.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway's full name.
    pub gateway: Gateway,
    /// Where events are published, and how.
    pub uplink: publishing::Settings,
    /// The store's own broker, which relays and satellites publish to.
    pub store_broker: Option<Broker>,
    /// Scanners that pass on what they hear.
    pub relays: Vec<relays::Relay>,
    /// Vitrine's own.
    pub satellites: Vec<relays::Satellite>,
    /// Where the agent's state is kept.
    pub state_dir: PathBuf,
    /// Where unsent events are kept, and how many.
    pub spool: storage::Config,
    /// Where shelves, kiosks and counters post to.
    pub listen: SocketAddr,
    /// The agent's socket, which tools of this machine ask, if another is named than the usual one.
    pub socket: Option<PathBuf>,
    /// Radios and the receivers that they are in the plan.
    pub radios: Vec<Radio>,
    /// Serial ports, and the shelf controllers on them.
    pub serial: lines::Setup,
    /// The tagging plan's file.
    pub plan: PathBuf,
}

/// What a gateway is, and its file.
#[derive(Clone, Debug)]
pub enum Role {
    /// It hears, decides and publishes to the platform.
    Hub(Box<Config>),
    /// It hears, and tells the hub.
    Satellite(satellite::Satellite),
}

/// The store's own MQTT broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name, and the file that holds the password.
    pub credentials: Option<(String, PathBuf)>,
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7400);

/// Reads and checks the `gateway.toml` of a hub. Relative paths in it start from its directory.
///
/// # Errors
/// [`Problems`], all of them.
pub fn load(path: &Path) -> Result<Config, Problems> {
    match load_role(path)? {
        Role::Hub(config) => Ok(*config),
        Role::Satellite(_) => Err(Problems {
            lines: vec![format!(
                "{}: this gateway is a satellite: run this on the store's hub",
                path.display()
            )],
        }),
    }
}

/// [`load`] for a gateway of either role.
///
/// # Errors
/// [`Problems`], all of them.
pub fn load_role(path: &Path) -> Result<Role, Problems> {
    let dir = path.parent().unwrap_or(Path::new("."));
    document::load(path, |table, report| read_role(table, report, dir))
}

fn read_role(table: &mut Table<'_>, report: &mut Report, dir: &Path) -> Option<Role> {
    table.version(report);
    let is_satellite = table.converted("role", report, |role| match role {
        "hub" => Ok(false),
        "satellite" => Ok(true),
        _ => Err("write \"hub\" or \"satellite\"".into()),
    });
    if is_satellite == Some(true) {
        return satellite::read(table, report, dir).map(Role::Satellite);
    }
    read(table, report, dir).map(|config| Role::Hub(Box::new(config)))
}

fn read(table: &mut Table<'_>, report: &mut Report, dir: &Path) -> Option<Config> {
    let tenant = table.required::<Id>("tenant", report);
    let store = table.required::<Id>("store", report);
    let gateway = table.required::<Id>("gateway", report);
    let plan = table.or("plan", "store.toml".to_owned(), report);
    let state_dir = table.or("state_dir", "/var/lib/vitrine".to_owned(), report);
    let uplink = match table.table("uplink", report) {
        Some(table) => uplink::read(table, report, dir),
        None => {
            report.at(
                table.span.clone(),
                "the file lacks [uplink]: write [uplink] and below it url = \"mqtt://host\"",
            );
            None
        }
    };
    let socket = table.optional::<String>("socket", report).map(|path| dir.join(path.get_ref()));
    let listen = table.table("http", report).map_or(Some(DEFAULT_LISTEN), |http| read_http(http, report));
    let state_dir = dir.join(state_dir);
    let spool = spool::read(table.table("spool", report), report, dir, &state_dir);
    let radios = radios::read(table.tables("radios", report), report, dir);
    let serial = serial::read(table, report);
    let has_broker = table.has("store_broker");
    let store_broker = table.table("store_broker", report).and_then(|table| read_broker(table, report, dir));
    let relays = relays::read(table, report, has_broker);
    let satellites = relays::read_satellites(table, report, has_broker);
    table.finish(report);
    Some(Config {
        gateway: Gateway {
            tenant: tenant?.into_inner(),
            store: store?.into_inner(),
            gateway: gateway?.into_inner(),
        },
        uplink: uplink?,
        store_broker,
        relays,
        satellites,
        state_dir,
        spool,
        listen: listen?,
        socket,
        radios,
        serial,
        plan: dir.join(plan),
    })
}

fn read_broker(mut table: Table<'_>, report: &mut Report, dir: &Path) -> Option<Broker> {
    let (name, span) = (table.name().to_owned(), table.span.clone());
    if !table.has("url") {
        report.at(span, format!("{name} lacks `url`: write url = \"mqtt://host\" or \"mqtt://host:port\""));
    }
    let server = table.converted("url", report, parse_url);
    let user = table.optional::<String>("user", report);
    let password_file = table.optional::<String>("password_file", report);
    if user.is_some() != password_file.is_some() {
        report.at(table.span.clone(), format!("{name} needs both `user` and `password_file`, or neither"));
    }
    table.finish(report);
    let (host, port) = server?;
    let credentials = user.zip(password_file);
    let credentials = credentials.map(|(user, file)| (user.into_inner(), dir.join(file.into_inner())));
    Some(Broker { host, port, credentials })
}

/// Host and port of a broker in the store's own network, which is spoken to as it is.
fn parse_url(url: &str) -> Result<(String, u16), String> {
    let Server { scheme, host, port, .. } = url.parse()?;
    match scheme {
        Scheme::Mqtt => Ok((host, port)),
        _ => Err("the store's broker is not spoken to over TLS or WebSockets yet: write mqtt://host".into()),
    }
}

fn read_http(mut table: Table<'_>, report: &mut Report) -> Option<SocketAddr> {
    let written = table.has("listen");
    let listen = table.converted("listen", report, |text| {
        let address: SocketAddr =
            text.parse().map_err(|_| "write an address and port, such as 127.0.0.1:7400")?;
        if address.ip().is_loopback() {
            Ok(address)
        } else {
            Err("only a loopback address is allowed yet: devices are not authenticated. Write 127.0.0.1:7400"
                .into())
        }
    });
    table.finish(report);
    if written { listen } else { Some(DEFAULT_LISTEN) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn parse(text: &str) -> Result<Config, Problems> {
        document::parse(Path::new("gateway.toml"), text, |t, r| {
            t.version(r);
            read(t, r, Path::new("/etc/vitrine"))
        })
    }

    fn check(text: &str, problems: Expect) {
        problems.assert_eq(&parse(text).unwrap_err().to_string());
    }

    #[test]
    fn a_minimal_file_has_sensible_defaults() {
        let text = "version = 1\ntenant = 'a'\nstore = 'b'\ngateway = 'c'\n[uplink]\nurl = 'mqtt://broker'\n";
        let config = parse(text).unwrap();
        assert_eq!(config.uplink.servers[0].to_string(), "mqtt://broker:1883");
        assert_eq!(config.plan, Path::new("/etc/vitrine/store.toml"));
        assert_eq!(config.state_dir, Path::new("/var/lib/vitrine"));
        assert_eq!(config.listen.to_string(), "127.0.0.1:7400");
        assert_eq!(config.socket, None);
        let config = parse(&text.replace("[uplink]", "socket = 'a.sock'\n[uplink]")).unwrap();
        assert_eq!(config.socket.as_deref(), Some(Path::new("/etc/vitrine/a.sock")));
    }

    #[test]
    fn addresses_of_the_stores_broker() {
        assert_eq!(parse_url("mqtt://[::1]:1884"), Ok(("::1".into(), 1884)));
        assert_eq!(parse_url("mqtt://[::1]"), Ok(("::1".into(), 1883)));
        for bad in ["broker", "mqtt://", "mqtt://a:b", "mqtt://a:99999", "mqtt://u@h", "mqtts://h"] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_problems_are_told() {
        check(
            "version = 1\nstore = 'b'\ngateway = 'c'\n[uplink]\nurl = 'tcp://x'\nuser = 'u'\n[http]\nlisten = '0.0.0.0:80'\n[[radios]]\nadaptor = 'hci0'\nreceiver = 'door'\n",
            expect![[r#"
                gateway.toml:1:1: the file lacks `tenant`: write tenant = a name of 1 to 40 characters out of a-z, 0-9, _ and -, in quotes
                gateway.toml:4:1: [uplink] needs both `user` and `password_file` (or `password_credential`), or neither
                gateway.toml:5:7: `url`: write mqtt://host, mqtts://host, ws://host/mqtt or wss://host/mqtt
                gateway.toml:8:10: `listen`: only a loopback address is allowed yet: devices are not authenticated. Write 127.0.0.1:7400
                gateway.toml:9:1: [[radios]] lacks `adapter`: write adapter = a text in quotes
                gateway.toml:10:1: unknown key `adaptor`: did you mean `adapter`?"#]],
        );
    }
}
