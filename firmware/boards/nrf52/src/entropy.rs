//! Random numbers from thermal noise, with the chip's bias correction: 120 µs an octet.

use crate::event;
use nrf_pac::{Interrupt, RNG};
use vitrine_firmware::Entropy;

/// The random number generator.
pub(crate) struct Rng;

impl Entropy for Rng {
    fn next_u32(&mut self) -> u32 {
        RNG.config().write(|w| w.set_dercen(true));
        RNG.intenset().write(|w| w.set_valrdy(true));
        RNG.tasks_start().write_value(1);
        let octets = [(); 4].map(|()| {
            event::wait(RNG.events_valrdy(), Interrupt::RNG);
            RNG.value().read().value()
        });
        RNG.tasks_stop().write_value(1);
        u32::from_le_bytes(octets)
    }
}
