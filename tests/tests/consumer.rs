//! The example consumer on a live feed: what was answered for is counted exactly once, whatever is cut, killed or damaged.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};
use vitrine_agent::spool::Scan;
use vitrine_tests::{
    agent::{Agent, STORE_TOML, edit},
    consumer::Consumer,
    gate::Gate,
    mosquitto::Mosquitto,
    spool::disk,
    wait::wait_for,
};

const INTERACTIONS: &str = "/v1/kiosk/interactions";
const READINGS: &str = "/v1/shelf/readings";
const COUNTERS: &str = "/v1/counters";

/// Posts and remembers how often it was answered for.
#[derive(Default)]
struct Store {
    posted: u64,
}

impl Store {
    /// An interaction, a count of a till that is its own number, and a facing that is emptied or filled again.
    fn go_on(&mut self, agent: &Agent) {
        self.posted += 1;
        let n = self.posted;
        let id = format!("00000000-0000-4000-8000-{n:012x}");
        let view =
            json!([{ "id": id, "kiosk": "kiosk-1", "kind": "product_view", "sku": format!("p-{n:04}") }]);
        let count = json!([{ "id": id, "counter": "till-1", "transactions": n }]);
        assert_eq!(agent.post(INTERACTIONS, &view).unwrap(), 202);
        assert_eq!(agent.post(COUNTERS, &count).unwrap(), 202);
        let grams = if n.is_multiple_of(2) { 900 } else { 0 };
        let readings: Vec<_> = (3 * n..3 * n + 3)
            .map(|counter| json!({ "shelf": "shelf-2", "facing": "only", "boot": 1, "counter": counter, "grams": grams }))
            .collect();
        assert_eq!(agent.post(READINGS, &readings.into()).unwrap(), 202);
    }
}

fn arrived(consumer: &Consumer, store: &Store) -> Option<()> {
    let summary = consumer.summary();
    let count = |stream: &str| summary["events"][stream].as_u64().unwrap_or(0);
    ["stock", "till", "kiosk"].into_iter().all(|stream| count(stream) >= store.posted).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_counted_once_over_cuts_kills_and_damage() {
    let broker = Mosquitto::start_persistent();
    let gate = Gate::before(broker.port).await;
    let consumer = Consumer::start(broker.port);
    let mut agent = Agent::new(gate.port, &edit(STORE_TOML, &[("slot_s = 900 ", "slot_s = 1 ")]));
    agent.start();
    let mut store = Store::default();

    // The connection is cut while events are on their way.
    for _ in 0..5 {
        gate.open();
        (0..4).for_each(|_| store.go_on(&agent));
        gate.shut();
        store.go_on(&agent);
    }
    gate.open();
    wait_for("all events", 60, || arrived(&consumer, &store));

    // The agent is killed before it has noted that the platform has an event, until it is one.
    wait_for("a duplicate", 120, || {
        store.go_on(&agent);
        wait_for("the fact", 30, || {
            (consumer.summary()["events"]["stock"].as_u64() >= Some(store.posted)).then_some(())
        });
        agent.kill();
        agent.start();
        (consumer.summary()["duplicates"].as_u64() > Some(0)).then_some(())
    });
    wait_for("all events", 60, || arrived(&consumer, &store));
    let before = consumer.summary();
    assert_eq!(
        (&before["gaps"], &before["holes"], &before["invalid"]),
        (&json!(0), &json!(0), &json!(0)),
        "{before}"
    );

    // What waits on the disk is damaged: it is stated as lost.
    gate.shut();
    (0..40).for_each(|_| store.go_on(&agent));
    agent.kill();
    damage(&agent);
    gate.open();
    agent.start();
    wait_for("a gap", 60, || (consumer.summary()["gaps"].as_u64() > Some(0)).then_some(()));
    store.go_on(&agent);
    wait_for("the end of the slot", 60, || {
        let summary = consumer.summary();
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        (count(&summary["events"]["till"]) + count(&summary["lost"]) >= store.posted).then_some(())
    });
    assert!(agent.terminate().success());
    wait_for("the agent leaves", 30, || {
        (consumer.summary()["status"]["acme/lyon-2/gw-1"] == "offline").then_some(())
    });

    // What is not as documented is told, and takes nothing else with it.
    publish(&broker, "no JSON");
    publish(&broker, r#"{"v":9}"#);
    wait_for("what is wrong", 30, || (consumer.summary()["invalid"] == 2).then_some(()));

    let (summary, events) = consumer.stop();
    let told = format!("{summary}");
    assert_eq!(summary["holes"], 0, "{told}");
    assert_eq!(summary["invalid"], 2, "an agent's message is not as documented: {told}");
    assert!(summary["first_invalid"].as_str().unwrap().contains("not JSON"), "{told}");
    assert_eq!(summary["unknown"], json!({}), "{told}");
    check_counted_once(&summary, &events, &store);
}

/// Every event that was answered for is there once, or within what is stated as lost.
fn check_counted_once(summary: &Value, events: &[Value], store: &Store) {
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    let of_type = |kind: &'static str| events.iter().filter(move |event| event["type"] == kind);
    for count in of_type("till_count") {
        *seen.entry(count["transactions"].as_u64().unwrap()).or_default() += 1;
    }
    assert!(seen.values().all(|&times| times == 1), "{seen:?}");
    let missing = store.posted - seen.len() as u64;
    let lost = summary["lost"].as_u64().unwrap();
    assert!(missing > 0 && missing <= lost, "{missing} are missing, and {lost} are stated as lost");
    let facts = of_type("out_of_stock").count() + of_type("restock").count();
    assert_eq!(facts as u64, store.posted, "the damage was to another lane: {summary}");
    let ids: BTreeSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len());
}

/// Damages six blocks in a row of what waits for the end of its slot: two posts of each kind, where each was committed alone.
fn damage(agent: &Agent) {
    for segment in fs::read_dir(agent.state_dir().join("spool/slots")).unwrap() {
        let dir = segment.unwrap().path();
        let Ok(scan) = Scan::of(&dir) else { continue };
        let waiting = scan.blocks().iter().skip(scan.blocks().len() * 3 / 4);
        waiting.take(6).for_each(|block| disk::rot(&dir, block));
    }
}

fn publish(broker: &Mosquitto, payload: &str) {
    let topic = "vitrine/v1/acme/lyon-2/gw-1/evt/stock";
    let arguments = ["-p", &broker.port.to_string(), "-q", "1", "-t", topic, "-m", payload];
    assert!(Command::new("mosquitto_pub").args(arguments).status().unwrap().success());
}
