//! What one adapter hears: gives each advertisement its signal strength.
//!
//! BlueZ tells of an RSSI only when it changed. The [`Ear`] therefore keeps the last one of each sender, but only of senders
//! that the listener wants: the random addresses of passers-by are given no memory. An RSSI is never invented.

use super::signal::Report;
use crate::{
    capture::source::{Advertisement, Content, Listener},
    clock::Now,
    private::Address,
    recent::Recent,
};
use vitrine_protocol::Id;

/// Most senders remembered. A large store has some hundreds of beacons; one that is forgotten costs a question to BlueZ.
const SENDERS_MAX: usize = 4096;
/// How long a sender is remembered after it was last heard.
const SENDER_TTL_MS: u64 = 60_000;

/// One adapter's memory.
#[derive(Debug)]
pub(super) struct Ear {
    receiver: Id,
    levels_dbm: Recent<Address, i8>,
}

impl Ear {
    /// Of a receiver's name in the plan.
    pub(super) fn new(receiver: Id) -> Self {
        Self { receiver, levels_dbm: Recent::new(SENDERS_MAX, SENDER_TTL_MS) }
    }

    /// Tells `listener` of a report. `false` where it is wanted and its RSSI is unknown: it has to be asked for, and is not
    /// told of before [`Ear::hear_anyway`].
    pub(super) fn hear(&mut self, report: &Report<'_>, now: Now, listener: &dyn Listener) -> bool {
        let advertisement = self.advertisement(report, now, report.rssi_dbm);
        if report.payloads.is_empty() {
            // Its identity may be in a payload that did not change.
            if let Some((level_dbm, rssi_dbm)) =
                self.levels_dbm.meet(&report.address, now.mono_ms).zip(report.rssi_dbm)
            {
                *level_dbm = rssi_dbm;
            }
            listener.hear(&advertisement);
            return true;
        }
        if !listener.wants(&advertisement) {
            listener.hear(&advertisement);
            return true;
        }
        let rssi_dbm = match report.rssi_dbm {
            Some(rssi_dbm) => {
                self.levels_dbm.insert(report.address, rssi_dbm, now.mono_ms);
                rssi_dbm
            }
            None => match self.levels_dbm.meet(&report.address, now.mono_ms) {
                Some(level_dbm) => *level_dbm,
                None => return false,
            },
        };
        listener.hear(&Advertisement { rssi_dbm: Some(rssi_dbm), ..advertisement });
        true
    }

    /// Tells `listener` of a report whose RSSI could not be learnt.
    pub(super) fn hear_anyway(&self, report: &Report<'_>, now: Now, listener: &dyn Listener) {
        listener.hear(&self.advertisement(report, now, None));
    }

    fn advertisement<'a>(&self, report: &'a Report<'_>, at: Now, rssi_dbm: Option<i8>) -> Advertisement<'a> {
        let content = match report.payloads.as_slice() {
            [] => Content::Nothing,
            payloads => Content::Payloads(payloads),
        };
        Advertisement { at, receiver: self.receiver, address: Some(report.address), rssi_dbm, content }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::signal::{AdapterName, Report},
        *,
    };
    use crate::capture::source::Notice;
    use std::sync::Mutex;
    use vitrine_protocol::{event::Clock, layout::Payload, time::Timestamp};

    /// Wants manufacturer data of company 1, and keeps the RSSI of all it is told of.
    #[derive(Default)]
    struct Company1(Mutex<Vec<Option<i8>>>);

    impl Listener for Company1 {
        fn wants(&self, advertisement: &Advertisement<'_>) -> bool {
            matches!(advertisement.content, Content::Payloads([Payload::Manufacturer { company: 1, .. }]))
        }

        fn hear(&self, advertisement: &Advertisement<'_>) {
            self.0.lock().unwrap().push(advertisement.rssi_dbm);
        }

        fn lost(&self, _: Id, _: u64) {}

        fn notice(&self, _: Notice, _: Now) {}
    }

    fn report(sender: u32, company: Option<u16>, rssi_dbm: Option<i8>) -> Report<'static> {
        let [a, b, c, d] = sender.to_be_bytes();
        let payload = company.map(|company| Payload::Manufacturer { company, data: &[] });
        let address = Address::new([0xc0, 0, a, b, c, d]);
        Report { adapter: AdapterName::new(), address, rssi_dbm, payloads: payload.into_iter().collect() }
    }

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, utc: Timestamp::from_ms(0), source: Clock::Synced }
    }

    fn ear() -> (Ear, Company1) {
        (Ear::new(Id::new("door").unwrap()), Company1::default())
    }

    #[test]
    fn a_payload_takes_the_last_rssi_of_its_sender() {
        let (mut ear, listener) = ear();
        assert!(ear.hear(&report(7, Some(1), Some(-50)), at(0), &listener));
        assert!(ear.hear(&report(7, Some(1), None), at(1), &listener));
        assert!(ear.hear(&report(7, None, Some(-60)), at(2), &listener));
        assert!(ear.hear(&report(7, Some(1), None), at(3), &listener));
        assert_eq!(*listener.0.lock().unwrap(), [-50, -50, -60, -60].map(Some));
    }

    #[test]
    fn an_rssi_that_is_unknown_or_too_old_is_asked_for_and_not_invented() {
        let (mut ear, listener) = ear();
        assert!(!ear.hear(&report(7, Some(1), None), at(0), &listener));
        ear.hear(&report(7, Some(1), Some(-50)), at(1), &listener);
        assert!(ear.hear(&report(7, Some(1), None), at(60_001), &listener));
        assert!(!ear.hear(&report(7, Some(1), None), at(120_002), &listener));
        ear.hear_anyway(&report(7, Some(1), None), at(120_003), &listener);
        assert_eq!(*listener.0.lock().unwrap(), [Some(-50), Some(-50), None]);
    }

    #[test]
    fn passers_by_are_told_of_and_given_no_memory() {
        let (mut ear, listener) = ear();
        for sender in 0..10_000 {
            assert!(ear.hear(&report(sender, Some(2), Some(-50)), at(0), &listener));
            assert!(ear.hear(&report(sender, None, Some(-50)), at(0), &listener));
            assert!(ear.hear(&report(sender, Some(2), None), at(0), &listener));
        }
        assert!(ear.levels_dbm.is_empty());
        for sender in 0..10_000 {
            ear.hear(&report(sender, Some(1), Some(-50)), at(1), &listener);
        }
        assert_eq!(ear.levels_dbm.len(), SENDERS_MAX);
    }
}
