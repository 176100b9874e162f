//! The idempotency window: the inputs taken last, so that a repeat is known as one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{HashSet, VecDeque};
use vitrine_protocol::event::EventId;

/// How many inputs are remembered; a repeat must come before so many others.
const CAPACITY: usize = 32_768;

/// The inputs taken last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    order: VecDeque<EventId>,
    set: HashSet<EventId>,
}

impl Seen {
    /// Remembers an input; `false` if it was there.
    pub(super) fn insert(&mut self, id: EventId) -> bool {
        if !self.set.insert(id) {
            return false;
        }
        if self.order.len() == CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        self.order.push_back(id);
        true
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.order)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut seen = Self::default();
        for id in Vec::deserialize(deserializer)? {
            seen.insert(id);
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> EventId {
        EventId(u128::from(n).to_be_bytes())
    }

    #[test]
    fn forgets_the_oldest_only() {
        let mut seen = Seen::default();
        for n in 0..=CAPACITY as u64 {
            assert!(seen.insert(id(n)));
        }
        assert!(!seen.insert(id(1)));
        assert!(seen.insert(id(0)));
        assert_eq!(seen.set.len(), CAPACITY);
        let back: Seen = serde_json::from_str(&serde_json::to_string(&seen).unwrap()).unwrap();
        assert_eq!(back, seen);
    }
}
