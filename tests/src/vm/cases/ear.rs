//! A source alone, and how much of what is sent it hears.

use crate::{
    vhci::{Advertiser, Count, Options},
    vm::{
        Judge, beacons,
        stack::{Backend, Setup, Stack},
        tally::Listening,
    },
    wait::{poll, wait_for},
};
use std::{collections::BTreeSet, thread, time::Duration};
use vitrine_agent::capture::source::Notice;
use vitrine_protocol::{event::RadioState, frame::Frame};

/// A static iBeacon at 100 ms, over several of the kernel's discoveries.
const STATIC: u64 = 260;
/// The same, over one and a half.
const FEWER: u64 = 150;
/// Of what was sent, this many percent have to be heard.
const MOST_PERCENT: u64 = 95;

/// A source that hears.
fn listen(stack: &Stack, backend: Backend) -> Listening {
    let listening = Listening::to(backend.source());
    let hears = |notice: &Notice| matches!(notice, Notice::Radio { state: RadioState::Scanning, .. });
    let scans = poll(30, || {
        (stack.controller.stats().scan.is_some() && listening.heard().notices.iter().any(hears)).then_some(())
    });
    assert!(scans.is_some(), "{}: no scan within 30 s: {:?}", backend.name(), listening.heard().notices);
    listening
}

/// Lets somebody advertise to the end; what became of it, once the listener has been given time to hear it all.
fn send(
    stack: &Stack,
    listening: &Listening,
    advertiser: Advertiser,
    heard: impl Fn(&Listening) -> u64,
) -> Count {
    let (name, times) = (advertiser.name, advertiser.times.unwrap());
    let length = advertiser.period * times as u32;
    stack.controller.advertise(advertiser);
    wait_for(name, length.as_secs() * 4 + 60, || (stack.controller.count(name).sent == times).then_some(()));
    let passed = stack.controller.count(name).passed;
    poll(5, || (heard(listening) >= passed).then_some(()));
    stack.controller.count(name)
}

fn filtered(listening: &Listening) -> Option<bool> {
    let last = |notice: &Notice| match notice {
        Notice::Duplicates { filtered, .. } => Some(*filtered),
        _ => None,
    };
    listening.heard().notices.iter().rev().find_map(last)
}

/// Every format comes through, octet by octet.
pub(super) fn formats(judge: &mut Judge) {
    let stack = Stack::start(Setup::default());
    (0..beacons::FORMATS.len()).for_each(|index| stack.controller.advertise(beacons::format(index)));
    let sent = beacons::FORMATS.iter().map(|(name, text)| {
        let frames: Vec<_> = Frame::decode(&beacons::octets(text)).flatten().collect();
        format!("{name} {:?}", frames[0])
    });
    let sent: BTreeSet<_> = sent.collect();
    for backend in [Backend::Mgmt, Backend::Bluez] {
        let listening = listen(&stack, backend);
        let heard = || -> BTreeSet<_> { listening.heard().frames.into_keys().collect() };
        poll(30, || heard().is_superset(&sent).then_some(()));
        let heard = heard();
        for frame in &sent {
            let format = frame.split(' ').next().unwrap_or_default();
            judge.check(
                heard.contains(frame),
                format!("{}: {format} is heard as it was sent", backend.name()),
            );
        }
        let strange: Vec<_> = heard.difference(&sent).collect();
        judge.check(strange.is_empty(), format!("{}: nothing else is heard {strange:?}", backend.name()));
    }
}

/// Ten buttons that are pressed once each.
pub(super) fn one_shot(judge: &mut Judge) {
    let stack = Stack::start(Setup::default());
    for backend in [Backend::Mgmt, Backend::Bluez] {
        let listening = listen(&stack, backend);
        let first = if backend == Backend::Mgmt { 100 } else { 200 };
        for minor in first..first + 10 {
            stack.controller.advertise(beacons::ibeacon("button", minor, 1, Some(1)));
            thread::sleep(Duration::from_millis(300));
        }
        let heard = || {
            (first..first + 10).filter(|&minor| listening.heard().ibeacons.contains_key(&(1, minor))).count()
        };
        let all = poll(10, || (heard() == 10).then_some(()));
        judge.check(all.is_some(), format!("{}: {} of 10 buttons are heard", backend.name(), heard()));
    }
}

/// What a static iBeacon comes to.
fn static_beacon(
    judge: &mut Judge,
    stack: &Stack,
    backend: Backend,
    name: &'static str,
    minor: u16,
    times: u64,
) -> (u64, Count) {
    let listening = listen(stack, backend);
    let heard =
        |listening: &Listening| listening.heard().ibeacons.get(&(1, minor)).copied().unwrap_or_default();
    let count = send(stack, &listening, beacons::ibeacon(name, minor, 100, Some(times)), heard);
    let heard = heard(&listening);
    judge
        .note(format!("{name}: {heard} heard of {count:?}; duplicates filtered: {:?}", filtered(&listening)));
    (heard, count)
}

fn most(part: u64, whole: u64) -> bool {
    part * 100 >= whole * MOST_PERCENT && whole > 0
}

/// Through BlueZ, with its monitors and without.
pub(super) fn duplicates(judge: &mut Judge) {
    let stack = Stack::start(Setup::default());
    let (heard, count) = static_beacon(judge, &stack, Backend::Bluez, "with a monitor", 1, STATIC);
    judge.check(most(heard, count.sent), format!("with a monitor, {heard} of {} are heard", count.sent));
    drop(stack);
    let stack = Stack::start(Setup { is_experimental: false, ..Setup::default() });
    let listening = listen(&stack, Backend::Bluez);
    let told = poll(10, || (filtered(&listening) == Some(true)).then_some(()));
    judge.check(told.is_some(), "without monitors, it is told that duplicates are filtered");
    drop(listening);
    let (heard, count) = static_beacon(judge, &stack, Backend::Bluez, "without a monitor", 2, FEWER);
    judge.check(heard * 5 < count.sent, format!("without a monitor, {heard} of {} are heard", count.sent));
}

/// Through the kernel.
pub(super) fn duplicates_mgmt(judge: &mut Judge) {
    let stack = Stack::start(Setup { is_experimental: false, ..Setup::default() });
    let (heard, count) = static_beacon(judge, &stack, Backend::Mgmt, "through the kernel", 1, STATIC);
    judge.check(most(heard, count.sent), format!("{heard} of {} are heard", count.sent));
}

/// A controller that speaks Bluetooth Classic too: inquiries cost air time unless BlueZ is told to do without.
pub(super) fn dual_mode(judge: &mut Judge) {
    let options = Options { is_dual: true, filters: true, ..Options::default() };
    let le_only = Setup { options, ..Setup::default() };
    let dual = Setup { is_le_only: false, ..le_only };
    for (setup, backend, name, hears_all) in [
        (le_only, Backend::Bluez, "bluez, ControllerMode = le", true),
        (dual, Backend::Bluez, "bluez, ControllerMode = dual", false),
        (dual, Backend::Mgmt, "mgmt, ControllerMode = dual", true),
    ] {
        let stack = Stack::start(setup);
        let (heard, count) = static_beacon(judge, &stack, backend, name, 1, FEWER);
        let inquiry_ms = stack.controller.stats().inquiry_ms;
        judge.note(format!("{name}: {inquiry_ms} ms of inquiries"));
        if hears_all {
            judge.check(most(heard, count.sent), format!("{name}: {heard} of {} are heard", count.sent));
        }
    }
}

/// A controller with extended advertising.
pub(super) fn extended(judge: &mut Judge) {
    let options = Options { is_extended: true, filters: true, ..Options::default() };
    let stack = Stack::start(Setup { options, ..Setup::default() });
    for (backend, name, minor) in
        [(Backend::Mgmt, "extended, mgmt", 1), (Backend::Bluez, "extended, bluez", 2)]
    {
        let (heard, count) = static_beacon(judge, &stack, backend, name, minor, FEWER);
        judge.check(most(heard, count.sent), format!("{name}: {heard} of {} are heard", count.sent));
    }
}

/// 12 000 advertisements of 100 beacons at 2000 a second, straight from the kernel.
pub(super) fn flood_mgmt(judge: &mut Judge) {
    let mut stack = Stack::start(Setup::default());
    // It reads every advertisement too, which a machine that is emulated has no time for.
    stack.kill_bluetoothd();
    let listening = listen(&stack, Backend::Mgmt);
    let distinct = |listening: &Listening| listening.heard().ibeacons.len() as u64;
    let started = tokio::time::Instant::now();
    let count = send(&stack, &listening, beacons::flood("flood", 100, 2000, 12_000), distinct);
    let (heard, lost) = (distinct(&listening), listening.heard().lost);
    judge.note(format!("{count:?} in {} ms, {lost} told as lost", started.elapsed().as_millis()));
    judge.check(heard == count.sent, format!("{heard} of {} are heard", count.sent));
    judge.check(heard + lost >= count.passed, "what is not heard is counted as lost");
}

/// The same through BlueZ, at rates that rise.
pub(super) fn flood_bluez(judge: &mut Judge) {
    let stack = Stack::start(Setup::default());
    let listening = listen(&stack, Backend::Bluez);
    for (name, per_second) in [("50/s", 50), ("100/s", 100), ("200/s", 200), ("500/s", 500), ("1000/s", 1000)]
    {
        let distinct = |listening: &Listening| listening.heard().ibeacons.len() as u64;
        listening.forget();
        let count = send(&stack, &listening, beacons::flood(name, 100, per_second, per_second * 6), distinct);
        let (heard, lost) = (distinct(&listening), listening.heard().lost);
        judge.note(format!("{name}: {heard} heard, {lost} told as lost, of {count:?}"));
        if per_second <= 50 {
            judge.check(most(heard, count.sent), format!("{name}: {heard} of {} are heard", count.sent));
        }
    }
}
