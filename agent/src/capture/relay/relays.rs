//! The relays of this hub: which one a message is from, which receiver it is, when it heard what it tells, and whether it
//! is still there.
//!
//! Messages come over the store's broker or over HTTP, from several tasks. Nothing here waits.

use super::{Heard, Message, Relayed, Summary, Unreadable, offset::Offset, plain_name, silence::Silence};
use crate::{
    capture::source::{Advertisement, Listener},
    clock::Now,
    config::relays::{Receivers, Relay},
    store_broker::overlap,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tracing::warn;
use vitrine_protocol::Id;

/// Names of relays that no receiver is, of which each is told once.
const STRANGERS_MAX: usize = 64;
/// Most characters of a stranger's name that are kept and logged.
const NAME_MAX: usize = 64;
/// How often a relay's unreadable messages are told.
const TELL_EVERY_MS: u64 = 60_000;

/// What became of relays' messages.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages.
    pub messages: AtomicU64,
    /// Of these, those of which nothing could be read.
    pub unreadable: AtomicU64,
    /// Messages on a topic that is nobody's.
    pub nobodys: AtomicU64,
    /// Advertisements that were read.
    pub advertisements: AtomicU64,
    /// Items that could not be read, and those beyond a message's most.
    pub bad_items: AtomicU64,
    /// Advertisements of relays that no receiver is.
    pub strangers: AtomicU64,
    /// Advertisements that came too late.
    pub late: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// All relays.
#[derive(Debug)]
pub struct Relays {
    relays: Vec<Entry>,
    counters: Counters,
}

#[derive(Debug)]
struct Entry {
    config: Relay,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// At least one.
    posts: Vec<Post>,
    /// Posts by their relay's own name, in its [`plain_name`]; `None` where there is one post, whatever the relay's name.
    names: Option<HashMap<String, usize>>,
    strangers: HashSet<String>,
    told_ms: Option<u64>,
}

/// A relay at its place.
#[derive(Debug)]
struct Post {
    receiver: Id,
    offset: Offset,
    silence: Silence,
    stage: Stage,
}

/// A relay's first message is read twice: first for what its clock says, for the last item may be the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Learning,
    Known,
}

#[derive(Default)]
struct Taken {
    summary: Summary,
    strangers: usize,
    late: usize,
}

impl Relays {
    /// The relays of `config`, which should be heard from `now` on.
    pub fn new(config: Vec<Relay>, now: Now) -> Self {
        let entry = |config: Relay| Entry { state: Mutex::new(State::new(&config, now)), config };
        Self { relays: config.into_iter().map(entry).collect(), counters: Counters::default() }
    }

    /// What became of messages.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.relays.is_empty()
    }

    /// The topics that they publish on.
    pub fn topics(&self) -> impl Iterator<Item = &String> {
        self.relays.iter().flat_map(|entry| &entry.config.topics)
    }

    /// A message came in on a topic.
    pub fn handle_topic(&self, topic: &str, payload: &[u8], now: Now, listener: &dyn Listener) {
        let matches = |entry: &&Entry| entry.config.topics.iter().any(|filter| overlap(filter, topic));
        match self.relays.iter().find(matches) {
            // It is counted, and told if it is unreadable: nobody waits for an answer.
            Some(entry) => drop(self.handle(entry, &Message { topic, payload }, now, listener)),
            None => Counters::add(&self.counters.nobodys, 1),
        }
    }

    /// A relay posted a message; `None` where there is no relay `id`.
    pub fn handle_post(
        &self,
        id: &str,
        payload: &[u8],
        now: Now,
        listener: &dyn Listener,
    ) -> Option<Result<Summary, Unreadable>> {
        let entry = self.relays.iter().find(|entry| entry.config.id.as_str() == id)?;
        Some(self.handle(entry, &Message { topic: "", payload }, now, listener))
    }

    /// Time has passed: to be called every second or so.
    pub fn handle_timeout(&self, now: Now, listener: &dyn Listener) {
        for entry in &self.relays {
            let mut state = entry.lock();
            state.posts.iter_mut().for_each(|post| post.silence.handle_timeout(now, listener));
        }
    }

    fn handle(
        &self,
        entry: &Entry,
        message: &Message<'_>,
        now: Now,
        listener: &dyn Listener,
    ) -> Result<Summary, Unreadable> {
        let (mut state, counters) = (entry.lock(), &self.counters);
        Counters::add(&counters.messages, 1);
        match state.handle(&entry.config, message, now, listener) {
            Ok(Taken { summary, strangers, late }) => {
                Counters::add(&counters.advertisements, summary.read);
                Counters::add(&counters.bad_items, summary.bad + summary.cut);
                Counters::add(&counters.strangers, strangers);
                Counters::add(&counters.late, late);
                Ok(summary)
            }
            Err(unreadable) => {
                Counters::add(&counters.unreadable, 1);
                if state.told_ms.is_none_or(|told_ms| now.mono_ms.saturating_sub(told_ms) >= TELL_EVERY_MS) {
                    state.told_ms = Some(now.mono_ms);
                    warn!(relay = %entry.config.id, %unreadable, "a relay sends what cannot be read");
                }
                Err(unreadable)
            }
        }
    }
}

impl Entry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(config: &Relay, now: Now) -> Self {
        let post = |receiver: &Id| Post {
            receiver: *receiver,
            offset: Offset::default(),
            silence: Silence::new(*receiver, config.silent_after_ms, now),
            stage: Stage::New,
        };
        let names = match &config.receivers {
            Receivers::One(_) => None,
            Receivers::Named(names) => {
                Some(names.iter().enumerate().map(|(index, (name, _))| (plain_name(name), index)).collect())
            }
        };
        let posts = config.receivers().iter().map(post).collect();
        Self { posts, names, strangers: HashSet::new(), told_ms: None }
    }

    fn handle(
        &mut self,
        config: &Relay,
        message: &Message<'_>,
        now: Now,
        listener: &dyn Listener,
    ) -> Result<Taken, Unreadable> {
        let Relay { id, format, late_ms, .. } = config;
        let (mut taken, mut learning) = (Taken::default(), false);
        taken.summary = format.read(message, &mut |relayed| {
            let Some(post) = self.post(relayed.relay, *id) else {
                taken.strangers += 1;
                return;
            };
            if let Heard::At(at) = relayed.heard {
                post.offset.observe(at.as_ms(), now.mono_ms);
            }
            post.silence.heard(now, listener);
            if post.stage == Stage::Known {
                taken.late += usize::from(!post.hear(&relayed, *late_ms, now, listener));
            } else {
                post.stage = Stage::Learning;
                learning = true;
            }
        })?;
        if learning {
            format.read(message, &mut |relayed| {
                let post = self.post(relayed.relay, *id).filter(|post| post.stage == Stage::Learning);
                let heard = post.is_none_or(|post| post.hear(&relayed, *late_ms, now, listener));
                taken.late += usize::from(!heard);
            })?;
            for post in self.posts.iter_mut().filter(|post| post.stage == Stage::Learning) {
                post.stage = Stage::Known;
            }
        }
        // A message without advertisements is a sign of life too, where it is clear whose.
        if self.names.is_none() {
            self.posts.iter_mut().for_each(|post| post.silence.heard(now, listener));
        }
        Ok(taken)
    }

    /// The post of the relay that calls itself `name`.
    fn post(&mut self, name: Option<&str>, id: Id) -> Option<&mut Post> {
        let index = match &self.names {
            None => Some(0),
            Some(names) => names.get(&plain_name(name.unwrap_or_default())).copied(),
        };
        if index.is_none() && self.strangers.len() < STRANGERS_MAX {
            let name: String = name.unwrap_or("(without a name)").chars().take(NAME_MAX).collect();
            if self.strangers.insert(name.clone()) {
                warn!(relay = %id, name, "no receiver of the plan is this relay: name it under `receivers`");
            }
        }
        self.posts.get_mut(index?)
    }
}

impl Post {
    /// Tells the listener; `false` if it is too late for it.
    fn hear(&self, relayed: &Relayed<'_>, late_ms: u64, now: Now, listener: &dyn Listener) -> bool {
        let age_ms = match relayed.heard {
            Heard::At(at) => self.offset.age_ms(at.as_ms(), now.mono_ms),
            Heard::Ago(ms) => ms,
            Heard::Unknown => 0,
        };
        if age_ms > late_ms {
            return false;
        }
        let &Relayed { address, rssi_dbm, content, .. } = relayed;
        let at = Heard::Ago(age_ms).place(now);
        listener.hear(&Advertisement { at, receiver: self.receiver, address, rssi_dbm, content });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use crate::capture::{Heard as Sighting, Radio, desk::Desk, source::Notice};
    use std::sync::Arc;
    use tokio::sync::mpsc;
    use vitrine_protocol::{
        event::{Clock, DeviceKind},
        frame::IBeacon,
        time::Timestamp,
    };

    const PLAN: &str = "version = 1\nplan = '1'\n[[beacons]]\nid = 'a'\ncarrier = 'cart'
        ibeacon = { uuid = 'e2c56db5-dffb-48d2-b060-d0f5a71096e0', major = 1, minor = 2 }";
    /// The relays' clock, which is wrong by decades.
    const THEIRS_S: u64 = 1_500_000_000;

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    fn now(s: u64) -> Now {
        let utc = Timestamp::from_ms(1_772_611_200_000 + s as i64 * 1000);
        Now { mono_ms: s * 1000, utc, source: Clock::Synced }
    }

    struct Bench {
        relays: Relays,
        desk: Desk,
        heard: mpsc::Receiver<Sighting>,
        noticed: mpsc::Receiver<(Notice, Now)>,
    }

    impl Bench {
        fn new(receivers: Receivers) -> Self {
            let config = Relay {
                id: id("gateways"),
                format: Format::Ruuvi,
                topics: vec!["ruuvi/#".into()],
                receivers,
                silent_after_ms: 60_000,
                late_ms: 5_000,
            };
            let (radio, heard) = Radio::channel(64);
            let (notices, noticed) = mpsc::channel(8);
            let desk = Desk::new(Arc::new(crate::plan::parse(PLAN).unwrap()), radio, Arc::default(), notices);
            Self { relays: Relays::new(vec![config], now(0)), desk, heard, noticed }
        }

        /// The relay `name` tells at `s` what it heard at each of `times`, by its own clock.
        fn send(&mut self, name: &str, s: u64, times: &[u64]) -> Vec<(Id, u64)> {
            for time in times {
                let mut uuid = [0; 16];
                hex::decode_to_slice("e2c56db5dffb48d2b060d0f5a71096e0", &mut uuid).unwrap();
                let frame = IBeacon { uuid, major: 1, minor: 2, measured_power_dbm: -59 };
                let (data, ts) = (hex::encode(frame.encode()), THEIRS_S + time);
                let payload = format!(
                    r#"{{"gw_mac":"{name}","rssi":-60,"aoa":[],"gwts":{ts},"ts":{ts},"data":"{data}","coords":""}}"#
                );
                let topic = format!("ruuvi/{name}/C0:00:00:00:00:01");
                self.relays.handle_topic(&topic, payload.as_bytes(), now(s), &self.desk);
            }
            std::iter::from_fn(|| self.heard.try_recv().ok())
                .map(|heard| (heard.receiver, heard.at.mono_ms / 1000))
                .collect()
        }
    }

    #[test]
    fn sightings_are_placed_by_the_relays_own_clock_and_too_late_ones_are_counted() {
        let mut bench = Bench::new(Receivers::One(id("door")));
        assert_eq!(bench.send("AA:BB:CC:DD:EE:FF", 100, &[50]), [(id("door"), 100)]);
        assert_eq!(
            bench.send("AA:BB:CC:DD:EE:FF", 110, &[52, 55, 58, 60]),
            [(id("door"), 105), (id("door"), 108), (id("door"), 110)]
        );
        assert_eq!(bench.relays.counters().late.load(Ordering::Relaxed), 1);
        assert_eq!(bench.relays.counters().messages.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn relays_are_told_apart_by_their_names() {
        let named = vec![("aabbccddee01".into(), id("door")), ("AA:BB:CC:DD:EE:02".into(), id("back"))];
        let mut bench = Bench::new(Receivers::Named(named));
        assert_eq!(bench.send("AA:BB:CC:DD:EE:01", 1, &[1]), [(id("door"), 1)]);
        assert_eq!(bench.send("AA:BB:CC:DD:EE:02", 1, &[500]), [(id("back"), 1)]);
        assert_eq!(bench.send("AA:BB:CC:DD:EE:03", 1, &[1]), []);
        assert_eq!(bench.relays.counters().strangers.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_relay_that_falls_silent_and_comes_back_is_told_once_each() {
        let mut bench = Bench::new(Receivers::One(id("door")));
        bench.send("AA:BB:CC:DD:EE:FF", 10, &[1]);
        (11..200).for_each(|s| bench.relays.handle_timeout(now(s), &bench.desk));
        bench.send("AA:BB:CC:DD:EE:FF", 200, &[191]);
        let told: Vec<_> = std::iter::from_fn(|| bench.noticed.try_recv().ok()).collect();
        let (kind, device, since) = (DeviceKind::Relay, id("door"), now(10).utc);
        let expected =
            [(Notice::Silent { kind, device, since }, now(70)), (Notice::Back { kind, device }, now(200))];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_cannot_be_read_or_is_nobodys_is_counted() {
        let bench = Bench::new(Receivers::One(id("door")));
        bench.relays.handle_topic("ruuvi/a/b", b"{", now(1), &bench.desk);
        bench.relays.handle_topic("minew/a", b"{}", now(1), &bench.desk);
        assert!(bench.relays.handle_post("gateways", b"[", now(1), &bench.desk).unwrap().is_err());
        assert!(bench.relays.handle_post("others", b"[]", now(1), &bench.desk).is_none());
        let Counters { messages, unreadable, nobodys, .. } = bench.relays.counters();
        assert_eq!([messages, unreadable, nobodys].map(|counter| counter.load(Ordering::Relaxed)), [2, 2, 1]);
    }
}
