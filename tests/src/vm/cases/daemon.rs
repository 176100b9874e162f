//! The agent as the daemon, with everything that happens to BlueZ, and a kiosk that must not notice.

use crate::{
    vm::{
        Judge, beacons,
        kiosk::{Shop, views},
        stack::{Backend, Setup, Stack, is_powered, power},
    },
    wait::{poll, wait_for},
};
use std::{thread, time::Duration};
use tokio::time::Instant;

/// More than the smallest count that is released.
const CARTS: u16 = 12;
/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(3);
/// Within this, what is back has to be heard again.
const AGAIN: Duration = Duration::from_secs(10);
/// A cart that is heard for so long has visited.
const VISIT: Duration = Duration::from_secs(3);
/// Memory that the agent may take, in KiB, its program aside: here it is not optimised, and large.
const MEMORY_MAX_KIB: u64 = 40 << 10;
/// By how much it may grow with the strangers: what is remembered is bounded.
const GROWTH_MAX_KIB: u64 = 12 << 10;
/// What [`churn`] sends.
const STRANGERS: u32 = 20_000;

const HEARS: &str = "the radio hears";
const RECOVERED: &str = "the radio has recovered";

/// What happens to the radio: its name, how it is broken, and how it is mended.
type Fault = (&'static str, fn(&mut Stack), fn(&mut Stack));

const BLUETOOTHD: Fault = ("bluetoothd is killed, and comes back", Stack::kill_bluetoothd, |stack| {
    stack.start_bluetoothd();
    stack.wait_until_powered();
});
const DBUS: Fault = (
    "dbus-daemon is killed, and comes back with bluetoothd",
    |stack| {
        stack.kill_bus();
        stack.kill_bluetoothd();
    },
    |stack| {
        stack.start_bus();
        stack.start_bluetoothd();
        stack.wait_until_powered();
    },
);
const POWER: Fault = (
    "the adapter is switched off, and on",
    |_| power(false).unwrap(),
    |stack| {
        assert!(!is_powered().unwrap(), "what an operator has switched off was switched on");
        power(true).unwrap();
        stack.wait_until_powered();
    },
);
const UNPLUG: Fault = ("the adapter is pulled, and plugged in", Stack::unplug, |stack| {
    stack.controller.replug();
    stack.wait_until_powered();
});

/// Through BlueZ.
pub(super) fn faults(judge: &mut Judge) {
    break_and_mend(judge, Backend::Bluez, &[BLUETOOTHD, DBUS, POWER, UNPLUG]);
}

/// Through the kernel, which bluetoothd takes the monitor from when it starts.
pub(super) fn faults_mgmt(judge: &mut Judge) {
    break_and_mend(judge, Backend::Mgmt, &[POWER, UNPLUG, BLUETOOTHD]);
}

/// Breaks and mends. Each time other carts come by, only within the time in which they have to be heard: in the end, all
/// have visited.
fn break_and_mend(judge: &mut Judge, backend: Backend, faults: &[Fault]) {
    let mut stack = Stack::start(Setup::default());
    let groups = faults.len() as u16 + 1;
    let shop = Shop::open(backend, CARTS * groups);
    wait_for(HEARS, 60, || (shop.logged(HEARS) > 0).then_some(()));
    pass_by(&stack, 0, VISIT);
    for (group, (name, break_it, mend)) in (1..).zip(faults) {
        let recovered = shop.logged(RECOVERED);
        break_it(&mut stack);
        thread::sleep(FAULT);
        mend(&mut stack);
        let back = Instant::now();
        start_carts(&stack, group);
        // The kernel's discovery does not end with bluetoothd.
        let is_noticed = !(backend == Backend::Mgmt && *name == BLUETOOTHD.0);
        if is_noticed {
            let told = poll(AGAIN.as_secs(), || (shop.logged(RECOVERED) > recovered).then_some(()));
            judge.check(
                told.is_some(),
                format!("{name}: heard again {} ms after it is back", back.elapsed().as_millis()),
            );
        }
        thread::sleep(VISIT.min(AGAIN.saturating_sub(back.elapsed())));
        end_carts(&stack);
    }
    let (touches, feed, log) = shop.close();
    let carriers = feed.of_type("coverage").iter().filter_map(|event| event["carriers"].as_u64()).max();
    judge.check(
        carriers == Some((CARTS * groups).into()),
        format!("{carriers:?} of {} carts came out as visits", CARTS * groups),
    );
    judge.check(
        touches.refused.is_empty(),
        format!("no touch of the kiosk was refused {:?}", touches.refused),
    );
    let views = views(&feed);
    let once = touches.taken.iter().filter(|sku| views.get(*sku) == Some(&1)).count();
    judge.check(
        once == touches.taken.len() && views.len() == once && once > 20,
        format!("{once} of {} touches came out exactly once", touches.taken.len()),
    );
    if judge.failures() > 0 {
        judge.note(log);
    }
}

fn pass_by(stack: &Stack, group: u16, length: Duration) {
    start_carts(stack, group);
    thread::sleep(length);
    end_carts(stack);
}

fn start_carts(stack: &Stack, group: u16) {
    for minor in group * CARTS + 1..=(group + 1) * CARTS {
        stack.controller.advertise(beacons::ibeacon("carts", minor, 300, None));
    }
}

fn end_carts(stack: &Stack) {
    stack.controller.end("carts");
}

/// Strangers by the thousands, of whom nothing may remain.
pub(super) fn churn(judge: &mut Judge) {
    strangers(judge, Backend::Mgmt, 1000);
}

/// The same through BlueZ, which remembers each for minutes.
pub(super) fn churn_bluez(judge: &mut Judge) {
    strangers(judge, Backend::Bluez, 200);
}

fn strangers(judge: &mut Judge, backend: Backend, per_second: u32) {
    let stack = Stack::start(Setup::default());
    let shop = Shop::open(backend, CARTS);
    wait_for(HEARS, 60, || (shop.logged(HEARS) > 0).then_some(()));
    pass_by(&stack, 0, VISIT);
    let (before_kib, before_ms) = (shop.memory_kib("RssAnon"), shop.cpu_ms());
    let mut most_kib = 0;
    stack.controller.advertise(beacons::strangers("strangers", per_second, STRANGERS));
    wait_for("all strangers", 600, || {
        most_kib = most_kib.max(shop.memory_kib("RssAnon"));
        (stack.controller.count("strangers").sent == u64::from(STRANGERS)).then_some(())
    });
    let (count, resident_kib) = (stack.controller.count("strangers"), shop.memory_kib("VmHWM"));
    let cpu_us = (shop.cpu_ms() - before_ms) * 1000 / count.passed.max(1);
    judge.note(format!(
        "{count:?}; {before_kib} KiB before, {most_kib} at most, {resident_kib} with the program; {cpu_us} us of the agent's each"
    ));
    judge.check(
        most_kib <= MEMORY_MAX_KIB && most_kib <= before_kib + GROWTH_MAX_KIB,
        format!("{most_kib} KiB at most, of {MEMORY_MAX_KIB}; {before_kib} before"),
    );
    let (touches, feed, _) = shop.close();
    judge.check(
        touches.refused.is_empty(),
        format!("no touch of the kiosk was refused {:?}", touches.refused),
    );
    let views = views(&feed);
    let once = touches.taken.iter().filter(|sku| views.get(*sku) == Some(&1)).count();
    judge.check(
        once == touches.taken.len(),
        format!("{once} of {} touches came out exactly once", touches.taken.len()),
    );
}
