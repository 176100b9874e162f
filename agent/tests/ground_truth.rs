//! The heart against the simulated store's ground truth: a whole day, without runtime, storage or network.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{collections::BTreeMap, sync::Arc};
use vitrine_agent::{
    clock::Clock, demo::simulation::Simulation, heart::Heart, ids::Ids, plan, privacy::Release,
};
use vitrine_protocol::event::{Body, Event};

/// Plays a day and gives what left the store.
fn day(seed: u64) -> (Simulation, Vec<Event>, vitrine_agent::pipeline::Counters) {
    let mut simulation = Simulation::new(seed, 640);
    let plan = Arc::new(plan::parse(&simulation.plan_text()).unwrap());
    let (clock, hand) = Clock::turned(simulation.start());
    let mut n = 0u128;
    let random = move || {
        n += 1;
        n.to_be_bytes()
    };
    let mut heart = Heart::new(plan, Ids::new([7; 16]), Box::new(random), clock.now());
    let mut events = Vec::new();
    let mut time = simulation.start();
    let end = simulation.end().plus_ms(20 * 60_000);
    while time < end {
        time = time.plus_ms(1000);
        let step = simulation.advance(time);
        step.heard.iter().for_each(|heard| heart.handle_heard(heard));
        for (at, inputs) in step.inputs {
            hand.turn_to(at);
            heart.handle_inputs(inputs, clock.now());
        }
        hand.turn_to(time);
        heart.handle_timeout(clock.now());
        while let Some(release) = heart.poll_release() {
            if let Release::Event { event, .. } = release {
                events.push(event);
            }
        }
    }
    let counters = heart.counters();
    (simulation, events, counters)
}

#[test]
fn a_day_is_seen_as_it_was() {
    let (simulation, events, counters) = day(1);
    let truth = simulation.truth();

    // Visits come from noisy radio: within a few per cent.
    let (found, there_were) = (counters.visits as f64, truth.visits.len() as f64);
    assert!((found / there_were - 1.0).abs() < 0.05, "{found} visits found, {there_were} there were");

    // Shelves and counters are exact; repeats have not counted.
    let mut net: BTreeMap<String, i64> = BTreeMap::new();
    let mut count = |sku: &str, units| *net.entry(sku.to_owned()).or_default() += units;
    let (mut interactions, mut sessions, mut door_in) = (0, 0, 0);
    for event in &events {
        match &event.body {
            Body::PickUp(step) => count(&step.facing.sku, -i64::from(step.quantity)),
            Body::PutBack(step) => count(&step.facing.sku, i64::from(step.quantity)),
            Body::Interaction(_) => interactions += 1,
            Body::Session(_) => sessions += 1,
            Body::DoorCount(count) => door_in += u64::from(count.entries),
            _ => {}
        }
    }
    let mut true_net: BTreeMap<String, i64> = BTreeMap::new();
    for change in &truth.shelf {
        *true_net.entry(simulation.layout().facings[change.facing].sku.clone()).or_default() +=
            i64::from(change.units);
    }
    assert_eq!(net, true_net);
    let touches: usize = truth.sessions.iter().map(|session| session.touches.len()).sum();
    assert_eq!((interactions, sessions), (touches, truth.sessions.len()));
    assert_eq!(door_in, truth.passages.iter().map(|passage| u64::from(passage.entries)).sum::<u64>());
}

#[test]
fn traces_stand_for_a_good_part_of_the_day_and_flows_agree_with_the_truth() {
    let (simulation, events, _) = day(2);
    let (mut in_traces, mut flows) = (0, BTreeMap::new());
    for event in events {
        match event.body {
            Body::Trace(trace) => in_traces += trace.n,
            Body::Flow(flow) => *flows.entry((flow.from, flow.to)).or_insert(0) += flow.n,
            _ => {}
        }
    }
    let truth = simulation.truth();
    let visits = truth.visits.len() as u32;
    assert!(in_traces > visits / 5, "{in_traces} of {visits} visits are in traces");
    let mut true_flows = BTreeMap::new();
    for visit in &truth.visits {
        let moves: std::collections::BTreeSet<_> = visit.moves().collect();
        for (from, to) in moves {
            let id = |zone| simulation.layout().zones[usize::from(zone)].id;
            *true_flows.entry((id(from), id(to))).or_insert(0u32) += 1;
        }
    }
    // A cart that crosses one band on the way to another makes a move that nobody made: some, not many.
    let wrong: u32 =
        flows.iter().map(|(pair, n)| n.abs_diff(true_flows.get(pair).copied().unwrap_or(0))).sum();
    let released: u32 = flows.values().sum();
    assert!(wrong * 4 < released, "{wrong} of {released} released moves are wrong");
}
