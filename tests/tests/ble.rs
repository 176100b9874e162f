//! BLE capture against a fake BlueZ on a private bus.
#![allow(clippy::unwrap_used, reason = "in the helpers too")]

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixListener,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};
use vitrine_protocol::frame::{APPLE_COMPANY, EDDYSTONE_UUID16, EddystoneUid, IBeacon};
use vitrine_tests::{
    bluez::{FakeBluez, Payload},
    bus::PrivateBus,
};

const CART: &str = "C0:B1:E1:AB:00:01";
const BASKET: &str = "C0:B1:E1:AB:00:02";
const BUTTON: &str = "C0:B1:E1:AB:00:03";

#[test]
fn hears_ibeacons_and_eddystones_with_their_rssi() {
    let bluez = FakeBluez::start();
    let hear = Hear::start(bluez.bus_address());
    bluez.wait_for_scan();

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

    hear.stop("advertisements 5 malformed 0 dropped 0 no_rssi 0");
    assert!(!bluez.is_scanning(), "the scan goes on");
}

#[test]
fn hears_a_sender_that_sends_only_once() {
    let bluez = FakeBluez::start();
    let hear = Hear::start(bluez.bus_address());
    bluez.wait_for_scan();
    bluez.advertise(BUTTON, -80, ibeacon(1));
    hear.expect("door -80 ibeacon");
    hear.stop("advertisements 1 malformed 0 dropped 0 no_rssi 0");
}

/// The receiver remembers 4096 devices; BlueZ does not repeat an RSSI that is the same.
#[test]
fn asks_for_the_rssi_of_a_device_forgotten_among_thousands() {
    let bluez = FakeBluez::start();
    let hear = Hear::start(bluez.bus_address());
    bluez.wait_for_scan();
    bluez.advertise(CART, -50, ibeacon(1));
    hear.expect("door -50 ibeacon");
    for high in 0..=128 {
        (0..32).for_each(|low| bluez.advertise(&format!("C0:00:00:00:{high:02X}:{low:02X}"), -90, uid()));
        (0..32).for_each(|_| hear.expect("door -90 eddystone-uid"));
    }
    bluez.advertise(CART, -50, ibeacon(1));
    hear.expect("door -50 ibeacon");
    hear.stop("advertisements 4130 malformed 0 dropped 0 no_rssi 0");
}

#[test]
fn drops_and_counts_what_is_malformed_and_passes_over_what_is_unknown() {
    let bluez = FakeBluez::start();
    let hear = Hear::start(bluez.bus_address());
    bluez.wait_for_scan();

    let Payload::Manufacturer(company, data) = ibeacon(1) else { unreachable!() };
    let malformed = Payload::Manufacturer(company, data[..12].to_vec());
    bluez.advertise(CART, -50, malformed.clone());
    bluez.advertise(CART, -51, malformed);
    // Apple's, but no iBeacon: heard, but not as a frame.
    bluez.advertise(BASKET, -60, Payload::Manufacturer(APPLE_COMPANY, vec![0x10, 0x05, 0x01]));
    hear.expect("door -60 unknown");
    bluez.advertise(BASKET, -61, Payload::Service(0xfd6f, vec![1, 2, 3]));
    hear.expect("door -61 unknown");
    bluez.advertise(CART, -52, ibeacon(1));
    hear.expect("door -52 ibeacon");

    hear.stop("advertisements 5 malformed 2 dropped 0 no_rssi 0");
}

#[test]
fn an_adapter_that_does_not_exist_is_named_with_those_that_do() {
    let bluez = FakeBluez::start();
    let stderr = fails(bluez.bus_address(), &["hci0=door", "hci7=till"]);
    assert!(stderr.starts_with(r#"NoAdapter { name: "hci7", available: ["hci0"] }"#), "{stderr}");
    assert!(stderr.contains("no Bluetooth adapter is named hci7: configure one of hci0\n"), "{stderr}");
    assert!(!bluez.is_scanning());
}

#[test]
fn without_bluez_or_a_bus_the_error_says_what_to_start() {
    let bus_without_bluez = PrivateBus::start();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("bus");
    let _silent = UnixListener::bind(&socket).unwrap();
    let silent_bus = format!("unix:path={}", socket.display());
    for address in [bus_without_bluez.address(), "unix:path=/nonexistent/bus", &silent_bus] {
        let stderr = fails(address, &["hci0=door"]);
        assert!(stderr.starts_with("NoBluez("), "{stderr}");
        assert!(stderr.contains("`systemctl start bluetooth`"), "{stderr}");
    }
}

fn ibeacon(minor: u16) -> Payload {
    let frame = IBeacon { uuid: [0xe2; 16], major: 1, minor, measured_power_dbm: -59 };
    Payload::Manufacturer(APPLE_COMPANY, frame.encode()[7..].to_vec())
}

fn uid() -> Payload {
    let frame = EddystoneUid { tx_power_dbm: -20, namespace: [1; 10], instance: [2; 6] };
    Payload::Service(EDDYSTONE_UUID16, frame.encode()[11..].to_vec())
}

/// The program `hear` as the receiver `door` on `hci0`: btleplug finds its bus through the environment.
struct Hear {
    process: Child,
    lines: Receiver<String>,
}

fn hear(bus_address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hear"));
    command.env("DBUS_SYSTEM_BUS_ADDRESS", bus_address).stdin(Stdio::piped());
    command
}

/// Standard error of `hear`, which fails.
fn fails(bus_address: &str, adapters: &[&str]) -> String {
    let Output { status, stderr, .. } = hear(bus_address).args(adapters).output().unwrap();
    assert_eq!(status.code(), Some(1));
    String::from_utf8(stderr).unwrap()
}

impl Hear {
    fn start(bus_address: &str) -> Self {
        let mut process = hear(bus_address).arg("hci0=door").stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (line, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { process, lines }
    }

    #[track_caller]
    fn expect(&self, line: &str) {
        assert_eq!(self.lines.recv_timeout(Duration::from_secs(10)).as_deref(), Ok(line));
    }

    /// Ends it and checks that it has heard no more, and what it counted.
    #[track_caller]
    fn stop(mut self, counters: &str) {
        drop(self.process.stdin.take());
        self.expect(counters);
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Hear {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
