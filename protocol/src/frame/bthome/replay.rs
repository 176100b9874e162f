//! Whether the counter of an encrypted payload is new.
//!
//! The specification leaves this to the receiver: the counter "should increase every advertisement". Home Assistant
//! rejects a lower counter, unless it is below 100, which it takes for a device that wrapped around or lost its
//! power; so whoever recorded the first hundred payloads of a device may replay them there for ever. Here that is
//! a choice, and not the default. At one advertisement a second the counter lasts 136 years: a wrap does not occur.

/// Counters below this are a restart, where restarts are accepted.
const RESTART_BELOW: u32 = 100;

/// The last counter of one device. Ask it only after decryption: before that the counter is anyone's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayGuard {
    last: Option<u32>,
    accept_restart: bool,
}

/// What a counter says about its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Not seen before.
    New,
    /// The last one once more: devices send each payload several times.
    Repeat,
    /// Older than the last one: replayed, late by way of a relay, or of a device that restarted its counter.
    Stale,
}

impl ReplayGuard {
    /// Accepts rising counters only. A device that forgets its counter (a battery change, with some) stays stale
    /// until a new guard is made for it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts counters below 100 at any time, as Home Assistant does: for devices that start anew after a battery
    /// change, where replayed readings do no harm.
    pub fn accepting_restarts() -> Self {
        Self { accept_restart: true, ..Self::default() }
    }

    /// A guard that continues where [`last`](Self::last) of an earlier one stood.
    pub fn resume(self, last: u32) -> Self {
        Self { last: Some(last), ..self }
    }

    /// The last counter accepted.
    pub fn last(&self) -> Option<u32> {
        self.last
    }

    /// Judges the counter of an authentic payload, and remembers it if it is new.
    pub fn admit(&mut self, counter: u32) -> Freshness {
        let restarts = self.accept_restart && counter < RESTART_BELOW;
        match self.last {
            Some(last) if counter == last => return Freshness::Repeat,
            Some(last) if counter < last && !restarts => return Freshness::Stale,
            _ => self.last = Some(counter),
        }
        Freshness::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Freshness::{New, Repeat, Stale};

    fn judged(mut guard: ReplayGuard, counters: &[u32]) -> std::vec::Vec<Freshness> {
        counters.iter().map(|&counter| guard.admit(counter)).collect()
    }

    #[test]
    fn only_a_higher_counter_is_new() {
        assert_eq!(judged(ReplayGuard::new(), &[7, 7, 6, 8, 99, 0]), [New, Repeat, Stale, New, New, Stale]);
        assert_eq!(judged(ReplayGuard::new(), &[u32::MAX, 0]), [New, Stale]);
        assert_eq!(judged(ReplayGuard::new().resume(41), &[41, 40, 42]), [Repeat, Stale, New]);
    }

    #[test]
    fn a_restart_is_accepted_where_it_was_asked_for() {
        let guard = ReplayGuard::accepting_restarts();
        assert_eq!(judged(guard, &[5000, 99, 98, 101, 100]), [New, New, New, New, Stale]);
    }
}
