//! What the beacon does in the test: a rotating one that is moved, loses its configuration's first copy and runs its
//! battery down. All of it follows from a seed, so that the same beacon on another machine sends the same PDUs: the
//! host's test includes this file and compares.

use core::convert::Infallible;
use vitrine_firmware::{
    Address, BatteryMonitor, BatteryReading, Beacon, Cipher, Clock, Config, Content, Entropy, Fast, Holds,
    Identity, Interval, LowBattery, Page, Parts, Radio, Settings, Slot, Start, Store, Triggers, image,
};
use vitrine_protocol::identity::DeviceKey;

/// How long it goes on: over one rotation.
pub(crate) const END_MS: u64 = 1_100_000;
const TIME_S: u32 = 1_764_000_000 + 700;

/// SplitMix64.
#[derive(Debug)]
pub(crate) struct Seeded(u64);

impl Entropy for Seeded {
    fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

/// Loses 40 mV with each measurement.
#[derive(Debug)]
pub(crate) struct Draining(u16);

impl BatteryMonitor for Draining {
    fn sample(&mut self) -> BatteryReading {
        self.0 = self.0.saturating_sub(40);
        BatteryReading { battery_mv: Some(self.0), temperature_c_256: Some(-640) }
    }
}

/// Flash in memory.
#[derive(Debug)]
pub(crate) struct Memory([[u8; 512]; 4]);

impl Store for Memory {
    type Error = Infallible;
    const PAGE_LEN: usize = 512;

    fn read(&mut self, page: Page, offset: usize, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0[page.index()][offset..offset + out.len()]);
        Ok(())
    }

    fn program(&mut self, page: Page, offset: usize, bytes: &[u8]) -> Result<(), Infallible> {
        self.0[page.index()][offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn erase(&mut self, page: Page) -> Result<(), Infallible> {
        self.0[page.index()] = [0xff; 512];
        Ok(())
    }
}

/// A clock on which inputs fire at given times.
#[derive(Debug)]
pub(crate) struct Scripted<C> {
    /// The clock.
    pub(crate) clock: C,
    next: usize,
}

const SCRIPT: [(u64, Triggers); 3] =
    [(20_123, Triggers::MOTION), (25_000, Triggers::MOTION), (600_500, Triggers::BUTTON)];

impl<C> Scripted<C> {
    /// The script, from its beginning.
    pub(crate) const fn new(clock: C) -> Self {
        Self { clock, next: 0 }
    }
}

impl<C: Clock> Clock for Scripted<C> {
    fn now_ms(&mut self) -> u64 {
        self.clock.now_ms()
    }

    fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
        match SCRIPT.get(self.next) {
            Some(&(at_ms, fired)) if at_ms < deadline_ms => {
                self.next += 1;
                self.clock.sleep_until(at_ms);
                fired
            }
            _ => self.clock.sleep_until(deadline_ms),
        }
    }
}

/// The beacon of the scenario on `radio`, and its clock over `clock`, which starts at 0.
///
/// # Panics
/// Where the configuration does not survive the store.
#[allow(clippy::type_complexity)]
pub(crate) fn begin<R: Radio, C: Clock>(
    radio: R,
    clock: C,
) -> (Beacon<R, Seeded, Draining, Memory>, Scripted<C>) {
    let mut store = Memory([[0xff; 512]; 4]);
    for _ in 0..3 {
        image::save(&mut store, config(), TIME_S).expect("memory takes everything");
    }
    store.0[Page::ConfigA.index()][30] ^= 1; // the newer copy
    let image = image::load(&mut store).expect("the older copy is whole");
    assert_eq!(image.serial, 2);
    let start = Start::read(&mut store, image.time_s, None, 0).expect("memory gives everything");
    let parts =
        Parts { radio, entropy: Seeded(7), battery: Draining(3_000), store, cipher: Cipher::SOFTWARE };
    (Beacon::new(image.config, Address::public([0; 6]), parts, start, 0), Scripted::new(clock))
}

fn config() -> Config {
    let every = |ms| Interval::from_ms(ms).expect("an interval that can be sent");
    let fast = Some(Fast { interval: every(250), on: Triggers::MOTION | Triggers::BUTTON });
    let mut settings = Settings {
        identity: Some(Identity::Device(DeviceKey::new(*b"not a secret key"))),
        holds: Holds { motion_s: 10, button_s: 3, ..Holds::default() },
        low_battery: Some(LowBattery { below_mv: 2_500, stretch: 3 }),
        ..Settings::default()
    };
    settings.slots.push(Slot { fast, ..Slot::every(every(2_000), 0, Content::Secure { company: 0xffff }) });
    settings.slots.push(Slot::every(every(5_000), -8, Content::Eid { tx_power_dbm: -18 }));
    settings.slots.push(Slot::every(every(60_000), 4, Content::Etlm));
    Config::check(settings).expect("settings that can be sent")
}
