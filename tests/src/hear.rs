//! The program `hear`, driven: what it hears, what it is told, and what it costs.

use crate::{bluez::Payload, wait::poll};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};
use vitrine_protocol::frame::{APPLE_COMPANY, EDDYSTONE_UUID16, EddystoneUid, IBeacon};

/// Its plan: iBeacons of major 1, an Eddystone, and a sender that is known by its address alone.
pub const PLAN: &str = "version = 1\nplan = '1'\n
    [[beacons]]\nid = 'cart-1'\ncarrier = 'cart'
    ibeacon = { uuid = 'e2e2e2e2-e2e2-e2e2-e2e2-e2e2e2e2e2e2', major = 1, minor = 1 }
    [[beacons]]\nid = 'cart-2'\ncarrier = 'cart'
    ibeacon = { uuid = 'e2e2e2e2-e2e2-e2e2-e2e2-e2e2e2e2e2e2', major = 1, minor = 2 }
    [[beacons]]\nid = 'basket'\ncarrier = 'basket'
    eddystone_uid = { namespace = '01010101010101010101', instance = '020202020202' }
    [[beacons]]\nid = 'plain'\ncarrier = 'cart'\naddress = 'c0:b1:e1:ab:00:09'\n";

/// An iBeacon; those with the minors 1 and 2 are in [`PLAN`].
pub fn ibeacon(minor: u16) -> Payload {
    let frame = IBeacon { uuid: [0xe2; 16], major: 1, minor, measured_power_dbm: -59 };
    Payload::Manufacturer(APPLE_COMPANY, frame.encode()[7..].to_vec())
}

/// The Eddystone of [`PLAN`].
pub fn uid() -> Payload {
    let frame = EddystoneUid { tx_power_dbm: -20, namespace: [1; 10], instance: [2; 6] };
    Payload::Service(EDDYSTONE_UUID16, frame.encode()[11..].to_vec())
}

/// A telephone in passing: its address, and what it sends.
pub fn passer_by(number: u32) -> (String, Payload) {
    let [a, b, c, d] = number.to_be_bytes();
    let address = format!("4A:00:{a:02X}:{b:02X}:{c:02X}:{d:02X}");
    (address, Payload::Manufacturer(APPLE_COMPANY, vec![0x10, 0x05, a, b, c, d, 0x1c]))
}

/// A running `hear`.
pub struct Hear {
    process: Child,
    heard: Receiver<String>,
    notices: Receiver<String>,
}

impl Hear {
    /// Starts the program at `path`; btleplug finds its bus through the environment.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(path: impl AsRef<Path>, bus_address: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(path.as_ref());
        command.args(arguments).env("DBUS_SYSTEM_BUS_ADDRESS", bus_address);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let ((line, heard), (notice, notices)) = (channel(), channel());
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|text| match text.strip_prefix("notice ") {
                Some(text) => notice.send(text.to_owned()),
                None => line.send(text),
            })
        });
        Self { process, heard, notices }
    }

    /// The next that it hears, within 10 s.
    ///
    /// # Panics
    /// Where it hears something else, or nothing.
    #[track_caller]
    pub fn expect(&self, line: &str) {
        assert_eq!(self.heard.recv_timeout(Duration::from_secs(10)).as_deref(), Ok(line));
    }

    /// Waits for one more of what it hears, within 10 s.
    ///
    /// # Panics
    /// Where it hears nothing.
    #[track_caller]
    pub fn skip(&self) {
        self.heard.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    /// The next that it is told of its source, within 20 s.
    ///
    /// # Panics
    /// Where it is told something else, or nothing.
    #[track_caller]
    pub fn expect_notice(&self, line: &str) {
        assert_eq!(self.notices.recv_timeout(Duration::from_secs(20)).as_deref(), Ok(line));
    }

    /// Whether it has heard `line`, in what has come in so far; the rest of that is forgotten.
    pub fn has_heard(&self, line: &str) -> bool {
        self.heard.try_iter().filter(|heard| heard == line).count() > 0
    }

    /// How many lines come within `quiet` of each other.
    pub fn count(&self, quiet: Duration) -> usize {
        std::iter::from_fn(|| match self.heard.recv_timeout(quiet) {
            Ok(_) => Some(()),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        })
        .count()
    }

    /// Ends it and checks that it has heard no more, and what it counted.
    ///
    /// # Panics
    /// Where it has, or counted something else, or failed.
    #[track_caller]
    pub fn stop(mut self, counters: &str) {
        drop(self.process.stdin.take());
        self.expect(counters);
        assert!(self.process.wait().unwrap().success());
    }

    /// Halts it, or lets it go on.
    ///
    /// # Panics
    /// Where it cannot be.
    pub fn halt(&self, halted: bool) {
        let kill = format!("kill -{} {}", if halted { "STOP" } else { "CONT" }, self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// Ends it, and what it counted, by name.
    ///
    /// # Panics
    /// Where it counted nothing.
    pub fn counters(mut self) -> HashMap<String, u64> {
        drop(self.process.stdin.take());
        let line = std::iter::from_fn(|| self.heard.recv_timeout(Duration::from_secs(20)).ok())
            .find(|line| line.starts_with("advertisements "))
            .expect("it counted, and ended");
        let words: Vec<_> = line.split(' ').collect();
        words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].parse().unwrap())).collect()
    }

    /// Its exit code, once it ends by itself within `seconds`.
    pub fn exit_code(&mut self, seconds: u64) -> Option<i32> {
        poll(seconds, || self.process.try_wait().unwrap()).and_then(|status| status.code())
    }

    /// Its resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The CPU time that it has used, user and system, in milliseconds.
    pub fn cpu_ms(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<_> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        // Ticks of 10 ms: USER_HZ is 100 on every Linux.
        (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
    }
}

impl Drop for Hear {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
