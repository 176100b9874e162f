//! What hearing through BlueZ costs, against the fake: time to hear again after each fault, memory after 100 000 random
//! addresses, CPU an advertisement. `cargo run --release -p vitrine-tests --bin ble_cost`; build `--bins` first, for it
//! drives the program `hear` beside it.

use std::{
    error::Error,
    io::{self, Write},
    thread,
    time::Duration,
};
use tokio::time::Instant;
use vitrine_tests::{
    bluez::{FAULTS, FakeBluez, Fault},
    hear::{Hear, ibeacon, passer_by, uid},
    wait::wait_for,
};

const CART: &str = "C0:B1:E1:AB:00:01";
const BASKET: &str = "C0:B1:E1:AB:00:02";
const PASSERS_BY: u32 = 100_000;
const ADVERTISEMENTS: u32 = 50_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    let hear = std::env::current_exe()?.with_file_name("hear");
    let start = |bluez: &FakeBluez| {
        let hear = Hear::start(&hear, bluez.bus_address(), &["hci0=door"]);
        bluez.wait_for_scan();
        hear
    };

    let mut bluez = FakeBluez::start();
    let door = start(&bluez);
    for Fault { name, comes, goes, .. } in FAULTS {
        comes(&mut bluez);
        thread::sleep(Duration::from_secs(3));
        door.count(Duration::from_millis(10));
        goes(&mut bluez);
        let gone = Instant::now();
        wait_for(name, 30, || {
            bluez.advertise(CART, -50, ibeacon(1));
            door.has_heard("door -50 ibeacon").then_some(())
        });
        writeln!(out, "{name} for 3 s: heard again after {} ms", gone.elapsed().as_millis())?;
    }
    drop(door);

    let bluez = FakeBluez::start();
    let door = start(&bluez);
    let mut kib = Vec::new();
    let mut pass = |from, to| {
        for number in from..to {
            let (address, payload) = passer_by(number);
            bluez.advertise_in_passing(&address, -90, payload);
            if number % 100 == 99 {
                bluez.advertise(CART, -50, ibeacon(1));
                door.expect("door -50 ibeacon");
            }
        }
        kib.push(door.resident_kib());
        door.cpu_ms()
    };
    let before_ms = pass(0, 1000);
    let after_ms = pass(1000, PASSERS_BY);
    let cpu_us = (after_ms - before_ms) * 1000 / u64::from(PASSERS_BY - 1000);
    writeln!(
        out,
        "{PASSERS_BY} random addresses: {} KiB after 1000, {} KiB in the end; {cpu_us} us of CPU each; {} questions to BlueZ",
        kib[0],
        kib[1],
        bluez.asked()
    )?;

    let before_ms = door.cpu_ms();
    let begun = Instant::now();
    for number in 0..ADVERTISEMENTS {
        let rssi_dbm = -50 - (number / 2 % 7) as i16;
        if number % 2 == 0 {
            bluez.advertise(CART, rssi_dbm, ibeacon(1));
        } else {
            bluez.advertise(BASKET, rssi_dbm, uid());
        }
        if number % 200 == 199 {
            // Not more than fit the queue.
            (0..200).for_each(|_| door.skip());
        }
    }
    writeln!(
        out,
        "{ADVERTISEMENTS} advertisements of the plan's beacons in {} ms: {} us of CPU each",
        begun.elapsed().as_millis(),
        (door.cpu_ms() - before_ms) * 1000 / u64::from(ADVERTISEMENTS)
    )?;
    Ok(())
}
