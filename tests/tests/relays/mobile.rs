//! Receivers that move: what they hear of fixed beacons is their own walk; a member of staff's is nobody's.

use crate::{CARTS, check_release, plan};
use serde_json::{Value, json};
use std::{fmt::Write, thread, time::Duration};
use vitrine_tests::{agent::Agent, mosquitto::Mosquitto, subscriber::Subscriber, wait::wait_for};

const PILLARS: &str = r#"
[[beacons]]
id = "pillar-1"
carrier = "fixed"
zone = "entrance"
ibeacon = { uuid = "5a1d77e093c44b2f8e610d3bc7a9f254", major = 9, minor = 1 }
[[beacons]]
id = "pillar-2"
carrier = "fixed"
zone = "coats"
eddystone_uid = { namespace = "9b3ec1075da862f41ce9", instance = "77c51eb06430" }
"#;

fn sighting(receiver: &str, age_ms: u64, rssi_dbm: i8, pillar: u8) -> Value {
    let mut sighting = json!({ "receiver": receiver, "age_ms": age_ms, "rssi_dbm": rssi_dbm });
    if pillar == 1 {
        sighting["ibeacon"] =
            json!({ "uuid": "5a1d77e0-93c4-4b2f-8e61-0d3bc7a9f254", "major": 9, "minor": 1 });
    } else {
        sighting["eddystone_uid"] =
            json!({ "namespace": "9b3ec1075da862f41ce9", "instance": "77c51eb06430" });
    }
    sighting
}

#[test]
fn carts_that_hear_make_visits_and_staff_does_not() {
    let broker = Mosquitto::start("");
    let platform = Subscriber::start(&broker);
    let mut tables = PILLARS.to_owned();
    for number in 0..CARTS {
        write!(tables, "[[receivers]]\nid = \"smart-{number}\"\nmobile = true\ncarrier = \"cart\"\n")
            .unwrap();
    }
    tables += "[[receivers]]\nid = \"scanner-1\"\nmobile = true\ncarrier = \"staff\"\n";
    let mut agent = Agent::new(broker.port, &plan(&tables));
    agent.start();
    for _ in 0..3 {
        for receiver in (0..CARTS).map(|number| format!("smart-{number}")).chain(["scanner-1".to_owned()]) {
            // The nearer pillar counts. The order of a batch does not.
            let batch = json!([
                sighting(&receiver, 20, -60, 1),
                sighting(&receiver, 400, -80, 2),
                sighting(&receiver, 300_000, -40, 2),
            ]);
            assert_eq!(agent.post("/v1/sightings", &batch).unwrap(), 202);
        }
        thread::sleep(Duration::from_millis(700));
    }
    let stranger = json!([sighting("front", 20, -60, 1)]);
    assert_eq!(agent.post("/v1/sightings", &stranger).unwrap(), 400);
    let expected = u64::from(3 * 2 * CARTS);
    wait_for("the sightings", 30, || (agent.metric("vitrine_sightings_total") >= expected).then_some(()));
    assert_eq!(agent.metric("vitrine_sightings_total"), expected);
    // The first sighting is of the far pillar, and the hold time is not over when the agent ends.
    check_release(&mut agent, &platform, "coats");
}
