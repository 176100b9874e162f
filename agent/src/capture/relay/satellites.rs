//! The hub's satellites: Vitrine gateways that hear the plan's beacons and say so over the store's broker.
//!
//! A satellite names beacons and receivers as the plan does. Its times are of its own clock, which starts with it; by how
//! much that differs from ours its messages tell.

use super::{Heard, offset::Offset, silence::Silence};
use crate::{
    capture::desk::Desk,
    clock::Now,
    config::relays::Satellite,
    plan::{Identity, Plan},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tracing::{info, warn};
use vitrine_protocol::{
    Id,
    sighting::{self, SIGHTINGS_MAX, Sighting, Sightings, VERSION},
};

/// What a satellite heard longer ago is not taken.
pub const LATE_MS: u64 = 5_000;

/// What became of satellites' messages.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages.
    pub messages: AtomicU64,
    /// Messages that could not be read, or come from a satellite that is not named.
    pub refused: AtomicU64,
    /// Messages that never came.
    pub missing: AtomicU64,
    /// Sightings.
    pub sightings: AtomicU64,
    /// Of these, those of beacons or receivers that the plan does not have.
    pub not_in_plan: AtomicU64,
    /// Of these, those that came too late.
    pub late: AtomicU64,
    /// Sightings that satellites say they had to drop.
    pub dropped: AtomicU64,
}

/// All satellites.
pub struct Satellites {
    desk: Arc<Desk>,
    plan: Arc<Plan>,
    identities: HashMap<Id, Identity>,
    stations: Vec<Mutex<Station>>,
    counters: Counters,
}

#[derive(Debug)]
struct Station {
    id: Id,
    silence: Silence,
    run: Option<Run>,
}

/// A satellite from its start to its end.
#[derive(Debug)]
struct Run {
    boot: u32,
    counter: u64,
    dropped: u64,
    offset: Offset,
    plan: Id,
}

impl Satellites {
    /// The satellites of `config`, which should be heard from `now` on.
    pub fn new(config: &[Satellite], plan: Arc<Plan>, desk: Arc<Desk>, now: Now) -> Self {
        let station = |satellite: &Satellite| {
            let silence = Silence::new(satellite.id, satellite.silent_after_ms, now);
            Mutex::new(Station { id: satellite.id, silence, run: None })
        };
        Self {
            desk,
            identities: plan.register.iter().map(|(identity, tag)| (tag.beacon, *identity)).collect(),
            plan,
            stations: config.iter().map(station).collect(),
            counters: Counters::default(),
        }
    }

    /// What became of messages.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// The topics that they publish on.
    pub fn topics(&self) -> impl Iterator<Item = String> {
        self.stations.iter().map(|station| sighting::topic(lock(station).id))
    }

    /// A message came in on a topic; `false` if it is not a satellite's.
    pub fn handle_topic(&self, topic: &str, payload: &[u8], now: Now) -> bool {
        let Some(id) = sighting::satellite(topic) else { return false };
        self.count(&self.counters.messages, 1);
        let station = self.stations.iter().find(|station| lock(station).id == id);
        let message = serde_json::from_slice::<Sightings>(payload).ok();
        let message =
            message.filter(|message| message.v == VERSION && message.sightings.len() <= SIGHTINGS_MAX);
        match station.zip(message) {
            Some((station, message)) => self.handle(&mut lock(station), &message, now),
            None => self.count(&self.counters.refused, 1),
        }
        true
    }

    /// Time has passed: to be called every second or so.
    pub fn handle_timeout(&self, now: Now) {
        self.stations.iter().for_each(|station| lock(station).silence.handle_timeout(now, &*self.desk));
    }

    fn handle(&self, station: &mut Station, message: &Sightings, now: Now) {
        let &Sightings { boot, counter, plan, sent_ms, dropped, .. } = message;
        station.silence.heard(now, &*self.desk);
        if station.run.as_ref().is_none_or(|run| run.boot != boot) {
            info!(satellite = %station.id, %plan, "a satellite has started");
            let before = counter.saturating_sub(1);
            station.run = Some(Run { boot, counter: before, dropped: 0, offset: Offset::default(), plan });
        }
        let Some(run) = &mut station.run else { return };
        if run.plan != plan {
            info!(satellite = %station.id, %plan, "a satellite has another plan");
            run.plan = plan;
        }
        self.count(&self.counters.missing, counter.saturating_sub(run.counter).saturating_sub(1));
        self.count(&self.counters.dropped, dropped.saturating_sub(run.dropped));
        (run.counter, run.dropped) = (run.counter.max(counter), run.dropped.max(dropped));
        run.offset.observe(signed(sent_ms), now.mono_ms);
        self.count(&self.counters.sightings, message.sightings.len() as u64);
        let transit_ms = run.offset.age_ms(signed(sent_ms), now.mono_ms);
        message.sightings.iter().for_each(|sighting| self.hear(sighting, sent_ms, transit_ms, now));
    }

    fn hear(&self, sighting: &Sighting, sent_ms: u64, transit_ms: u64, now: Now) {
        let &Sighting { at_ms, receiver, beacon, rssi_dbm } = sighting;
        let age_ms = transit_ms.saturating_add(sent_ms.saturating_sub(at_ms));
        match self.identities.get(&beacon) {
            Some(identity) if self.plan.has_receiver(&receiver) => {
                if age_ms > LATE_MS {
                    self.count(&self.counters.late, 1);
                } else {
                    self.desk.hear_beacon(Heard::Ago(age_ms).place(now), receiver, *identity, rssi_dbm);
                }
            }
            _ => self.count(&self.counters.not_in_plan, 1),
        }
    }

    fn count(&self, counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

fn lock(station: &Mutex<Station>) -> std::sync::MutexGuard<'_, Station> {
    station.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// The message with which a hub tells its plan.
///
/// # Errors
/// What is wrong with `toml`: it is not the plan that it was.
pub fn plan_message(toml: String) -> Result<Vec<u8>, String> {
    let plan = crate::plan::parse(&toml).map_err(|problems| problems.to_string())?.version;
    serde_json::to_vec(&sighting::StorePlan { v: VERSION, plan, toml }).map_err(|error| {
        warn!(%error, "the plan cannot be told");
        error.to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Heard as Sighted, Radio};
    use tokio::sync::mpsc;
    use vitrine_protocol::{event::Clock, time::Timestamp};

    const PLAN: &str = "version = 1\nplan = '1'\n[[zones]]\nid = 'z'\n[[receivers]]\nid = 'back'\nzone = 'z'
[[beacons]]\nid = 'by-number'\ncarrier = 'cart'
ibeacon = { uuid = 'e2c56db5-dffb-48d2-b060-d0f5a71096e0', major = 1, minor = 2 }
[[beacons]]\nid = 'by-address'\ncarrier = 'cart'\naddress = 'c0:ff:ee:00:00:01'\n";

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    fn now(ms: u64) -> Now {
        let utc = Timestamp::from_ms(1_772_611_200_000 + ms as i64);
        Now { mono_ms: ms, utc, source: Clock::Synced }
    }

    fn bench() -> (Satellites, mpsc::Receiver<Sighted>) {
        let (radio, heard) = Radio::channel(64);
        let plan = Arc::new(crate::plan::parse(PLAN).unwrap());
        let desk = Arc::new(Desk::new(plan.clone(), radio, Arc::default(), mpsc::channel(8).0));
        let config = [Satellite { id: id("sat-1"), silent_after_ms: 60_000 }];
        (Satellites::new(&config, plan, desk, now(0)), heard)
    }

    /// Sightings of a beacon at each of `at_ms`, sent at `sent_ms` by the satellite's clock.
    fn message(boot: u32, counter: u64, sent_ms: u64, beacon: &str, at_ms: &[u64]) -> Vec<u8> {
        let sighting = |&at_ms| Sighting { at_ms, receiver: id("back"), beacon: id(beacon), rssi_dbm: -60 };
        let sightings = at_ms.iter().map(sighting).collect();
        let message = Sightings { v: 1, boot, counter, plan: id("1"), sent_ms, dropped: 0, sightings };
        serde_json::to_vec(&message).unwrap()
    }

    fn times(heard: &mut mpsc::Receiver<Sighted>) -> Vec<u64> {
        std::iter::from_fn(|| heard.try_recv().ok()).map(|heard| heard.at.mono_ms).collect()
    }

    #[test]
    fn sightings_of_a_skewed_clock_are_placed_by_what_its_messages_tell() {
        let (satellites, mut heard) = bench();
        let topic = sighting::topic(id("sat-1"));
        // Its clock is behind by 1 000 000 ms; a message is 10 ms on the way, at its quickest.
        let first = message(1, 1, 500, "by-number", &[100, 400]);
        assert!(satellites.handle_topic(&topic, &first, now(1_000_510)));
        assert_eq!(times(&mut heard), [1_000_110, 1_000_410]);
        // This one was held up for 3 s on the way, and so are its sightings not believed to be new.
        let slow = message(1, 2, 1_500, "by-address", &[1_400]);
        satellites.handle_topic(&topic, &slow, now(1_004_510));
        assert_eq!(times(&mut heard), [1_001_410]);
        // Too late: its sightings are not taken. And one message has never come.
        satellites.handle_topic(&topic, &message(1, 4, 2_000, "by-number", &[1_900]), now(1_010_000));
        assert_eq!(times(&mut heard), [0; 0]);
        // It has started again, and so has its clock.
        satellites.handle_topic(&topic, &message(2, 1, 40, "by-number", &[30]), now(1_020_000));
        assert_eq!(times(&mut heard), [1_019_990]);
        let Counters { messages, missing, late, sightings, .. } = satellites.counters();
        let counted = [messages, missing, late, sightings].map(|counter| counter.load(Ordering::Relaxed));
        assert_eq!(counted, [4, 1, 1, 5]);
    }

    #[test]
    fn who_is_not_named_and_what_is_not_in_the_plan_is_counted() {
        let (satellites, mut heard) = bench();
        assert!(!satellites.handle_topic("ruuvi/a/b", b"", now(1)));
        let good = message(1, 1, 500, "by-number", &[100]);
        assert!(satellites.handle_topic(&sighting::topic(id("sat-2")), &good, now(1)));
        let topic = sighting::topic(id("sat-1"));
        satellites.handle_topic(&topic, b"{}", now(1));
        satellites.handle_topic(&topic, &message(1, 1, 500, "cart-9", &[100]), now(1));
        assert_eq!(times(&mut heard), [0; 0]);
        let Counters { refused, not_in_plan, .. } = satellites.counters();
        assert_eq!([refused, not_in_plan].map(|counter| counter.load(Ordering::Relaxed)), [2, 1]);
    }
}
