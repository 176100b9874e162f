//! The supply voltage, which is the battery's where nothing lies between.

use core::sync::atomic::{AtomicI16, Ordering};
use nrf_pac::{
    SAADC,
    common::{RW, Reg},
    saadc::vals::{Gain, Psel, Refsel, Tacq, Val},
};

/// VDD in mV. One conversion: gain 1/6 against the internal 0.6 V gives a range of 3.6 V over 12 bits. It takes some
/// 15 µs, which are waited for.
pub fn millivolts() -> u16 {
    let sample = AtomicI16::new(0);
    SAADC.enable().write(|w| w.set_enable(true));
    SAADC.resolution().write(|w| w.set_val(Val::_12bit));
    SAADC.ch(0).config().write(|w| {
        w.set_gain(Gain::Gain16);
        w.set_refsel(Refsel::Internal);
        w.set_tacq(Tacq::_10us);
    });
    SAADC.ch(0).pselp().write(|w| w.set_pselp(Psel::Vdd));
    SAADC.result().ptr().write_value(sample.as_ptr() as u32);
    SAADC.result().maxcnt().write(|w| w.set_maxcnt(1));
    SAADC.tasks_start().write_value(1);
    await_event(SAADC.events_started());
    SAADC.tasks_sample().write_value(1);
    await_event(SAADC.events_end());
    SAADC.tasks_stop().write_value(1);
    await_event(SAADC.events_stopped());
    SAADC.enable().write(|w| w.set_enable(false));
    let counts = u32::try_from(sample.load(Ordering::SeqCst)).unwrap_or(0);
    (counts * 3_600 / 4_096) as u16
}

/// Waits for `event` and clears it.
fn await_event(event: Reg<u32, RW>) {
    while event.read() == 0 {}
    event.write_value(0);
}
