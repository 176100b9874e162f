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
pub(super) struct Health(BTreeMap<(Id, About), &'static str>);

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Hearing,
    Repeats,
}

impl Health {
    /// Takes what happened to a receiver.
    pub(super) fn notice(&mut self, notice: &Notice) {
        let (about, ill) = match *notice {
            Notice::Radio { receiver, state } => ((receiver, About::Hearing), remedy(state)),
            Notice::Duplicates { receiver, filtered } => {
                let ill = "what does not change is hardly heard: start bluetoothd with --experimental (deploy/bluetooth)";
                ((receiver, About::Repeats), filtered.then_some(ill))
            }
            Notice::Recovered { .. } | Notice::Silent { .. } | Notice::Back { .. } => return,
        };
        match ill {
            Some(ill) if self.0.len() < RECEIVERS || self.0.contains_key(&about) => {
                self.0.insert(about, ill);
            }
            Some(_) => {}
            None => drop(self.0.remove(&about)),
        }
    }

    /// A line for each receiver that is not well.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(line)
    }

    /// Fails where nothing works: `heard` advertisements came since `passed_ms`, and it is known why.
    pub(super) fn check(&self, heard: u64, passed_ms: u64) -> anyhow::Result<()> {
        match self.0.iter().find(|((_, about), _)| *about == About::Hearing).map(line) {
            Some(line) if heard == 0 && passed_ms >= BEGIN_MS => Err(anyhow::Error::msg(line)),
            _ => Ok(()),
        }
    }
}

fn line(((receiver, _), ill): (&(Id, About), &&'static str)) -> String {
    format!("{receiver}: {ill}")
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
        assert!(health.check(0, BEGIN_MS).is_err());
        health.notice(&Notice::Duplicates { receiver, filtered: true });
        health.notice(&Notice::Radio { receiver, state: RadioState::Scanning });
        assert!(health.check(0, BEGIN_MS).is_ok());
        assert_eq!(health.lines().count(), 1);
        health.notice(&Notice::Duplicates { receiver, filtered: false });
        assert_eq!(health.lines().count(), 0);
    }
}
