//! What happened to receivers and sensors, as facts about devices; and, when one is back, the period that nobody heard.

use super::Output;
use crate::{capture::source::Notice, clock::Now};
use std::collections::{BTreeMap, VecDeque};
use vitrine_protocol::{
    Id,
    event::{
        Body, Capture, CaptureGap, DeviceBack, DeviceKind, DeviceSilent, EventId, GapReason, Radio,
        RadioState,
    },
};

/// Most radios whose state is remembered; a gateway has a few.
const RADIOS_MAX: usize = 64;
/// Most silent devices that are remembered.
const SILENT_MAX: usize = 1024;

/// What is the matter with devices at present.
#[derive(Default)]
pub(super) struct Notices {
    /// Each radio's state, and since when it hears nothing.
    radios: BTreeMap<Id, (RadioState, Option<Now>)>,
    silent: BTreeMap<(u8, Id), Now>,
}

impl Notices {
    /// Takes a notice; `name` names an event.
    pub(super) fn handle(
        &mut self,
        notice: Notice,
        at: Now,
        mut name: impl FnMut() -> EventId,
        outputs: &mut VecDeque<Output>,
    ) {
        let mut say = |body| outputs.push_back(Output::Event { id: name(), at, body });
        match notice {
            Notice::Radio { receiver, state } => {
                let before = self.radios.get(&receiver).copied();
                if before.is_some_and(|(before, _)| before == state)
                    || before.is_none() && self.radios.len() >= RADIOS_MAX
                {
                    return;
                }
                say(Body::Radio(Radio { receiver, state }));
                let deaf_since = before.and_then(|(_, since)| since);
                if state != RadioState::Scanning {
                    self.radios.insert(receiver, (state, deaf_since.or(Some(at))));
                    return;
                }
                self.radios.insert(receiver, (state, None));
                if let Some(from) = deaf_since {
                    say(gap(Capture::Radio, receiver, from, at));
                }
            }
            Notice::Silent { kind, device, since } => {
                let silent_ms = u64::try_from(at.utc.as_ms() - since.as_ms()).unwrap_or(0);
                if self.silent.len() < SILENT_MAX
                    && self.silent.insert((number(kind), device), at.earlier(silent_ms)).is_none()
                {
                    say(Body::DeviceSilent(DeviceSilent { kind, device, since }));
                }
            }
            Notice::Back { kind, device } => {
                let Some(since) = self.silent.remove(&(number(kind), device)) else { return };
                say(Body::DeviceBack(DeviceBack { kind, device }));
                if let Some(capture) = capture(kind) {
                    say(gap(capture, device, since, at));
                }
            }
            Notice::Recovered { .. } | Notice::Duplicates { .. } => {}
        }
    }
}

/// A period that is over. How long it was is the steady clock's to say: the other one may have been set meanwhile.
fn gap(capture: Capture, device: Id, from: Now, to: Now) -> Body {
    let from = to.earlier(to.mono_ms.saturating_sub(from.mono_ms)).utc;
    let (to, reason) = (to.utc, GapReason::CaptureDown);
    Body::CaptureGap(CaptureGap { capture, device: Some(device), from, to, reason, exact: true })
}

/// What is not captured while a device of this kind is silent; `None` where nothing is.
fn capture(kind: DeviceKind) -> Option<Capture> {
    match kind {
        DeviceKind::Receiver | DeviceKind::Relay => Some(Capture::Radio),
        DeviceKind::Shelf => Some(Capture::Shelves),
        DeviceKind::Kiosk => Some(Capture::Kiosks),
        DeviceKind::Counter => Some(Capture::Counters),
        DeviceKind::Beacon | DeviceKind::Unknown => None,
    }
}

/// The kinds have no order of their own.
fn number(kind: DeviceKind) -> u8 {
    kind as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use vitrine_protocol::{event::Clock, time::Timestamp};

    fn check(notices: &[(i64, Notice)], bodies: Expect) {
        let (mut state, mut outputs) = (Notices::default(), VecDeque::new());
        for (s, notice) in notices {
            let mono_ms = 1_000_000 + s.unsigned_abs() * 1000;
            let at = Now { mono_ms, utc: Timestamp::from_ms(s * 1000), source: Clock::Synced };
            state.handle(notice.clone(), at, || EventId([1; 16]), &mut outputs);
        }
        let text = outputs.iter().map(|output| match output {
            Output::Event { body, .. } => serde_json::to_string(body).unwrap() + "\n",
            other => panic!("{other:?}"),
        });
        bodies.assert_eq(&text.collect::<String>());
    }

    #[test]
    fn a_radios_state_is_told_when_it_changes_and_its_silence_when_it_is_over() {
        let door = Id::new("door").unwrap();
        let radio = |s, state| (s, Notice::Radio { receiver: door, state });
        check(
            &[
                radio(1, RadioState::Scanning),
                radio(2, RadioState::Scanning),
                radio(10, RadioState::Failing),
                (11, Notice::Recovered { receiver: door, cause: "bluetoothd" }),
                radio(12, RadioState::Absent),
                radio(20, RadioState::Scanning),
            ],
            expect![[r#"
                {"type":"radio","receiver":"door","state":"scanning"}
                {"type":"radio","receiver":"door","state":"failing"}
                {"type":"radio","receiver":"door","state":"absent"}
                {"type":"radio","receiver":"door","state":"scanning"}
                {"type":"capture_gap","capture":"radio","device":"door","from":"1970-01-01T00:00:10.000Z","to":"1970-01-01T00:00:20.000Z","reason":"capture_down","exact":true}
            "#]],
        );
    }

    #[test]
    fn a_silent_device_is_told_once_and_what_was_missed_when_it_is_back() {
        let device = Id::new("ap-1").unwrap();
        let silent = |kind| Notice::Silent { kind, device, since: Timestamp::from_ms(5000) };
        check(
            &[
                (9, Notice::Back { kind: DeviceKind::Relay, device }),
                (10, silent(DeviceKind::Relay)),
                (11, silent(DeviceKind::Relay)),
                (12, silent(DeviceKind::Shelf)),
                (20, Notice::Back { kind: DeviceKind::Relay, device }),
            ],
            expect![[r#"
                {"type":"device_silent","kind":"relay","device":"ap-1","since":"1970-01-01T00:00:05.000Z"}
                {"type":"device_silent","kind":"shelf","device":"ap-1","since":"1970-01-01T00:00:05.000Z"}
                {"type":"device_back","kind":"relay","device":"ap-1"}
                {"type":"capture_gap","capture":"radio","device":"ap-1","from":"1970-01-01T00:00:05.000Z","to":"1970-01-01T00:00:20.000Z","reason":"capture_down","exact":true}
            "#]],
        );
    }
}
