//! The agent's own listener: lets the plan's beacons through to the pipeline, and nothing else.

use super::{
    Heard, Radio, Told,
    source::{Advertisement, Content, Listener, Notice},
};
use crate::{
    clock::Now,
    health::Health,
    plan::{Identity, Plan},
    private::Address,
};
use futures_util::future::BoxFuture;
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::mpsc;
use vitrine_protocol::{
    Id,
    frame::{EddystoneUid, Frame, IBeacon},
};

/// Hands what the plan knows to the pipeline, and what happens to receivers to `notices`.
pub struct Desk {
    plan: Arc<Plan>,
    radio: Radio,
    health: Arc<Health>,
    notices: mpsc::Sender<(Notice, Now)>,
}

impl Desk {
    /// Of a plan, with the ends of the channels.
    pub fn new(
        plan: Arc<Plan>,
        radio: Radio,
        health: Arc<Health>,
        notices: mpsc::Sender<(Notice, Now)>,
    ) -> Self {
        Self { plan, radio, health, notices }
    }

    /// Takes a sighting of a beacon of the plan that somebody else has identified.
    pub fn hear_beacon(&self, at: Now, receiver: Id, identity: Identity, rssi_dbm: i8) {
        let content = Content::Nothing;
        let told = Advertisement { at, receiver, address: None, rssi_dbm: Some(rssi_dbm), content };
        self.health.heard(&told);
        self.radio.count(false);
        let mut heard = Heard { at, receiver, address: None, rssi_dbm, frame: None, beacon: None };
        match identity {
            Identity::IBeacon { uuid, major, minor } => {
                heard.frame = Some(Frame::IBeacon(IBeacon { uuid, major, minor, measured_power_dbm: 0 }));
            }
            Identity::EddystoneUid { namespace, instance } => {
                heard.frame =
                    Some(Frame::EddystoneUid(EddystoneUid { tx_power_dbm: 0, namespace, instance }));
            }
            Identity::Layout(beacon) => heard.beacon = Some(beacon),
            Identity::Address(address) => heard.address = Some(address),
        }
        self.radio.send(heard);
    }

    fn knows(&self, told: &Told) -> bool {
        let by_frame = told.frame.as_ref().and_then(Identity::of);
        let by_layout = told.beacon.map(Identity::Layout);
        [by_frame, by_layout].iter().flatten().any(|identity| self.plan.beacons.contains_key(identity))
    }

    fn knows_address(&self, address: Option<Address>) -> bool {
        address.is_some_and(|address| self.plan.beacons.contains_key(&Identity::Address(address)))
    }
}

impl Listener for Desk {
    fn wants(&self, advertisement: &Advertisement<'_>) -> bool {
        let &Advertisement { address, content, .. } = advertisement;
        self.knows_address(address) || content.told(&self.plan.layouts).0.iter().any(|told| self.knows(told))
    }

    fn hear(&self, advertisement: &Advertisement<'_>) {
        let &Advertisement { at, receiver, address, rssi_dbm, content } = advertisement;
        let (mut told, malformed) = content.told(&self.plan.layouts);
        self.health.heard(advertisement);
        self.radio.count(malformed.is_some());
        let counters = self.radio.counters();
        if !self.knows_address(address) {
            told.retain(|told| self.knows(told));
        } else if told.is_empty() {
            told.push(Told::default());
        }
        if told.is_empty() {
            counters.not_in_plan.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Some(rssi_dbm) = rssi_dbm else {
            counters.no_rssi.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for Told { frame, beacon } in told {
            self.radio.send(Heard { at, receiver, address, rssi_dbm, frame, beacon });
        }
    }

    fn lost(&self, receiver: Id, count: u64) {
        self.health.lost(receiver, count);
        self.radio.counters().dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.radio.room())
    }

    fn notice(&self, notice: Notice, now: Now) {
        if let Err(error) = self.notices.try_send((notice, now)) {
            tracing::warn!(%error, "what happened to a receiver could not be passed on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_protocol::{
        event::{Clock, RadioState},
        time::Timestamp,
    };

    const PLAN: &str = "version = 1\nplan = '1'\n
        [[beacons]]\nid = 'a'\ncarrier = 'cart'
        ibeacon = { uuid = 'e2c56db5-dffb-48d2-b060-d0f5a71096e0', major = 1, minor = 2 }
        [[beacons]]\nid = 'b'\ncarrier = 'cart'\naddress = 'c0:ff:ee:00:00:01'\n";

    fn frame(minor: u16) -> Frame {
        let mut uuid = [0; 16];
        hex::decode_to_slice("e2c56db5dffb48d2b060d0f5a71096e0", &mut uuid).unwrap();
        Frame::IBeacon(IBeacon { uuid, major: 1, minor, measured_power_dbm: -59 })
    }

    fn advertisement<'a>(address: &str, rssi_dbm: Option<i8>, content: Content<'a>) -> Advertisement<'a> {
        let at = Now { mono_ms: 1, utc: Timestamp::from_ms(1), source: Clock::Synced };
        let receiver = Id::new("door").unwrap();
        Advertisement { at, receiver, address: Address::parse(address), rssi_dbm, content }
    }

    #[test]
    fn the_plans_beacons_pass_and_nothing_else_does() {
        let (radio, mut heard) = Radio::channel(8);
        let (notices, mut noticed) = mpsc::channel(1);
        let (plan, health) = (crate::plan::parse(PLAN).map(Arc::new).unwrap(), Arc::<Health>::default());
        let desk = Desk::new(plan, radio.clone(), health.clone(), notices);
        let (known, stranger) = ("c0ffee000001", "c0ffee000002");
        for (address, content, wanted) in [
            (stranger, Content::Frame(frame(2)), true),
            (stranger, Content::Frame(frame(3)), false),
            (stranger, Content::Nothing, false),
            (stranger, Content::Raw(&[2, 1, 6]), false),
            (known, Content::Nothing, true),
            (known, Content::Frame(frame(3)), true),
        ] {
            let advertisement = advertisement(address, Some(-60), content);
            assert_eq!(desk.wants(&advertisement), wanted, "{content:?}");
            desk.hear(&advertisement);
            assert_eq!(heard.try_recv().is_ok(), wanted, "{content:?}");
        }
        desk.hear(&advertisement(known, None, Content::Nothing));
        desk.hear(&advertisement(stranger, Some(-60), Content::Raw(&[5, 0xff])));
        assert!(heard.try_recv().is_err());
        let counters = radio.counters();
        let counted =
            [&counters.advertisements, &counters.malformed, &counters.not_in_plan, &counters.no_rssi];
        assert_eq!(counted.map(|counter| counter.load(Ordering::Relaxed)), [8, 1, 4, 1]);

        let at = Now { mono_ms: 1, utc: Timestamp::from_ms(1), source: Clock::Synced };
        let notice = Notice::Radio { receiver: Id::new("door").unwrap(), state: RadioState::Off };
        desk.notice(notice.clone(), at);
        assert_eq!(noticed.try_recv().unwrap().0, notice);
        assert_eq!(health.ears().receivers[&Id::new("door").unwrap()].advertisements, 8);
    }
}
