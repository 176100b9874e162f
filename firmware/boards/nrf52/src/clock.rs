//! The clock: RTC0 on the 32 kHz crystal, which runs through sleep; and the inputs that end a sleep early.
//!
//! The counter has 24 bits (512 s). Sleeps are cut into naps well below that, so that no lap is missed.

use crate::event;
use nrf_pac::{
    CLOCK, GPIOTE, Interrupt, P0, RTC0,
    clock::vals::Lfclksrc,
    gpio::vals::{Pull, Sense},
};
use vitrine_firmware::{Clock, Triggers};

const COUNTER_MASK: u64 = 0xff_ffff;
const NAP_MAX_TICKS: u64 = 1 << 22;
/// A compare value nearer than two ticks may be missed (nRF52832 PS 1.4, 25.8 "Compare feature").
const NAP_MIN_TICKS: u64 = 2;

/// A pin that wakes the beacon when it becomes active.
#[derive(Clone, Copy)]
pub(crate) struct Input {
    /// Pin of port 0, 0 to 31.
    pub(crate) pin: usize,
    pub(crate) trigger: Triggers,
    pub(crate) active_low: bool,
    /// Whether the chip is to pull the pin to its inactive level.
    pub(crate) pulled: bool,
}

/// RTC0.
pub(crate) struct Rtc {
    inputs: &'static [Input],
    /// Ticks at the last look: the high bits that the counter has not.
    ticks: u64,
}

impl Rtc {
    /// Starts the crystal, which takes a quarter of a second, and the counter at 0.
    pub(crate) fn start(inputs: &'static [Input]) -> Self {
        CLOCK.lfclksrc().write(|w| w.set_src(Lfclksrc::Xtal));
        CLOCK.intenset().write(|w| w.set_lfclkstarted(true));
        CLOCK.tasks_lfclkstart().write_value(1);
        event::wait(CLOCK.events_lfclkstarted(), Interrupt::CLOCK_POWER);
        CLOCK.intenclr().write(|w| w.set_lfclkstarted(true));
        RTC0.intenset().write(|w| w.set_compare(0, true));
        RTC0.tasks_start().write_value(1);
        for input in inputs {
            listen(input, false);
        }
        event::clear(GPIOTE.events_port(0), Interrupt::GPIOTE);
        GPIOTE.intenset(0).write(|w| w.set_port(true));
        Self { inputs, ticks: 0 }
    }

    fn ticks(&mut self) -> u64 {
        let counter = u64::from(RTC0.counter().read().counter());
        self.ticks += counter.wrapping_sub(self.ticks) & COUNTER_MASK;
        self.ticks
    }

    /// The inputs that became active since the last look. Each then waits for the other level.
    fn fired(&mut self) -> Triggers {
        event::clear(GPIOTE.events_port(0), Interrupt::GPIOTE);
        let mut fired = Triggers::NONE;
        for input in self.inputs {
            let active = P0.in_().read().pin(input.pin % 32) != input.active_low;
            if listen(input, active) && active {
                fired = fired | input.trigger;
            }
        }
        fired
    }
}

/// Has the pin wait for the level that it does not have. Returns whether it did not already.
fn listen(input: &Input, active: bool) -> bool {
    let sense = if active == input.active_low { Sense::High } else { Sense::Low };
    let pull = match (input.pulled, input.active_low) {
        (false, _) => Pull::Disabled,
        (true, true) => Pull::Pullup,
        (true, false) => Pull::Pulldown,
    };
    let changed = P0.pin_cnf(input.pin % 32).read().sense() != sense;
    if changed {
        P0.pin_cnf(input.pin % 32).write(|w| {
            w.set_pull(pull);
            w.set_sense(sense);
        });
    }
    changed
}

impl Clock for Rtc {
    fn now_ms(&mut self) -> u64 {
        self.ticks() * 125 / 4_096 // 1000 / 32768
    }

    fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
        let deadline = deadline_ms.saturating_mul(4_096).div_ceil(125);
        loop {
            let fired = self.fired();
            let now = self.ticks();
            if !fired.is_none() || now >= deadline {
                return fired;
            }
            let nap = (deadline - now).clamp(NAP_MIN_TICKS, NAP_MAX_TICKS);
            RTC0.cc(0).write(|w| w.set_compare(((now + nap) & COUNTER_MASK) as u32));
            event::clear(RTC0.events_compare(0), Interrupt::RTC0);
            while RTC0.events_compare(0).read() == 0 && GPIOTE.events_port(0).read() == 0 {
                cortex_m::asm::wfe();
            }
        }
    }
}
