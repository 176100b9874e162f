//! The counter of a beacon's secure frames: never the same twice in one window, whatever happens to the power.
//!
//! A counter that came twice in a window with different telemetry would break the seal of both frames. RAM does
//! not outlast a battery swap and flash does not bear a write for each frame, so a beacon sets counters aside:
//! it stores how far it may count, and after a restart begins there, skipping what it may have used.
//!
//! ## Why no nonce repeats
//!
//! - A [`Reservation`] covers [`RESERVE`] = 4096 counters at most, so a counter that comes again (2^24 steps
//!   later) belongs to a reservation that was made at least 4096 reservations later.
//! - From one reservation to the next the beacon's clock moves on by a second at least. Either the beacon ran
//!   through the counters, which at the shortest advertising interval (20 ms) takes 81 s, or through the
//!   [`MAX_AGE_S`], or it restarted; and a restart sets the clock past the stored time ([`Reservation::resume_s`]).
//! - A reservation is used for [`MAX_AGE_S`] = 3072 s at most. So between the two uses of a counter lie 1024 s
//!   of the beacon's clock or more: another window, another nonce.
//!
//! It follows what a beacon must keep to: store a reservation before using it; resume its clock at no less than
//! `resume_s`; get a new device key when what was stored is lost or its clock is set back.

use crate::frame::Counter;

/// Counters set aside at a time.
pub const RESERVE: u32 = 4096;
/// How long a reservation may be used. A beacon writes to flash about every 51 minutes.
pub const MAX_AGE_S: u32 = 3072;

/// What has to be in non-volatile memory before the counters below `ceiling` may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The first counter that may not be used yet.
    pub ceiling: Counter,
    /// The beacon's time, in seconds, when it was made.
    pub time_s: u32,
}

impl Reservation {
    /// Where the clock goes on after a restart, at the earliest.
    pub const fn resume_s(self) -> u32 {
        self.time_s.wrapping_add(1)
    }

    /// For the store: ceiling, then time, big endian.
    pub fn to_bytes(self) -> [u8; 7] {
        let [a, b, c] = self.ceiling.to_be_bytes();
        let [d, e, f, g] = self.time_s.to_be_bytes();
        [a, b, c, d, e, f, g]
    }

    /// See [`to_bytes`](Self::to_bytes).
    pub fn from_bytes([a, b, c, d, e, f, g]: [u8; 7]) -> Self {
        Self { ceiling: Counter::from_be_bytes([a, b, c]), time_s: u32::from_be_bytes([d, e, f, g]) }
    }
}

/// Hands out counters.
#[derive(Debug)]
pub struct Sequence {
    next: Counter,
    /// How many, from `next` on, are set aside.
    left: u32,
    /// When they were.
    reserved_s: u32,
}

impl Sequence {
    /// The sequence after power-up, with what was stored last; `None` for a new device key.
    pub fn resume(stored: Option<Reservation>) -> Self {
        let next = stored.map_or(Counter::default(), |reservation| reservation.ceiling);
        Self { next, left: 0, reserved_s: 0 }
    }

    /// The counter of a new frame at the beacon's time `time_s`. From time to time, and the first time, `store`
    /// has to make a reservation durable before.
    ///
    /// # Errors
    /// That of `store`. No counter was taken then, and the next call tries again.
    pub fn take<E>(
        &mut self,
        time_s: u32,
        store: impl FnOnce(Reservation) -> Result<(), E>,
    ) -> Result<Counter, E> {
        if self.left == 0 || time_s.wrapping_sub(self.reserved_s) >= MAX_AGE_S {
            store(Reservation { ceiling: self.next.plus(RESERVE), time_s })?;
            self.left = RESERVE;
            self.reserved_s = time_s;
        }
        let counter = self.next;
        self.next = counter.plus(1);
        self.left -= 1;
        Ok(counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Exponent;
    use std::collections::HashSet;

    #[test]
    fn a_reservation_is_stored_before_its_first_counter_is_used() {
        let mut sequence = Sequence::resume(None);
        assert_eq!(sequence.take(5, |_| Err("flash")), Err("flash"));
        let mut stored = std::vec![];
        for n in 0..2 * RESERVE {
            let counter = sequence.take(n / 10, |reservation| {
                stored.push(reservation);
                Ok::<_, ()>(())
            });
            assert_eq!(counter, Ok(Counter::wrapping(n)));
        }
        let at = |ceiling, time_s| Reservation { ceiling: Counter::wrapping(ceiling), time_s };
        assert_eq!(stored, [at(RESERVE, 0), at(2 * RESERVE, RESERVE / 10)]);
    }

    #[test]
    fn a_reservation_comes_back_from_the_store() {
        let reservation = Reservation { ceiling: Counter::wrapping(0xab_cdef), time_s: 0x0123_4567 };
        assert_eq!(Reservation::from_bytes(reservation.to_bytes()), reservation);
    }

    #[test]
    fn a_slow_beacon_reserves_by_age() {
        let (mut sequence, mut stored_s) = (Sequence::resume(None), std::vec![]);
        for time_s in (0..10_000).step_by(10) {
            let counter = sequence.take(time_s, |reservation| {
                stored_s.push(reservation.time_s);
                Ok::<_, ()>(())
            });
            assert_eq!(counter, Ok(Counter::wrapping(time_s / 10)));
        }
        assert_eq!(stored_s, [0, 3080, 6160, 9240]);
    }

    /// A supply so bad that the beacon restarts again and again, mostly after a few frames and now and then
    /// after hours, long enough for the counter to go round twice. Its clock gains nothing but what restarts
    /// give it.
    #[test]
    fn no_window_sees_a_counter_twice_though_the_counter_goes_round() {
        let mut stored: Option<Reservation> = None;
        let mut used = HashSet::new();
        for restart in 0..2 * Counter::COUNT / RESERVE + 7 {
            let mut sequence = Sequence::resume(stored);
            let mut time_s = stored.map_or(u32::MAX - 3000, Reservation::resume_s);
            let (frames, interval_s) = if restart % 100 == 0 { (4000, 7) } else { (restart % 5 + 1, 0) };
            for _ in 0..frames {
                let counter = sequence.take(time_s, |reservation| {
                    stored = Some(reservation);
                    Ok::<_, ()>(())
                });
                assert!(used.insert((Exponent::SECURE.window_start_s(time_s), counter.unwrap())));
                time_s = time_s.wrapping_add(interval_s);
            }
        }
    }
}
