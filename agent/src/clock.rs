//! The only reader of OS time.
//!
//! Everything else takes a [`Now`] as an argument. A [`Clock`] is the system's, or one that somebody else turns
//! (the demo's simulated store, a recording): the agent cannot tell the difference.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use vitrine_protocol::{event, time::Timestamp};

/// A point in time, on both scales that the agent needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a scale that never jumps, for lengths and deadlines.
    pub mono_ms: u64,
    /// The time of day, for dating events.
    pub utc: Timestamp,
    /// What `utc` rests on.
    pub source: event::Clock,
}

impl Now {
    /// The point in time `ms` before.
    #[must_use]
    pub fn earlier(self, ms: u64) -> Self {
        let back_ms = i64::try_from(ms).unwrap_or(i64::MAX);
        Self { mono_ms: self.mono_ms.saturating_sub(ms), utc: self.utc.plus_ms(-back_ms), ..self }
    }
}

/// Tells the time.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System { start: Instant },
    Turned { utc_ms: Arc<AtomicI64>, start_ms: i64 },
}

impl Clock {
    /// The system's clock.
    #[allow(clippy::disallowed_methods, reason = "this is the module that may")]
    pub fn system() -> Self {
        Self(Kind::System { start: Instant::now() })
    }

    /// A clock that stands at `start` until its [`Hand`] is turned. Its times count as synchronised.
    pub fn turned(start: Timestamp) -> (Self, Hand) {
        let utc_ms = Arc::new(AtomicI64::new(start.as_ms()));
        (Self(Kind::Turned { utc_ms: utc_ms.clone(), start_ms: start.as_ms() }), Hand(utc_ms))
    }

    /// The time now.
    #[allow(clippy::disallowed_methods, reason = "this is the module that may")]
    pub fn now(&self) -> Now {
        match &self.0 {
            Kind::System { start } => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Now {
                    mono_ms: millis(start.elapsed()),
                    utc: Timestamp::from_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)),
                    source: if is_synchronised() { event::Clock::Synced } else { event::Clock::Unsynced },
                }
            }
            Kind::Turned { utc_ms, start_ms } => {
                let utc_ms = utc_ms.load(Ordering::Acquire);
                Now {
                    mono_ms: utc_ms.saturating_sub(*start_ms).unsigned_abs(),
                    utc: Timestamp::from_ms(utc_ms),
                    source: event::Clock::Synced,
                }
            }
        }
    }

    /// How long to sleep at most before looking again whether `wait_ms` of this clock have passed.
    pub fn nap(&self, wait_ms: u64) -> Duration {
        match self.0 {
            Kind::System { .. } => Duration::from_millis(wait_ms),
            Kind::Turned { .. } => Duration::from_millis(wait_ms.min(5)),
        }
    }
}

/// Turns a clock of [`Clock::turned`].
#[derive(Debug)]
pub struct Hand(Arc<AtomicI64>);

impl Hand {
    /// Moves the clock on to `utc`; it never goes back.
    pub fn turn_to(&self, utc: Timestamp) {
        self.0.fetch_max(utc.as_ms(), Ordering::AcqRel);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the kernel holds its clock to be synchronised (an NTP client tells it so).
#[allow(unsafe_code, reason = "adjtimex has no safe wrapper in the libraries we use")]
fn is_synchronised() -> bool {
    // SAFETY: all-zero is a valid `timex`; with `modes` of 0 the call only fills it in.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    state >= 0 && state != libc::TIME_ERROR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turned_clock_stands_still_until_it_is_turned_and_never_goes_back() {
        let start = Timestamp::from_ms(1_000_000);
        let (clock, hand) = Clock::turned(start);
        assert_eq!((clock.now().mono_ms, clock.now().utc), (0, start));
        hand.turn_to(start.plus_ms(250));
        hand.turn_to(start);
        assert_eq!((clock.now().mono_ms, clock.now().utc), (250, start.plus_ms(250)));
    }

    #[test]
    fn the_system_clock_moves_on() {
        let clock = Clock::system();
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(3));
        assert!(clock.now().mono_ms >= before.mono_ms + 2);
    }
}
