//! The clock: SysTick, once a millisecond while awake, once a nap while asleep: QEMU skips the time in between.

use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::{
    Peripherals, asm,
    peripheral::{SYST, syst::SystClkSource},
};
use vitrine_firmware::{Clock, Triggers};

/// What QEMU clocks the processor with.
#[cfg(feature = "microbit")]
const HZ: u32 = 16_000_000;
#[cfg(feature = "mps2-an386")]
const HZ: u32 = 25_000_000;

const CYCLES_A_MS: u32 = HZ / 1_000;
/// SysTick has 24 bits.
const NAP_MAX_MS: u32 = 0x00ff_ffff / CYCLES_A_MS;

static NOW_MS: AtomicU32 = AtomicU32::new(0);
/// How much the next tick is worth.
static TICK_MS: AtomicU32 = AtomicU32::new(1);

/// Nothing else writes to these: a load and a store do where the processor has no atomic addition.
#[cortex_m_rt::exception]
fn SysTick() {
    let now_ms = NOW_MS.load(Ordering::Relaxed).wrapping_add(TICK_MS.load(Ordering::Relaxed));
    NOW_MS.store(now_ms, Ordering::Relaxed);
}

/// Milliseconds since the start, for 49 days.
pub(crate) struct Ticks(SYST);

impl Ticks {
    /// Starts at 0. `None` where it was started before.
    pub(crate) fn start() -> Option<Self> {
        let Peripherals { mut SYST, .. } = Peripherals::take()?;
        SYST.set_clock_source(SystClkSource::Core);
        let mut ticks = Self(SYST);
        ticks.pace(1);
        ticks.0.enable_counter();
        ticks.0.enable_interrupt();
        Some(ticks)
    }

    /// From now on a tick every `tick_ms`.
    fn pace(&mut self, tick_ms: u32) {
        TICK_MS.store(tick_ms, Ordering::Relaxed);
        self.0.set_reload(CYCLES_A_MS * tick_ms - 1);
        self.0.clear_current();
    }
}

/// The time that the clock shows.
pub(crate) fn now_ms() -> u32 {
    NOW_MS.load(Ordering::Relaxed)
}

impl Clock for Ticks {
    fn now_ms(&mut self) -> u64 {
        now_ms().into()
    }

    fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
        while let Some(left_ms) = deadline_ms.checked_sub(self.now_ms()).filter(|&ms| ms > 0) {
            let before_ms = now_ms();
            self.pace(u32::try_from(left_ms).unwrap_or(NAP_MAX_MS).min(NAP_MAX_MS));
            while now_ms() == before_ms {
                asm::wfi();
            }
            self.pace(1);
        }
        Triggers::NONE
    }
}
