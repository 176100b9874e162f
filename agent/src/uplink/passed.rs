//! Positions above a cursor that need not be read again: sent ahead of a backlog, or given up. Pure.

use std::collections::BTreeMap;

/// Ranges that are remembered; the oldest is forgotten, and sent again.
const RANGES_MAX: usize = 256;

/// A set of positions, as ranges.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// First position to last position; they neither overlap nor touch.
    ranges: BTreeMap<u64, u64>,
}

impl Passed {
    /// Adds the positions from `first` to `last`.
    pub(super) fn add(&mut self, mut first: u64, mut last: u64) {
        if first > last {
            return;
        }
        while let Some((&start, &end)) = self.ranges.range(..=last.saturating_add(1)).next_back()
            && end.saturating_add(1) >= first
        {
            self.ranges.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.ranges.insert(first, last);
        if self.ranges.len() > RANGES_MAX {
            self.ranges.pop_first();
        }
    }

    /// Whether `pos` is one of them.
    pub(super) fn has(&self, pos: u64) -> bool {
        self.ranges.range(..=pos).next_back().is_some_and(|(_, &last)| pos <= last)
    }

    /// Forgets what lies at or below the cursor.
    pub(super) fn forget(&mut self, cursor: u64) {
        while let Some((&first, &last)) = self.ranges.first_key_value()
            && first <= cursor
        {
            self.ranges.remove(&first);
            if last > cursor {
                self.ranges.insert(cursor + 1, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((1_u64..60, 0_u64..8, any::<bool>()), 0..60)) {
            let (mut passed, mut model, mut cursor) = (Passed::default(), BTreeSet::new(), 0);
            for (first, more, forget) in steps {
                if forget {
                    cursor = cursor.max(first / 4);
                    passed.forget(cursor);
                    model.retain(|&pos| pos > cursor);
                } else {
                    passed.add(first, first + more);
                    model.extend(first..=first + more);
                }
                for pos in cursor + 1..80 {
                    prop_assert_eq!(passed.has(pos), model.contains(&pos), "{}", pos);
                }
            }
        }
    }

    #[test]
    fn it_is_bounded() {
        let mut passed = Passed::default();
        (1..=300).for_each(|n| passed.add(2 * n, 2 * n));
        assert!(passed.ranges.len() == RANGES_MAX && !passed.has(2) && passed.has(600));
    }
}
