//! Stands for your chip: QEMU's mps2-an386. Everything here is to be replaced.

use core::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};
use cortex_m::{
    Peripherals, asm,
    peripheral::{SCB, syst::SystClkSource},
};
use cortex_m_semihosting::{debug, hprintln};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Where the store begins in flash; on most chips the last four sectors are a good place.
pub(crate) const STORE_BASE: u32 = 0;

/// For how long QEMU runs.
const END_MS: u32 = 60_000;
const CYCLES_A_MS: u32 = 25_000;

static NOW_MS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    let now_ms = NOW_MS.fetch_add(1, Ordering::Relaxed);
    if now_ms >= END_MS {
        debug::exit(debug::EXIT_SUCCESS);
    }
}

/// Starts the timer at 0.
pub(crate) fn start_timer() {
    if let Some(Peripherals { mut SYST, .. }) = Peripherals::take() {
        SYST.set_clock_source(SystClkSource::Core);
        SYST.set_reload(CYCLES_A_MS - 1);
        SYST.clear_current();
        SYST.enable_interrupt();
        SYST.enable_counter();
    }
}

/// Milliseconds since then.
pub(crate) fn timer_ms() -> u64 {
    NOW_MS.load(Ordering::Relaxed).into()
}

/// Sleeps until the timer, or another interrupt, ends it.
pub(crate) fn wait_for_interrupt() {
    asm::wfi();
}

/// QEMU's machine has no generator: a xorshift, which is none either.
pub(crate) fn random() -> u32 {
    static STATE: AtomicU32 = AtomicU32::new(0x9e37_79b9);
    let mut state = STATE.load(Ordering::Relaxed);
    for (left, shift) in [(true, 13), (false, 17), (true, 5)] {
        state ^= if left { state << shift } else { state >> shift };
    }
    STATE.store(state, Ordering::Relaxed);
    state
}

/// What tells this chip from others.
pub(crate) fn serial_number() -> u32 {
    0x00c0_ffee
}

/// The six octets that the factory has given it for an address.
pub(crate) fn address() -> [u8; 6] {
    [0xc0, 0x11, 0x22, 0x33, 0x44, 0x55]
}

/// QEMU's machine needs none.
pub(crate) fn feed_watchdog() {}

/// Starts the chip anew; in QEMU, ends it with a failure.
pub(crate) fn reset() -> ! {
    debug::exit(debug::EXIT_FAILURE);
    SCB::sys_reset()
}

/// Prints a line.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    hprintln!("{}", line);
}

/// Memory that behaves as flash: eight sectors of 4 KiB, programmed in words of 4 octets.
pub(crate) struct Flash([u8; Self::CAPACITY]);

impl Flash {
    const CAPACITY: usize = 8 * 4_096;

    /// As the factory delivers it.
    pub(crate) fn new() -> Self {
        Self([0xff; Self::CAPACITY])
    }

    fn range(&mut self, from: u32, len: usize) -> Result<&mut [u8], OutOfFlash> {
        let from = from as usize;
        self.0.get_mut(from..from.saturating_add(len)).ok_or(OutOfFlash)
    }
}

/// There is no such place in the flash.
#[derive(Debug)]
pub(crate) struct OutOfFlash;

impl NorFlashError for OutOfFlash {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for Flash {
    type Error = OutOfFlash;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), OutOfFlash> {
        bytes.copy_from_slice(self.range(offset, bytes.len())?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        Self::CAPACITY
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4_096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), OutOfFlash> {
        self.range(from, to.saturating_sub(from) as usize)?.fill(0xff);
        Ok(())
    }

    /// Flash only clears bits.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), OutOfFlash> {
        for (place, octet) in self.range(offset, bytes.len())?.iter_mut().zip(bytes) {
            *place &= octet;
        }
        Ok(())
    }
}
