//! When things leave the store: facts about things at once, what people did at the end of its slot.

use crate::{INTERACTIONS, READINGS, plan, time_ms, view};
use serde_json::json;
use std::thread;
use vitrine_agent::clock::Clock;
use vitrine_tests::{agent::Agent, mosquitto::Mosquitto, subscriber::Subscriber, wait::wait_for};

const SLOT_S: u32 = 6;
const SLOT_MS: u64 = SLOT_S as u64 * 1000;

#[test]
fn an_empty_shelf_is_told_at_once_and_what_people_did_at_the_slots_end() {
    let broker = Mosquitto::start("");
    let platform = Subscriber::start(&broker);
    let mut agent = Agent::new(broker.port, &plan(SLOT_S));
    agent.start();

    // From the start of a slot on, so that there is time to see what comes before its end.
    let clock = Clock::system();
    let now_ms = || u64::try_from(clock.now().utc.as_ms()).unwrap();
    let slot_end_ms = (now_ms() / SLOT_MS + 2) * SLOT_MS;
    while now_ms() < slot_end_ms - SLOT_MS {
        thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(agent.post(INTERACTIONS, &view(1)).unwrap(), 202);
    for counter in 1..=6 {
        let grams = if counter <= 3 { 900 } else { 0 };
        let reading =
            json!([{ "shelf": "shelf-2", "facing": "only", "boot": 1, "counter": counter, "grams": grams }]);
        assert_eq!(agent.post(READINGS, &reading).unwrap(), 202);
    }

    let feed = wait_for("all three events", 30, || {
        let feed = platform.feed();
        (feed.events.len() >= 3).then_some(feed)
    });
    let came = |kind: &str| {
        let (place, event) = feed.events.iter().find(|(_, event)| event["type"] == kind).expect(kind);
        (feed.first_at_ms[place], time_ms(event))
    };
    let (empty_came_ms, empty_ms) = came("out_of_stock");
    assert!(empty_came_ms < slot_end_ms, "an empty shelf waits for the slot's end");
    assert!(empty_ms > slot_end_ms - SLOT_MS, "an empty shelf's time is exact, not its slot's");
    for kind in ["interaction", "pick_up"] {
        let (came_ms, time_ms) = came(kind);
        assert_eq!(time_ms, slot_end_ms - SLOT_MS, "{kind}");
        assert!(came_ms >= slot_end_ms, "{kind} came {} ms before its slot's end", slot_end_ms - came_ms);
    }
}
