//! How the receivers are: what is wrong with each, and what to do about it. Pure.

use crate::capture::source::Notice;
use std::collections::BTreeMap;
use vitrine_protocol::{Id, event::RadioState};

/// Most receivers that are kept.
const RECEIVERS: usize = 16;
/// So long a radio has to begin, before it counts as one that does not work.
const BEGIN_MS: u64 = 5_000;

/// What is wrong, by receiver.
#[derive(Debug, Default)]
pub(super) struct Health(BTreeMap<Id, &'static str>);

impl Health {
    /// Takes what happened to a receiver.
    pub(super) fn notice(&mut self, notice: &Notice) {
        let (receiver, ill) = match *notice {
            Notice::Radio { receiver, state } => (receiver, remedy(state)),
            Notice::Duplicates { receiver, filtered } => {
                let ill = "what does not change is hardly heard: start bluetoothd with --experimental (deploy/bluetooth)";
                (receiver, filtered.then_some(ill))
            }
            Notice::Recovered { receiver, .. } => (receiver, None),
            Notice::Silent { .. } | Notice::Back { .. } => return,
        };
        match ill {
            Some(ill) if self.0.len() < RECEIVERS || self.0.contains_key(&receiver) => {
                self.0.insert(receiver, ill);
            }
            Some(_) => {}
            None => drop(self.0.remove(&receiver)),
        }
    }

    /// A line for each receiver that is not well.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(receiver, ill)| format!("{receiver}: {ill}"))
    }

    /// Fails where nothing works: `heard` advertisements came since `passed_ms`, and it is known why.
    pub(super) fn check(&self, heard: u64, passed_ms: u64) -> anyhow::Result<()> {
        match self.lines().next() {
            Some(line) if heard == 0 && passed_ms >= BEGIN_MS => Err(anyhow::Error::msg(line)),
            _ => Ok(()),
        }
    }
}

fn remedy(state: RadioState) -> Option<&'static str> {
    match state {
        RadioState::Scanning => None,
        RadioState::Off => Some("the adapter is switched off: `bluetoothctl power on`"),
        RadioState::Absent => Some(
            "there is no such Bluetooth adapter: plug it in, or name another (`hciconfig` lists them) with --adapter",
        ),
        RadioState::Failing | RadioState::Unknown => Some(
            "BlueZ does not answer or does not scan: install `bluez`, `systemctl start bluetooth`, see `rfkill list`, and \
             let this user talk to it (on Debian: group `bluetooth`)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_radio_that_does_not_work_is_told_until_it_does() {
        let receiver = Id::new("front").unwrap();
        let mut health = Health::default();
        assert!(health.check(0, 60_000).is_ok());
        health.notice(&Notice::Radio { receiver, state: RadioState::Off });
        assert!(health.check(0, BEGIN_MS - 1).is_ok() && health.check(1, 60_000).is_ok());
        let error = health.check(0, BEGIN_MS).unwrap_err().to_string();
        assert_eq!(error, "front: the adapter is switched off: `bluetoothctl power on`");
        health.notice(&Notice::Duplicates { receiver, filtered: false });
        health.notice(&Notice::Radio { receiver, state: RadioState::Scanning });
        assert_eq!(health.lines().count(), 0);
    }
}
