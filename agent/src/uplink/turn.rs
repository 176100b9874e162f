//! Whose turn it is: the order in which lanes are looked at for the next batch. Pure.
//!
//! Critical always goes first. Of the two others, facts go first, as they are about now; but every fourth batch is slots', so that
//! a flood of facts does not hold them up for ever.

use crate::spool::Lane;

/// Of so many batches of facts and slots, one is slots' first.
const SLOTS_EVERY: u32 = 4;

/// Counts batches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    batches: u32,
}

impl Turn {
    /// The lanes, the one to be looked at first first.
    pub(super) fn order(self) -> [Lane; Lane::ALL.len()] {
        if self.batches % SLOTS_EVERY == SLOTS_EVERY - 1 {
            [Lane::Critical, Lane::Slots, Lane::Facts]
        } else {
            [Lane::Critical, Lane::Facts, Lane::Slots]
        }
    }

    /// A batch of `lane` is sent.
    pub(super) fn sent(&mut self, lane: Lane) {
        if lane != Lane::Critical {
            self.batches = self.batches.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lanes of the next batches, where every lane in `ready` always has one.
    fn batches(ready: &[Lane], count: usize) -> Vec<Lane> {
        let mut turn = Turn::default();
        let mut next = || {
            let lane = turn.order().into_iter().find(|lane| ready.contains(lane)).unwrap();
            turn.sent(lane);
            lane
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn critical_is_never_behind() {
        assert_eq!(batches(&Lane::ALL, 10), [Lane::Critical; 10]);
    }

    #[test]
    fn facts_go_first_and_slots_are_not_held_up_for_ever() {
        use Lane::{Facts, Slots};
        assert_eq!(batches(&[Facts, Slots], 8), [Facts, Facts, Facts, Slots, Facts, Facts, Facts, Slots]);
        assert_eq!(batches(&[Slots], 2), [Slots, Slots]);
    }
}
