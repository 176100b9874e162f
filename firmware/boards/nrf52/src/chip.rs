//! The chip around the peripherals: reset, supply, cache, memory that outlives a reset.

use core::{mem::MaybeUninit, panic::PanicInfo};
use cortex_m::peripheral::SCB;
use nrf_pac as pac;
use vitrine_firmware::Kept;

/// Beacon time, kept over resets that leave power on.
#[allow(unsafe_code)] // the section holds what start-up code leaves alone: any octets are valid here
#[unsafe(link_section = ".uninit.kept")]
static mut KEPT: MaybeUninit<Kept> = MaybeUninit::uninit();

/// Sets the chip up and returns the beacon time kept over the reset, if the reset left power on.
pub(crate) fn start() -> Option<Kept> {
    crate::event::enable();
    #[cfg(feature = "dcdc")]
    pac::POWER.dcdcen().write(|w| w.set_dcdcen(true));
    #[cfg(not(feature = "nrf52810"))] // which has none
    pac::NVMC.icachecnf().write(|w| w.set_cacheen(true));
    #[cfg(feature = "debug-port")]
    pac::APPROTECT.disable().write_value(pac::approtect::regs::Disable(0x5a));
    // Nothing is set after power was off; what is set is cleared by writing it back.
    let reason = pac::POWER.resetreas().read();
    pac::POWER.resetreas().write_value(reason);
    (reason.0 != 0).then(kept)
}

#[allow(unsafe_code)]
fn kept() -> Kept {
    // SAFETY: any 12 octets are a `Kept`, which tells itself from noise; nothing else runs.
    unsafe { (&raw const KEPT).cast::<Kept>().read_volatile() }
}

/// Keeps beacon time over the next reset.
#[allow(unsafe_code)]
pub(crate) fn keep(kept: Kept) {
    // SAFETY: nothing else runs.
    unsafe { (&raw mut KEPT).cast::<Kept>().write_volatile(kept) };
}

/// Nothing panics; if something does after all, the beacon starts anew.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}

#[allow(unsafe_code)]
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    SCB::sys_reset()
}
