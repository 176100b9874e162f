//! BLE capture against a fake BlueZ on a private bus.
#![allow(clippy::unwrap_used, reason = "in the helpers too")]

use std::{os::unix::net::UnixListener, time::Duration};
use vitrine_protocol::frame::APPLE_COMPANY;
use vitrine_tests::{
    bluez::{FAULTS, FakeBluez, Fault, Payload},
    hear::{Hear, ibeacon, passer_by, uid},
    wait::wait_for,
};

const CART: &str = "C0:B1:E1:AB:00:01";
const BASKET: &str = "C0:B1:E1:AB:00:02";
const BUTTON: &str = "C0:B1:E1:AB:00:03";
/// In the plan by its address alone.
const PLAIN: &str = "C0:B1:E1:AB:00:09";

/// How soon a radio must hear again.
const RECOVERED_SECONDS: u64 = 10;

fn hear(bluez: &FakeBluez, arguments: &[&str]) -> Hear {
    Hear::start(env!("CARGO_BIN_EXE_hear"), bluez.bus_address(), arguments)
}

/// As the receiver `door` on `hci0`.
fn door(bluez: &FakeBluez) -> Hear {
    let hear = hear(bluez, &["hci0=door"]);
    bluez.wait_for_scan();
    hear.expect_notice("door scanning");
    hear.expect_notice("door unfiltered");
    hear
}

#[test]
fn hears_ibeacons_and_eddystones_with_their_rssi() {
    let bluez = FakeBluez::start();
    let hear = door(&bluez);
    bluez.advertise(CART, -50, ibeacon(1));
    hear.expect("door -50 ibeacon");
    bluez.advertise(BASKET, -71, uid());
    hear.expect("door -71 eddystone-uid");
    bluez.advertise(CART, -62, ibeacon(2));
    hear.expect("door -62 ibeacon");
    // BlueZ does not repeat the RSSI where it is the same, and the payload only because the scan asks for it.
    bluez.advertise(CART, -62, ibeacon(2));
    hear.expect("door -62 ibeacon");
    bluez.advertise(BASKET, -70, uid());
    hear.expect("door -70 eddystone-uid");

    hear.stop("advertisements 5 malformed 0 not_in_plan 0 dropped 0 no_rssi 0");
    assert!(!bluez.is_scanning(), "the scan goes on");
    assert_eq!(bluez.asked(), 0, "BlueZ was asked for what it had said");
}

#[test]
fn hears_a_sender_that_sends_only_once() {
    let bluez = FakeBluez::start();
    let hear = door(&bluez);
    bluez.advertise_in_passing(BUTTON, -80, ibeacon(1));
    hear.expect("door -80 ibeacon");
    hear.stop("advertisements 1 malformed 0 not_in_plan 0 dropped 0 no_rssi 0");
}

#[test]
fn hears_a_sender_that_is_known_by_its_address_whatever_it_sends() {
    let bluez = FakeBluez::start();
    let hear = door(&bluez);
    bluez.advertise(PLAIN, -60, Payload::Service(0xfd6f, vec![1]));
    hear.expect("door -60 unknown");
    bluez.advertise(PLAIN, -60, Payload::Service(0xfd6f, vec![1, 2]));
    hear.expect("door -60 unknown");
    hear.stop("advertisements 2 malformed 0 not_in_plan 0 dropped 0 no_rssi 0");
}

/// The receiver remembers 4096 senders of the plan; BlueZ does not repeat an RSSI that is the same.
#[test]
fn asks_for_the_rssi_of_a_device_forgotten_among_thousands() {
    let bluez = FakeBluez::start();
    let hear = door(&bluez);
    bluez.advertise(CART, -50, ibeacon(1));
    hear.expect("door -50 ibeacon");
    for high in 0..=128 {
        (0..32).for_each(|low| bluez.advertise(&format!("C0:00:00:00:{high:02X}:{low:02X}"), -90, uid()));
        (0..32).for_each(|_| hear.expect("door -90 eddystone-uid"));
    }
    bluez.advertise(CART, -50, ibeacon(1));
    hear.expect("door -50 ibeacon");
    assert_eq!(bluez.asked(), 1);
    hear.stop("advertisements 4130 malformed 0 not_in_plan 0 dropped 0 no_rssi 0");
}

#[test]
fn drops_and_counts_what_is_malformed_or_not_in_the_plan() {
    let bluez = FakeBluez::start();
    let hear = door(&bluez);
    let Payload::Manufacturer(company, data) = ibeacon(1) else { unreachable!() };
    let malformed = Payload::Manufacturer(company, data[..12].to_vec());
    bluez.advertise(CART, -50, malformed.clone());
    bluez.advertise(CART, -51, malformed);
    // Apple's, but no iBeacon; and somebody else's iBeacon.
    bluez.advertise(BASKET, -60, Payload::Manufacturer(APPLE_COMPANY, vec![0x10, 0x05, 0x01]));
    bluez.advertise(BASKET, -61, ibeacon(3));
    bluez.advertise(BASKET, -61, Payload::Service(0xfd6f, Vec::new()));
    bluez.advertise(CART, -52, ibeacon(1));
    hear.expect("door -52 ibeacon");
    hear.stop("advertisements 6 malformed 2 not_in_plan 5 dropped 0 no_rssi 0");
}

#[test]
fn repeated_advertisements_come_through_while_bluetoothd_has_monitors() {
    for (monitors, says, heard) in [(true, "door unfiltered", 20), (false, "door filtered", 1)] {
        let bluez = FakeBluez::start_with(&["hci0"], monitors);
        let hear = hear(&bluez, &["hci0=door"]);
        hear.expect_notice("door scanning");
        hear.expect_notice(says);
        (0..20).for_each(|_| bluez.advertise(CART, -50, ibeacon(1)));
        bluez.advertise(BASKET, -51, uid());
        (0..heard).for_each(|_| hear.expect("door -50 ibeacon"));
        hear.expect("door -51 eddystone-uid");
    }
}

#[test]
fn hears_again_soon_after_each_fault_and_says_so_once() {
    let mut bluez = FakeBluez::start();
    let hear = door(&bluez);
    for Fault { name, comes, goes, state, cause } in FAULTS {
        comes(&mut bluez);
        hear.expect_notice(&format!("door {state}"));
        goes(&mut bluez);
        wait_for(name, RECOVERED_SECONDS, || {
            bluez.advertise(CART, -50, ibeacon(1));
            hear.has_heard("door -50 ibeacon").then_some(())
        });
        hear.expect_notice("door scanning");
        hear.expect_notice(&format!("door recovered: {cause}"));
    }
    // And again without a filter: the monitor was registered anew.
    hear.count(Duration::from_millis(500));
    (0..5).for_each(|_| bluez.advertise(BASKET, -51, uid()));
    (0..5).for_each(|_| hear.expect("door -51 eddystone-uid"));
}

#[test]
fn an_adapter_that_an_operator_switched_off_stays_off() {
    let bluez = FakeBluez::start();
    bluez.set_powered("hci0", false);
    let hear = hear(&bluez, &["hci0=door"]);
    hear.expect_notice("door off");
    let looks = bluez.calls("GetAll");
    wait_for("three more looks", 10, || (bluez.calls("GetAll") >= looks + 3).then_some(()));
    assert!(!bluez.is_powered("hci0") && bluez.calls("Set") == 0);
    bluez.set_powered("hci0", true);
    hear.expect_notice("door scanning");
}

#[test]
fn waits_for_bluetoothd_and_for_an_adapter() {
    let mut bluez = FakeBluez::start_with(&[], true);
    bluez.kill();
    let hear = hear(&bluez, &["hci0=door"]);
    hear.expect_notice("door failing");
    bluez.restart();
    hear.expect_notice("door absent");
    bluez.plug("hci0");
    hear.expect_notice("door scanning");
    hear.expect_notice("door recovered: bluetoothd was gone");
    bluez.advertise(CART, -50, ibeacon(1));
    hear.expect("door -50 ibeacon");
}

#[test]
fn a_busy_bluez_is_asked_again_ever_more_seldom() {
    let bluez = FakeBluez::start();
    bluez.be_busy("hci0", 3);
    let hear = hear(&bluez, &["hci0=door"]);
    hear.expect_notice("door failing");
    hear.expect_notice("door scanning");
    hear.expect_notice("door recovered: the scan could not be started");
    assert_eq!(bluez.calls("StartDiscovery"), 4);
}

#[test]
fn a_radio_that_says_that_it_scans_and_is_deaf_is_helped() {
    let bluez = FakeBluez::start();
    let hear = hear(&bluez, &["--silence-ms", "1500", "hci0=door"]);
    bluez.wait_for_scan();
    hear.expect_notice("door scanning");
    hear.expect_notice("door unfiltered");
    bluez.deafen("hci0");
    wait_for("it hears again", RECOVERED_SECONDS, || {
        bluez.advertise(CART, -50, ibeacon(1));
        hear.has_heard("door -50 ibeacon").then_some(())
    });
    hear.expect_notice("door recovered: nothing was heard");
}

#[test]
fn one_adapter_does_not_hold_up_another() {
    let bluez = FakeBluez::start_with(&["hci0", "hci1"], true);
    bluez.be_busy("hci0", u32::MAX);
    let hear = hear(&bluez, &["hci0=door", "hci1=till", "hci2=lift"]);
    bluez.wait_for_scan_on("hci1");
    bluez.advertise_on("hci1", CART, -50, ibeacon(1));
    hear.expect("till -50 ibeacon");
    bluez.unplug("hci1");
    bluez.be_busy("hci0", 0);
    bluez.wait_for_scan_on("hci0");
    bluez.advertise(CART, -51, ibeacon(1));
    hear.expect("door -51 ibeacon");
    hear.stop("advertisements 2 malformed 0 not_in_plan 0 dropped 0 no_rssi 0");
}

#[test]
fn passers_by_starve_no_beacon_and_cost_no_memory_and_no_question() {
    const PASSERS_BY: u32 = 10_000;
    let bluez = FakeBluez::start();
    let hear = door(&bluez);
    let mut before_kib = 0;
    for number in 0..PASSERS_BY {
        let (address, payload) = passer_by(number);
        bluez.advertise_in_passing(&address, -90, payload);
        if number % 100 == 99 {
            bluez.advertise(CART, -50 - i16::from(number % 200 == 99), ibeacon(1));
            hear.expect(if number % 200 == 99 { "door -51 ibeacon" } else { "door -50 ibeacon" });
        }
        if number == PASSERS_BY / 10 {
            before_kib = hear.resident_kib();
        }
    }
    let grown_kib = hear.resident_kib().saturating_sub(before_kib);
    assert!(grown_kib < 1024, "{grown_kib} KiB more after {PASSERS_BY} passers-by");
    assert_eq!(bluez.asked(), 0);
    hear.stop("advertisements 10100 malformed 0 not_in_plan 10000 dropped 0 no_rssi 0");
}

#[test]
fn what_comes_too_fast_is_dropped_and_counted() {
    const ALL_AT_ONCE: u32 = 8_000;
    let bluez = FakeBluez::start();
    let hear = door(&bluez);
    hear.halt(true);
    for number in 0..ALL_AT_ONCE {
        let (address, payload) = passer_by(number);
        bluez.advertise_in_passing(&address, -90, payload);
    }
    hear.halt(false);
    // All goes through in order: when the last one of these is heard, so is everything.
    let mut sent = u64::from(ALL_AT_ONCE);
    wait_for("it has caught up", 20, || {
        bluez.advertise(BASKET, -51, uid());
        sent += 1;
        hear.has_heard("door -51 eddystone-uid").then_some(())
    });
    bluez.advertise(CART, -50, ibeacon(1));
    wait_for("the last one", 10, || hear.has_heard("door -50 ibeacon").then_some(()));
    let counters = hear.counters();
    assert_eq!(counters["advertisements"] + counters["dropped"], sent + 1, "{counters:?}");
}

/// A bus that lets everybody in and says nothing costs a thread for each attempt: the process has to be started again.
#[test]
fn ends_when_its_connections_are_used_up() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("bus");
    let _silent = UnixListener::bind(&socket).unwrap();
    let bus = format!("unix:path={}", socket.display());
    let mut hear = Hear::start(env!("CARGO_BIN_EXE_hear"), &bus, &["--connections", "1", "hci0=door"]);
    hear.expect_notice("door failing");
    assert_eq!(hear.exit_code(20), Some(1));
}

#[test]
fn without_a_bus_it_waits() {
    let mut hear = Hear::start(
        env!("CARGO_BIN_EXE_hear"),
        "unix:path=/nonexistent/bus",
        &["--connections", "1", "hci0=door"],
    );
    hear.expect_notice("door failing");
    assert_eq!(hear.exit_code(2), None);
    hear.stop("advertisements 0 malformed 0 not_in_plan 0 dropped 0 no_rssi 0");
}
