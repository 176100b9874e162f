//! Each make's messages become the same sightings and the same visits as what the agent hears itself.

use crate::{
    CARTS, RSSI_DBM, UUID, address, cart, carts, check_release, hex, now_ms, plan, publish, store_broker,
    wait_for_store_broker,
};
use serde_json::json;
use std::{thread, time::Duration};
use vitrine_protocol::time::Timestamp;
use vitrine_tests::{agent::Agent, mosquitto::Mosquitto, subscriber::Subscriber, wait::wait_for};

const ROUNDS: u16 = 4;

const RELAYS: &str = r#"
[[relays]]
id = "minew"
format = "minew"
receiver = "front"
[[relays]]
id = "ruuvi"
format = "ruuvi"
receivers = { "aa:bb:cc:dd:ee:ff" = "front" }
[[relays]]
id = "omg"
format = "openmqttgateway"
receivers = { hall = "front" }
[[relays]]
id = "espresense"
format = "espresense"
receivers = { hall = "front" }
[[relays]]
id = "aruba"
format = "aruba"
receiver = "front"
[[relays]]
id = "acme"
format = "mapping"
receiver = "front"
[relays.mapping]
topic = "scanners/{relay}/seen"
list = "seen"
address = "mac"
rssi = "dbm"
raw = "adv"
"#;

#[test]
fn every_format_gives_the_visits_that_its_advertisements_are() {
    let (broker, store) = (Mosquitto::start(""), Mosquitto::start(""));
    let platform = Subscriber::start(&broker);
    let mut agent = Agent::new(broker.port, &plan(&carts())).with_tables(&(store_broker(&store) + RELAYS));
    agent.start();
    wait_for_store_broker(&agent, 1);

    for _ in 0..ROUNDS {
        (0..CARTS).for_each(|number| send(&agent, &store, number));
        thread::sleep(Duration::from_millis(500));
    }
    // What is nobody's, and a relay that no receiver is.
    publish(&store, &format!("ruuvi/11:22:33:44:55:66/{}", address(1)), &ruuvi("11:22:33:44:55:66", 1));
    publish(&store, "ruuvi/x/y", "{");

    let expected = u64::from(ROUNDS * CARTS);
    wait_for("the sightings", 30, || (agent.metric("vitrine_sightings_total") >= expected).then_some(()));
    assert_eq!(agent.metric("vitrine_sightings_total"), expected);
    check_release(&mut agent, &platform, "entrance");
    let log = agent.log();
    assert!(log.contains("no receiver of the plan is this relay") && log.contains("11:22:33:44:55:66"));
    assert!(log.contains("a relay sends what cannot be read"));
    assert!(!log.to_lowercase().contains(&address(1).to_lowercase()), "an address is in the log");
}

/// A cart is heard, by a scanner of the make that its number says.
fn send(agent: &Agent, store: &Mosquitto, number: u16) {
    let (beacon, address, advertisement) = (cart(number), address(number), hex(&cart(number).encode()));
    match number % 6 {
        0 => {
            let timestamp = Timestamp::from_ms(now_ms());
            let message = json!([
                { "timestamp": timestamp, "type": "Gateway", "mac": "AC233FC00001" },
                { "timestamp": timestamp, "type": "Unknown", "mac": address, "rssi": RSSI_DBM, "rawData": advertisement },
            ]);
            publish(store, "/gw/ac233fc00001/status", &message.to_string());
        }
        1 => {
            publish(
                store,
                &format!("ruuvi/AA:BB:CC:DD:EE:FF/{address}"),
                &ruuvi("AA:BB:CC:DD:EE:FF", number),
            );
        }
        2 => {
            let data = hex(&beacon.encode()[5..]);
            let message = json!({ "id": address, "rssi": RSSI_DBM, "manufacturerdata": data });
            publish(store, &format!("home/hall/BTtoMQTT/{address}"), &message.to_string());
        }
        3 => {
            let uuid = hex(&UUID);
            let uuid = [&uuid[..8], &uuid[8..12], &uuid[12..16], &uuid[16..20], &uuid[20..]].join("-");
            let id = format!("iBeacon:{uuid}-{}-{}", beacon.major, beacon.minor);
            let message = json!({ "mac": address, "id": id, "rssi@1m": -59, "rssi": RSSI_DBM });
            publish(store, &format!("espresense/devices/{id}/hall"), &message.to_string());
        }
        4 => {
            let seen = (now_ms() / 1000).to_string();
            let beacons = json!([{ "ibeacon": { "uuid": hex(&UUID), "major": beacon.major, "minor": beacon.minor, "power": -59 } }]);
            let message = json!({
                "reporter": { "mac": "204c03000001", "time": seen },
                "reported": [{ "mac": address, "lastSeen": seen, "rssi": { "last": RSSI_DBM }, "beacons": beacons }],
            });
            assert_eq!(agent.post("/v1/relays/aruba", &message).unwrap(), 202);
        }
        _ => {
            let message = json!({ "seen": [{ "mac": address, "dbm": RSSI_DBM, "adv": advertisement }] });
            publish(store, "scanners/7/seen", &message.to_string());
        }
    }
}

fn ruuvi(gateway: &str, number: u16) -> String {
    let (data, ts) = (hex(&cart(number).encode()), now_ms() / 1000);
    json!({ "gw_mac": gateway, "rssi": RSSI_DBM, "aoa": [], "gwts": ts, "ts": ts, "data": data }).to_string()
}

#[test]
fn a_relay_that_posts_is_told_what_is_wrong() {
    let relay = "[[relays]]\nid = \"ap\"\nformat = \"aruba\"\nreceiver = \"front\"\n";
    let mut agent = Agent::new(vitrine_tests::mosquitto::free_port(), &plan("")).with_tables(relay);
    agent.start();
    for (path, body, status) in [
        ("/v1/relays/ap", json!("x"), 400),
        ("/v1/relays/other", json!([]), 404),
        ("/v1/relays", json!([]), 404),
    ] {
        assert_eq!(agent.post(path, &body).unwrap(), status, "{path}");
    }
}
