//! `gateway.toml`: what belongs to the machine. Raw text in, checked values out.
//!
//! Credentials are named by path, never written into the file.

mod spool;
mod uplink;

use crate::{
    document::{self, Problems, Report, Table},
    spool as storage, uplink as publishing,
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
    /// Where the agent's state is kept.
    pub state_dir: PathBuf,
    /// Where unsent events are kept, and how many.
    pub spool: storage::Config,
    /// Where shelves, kiosks and counters post to.
    pub listen: SocketAddr,
    /// The agent's socket, which tools of this machine ask, if another is named than the usual one.
    pub socket: Option<PathBuf>,
    /// BLE adapters and the receivers that they are in the plan.
    pub radios: Vec<Radio>,
    /// The tagging plan's file.
    pub plan: PathBuf,
}

/// A BLE adapter of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radio {
    /// BlueZ' name of it, such as `hci0`.
    pub adapter: String,
    /// The receiver in the plan.
    pub receiver: Id,
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7400);

/// Reads and checks a `gateway.toml`. Relative paths in it start from its directory.
///
/// # Errors
/// [`Problems`], all of them.
pub fn load(path: &Path) -> Result<Config, Problems> {
    document::load(path, |table, report| read(table, report, path.parent().unwrap_or(Path::new("."))))
}

fn read(table: &mut Table<'_>, report: &mut Report, dir: &Path) -> Option<Config> {
    table.version(report);
    let tenant = table.required::<Id>("tenant", report);
    let store = table.required::<Id>("store", report);
    let gateway = table.required::<Id>("gateway", report);
    if let Some(role) = table.optional::<String>("role", report)
        && role.get_ref() != "hub"
    {
        report.at(role.span(), "`role` must be \"hub\": this agent cannot be a satellite yet");
    }
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
    let radios = table.tables("radios", report).into_iter();
    let radios = radios.filter_map(|radio| read_radio(radio, report)).collect();
    table.finish(report);
    Some(Config {
        gateway: Gateway {
            tenant: tenant?.into_inner(),
            store: store?.into_inner(),
            gateway: gateway?.into_inner(),
        },
        uplink: uplink?,
        state_dir,
        spool,
        listen: listen?,
        socket,
        radios,
        plan: dir.join(plan),
    })
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

fn read_radio(mut table: Table<'_>, report: &mut Report) -> Option<Radio> {
    let adapter = table.required::<String>("adapter", report);
    let receiver = table.required::<Id>("receiver", report);
    table.finish(report);
    Some(Radio { adapter: adapter?.into_inner(), receiver: receiver?.into_inner() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn parse(text: &str) -> Result<Config, Problems> {
        document::parse(Path::new("gateway.toml"), text, |t, r| read(t, r, Path::new("/etc/vitrine")))
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
    fn all_problems_are_told() {
        check(
            "version = 1\nstore = 'b'\ngateway = 'c'\nrole = 'satellite'\n[uplink]\nurl = 'tcp://x'\nuser = 'u'\n[http]\nlisten = '0.0.0.0:80'\n[[radios]]\nadaptor = 'hci0'\nreceiver = 'door'\n",
            expect![[r#"
                gateway.toml:1:1: the file lacks `tenant`: write tenant = a name of 1 to 40 characters out of a-z, 0-9, _ and -, in quotes
                gateway.toml:4:8: `role` must be "hub": this agent cannot be a satellite yet
                gateway.toml:5:1: [uplink] needs both `user` and `password_file` (or `password_credential`), or neither
                gateway.toml:6:7: `url`: write mqtt://host, mqtts://host, ws://host/mqtt or wss://host/mqtt
                gateway.toml:9:10: `listen`: only a loopback address is allowed yet: devices are not authenticated. Write 127.0.0.1:7400
                gateway.toml:10:1: [[radios]] lacks `adapter`: write adapter = a text in quotes
                gateway.toml:11:1: unknown key `adaptor`: did you mean `adapter`?"#]],
        );
    }
}
