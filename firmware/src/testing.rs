//! Doubles for the crate's tests.

use crate::{BatteryMonitor, BatteryReading, Channel, Clock, Entropy, Pdu, Radio};
use std::vec::Vec;

/// SplitMix64: a good generator that a seed determines.
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Entropy for Seeded {
    fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

/// These draws and no more.
pub(crate) struct Draws(std::vec::IntoIter<u32>);

impl Draws {
    pub(crate) fn new<const N: usize>(draws: [u32; N]) -> Self {
        Self(Vec::from(draws).into_iter())
    }
}

impl Entropy for Draws {
    fn next_u32(&mut self) -> u32 {
        self.0.next().expect("no draw left")
    }
}

/// Keeps what it transmits; fails on the `failing` channels, with the channel as the error.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) sent: Vec<(Channel, Pdu, i8)>,
    pub(crate) failing: Vec<Channel>,
}

impl Radio for Recorder {
    type Error = Channel;

    fn transmit(&mut self, channel: Channel, pdu: &Pdu, power_dbm: i8) -> Result<(), Channel> {
        if self.failing.contains(&channel) {
            return Err(channel);
        }
        self.sent.push((channel, *pdu, power_dbm));
        Ok(())
    }
}

/// A battery that loses 1 mV with every sample.
pub(crate) struct Draining(pub(crate) u16);

impl BatteryMonitor for Draining {
    fn sample(&mut self) -> BatteryReading {
        self.0 -= 1;
        BatteryReading { battery_mv: Some(self.0), temperature_c_256: Some(-640) }
    }
}

/// Virtual time that always wakes up `oversleep_ms` late.
pub(crate) struct Virtual {
    pub(crate) now_ms: u64,
    pub(crate) oversleep_ms: u64,
}

impl Clock for Virtual {
    fn now_ms(&mut self) -> u64 {
        self.now_ms
    }

    fn sleep_until(&mut self, deadline_ms: u64) {
        self.now_ms = self.now_ms.max(deadline_ms + self.oversleep_ms);
    }
}
