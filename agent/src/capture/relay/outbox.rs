//! A satellite's listener: keeps what the plan's beacons are heard saying until it is sent, and nothing else.

use crate::{
    capture::{
        Told,
        source::{Advertisement, Listener, Notice},
    },
    clock::Now,
    plan::{Identity, Plan},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use vitrine_protocol::{
    Id,
    sighting::{SIGHTINGS_MAX, Sighting, Sightings, VERSION},
};

/// Sightings that wait while the broker is away: more than the hub would still take.
const WAITING_MAX: usize = 4096;

/// Sightings that wait to be sent, over all plans that the satellite has had since it started.
#[derive(Debug)]
pub struct Outbox {
    boot: u32,
    waiting: Mutex<VecDeque<Sighting>>,
    dropped: AtomicU64,
    counter: AtomicU64,
}

impl Outbox {
    /// Of a satellite that starts; `boot` is drawn for it.
    pub fn new(boot: u32) -> Self {
        Self { boot, waiting: Mutex::default(), dropped: AtomicU64::new(0), counter: AtomicU64::new(0) }
    }

    /// The next message under `plan`: up to [`SIGHTINGS_MAX`] sightings, none if none wait.
    pub fn message(&self, plan: Id, now: Now) -> Sightings {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(SIGHTINGS_MAX);
        let sightings = waiting.drain(..count).collect();
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let dropped = self.dropped.load(Ordering::Relaxed);
        Sightings { v: VERSION, boot: self.boot, counter, plan, sent_ms: now.mono_ms, dropped, sightings }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn put(&self, sighting: Sighting) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX && waiting.pop_front().is_some() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(sighting);
    }
}

/// Puts what `plan` knows into the outbox.
#[derive(Debug)]
pub struct Collector {
    plan: Arc<Plan>,
    outbox: Arc<Outbox>,
}

impl Collector {
    /// Under a plan.
    pub fn new(plan: Arc<Plan>, outbox: Arc<Outbox>) -> Self {
        Self { plan, outbox }
    }

    /// The beacon that sent an advertisement.
    fn beacon(&self, advertisement: &Advertisement<'_>) -> Option<Id> {
        let &Advertisement { address, content, .. } = advertisement;
        let name = |identity: Identity| self.plan.register.get(&identity).map(|tag| tag.beacon);
        let told = |Told { frame, beacon }: Told| {
            frame.as_ref().and_then(Identity::of).and_then(name).or_else(|| name(Identity::Layout(beacon?)))
        };
        let by_content = content.told(&self.plan.layouts).0.into_iter().find_map(told);
        by_content.or_else(|| name(Identity::Address(address?)))
    }
}

impl Listener for Collector {
    fn wants(&self, advertisement: &Advertisement<'_>) -> bool {
        self.beacon(advertisement).is_some()
    }

    fn hear(&self, advertisement: &Advertisement<'_>) {
        let &Advertisement { at, receiver, rssi_dbm, .. } = advertisement;
        if let Some((beacon, rssi_dbm)) = self.beacon(advertisement).zip(rssi_dbm) {
            self.outbox.put(Sighting { at_ms: at.mono_ms, receiver, beacon, rssi_dbm });
        }
    }

    fn lost(&self, _receiver: Id, count: u64) {
        self.outbox.dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn notice(&self, notice: Notice, _now: Now) {
        tracing::warn!(?notice, "a receiver of this satellite");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capture::source::Content, private::Address};
    use vitrine_protocol::{event::Clock, time::Timestamp};

    const PLAN: &str = "version = 1\nplan = '1'\n[[beacons]]\nid = 'cart-7'\ncarrier = 'cart'\naddress = 'c0:ff:ee:00:00:01'\n";

    fn now(mono_ms: u64) -> Now {
        Now { mono_ms, utc: Timestamp::from_ms(1), source: Clock::Unsynced }
    }

    fn collector() -> Collector {
        Collector::new(Arc::new(crate::plan::parse(PLAN).unwrap()), Arc::new(Outbox::new(9)))
    }

    fn hear(collector: &Collector, mono_ms: u64, address: &str) {
        let (receiver, address) = (Id::new("back").unwrap(), Address::parse(address));
        let (at, content) = (now(mono_ms), Content::Nothing);
        collector.hear(&Advertisement { at, receiver, address, rssi_dbm: Some(-60), content });
    }

    #[test]
    fn what_is_sent_has_names_and_no_address() {
        let collector = collector();
        hear(&collector, 5, "c0ffee000001");
        hear(&collector, 6, "c0ffee000002");
        let message = collector.outbox.message(Id::new("1").unwrap(), now(10));
        expect_test::expect![[r#"{"v":1,"boot":9,"counter":1,"plan":"1","sent_ms":10,"dropped":0,"sightings":[{"at_ms":5,"receiver":"back","beacon":"cart-7","rssi_dbm":-60}]}"#]]
            .assert_eq(&serde_json::to_string(&message).unwrap());
    }

    #[test]
    fn while_nothing_can_be_sent_the_oldest_give_way_and_are_counted() {
        let collector = collector();
        (0..WAITING_MAX as u64 + 10).for_each(|ms| hear(&collector, ms, "c0ffee000001"));
        let message = collector.outbox.message(Id::new("1").unwrap(), now(10));
        assert_eq!((message.sightings[0].at_ms, message.dropped), (10, 10));
        assert_eq!(
            (message.sightings.len(), collector.outbox.waiting()),
            (SIGHTINGS_MAX, WAITING_MAX - SIGHTINGS_MAX)
        );
    }
}
