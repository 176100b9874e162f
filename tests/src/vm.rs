//! What runs inside the virtual machine of `tests/vm/run`: Linux' own Bluetooth and BlueZ over a controller without a radio.

pub mod beacons;
pub mod cases;
pub mod kiosk;
pub mod stack;
pub mod tally;

use std::io::{Write, stdout};

/// Says how the checks of a case went, one line each.
#[derive(Debug)]
pub struct Judge {
    case: &'static str,
    failures: usize,
}

impl Judge {
    /// Of a case.
    pub fn of(case: &'static str) -> Self {
        Self { case, failures: 0 }
    }

    /// A check: whether it holds, and what was seen.
    pub fn check(&mut self, holds: bool, seen: impl AsRef<str>) {
        self.failures += usize::from(!holds);
        say(if holds { "ok  " } else { "FAIL" }, self.case, seen.as_ref());
    }

    /// What is worth to know, and no check.
    pub fn note(&self, seen: impl AsRef<str>) {
        say("note", self.case, seen.as_ref());
    }

    /// How many checks did not hold.
    pub fn failures(&self) -> usize {
        self.failures
    }
}

fn say(what: &str, case: &str, seen: &str) {
    // One line, whatever was seen; the serial line is there as long as the machine is.
    writeln!(stdout(), "{what} {case}: {}", seen.replace('\n', " | ")).ok();
}
