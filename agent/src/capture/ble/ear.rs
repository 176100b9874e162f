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
