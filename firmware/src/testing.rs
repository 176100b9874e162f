//! Doubles for the crate's tests.

use crate::{
    BatteryMonitor, BatteryReading, Channel, Clock, Entropy, Page, Pdu, Radio, Store, Triggers, store::WORD,
};
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

/// A battery that is at `.0` millivolts, and counts how often it is asked.
pub(crate) struct Battery(pub(crate) u16, pub(crate) u32);

impl BatteryMonitor for Battery {
    fn sample(&mut self) -> BatteryReading {
        self.1 += 1;
        BatteryReading { battery_mv: Some(self.0), temperature_c_256: Some(-640) }
    }
}

/// Virtual time that always wakes up `oversleep_ms` late, with `triggers` to come: times and what fires then.
#[derive(Default)]
pub(crate) struct Virtual {
    pub(crate) now_ms: u64,
    pub(crate) oversleep_ms: u64,
    pub(crate) triggers: Vec<(u64, Triggers)>,
}

impl Clock for Virtual {
    fn now_ms(&mut self) -> u64 {
        self.now_ms
    }

    fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
        match self.triggers.first().copied() {
            Some((at_ms, fired)) if at_ms < deadline_ms => {
                self.triggers.remove(0);
                self.now_ms = self.now_ms.max(at_ms);
                fired
            }
            _ => {
                self.now_ms = self.now_ms.max(deadline_ms + self.oversleep_ms);
                Triggers::NONE
            }
        }
    }
}

/// Flash whose power fails after `fuel` more words, an erasure counting one word for each 64 octets of the page.
pub(crate) struct Flash {
    pub(crate) pages: [[u8; Self::PAGE_LEN]; 4],
    pub(crate) fuel: usize,
    pub(crate) erasures: usize,
}

/// The power has failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dead;

impl Default for Flash {
    fn default() -> Self {
        Self { pages: [[0xff; Self::PAGE_LEN]; 4], fuel: usize::MAX, erasures: 0 }
    }
}

impl Flash {
    fn burn(&mut self) -> Result<(), Dead> {
        self.fuel = self.fuel.checked_sub(1).ok_or(Dead)?;
        Ok(())
    }
}

impl Store for Flash {
    type Error = Dead;
    const PAGE_LEN: usize = 512;

    fn read(&mut self, page: Page, offset: usize, out: &mut [u8]) -> Result<(), Dead> {
        out.copy_from_slice(&self.pages[page.index()][offset..offset + out.len()]);
        Ok(())
    }

    fn program(&mut self, page: Page, offset: usize, bytes: &[u8]) -> Result<(), Dead> {
        assert!(offset.is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD));
        for (index, word) in bytes.chunks(4).enumerate() {
            self.burn()?;
            let place = &mut self.pages[page.index()][offset + 4 * index..][..4];
            assert_eq!(place, [0xff; 4], "programmed twice between erasures");
            place.copy_from_slice(word);
        }
        Ok(())
    }

    fn erase(&mut self, page: Page) -> Result<(), Dead> {
        for at in (0..Self::PAGE_LEN).step_by(64) {
            self.burn()?;
            self.pages[page.index()][at..at + 64].fill(0xff);
        }
        self.erasures += 1;
        Ok(())
    }
}
