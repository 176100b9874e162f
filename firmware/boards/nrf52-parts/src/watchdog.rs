//! The watchdog: resets the chip when it is not fed for half a minute. It stands still while a debugger halts the
//! processor.

use nrf_pac::{
    WDT,
    wdt::{
        regs::Rr,
        vals::{Halt, Sleep},
    },
};
use vitrine_firmware::STEP_MAX_MS;

const TIMEOUT_S: u32 = 30;
const _: () = assert!(TIMEOUT_S as u64 * 1_000 > 2 * STEP_MAX_MS);
/// nRF52832 Product Specification 1.4, register RR: the value that feeds.
const FEED: u32 = 0x6e52_4635;

/// Starts it. It cannot be stopped.
pub fn start() {
    WDT.config().write(|w| {
        w.set_sleep(Sleep::Run);
        w.set_halt(Halt::Pause);
    });
    WDT.crv().write_value(TIMEOUT_S * 32_768 - 1);
    WDT.rren().write(|w| w.set_rr(0, true));
    WDT.tasks_start().write_value(1);
    feed();
}

/// Gives it another half minute.
pub fn feed() {
    WDT.rr(0).write_value(Rr(FEED));
}
