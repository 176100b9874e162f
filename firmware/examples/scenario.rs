//! Plays the scenario of `boards/qemu` on this machine, as fast as it goes, and prints what the board prints: a line
//! `adv MS CHANNEL DBM HEX` for each transmission. What the two say must be equal, octet for octet.
#![allow(clippy::print_stdout)]

#[path = "../boards/qemu/src/scenario.rs"]
mod scenario;

use std::{cell::Cell, convert::Infallible, rc::Rc};
use vitrine_firmware::{Channel, Clock, Pdu, Radio, Triggers};

/// Time that passes in sleep alone.
#[derive(Clone, Default)]
struct Virtual(Rc<Cell<u64>>);

impl Clock for Virtual {
    fn now_ms(&mut self) -> u64 {
        self.0.get()
    }

    fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
        self.0.set(self.0.get().max(deadline_ms));
        Triggers::NONE
    }
}

struct Air(Virtual);

impl Radio for Air {
    type Error = Infallible;

    fn transmit(&mut self, channel: Channel, pdu: &Pdu, power_dbm: i8) -> Result<(), Infallible> {
        let hex: String = pdu.bytes().iter().map(|octet| format!("{octet:02x}")).collect();
        println!("adv {} {} {power_dbm} {hex}", self.0.0.get(), channel.index());
        Ok(())
    }
}

fn main() {
    let clock = Virtual::default();
    let (mut beacon, mut clock) = scenario::begin(Air(clock.clone()), clock);
    while beacon.next_ms() < scenario::END_MS {
        beacon.step(&mut clock).unwrap_or(());
    }
}
