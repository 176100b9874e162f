//! What is soldered where: Nordic's development kit of each chip. For a board of your own, change this file.

use crate::clock::Input;
use vitrine_firmware::Triggers;

/// Button 1 of the nRF52 DK (PCA10040, for nRF52810 and 52832).
#[cfg(any(feature = "nrf52810", feature = "nrf52832"))]
const BUTTON_PIN: usize = 13;
/// Button 1 of the nRF52833 DK (PCA10100) and the nRF52840 DK (PCA10056).
#[cfg(any(feature = "nrf52833", feature = "nrf52840"))]
const BUTTON_PIN: usize = 11;

/// The inputs, all on port 0.
pub(crate) const INPUTS: [Input; 2] = [
    Input { pin: BUTTON_PIN, trigger: Triggers::BUTTON, active_low: true, pulled: true },
    // An accelerometer's interrupt line, on P0.03.
    Input { pin: 3, trigger: Triggers::MOTION, active_low: false, pulled: true },
];
