//! The platform's side: `mosquitto_sub` with a persistent session, and what it received, read as plain JSON.
//!
//! Nothing here knows the agent's types: a consumer has the documented form alone.

use crate::{mosquitto::Mosquitto, terminate, wait::wait_for};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tempfile::TempDir;

/// Everything under this is received.
const TOPICS: &str = "vitrine/#";
/// Retained, and so received as soon as the subscription stands.
const PROBE: &str = "vitrine/probe";

/// A subscriber that goes on wherever its broker does; stopped when dropped.
pub struct Subscriber {
    directory: TempDir,
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
}

/// A message as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The topic.
    pub topic: String,
    /// The content.
    pub payload: Value,
}

/// An event's place: spool, stream and number.
pub type Place = (String, String, u64);

/// What was received, by place: every event once.
#[derive(Debug, Default)]
pub struct Feed {
    /// The events.
    pub events: BTreeMap<Place, Value>,
    /// When each came first, in milliseconds since the epoch.
    pub first_at_ms: BTreeMap<Place, u64>,
    /// How many came again.
    pub repeated: usize,
}

impl Subscriber {
    /// Subscribes to everything at `broker`, at quality of service 1.
    ///
    /// # Panics
    /// Where `mosquitto_sub` is missing or hears nothing.
    pub fn start(broker: &Mosquitto) -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), broker.port.to_string());
        let probe = ["-p", &port, "-t", PROBE, "-r", "-q", "1", "-m", "{}"];
        let sent = Command::new("mosquitto_pub").args(probe).status();
        let sent = sent.expect("this test needs mosquitto_pub: apt-get install mosquitto-clients");
        assert!(sent.success());

        let (stop, path) = (Arc::<AtomicBool>::default(), directory.path().join("messages"));
        let stopped = stop.clone();
        let run = move || {
            while !stopped.load(Ordering::Acquire) {
                let output = OpenOptions::new().create(true).append(true).open(&path).unwrap();
                let mut process = subscribe(&port, output.into());
                while process.try_wait().unwrap().is_none() {
                    if stopped.load(Ordering::Acquire) {
                        terminate(&mut process);
                        process.wait().unwrap();
                        return;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                // Its broker is away. Not at once: it might be away for long.
                thread::sleep(Duration::from_millis(100));
            }
        };
        let subscriber = Self { directory, stop, running: Some(thread::spawn(run)) };
        wait_for("the subscription stands", 20, || (!subscriber.messages().is_empty()).then_some(()));
        subscriber
    }

    /// All messages received so far, in order.
    pub fn messages(&self) -> Vec<Received> {
        let text = fs::read_to_string(self.directory.path().join("messages")).unwrap_or_default();
        // What follows the last line's end is not complete.
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete.lines().map(Received::parse).collect()
    }

    /// The payloads as they are on the wire, and their topics.
    pub fn raw(&self) -> Vec<u8> {
        fs::read(self.directory.path().join("messages")).unwrap_or_default()
    }

    /// All events received so far.
    ///
    /// # Panics
    /// Where a batch is not as documented, or an event came twice with different content.
    pub fn feed(&self) -> Feed {
        let mut feed = Feed::default();
        self.messages().iter().filter(|message| message.topic.contains("/evt/")).for_each(|m| feed.take(m));
        feed
    }
}

fn subscribe(port: &str, output: Stdio) -> Child {
    let mut command = Command::new("mosquitto_sub");
    command.args(["-p", port, "-V", "mqttv5", "-i", "platform", "-c", "-x", "86400", "-q", "1"]);
    command.args(["-t", TOPICS, "-F", "%U %t %p"]).stdout(output).stderr(Stdio::null());
    command.spawn().expect("this test needs mosquitto_sub: apt-get install mosquitto-clients")
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(running) = self.running.take() {
            // If it panicked, it has said so.
            running.join().ok();
        }
    }
}

impl Received {
    fn parse(line: &str) -> Self {
        let parsed = line.split_once(' ').and_then(|(time, rest)| {
            let (topic, payload) = rest.split_once(' ')?;
            let at_ms = (time.parse::<f64>().ok()? * 1000.0) as u64;
            Some(Self { at_ms, topic: topic.to_owned(), payload: serde_json::from_str(payload).ok()? })
        });
        parsed.unwrap_or_else(|| panic!("not a line of mosquitto_sub with JSON: {line}"))
    }
}

impl Feed {
    fn take(&mut self, Received { at_ms, topic, payload }: &Received) {
        let text =
            |field: &str| payload[field].as_str().unwrap_or_else(|| panic!("{field}: {payload}")).to_owned();
        let (spool, stream) = (text("spool_id"), text("stream"));
        assert!(topic.ends_with(&format!("/evt/{stream}")), "{topic}: {payload}");
        let events = payload["events"].as_array().expect("a batch has events");
        assert_eq!(payload["count"].as_u64(), Some(events.len() as u64), "{payload}");
        for (seq, event) in (payload["first_seq"].as_u64().expect("a batch has first_seq")..).zip(events) {
            let place = (spool.clone(), stream.clone(), seq);
            if let Some(before) = self.events.insert(place.clone(), event.clone()) {
                assert_eq!(before, *event, "two events at {place:?}");
                self.repeated += 1;
            }
            self.first_at_ms.entry(place).or_insert(*at_ms);
        }
    }

    /// The events of a type, in the order of their numbers.
    pub fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.events.values().filter(|event| event["type"] == kind).collect()
    }

    /// Checks that every event has a name of its own, and that each stream's numbers are all there from 1 on, or
    /// stated as lost by a gap event, never both. Returns how many are stated as lost.
    ///
    /// # Panics
    /// Where that is not so.
    pub fn check_numbers(&self) -> u64 {
        let mut names = BTreeMap::new();
        let mut numbers: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
        for (place @ (spool, stream, seq), event) in &self.events {
            let name = event["id"].as_str().expect("an event has an id");
            if let Some(other) = names.insert(name, place) {
                panic!("one id at {place:?} and {other:?}: {event}");
            }
            numbers.entry((spool, stream)).or_default().push(*seq);
        }
        let mut lost = 0;
        for ((spool, _, _), gap) in self.events.iter().filter(|(_, event)| event["type"] == "gap") {
            let number = |field: &str| gap[field].as_u64().unwrap_or_else(|| panic!("{field}: {gap}"));
            let range = number("first_seq")..=number("last_seq");
            lost += range.clone().count() as u64;
            let stream = gap["stream"].as_str().expect("a gap names its stream");
            numbers.entry((spool, stream)).or_default().extend(range);
        }
        for (stream, mut numbers) in numbers {
            numbers.sort_unstable();
            let holes: Vec<_> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
            assert!(numbers[0] == 1 && holes.is_empty(), "{stream:?}: from {}, {holes:?}", numbers[0]);
        }
        lost
    }
}
