//! How the agent's ears are: each receiver's state, what it heard, what had to be mended, and which devices are silent.
//!
//! For `vitrine status` and the metrics. It knows receivers and devices by their names in the plan, and no sender. What the
//! platform is told of the same is the pipeline's.

mod status;

pub use status::{Observed, RadioStats, Status};

use crate::{
    capture::source::{Advertisement, Notice},
    clock::Now,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use vitrine_protocol::{
    Id,
    event::{DeviceKind, RadioState},
    time::Timestamp,
};

/// Most receivers and silent devices that are known; a store has some dozens.
const MOST: usize = 1024;

/// The agent's ears, shared by who hears and who shows.
#[derive(Debug, Default)]
pub struct Health(Mutex<Ears>);

/// The agent's ears at one moment. Counts are since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ears {
    /// The receivers that have been heard of.
    pub receivers: BTreeMap<Id, Receiver>,
    /// Devices that have not been heard for longer than they should.
    pub silent: Vec<Silent>,
}

/// One receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// Its state, and since when; `None` where nobody watches it.
    pub state: Option<(RadioState, Timestamp)>,
    /// Whether static advertisements are filtered out as duplicates; `None` where that is not known.
    pub duplicates_filtered: Option<bool>,
    /// How often it had to be helped, by what had been wrong.
    pub recoveries: BTreeMap<String, u64>,
    /// Advertisements heard, of whomever.
    pub advertisements: u64,
    /// Advertisements lost between the radio and the plan.
    pub dropped: u64,
    /// When it last heard anything.
    pub last_heard: Option<Timestamp>,
}

/// A device that is silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silent {
    /// What kind of device.
    pub kind: DeviceKind,
    /// Its name.
    pub device: Id,
    /// When it was last heard.
    pub since: Timestamp,
}

impl Health {
    /// The ears now.
    pub fn ears(&self) -> Ears {
        self.lock().clone()
    }

    /// An advertisement was heard.
    pub fn heard(&self, advertisement: &Advertisement<'_>) {
        self.lock().receiver(advertisement.receiver, |receiver| {
            receiver.advertisements += 1;
            receiver.last_heard = receiver.last_heard.max(Some(advertisement.at.utc));
        });
    }

    /// Advertisements were lost.
    pub fn lost(&self, receiver: Id, count: u64) {
        self.lock().receiver(receiver, |receiver| receiver.dropped += count);
    }

    /// Something happened to a source.
    pub fn notice(&self, notice: &Notice, now: Now) {
        let mut ears = self.lock();
        match *notice {
            Notice::Radio { receiver, state } => {
                ears.receiver(receiver, |receiver| receiver.state = Some((state, now.utc)));
            }
            Notice::Recovered { receiver, cause } => {
                let count =
                    |receiver: &mut Receiver| *receiver.recoveries.entry(cause.into()).or_default() += 1;
                ears.receiver(receiver, count);
            }
            Notice::Duplicates { receiver, filtered } => {
                ears.receiver(receiver, |receiver| receiver.duplicates_filtered = Some(filtered));
            }
            Notice::Silent { kind, device, since } if ears.silent.len() < MOST => {
                ears.silent.retain(|silent| (silent.kind, silent.device) != (kind, device));
                ears.silent.push(Silent { kind, device, since });
            }
            Notice::Silent { .. } => {}
            Notice::Back { kind, device } => {
                ears.silent.retain(|silent| (silent.kind, silent.device) != (kind, device));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ears> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ears {
    fn receiver(&mut self, id: Id, change: impl FnOnce(&mut Receiver)) {
        if self.receivers.len() < MOST || self.receivers.contains_key(&id) {
            change(self.receivers.entry(id).or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::source::Content;
    use vitrine_protocol::event::Clock;

    fn now(s: i64) -> Now {
        Now { mono_ms: 0, utc: Timestamp::from_ms(s * 1000), source: Clock::Synced }
    }

    #[test]
    fn it_knows_how_each_receiver_is() {
        let (health, door) = (Health::default(), Id::new("door").unwrap());
        health.notice(&Notice::Radio { receiver: door, state: RadioState::Off }, now(1));
        health.notice(&Notice::Radio { receiver: door, state: RadioState::Scanning }, now(2));
        health.notice(&Notice::Recovered { receiver: door, cause: "bus" }, now(2));
        health.notice(&Notice::Recovered { receiver: door, cause: "bus" }, now(3));
        health.notice(&Notice::Duplicates { receiver: door, filtered: true }, now(3));
        let content = Content::Nothing;
        for s in [9, 8] {
            health.heard(&Advertisement {
                at: now(s),
                receiver: door,
                address: None,
                rssi_dbm: None,
                content,
            });
        }
        health.lost(door, 3);
        let expected = Receiver {
            state: Some((RadioState::Scanning, Timestamp::from_ms(2000))),
            duplicates_filtered: Some(true),
            recoveries: [("bus".to_owned(), 2)].into(),
            advertisements: 2,
            dropped: 3,
            last_heard: Some(Timestamp::from_ms(9000)),
        };
        assert_eq!(health.ears().receivers, [(door, expected)].into());
    }

    #[test]
    fn a_device_is_silent_once_and_until_it_is_back() {
        let (health, kind) = (Health::default(), DeviceKind::Relay);
        let device = Id::new("ap-1").unwrap();
        for s in [1, 2] {
            health.notice(&Notice::Silent { kind, device, since: Timestamp::from_ms(s) }, now(9));
        }
        assert_eq!(health.ears().silent, [Silent { kind, device, since: Timestamp::from_ms(2) }]);
        health.notice(&Notice::Back { kind: DeviceKind::Shelf, device }, now(9));
        assert_eq!(health.ears().silent.len(), 1);
        health.notice(&Notice::Back { kind, device }, now(9));
        assert_eq!(health.ears().silent, []);
    }

    #[test]
    fn it_is_bounded() {
        let health = Health::default();
        for n in 0..MOST + 10 {
            let receiver: Id = format!("r-{n}").parse().unwrap();
            health.lost(receiver, 1);
            let since = Timestamp::from_ms(0);
            health.notice(&Notice::Silent { kind: DeviceKind::Relay, device: receiver, since }, now(0));
        }
        assert_eq!((health.ears().receivers.len(), health.ears().silent.len()), (MOST, MOST));
    }
}
