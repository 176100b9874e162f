//! `gateway.toml` of a satellite: who it is, where the store's broker is, and its radios. Everything else is the hub's.

use super::{Broker, Radio, radios, read_broker};
use crate::document::{Report, Table};
use std::path::{Path, PathBuf};
use vitrine_protocol::Id;

/// A checked `gateway.toml` of a satellite.
#[derive(Clone, Debug, PartialEq)]
pub struct Satellite {
    /// The gateway's name within the store.
    pub gateway: Id,
    /// The store's broker.
    pub store_broker: Broker,
    /// Where the last good plan is kept.
    pub state_dir: PathBuf,
    /// BLE adapters and the receivers that they are in the hub's plan.
    pub radios: Vec<Radio>,
}

/// What only a hub has, and what a satellite does instead.
const HUBS: [(&str, &str); 9] = [
    (
        "uplink",
        "only the hub publishes to the platform: a satellite has [store_broker] alone, leave this out",
    ),
    ("plan", "a satellite gets the plan from the hub: leave this out"),
    ("spool", "a satellite keeps no events: leave this out"),
    ("http", "devices post to the hub: leave this out"),
    ("socket", "a satellite has no events to ask for: leave this out"),
    ("serial", "serial shelves are the hub's: leave this out"),
    ("shelf_controllers", "serial shelves are the hub's: leave this out"),
    ("relays", "relays are the hub's: write [[relays]] there"),
    ("satellites", "satellites are named on the hub: write [[satellites]] there"),
];

pub(super) fn read(table: &mut Table<'_>, report: &mut Report, dir: &Path) -> Option<Satellite> {
    table.optional::<Id>("tenant", report);
    table.optional::<Id>("store", report);
    let gateway = table.required::<Id>("gateway", report);
    let state_dir = table.or("state_dir", "/var/lib/vitrine".to_owned(), report);
    for (key, why) in HUBS {
        table.refuse(key, why, report);
    }
    let (broker, span) = (table.table("store_broker", report), table.span.clone());
    if broker.is_none() {
        report.at(
            span.clone(),
            "the file lacks [store_broker]: write [store_broker] and below it url = \"mqtt://host\", the hub's address",
        );
    }
    let store_broker = broker.and_then(|table| read_broker(table, report, dir));
    let radios = radios::read(table.tables("radios", report), report, dir);
    if radios.is_empty() {
        report.at(
            span,
            "a satellite without a radio hears nothing: write [[radios]] with adapter and receiver",
        );
    }
    table.finish(report);
    Some(Satellite {
        gateway: gateway?.into_inner(),
        store_broker: store_broker?,
        state_dir: dir.join(state_dir),
        radios,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Role, read_role};
    use crate::document::{Problems, parse};
    use expect_test::expect;
    use std::path::Path;

    fn read(text: &str) -> Result<Role, Problems> {
        parse(Path::new("gateway.toml"), text, |t, r| read_role(t, r, Path::new("/etc/vitrine")))
    }

    #[test]
    fn a_satellite_needs_little() {
        let role = read(
            "version = 1\nrole = 'satellite'\ngateway = 'sat-1'\n[store_broker]\nurl = 'mqtt://10.0.0.2'\n
            [[radios]]\nadapter = 'hci0'\nreceiver = 'back'\n",
        );
        let Ok(Role::Satellite(satellite)) = role else { panic!("{role:?}") };
        assert_eq!((satellite.store_broker.port, satellite.radios.len()), (1883, 1));
    }

    #[test]
    fn what_is_the_hubs_is_refused() {
        let text = "version = 1\nrole = 'satellite'\ngateway = 'sat-1'\nplan = 'store.toml'\n[uplink]\nurl = 'mqtt://p'\n[[relays]]\nid = 'r'\n";
        expect![[r#"
            gateway.toml:1:1: a satellite without a radio hears nothing: write [[radios]] with adapter and receiver
            gateway.toml:1:1: the file lacks [store_broker]: write [store_broker] and below it url = "mqtt://host", the hub's address
            gateway.toml:4:1: `plan`: a satellite gets the plan from the hub: leave this out
            gateway.toml:5:2: `uplink`: only the hub publishes to the platform: a satellite has [store_broker] alone, leave this out
            gateway.toml:7:3: `relays`: relays are the hub's: write [[relays]] there"#]]
        .assert_eq(&read(text).unwrap_err().to_string());
        assert!(read("version = 1\nrole = 'king'\n").is_err());
    }
}
