//! A Vitrine beacon on Nordic's nRF52810, 52832, 52833 and 52840.
//!
//! The radio is driven directly, without a SoftDevice: it only ever transmits, and sleeps in between. The crystal of
//! the radio runs while transmitting, the 32 kHz crystal always. This file joins the parts; what is soldered where
//! is in [`wiring`].
#![no_std]
#![no_main]

mod aes;
mod battery;
mod chip;
mod clock;
mod entropy;
mod event;
mod radio;
mod wiring;

use cortex_m_rt::entry;
use vitrine_firmware::{Beacon, Cipher, Clock, Config, Parts, Start, image};
use vitrine_nrf52_parts::{flash::Flash, identity, watchdog};

#[entry]
fn main() -> ! {
    let kept = chip::start();
    watchdog::start();
    let mut clock = clock::Rtc::start(&wiring::INPUTS);
    let mut store = Flash;
    let (config, configured_s) = match image::load(&mut store) {
        Ok(image) => (image.config, image.time_s),
        Err(_) => (Config::unconfigured(identity::device_id()), 0),
    };
    let start = Start::read(&mut store, configured_s, kept, 0).unwrap_or(Start::unlogged(0));
    let parts = Parts {
        radio: radio::Radio::new(),
        entropy: entropy::Rng,
        battery: battery::Sensors::new(),
        store,
        cipher: Cipher::<aes::ChipAes>::chip(),
    };
    let mut beacon = Beacon::new(config, identity::address(), parts, start, 0);
    loop {
        // A failure is counted, and the next event comes; a radio that goes on failing ends in a reset.
        beacon.step(&mut clock).unwrap_or(());
        chip::keep(beacon.calendar().keep(clock.now_ms()));
        if beacon.is_healthy() {
            watchdog::feed();
        }
    }
}
