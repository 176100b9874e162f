//! Late batches, and silence.

use crate::{address, cart, carts, hex, now_ms, plan, publish, store_broker, wait_for_store_broker};
use serde_json::json;
use vitrine_tests::{agent::Agent, mosquitto::Mosquitto, subscriber::Subscriber, wait::wait_for};

fn send(store: &Mosquitto, ts_ms: i64) {
    let (data, ts) = (hex(&cart(1).encode()), ts_ms / 1000);
    let message =
        json!({ "gw_mac": "AA:BB:CC:DD:EE:FF", "rssi": -70, "aoa": [], "gwts": ts, "ts": ts, "data": data });
    publish(store, &format!("ruuvi/AA:BB:CC:DD:EE:FF/{}", address(1)), &message.to_string());
}

#[test]
fn a_late_batch_is_placed_by_its_own_times_and_a_silent_relay_is_reported() {
    let (broker, store) = (Mosquitto::start(""), Mosquitto::start(""));
    let platform = Subscriber::start(&broker);
    let relay = "[[relays]]\nid = \"hall\"\nformat = \"ruuvi\"\nreceiver = \"front\"\nsilent_after_s = 2\nlate_s = 6\n";
    let mut agent = Agent::new(broker.port, &plan(&carts())).with_tables(&(store_broker(&store) + relay));
    agent.start();
    wait_for_store_broker(&agent, 1);
    // Its clock is an hour ahead, and it tells of moments ago; what is 20 s old comes too late.
    let theirs_ms = || now_ms() + 3_600_000;
    send(&store, theirs_ms());
    [20_000, 4_000, 2_000].iter().for_each(|ago_ms| send(&store, theirs_ms() - ago_ms));
    wait_for("the sightings", 30, || (agent.metric("vitrine_sightings_total") >= 3).then_some(()));

    let reported = |kind: &str| {
        wait_for(kind, 30, || platform.feed().of_type(kind).first().map(|event| (*event).clone()))
    };
    let silent = reported("device_silent");
    assert_eq!((&silent["kind"], &silent["device"]), (&"relay".into(), &"front".into()));
    send(&store, theirs_ms());
    assert_eq!(reported("device_back")["device"], "front");
    wait_for("the last sighting", 30, || (agent.metric("vitrine_sightings_total") >= 4).then_some(()));
    assert_eq!(agent.metric("vitrine_sightings_total"), 4);
    assert!(agent.terminate().success());
    assert!(agent.log().contains("late: 1 }"), "what came too late is counted");
}

#[test]
fn a_broker_that_goes_and_comes_back_is_found_again() {
    let mut store = Mosquitto::start("");
    let relay = "[[relays]]\nid = \"hall\"\nformat = \"ruuvi\"\nreceiver = \"front\"\n";
    let mut agent = Agent::new(vitrine_tests::mosquitto::free_port(), &plan(&carts()))
        .with_tables(&(store_broker(&store) + relay));
    agent.start();
    wait_for_store_broker(&agent, 1);
    store.kill();
    wait_for("the agent notices", 30, || {
        agent.log().contains("the store's broker is not there").then_some(())
    });
    store.restart();
    wait_for_store_broker(&agent, 2);
    // Subscribed again, which takes a moment after the connection.
    wait_for("a sighting", 30, || {
        send(&store, now_ms());
        (agent.metric("vitrine_sightings_total") >= 1).then_some(())
    });
}
