//! Waiting for a peripheral with the processor asleep.
//!
//! Interrupts stay disabled in the interrupt controller. One that becomes pending wakes the processor all the same
//! (SEVONPEND), and there are no handlers to race with.

use cortex_m::{
    asm,
    peripheral::{NVIC, SCB},
};
use nrf_pac::{
    Interrupt,
    common::{RW, Reg},
};

/// Lets pending interrupts end a WFE.
#[allow(unsafe_code)]
pub(crate) fn enable() {
    const SEVONPEND: u32 = 1 << 4;
    // SAFETY: called once, before anything else uses this register.
    unsafe { (*SCB::PTR).scr.modify(|value| value | SEVONPEND) };
}

/// Sleeps until `event`, whose interrupt must be enabled in its peripheral, and clears it.
pub(crate) fn wait(event: Reg<u32, RW>, interrupt: Interrupt) {
    while event.read() == 0 {
        asm::wfe();
    }
    clear(event, interrupt);
}

/// Clears `event` and what is pending because of it.
pub(crate) fn clear(event: Reg<u32, RW>, interrupt: Interrupt) {
    event.write_value(0);
    let _ = event.read(); // the write has reached the peripheral, or the interrupt would be pending again
    NVIC::unpend(interrupt);
}
