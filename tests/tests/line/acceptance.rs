//! The promise: what a device was answered for arrives, exactly once by its number, whatever is killed meanwhile.

use crate::{
    plan, time_ms,
    traffic::{Bag, Device, Expected, Random, generate},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};
use vitrine_tests::{
    agent::{Agent, edit},
    http,
    mosquitto::Mosquitto,
    subscriber::{Feed, Subscriber},
    wait::{poll, wait_for},
};

/// Another one can be given in this variable.
const SEED_VARIABLE: &str = "VITRINE_TEST_SEED";
const SEED: u64 = 20_260_304;
const INPUTS: usize = 2000;
const SLOT_S: u32 = 2;

/// What happens to the line, and after which part of the inputs was answered, in per cent.
const MISHAPS: [(usize, Mishap); 6] = [
    (15, Mishap::BrokerEnds),
    (25, Mishap::AgentIsKilled),
    (35, Mishap::BrokerStarts),
    (50, Mishap::AgentIsKilled),
    (65, Mishap::BrokerEnds),
    (75, Mishap::BrokerStarts),
];

#[derive(Clone, Copy)]
enum Mishap {
    BrokerEnds,
    BrokerStarts,
    AgentIsKilled,
}

#[test]
fn what_was_answered_arrives_exactly_once_over_kills_and_outages() {
    let seed = std::env::var(SEED_VARIABLE).map_or(SEED, |seed| seed.parse().unwrap());
    println!("{SEED_VARIABLE}={seed}");
    let (devices, expected) = generate(seed, INPUTS);
    let mut broker = Mosquitto::start_persistent();
    let platform = Subscriber::start(&broker);
    let mut agent = Agent::new(broker.port, &store());
    agent.start();

    let (port, answered, again) = (agent.port, AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for (index, device) in devices.iter().enumerate() {
            let (answered, again) = (&answered, &again);
            scope.spawn(move || deliver(port, device, Random(seed + index as u64), answered, again));
        }
        for (per_cent, mishap) in MISHAPS {
            wait_for("the devices get on", 120, || {
                (answered.load(Ordering::Relaxed) >= INPUTS * per_cent / 100).then_some(())
            });
            match mishap {
                Mishap::BrokerEnds => broker.terminate(),
                Mishap::BrokerStarts => broker.restart(),
                Mishap::AgentIsKilled => {
                    agent.kill();
                    agent.start();
                }
            }
        }
    });
    assert!(again.load(Ordering::Relaxed) > 0, "no request had to be sent again: nothing was tested");

    // What is missing in the end is told below.
    poll(90, || is_complete(&platform.feed(), &expected).then_some(()));
    assert!(agent.terminate().success());
    poll(20, || (!platform.feed().of_type("coverage").is_empty()).then_some(()));
    let feed = platform.feed();

    let got = Expected::from_events(feed.events.values());
    assert_eq!(difference(&expected.interactions, &got.interactions), Vec::<String>::new());
    assert_eq!(difference(&expected.counts, &got.counts), Vec::<String>::new());
    assert_eq!(expected.steps, got.steps);
    assert_eq!(expected.stock, got.stock);
    assert_eq!(feed.check_numbers(), 0, "events are stated as lost");
    check_sessions(&feed);
    check_slots(&feed);
    check_doors(&feed);
    let wire = platform.raw();
    assert!(!wire.windows(3).any(|part| part == b"Ann"), "a customer's words were published");
}

/// Sessions end soon, and there are two kiosks.
fn store() -> String {
    let kiosks = "idle_s = 1\n[[kiosks]]\nid = \"kiosk-2\"\nidle_s = 1\n";
    edit(&plan(SLOT_S), &[("idle_s = 60\n", kiosks)])
}

/// Posts what a device has to say, in order, each until it is answered, and now and then once more.
fn deliver(port: u16, device: &Device, mut random: Random, answered: &AtomicUsize, again: &AtomicUsize) {
    for request in &device.requests {
        let body = Value::from(request.clone()).to_string();
        let repeats = u64::from(random.below(16) == 0);
        for _ in 0..=repeats {
            while !is_taken(port, device.path, &body) {
                again.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(50));
            }
        }
        answered.fetch_add(request.len(), Ordering::Relaxed);
    }
}

/// Whether it was answered for. Where not, it may have been taken nonetheless.
fn is_taken(port: u16, path: &str, body: &str) -> bool {
    match http::request(port, "POST", path, body.as_bytes()) {
        Ok(answer) if answer.status == 202 => true,
        Ok(answer) if answer.status == 503 => false,
        Ok(answer) => panic!("{answer:?} to {path} {body}"),
        Err(_) => false,
    }
}

fn is_complete(feed: &Feed, expected: &Expected) -> bool {
    let touches = feed.of_type("interaction").iter().filter(|event| event["kind"] != "session_end").count();
    let told: u64 = feed.of_type("session").iter().filter_map(|event| event["interactions"].as_u64()).sum();
    Expected::from_events(feed.events.values()).total() >= expected.total() && told == touches as u64
}

fn difference(expected: &Bag, got: &Bag) -> Vec<String> {
    let all: std::collections::BTreeSet<_> = expected.keys().chain(got.keys()).collect();
    let count = |bag: &Bag, key: &String| bag.get(key).copied().unwrap_or(0);
    let differs = |key: &&String| count(expected, key) != count(got, key);
    let tell = |key: &String| format!("{key}: {} instead of {}", count(got, key), count(expected, key));
    all.into_iter().filter(differs).map(tell).collect()
}

/// Each session tells of its own interactions; those that a kill cut short are interrupted.
fn check_sessions(feed: &Feed) {
    let mut touches: BTreeMap<&str, u64> = BTreeMap::new();
    for event in feed.of_type("interaction").iter().filter(|event| event["kind"] != "session_end") {
        *touches.entry(event["session"].as_str().unwrap()).or_default() += 1;
    }
    let mut interrupted = 0;
    for event in feed.of_type("session") {
        let told = event["interactions"].as_u64().unwrap();
        assert_eq!(touches.remove(event["session"].as_str().unwrap()), Some(told), "{event}");
        let is_interrupted = event["end"] == "interrupted";
        assert_eq!(event["duration_s"].is_null(), is_interrupted, "{event}");
        interrupted += u32::from(is_interrupted);
    }
    assert_eq!(touches, BTreeMap::new(), "sessions without an end");
    // The first kiosk had a session open at each of the two kills.
    assert!(interrupted >= 2, "{interrupted}");
}

/// Events about people tell their slot, and come after it.
fn check_slots(feed: &Feed) {
    let slot_ms = u64::from(SLOT_S) * 1000;
    for (place @ (_, stream, _), event) in &feed.events {
        if ["shelf", "kiosk", "door", "till"].contains(&stream.as_str()) {
            let (time_ms, came_ms) = (time_ms(event), feed.first_at_ms[place]);
            assert!(time_ms.is_multiple_of(slot_ms), "{event}");
            assert!(came_ms >= time_ms + slot_ms, "{came_ms}: {event}");
        }
    }
}

/// The windows' entries are the doors', over all kills.
fn check_doors(feed: &Feed) {
    let sum = |kind: &str, field: &str| -> u64 {
        feed.of_type(kind).iter().map(|event| event[field].as_u64().unwrap()).sum()
    };
    assert_eq!(sum("coverage", "door_in"), sum("door_count", "in"));
}
