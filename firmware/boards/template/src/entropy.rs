//! Random numbers, from the chip's generator. They space transmissions apart and make addresses: two beacons must not
//! have the same ones, and a beacon not the same ones after each start.

use crate::chip;
use vitrine_firmware::Entropy;

/// The generator, switched on.
pub(crate) struct Noise(());

impl Noise {
    /// Switches it on.
    pub(crate) fn start() -> Self {
        Self(())
    }
}

impl Entropy for Noise {
    fn next_u32(&mut self) -> u32 {
        chip::random()
    }
}
