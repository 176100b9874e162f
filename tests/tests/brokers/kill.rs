//! The kill matrix: the agent and the broker are killed again and again under a steady load, on every broker.
//!
//! Counts of a till go in over HTTP, each until it is answered for; a consumer commits what it gets. With `delivery =
//! "end_to_end"` every count is there exactly once in the end. With `delivery = "broker"` it is told what was lost where,
//! and that the consumer can see it as a hole in the numbers.

use fastrand::Rng;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt, fs,
    ops::RangeInclusive,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};
use vitrine_tests::{
    agent::{Agent, STORE_TOML, edit},
    brokers::{Broker, GATEWAY, PASSWORD},
    http,
    program::vitrine,
    sink::{Options, Sink},
    wait::{poll, wait_for},
};

const SEED_VARIABLE: &str = "VITRINE_TEST_SEED";
const SEED: u64 = 20_260_304;
/// How often each victim is killed, if not as often as usual.
const ROUNDS_VARIABLE: &str = "VITRINE_TEST_ROUNDS";
/// Counts that are posted while the consumer is away: several batches' worth of slots.
const AWAY_COUNTS: u64 = 60;
/// Between two counts.
const PACE: Duration = Duration::from_millis(10);

/// When an event is safe: `delivery` of gateway.toml.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Broker,
    EndToEnd,
}

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Agent,
    Broker,
    BrokerWhileConsumerIsAway,
}

/// What became of the counts that were posted meanwhile.
#[derive(Debug)]
struct Row {
    kills: u32,
    answered: u64,
    lost: u64,
}

/// An agent, a broker and a consumer.
struct Line {
    agent: Agent,
    broker: Broker,
    sink: Option<Sink>,
    ledger: PathBuf,
    delivery: Delivery,
    rng: Rng,
}

/// Counts that a till was answered for, from 1 on without a hole.
#[derive(Default)]
struct Till {
    answered: AtomicU64,
    ends: AtomicBool,
}

/// Plays the matrix' row of a broker, with its newest version of MQTT.
#[allow(clippy::print_stdout, reason = "it is the measurement")]
pub(super) fn play(broker: Broker, delivery: Delivery) {
    let seed = std::env::var(SEED_VARIABLE).map_or(SEED, |seed| seed.parse().unwrap());
    let usual = if super::is_long() { 20 } else { 4 };
    let rounds = std::env::var(ROUNDS_VARIABLE).map_or(usual, |rounds| rounds.parse().unwrap());
    let name = broker.name;
    println!("{name}: {SEED_VARIABLE}={seed}");
    let mut line = Line::start(broker, delivery, seed);
    let till = Till::default();
    let mut rows = BTreeMap::new();
    for victim in [Victim::Agent, Victim::Broker, Victim::BrokerWhileConsumerIsAway] {
        let first = till.answered() + 1;
        let kills = match victim {
            Victim::BrokerWhileConsumerIsAway => line.kill_the_broker_while_the_consumer_is_away(&till),
            _ => line.kill_under_load(&till, victim, rounds),
        };
        rows.insert(victim, (kills, first..=till.answered()));
    }
    // What comes after all the others, over a line that is well: whatever is missing now is a hole in the numbers.
    line.post(&till, 1);
    let last = till.answered();
    wait_for("the last count", 120, || (line.counts().contains_key(&last)).then_some(()));
    poll(if delivery == Delivery::EndToEnd { 120 } else { 10 }, || {
        (line.counts().len() as u64 == last).then_some(())
    });

    let counts = line.counts();
    assert!(counts.values().all(|&times| times == 1), "counted twice: {counts:?}");
    let missing =
        |range: &RangeInclusive<u64>| range.clone().filter(|n| !counts.contains_key(n)).count() as u64;
    let rows: BTreeMap<_, _> = rows
        .into_iter()
        .map(|(victim, (kills, range))| {
            (victim, Row { kills, answered: range.clone().count() as u64, lost: missing(&range) })
        })
        .collect();
    for (victim, Row { kills, answered, lost }) in &rows {
        println!("| {name} | `{delivery}` | {victim} | {kills} | {answered} | {lost} |");
    }
    let ledger = line.sink().ledger();
    println!("{name}: {} duplicates, {} holes", ledger.duplicates, ledger.holes());
    assert_eq!(ledger.faults, Vec::<String>::new());
    assert_eq!(ledger.stated_lost(), 0, "the agent states events as lost");
    let lost: u64 = rows.values().map(|row| row.lost).sum();
    assert_eq!(ledger.holes(), lost, "what was lost is not what the consumer sees missing");
    assert_eq!(rows[&Victim::Agent].lost, 0, "the agent lost what it had answered for");
    if delivery == Delivery::EndToEnd {
        assert_eq!(lost, 0, "{rows:?}");
    }
}

impl Line {
    fn start(broker: Broker, delivery: Delivery, seed: u64) -> Self {
        let ports = broker.ports(broker.newest);
        let agent = Agent::new(ports[0], &edit(STORE_TOML, &[("slot_s = 900 ", "slot_s = 1 ")]));
        let directory = agent.directory();
        fs::write(directory.join("password"), PASSWORD).unwrap();
        let urls: Vec<_> = ports.iter().map(|port| format!("mqtt://127.0.0.1:{port}")).collect();
        let uplink = format!(
            "url = {urls:?}\nuser = \"{GATEWAY}\"\npassword_file = \"password\"\ndelivery = \"{delivery}\"\n"
        );
        let path = directory.join("gateway.toml");
        let usual = format!("url = \"{}\"\n", urls[0]);
        fs::write(&path, edit(&fs::read_to_string(&path).unwrap(), &[(&usual, &uplink)])).unwrap();
        let ledger = directory.join("ledger");
        let mut line = Self { agent, broker, sink: None, ledger, delivery, rng: Rng::with_seed(seed) };
        line.start_sink();
        line.agent.start();
        line
    }

    fn start_sink(&mut self) {
        let version = self.broker.newest;
        let marks = self.delivery == Delivery::EndToEnd;
        let options = Options { ports: self.broker.ports(version), version, marks };
        self.sink = Some(Sink::start(&self.ledger, options));
    }

    fn sink(&self) -> &Sink {
        self.sink.as_ref().expect("it is not away")
    }

    /// How often the consumer has each count.
    fn counts(&self) -> BTreeMap<u64, u64> {
        let mut counts = BTreeMap::new();
        for event in self.sink().ledger().of_stream("till") {
            *counts.entry(event["transactions"].as_u64().unwrap()).or_default() += 1;
        }
        counts
    }

    /// The highest count that the consumer has.
    fn newest_count(&self) -> u64 {
        self.counts().keys().next_back().copied().unwrap_or(0)
    }

    fn kill_under_load(&mut self, till: &Till, victim: Victim, rounds: u32) -> u32 {
        till.ends.store(false, Ordering::Release);
        let port = self.agent.port;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !till.ends.load(Ordering::Acquire) {
                    till.post(port);
                    thread::sleep(PACE);
                }
            });
            for _ in 0..rounds {
                // What arrives before the kill was posted after the last one.
                let answered = till.answered();
                wait_for("the load arrives", 120, || (self.newest_count() > answered).then_some(()));
                self.pause(1500);
                if victim == Victim::Agent {
                    self.agent.kill();
                    self.pause(300);
                    self.agent.start();
                } else {
                    let node = self.rng.usize(..self.broker.nodes());
                    self.broker.kill(node);
                    self.pause(700);
                    self.broker.restart(node);
                }
            }
            let answered = till.answered();
            wait_for("the load arrives again", 120, || (self.newest_count() > answered).then_some(()));
            till.ends.store(true, Ordering::Release);
        });
        rounds
    }

    fn kill_the_broker_while_the_consumer_is_away(&mut self, till: &Till) -> u32 {
        let last = till.answered();
        wait_for("all that came before", 60, || (self.newest_count() >= last).then_some(()));
        self.sink.take().expect("it is not away").stop();
        let before = self.published();
        self.post(till, AWAY_COUNTS);
        // With marks to wait for, it is not said how much the broker has.
        let patience = if self.delivery == Delivery::EndToEnd { 3 } else { 60 };
        poll(patience, || (self.published() >= before + AWAY_COUNTS).then_some(()));
        let node = self.rng.usize(..self.broker.nodes());
        self.broker.kill(node);
        self.broker.restart(node);
        self.start_sink();
        1
    }

    /// Events of the till's stream that the broker has acknowledged since the agent was started.
    fn published(&self) -> u64 {
        let socket = self.agent.state_dir().join("agent.sock").display().to_string();
        let (_, out, _) = vitrine(&["status", "--socket", &socket, "--json"], "");
        let status: Value = serde_json::from_str(&out).unwrap();
        status["uplink"]["published"]["till"]["events"].as_u64().unwrap_or(0)
    }

    fn post(&self, till: &Till, count: u64) {
        (0..count).for_each(|_| till.post(self.agent.port));
    }

    /// A seeded moment: what is killed is killed at any of them.
    fn pause(&mut self, ms_max: u64) {
        thread::sleep(Duration::from_millis(self.rng.u64(..ms_max)));
    }
}

impl Till {
    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    /// Posts the next count until it is answered for.
    fn post(&self, port: u16) {
        let n = self.answered() + 1;
        let id = format!("00000000-0000-4000-8000-{n:012x}");
        let body = json!([{ "id": id, "counter": "till-1", "transactions": n }]).to_string();
        wait_for("the agent answers for a count", 120, || {
            let answer = http::request(port, "POST", "/v1/counters", body.as_bytes()).ok()?;
            (answer.status == 202).then_some(())
        });
        self.answered.store(n, Ordering::Release);
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "broker",
            Self::EndToEnd => "end_to_end",
        })
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "agent",
            Self::Broker => "broker",
            Self::BrokerWhileConsumerIsAway => "broker, while the consumer is away",
        })
    }
}
