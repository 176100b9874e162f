//! A memory of what was met last: bounded in number and in age.
//!
//! Everything that remembers senders or messages uses it, so that nothing grows with the passers-by. Time is an argument,
//! in milliseconds of the monotonic clock.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// The values of the most recently met keys.
///
/// Invariants: at most `most` entries; `order` holds each entry's turn once; turns rise, so the first is the one that was
/// met the longest ago.
#[derive(Clone, Debug)]
pub struct Recent<K, V> {
    most: usize,
    ttl_ms: u64,
    turn: u64,
    entries: HashMap<K, Entry<V>>,
    order: BTreeMap<u64, K>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    value: V,
    met_ms: u64,
    turn: u64,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// A memory of at most `most` keys, each for `ttl_ms` after it was last met.
    pub fn new(most: usize, ttl_ms: u64) -> Self {
        Self { most, ttl_ms, turn: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    /// Remembers `value` for `key`, which is met now. The value that it replaces, if it was still remembered.
    pub fn insert(&mut self, key: K, value: V, now_ms: u64) -> Option<V> {
        self.expire(now_ms);
        let before = self.remove(&key);
        while self.entries.len() >= self.most {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.entries.remove(&oldest);
        }
        self.turn += 1;
        self.order.insert(self.turn, key);
        self.entries.insert(key, Entry { value, met_ms: now_ms, turn: self.turn });
        before
    }

    /// The value of a key, which is met now.
    pub fn meet(&mut self, key: &K, now_ms: u64) -> Option<&mut V> {
        self.expire(now_ms);
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.turn);
        self.turn += 1;
        (entry.turn, entry.met_ms) = (self.turn, now_ms);
        self.order.insert(self.turn, *key);
        Some(&mut entry.value)
    }

    /// The value of a key, without meeting it.
    pub fn get(&self, key: &K, now_ms: u64) -> Option<&V> {
        let entry = self.entries.get(key)?;
        (!self.is_old(entry, now_ms)).then_some(&entry.value)
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.turn);
        Some(entry.value)
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values, the one met the longest ago first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.values().filter_map(|key| self.entries.get_key_value(key)).map(|(key, e)| (key, &e.value))
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now_ms: u64) {
        while let Some(first) = self.order.first_entry()
            && self.entries.get(first.get()).is_none_or(|e| now_ms.saturating_sub(e.met_ms) > self.ttl_ms)
        {
            self.entries.remove(&first.remove());
        }
    }

    fn is_old(&self, entry: &Entry<V>, now_ms: u64) -> bool {
        now_ms.saturating_sub(entry.met_ms) > self.ttl_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_key_unmet_for_longest_goes_first() {
        let mut recent = Recent::new(3, 1000);
        for key in 0..3u32 {
            assert_eq!(recent.insert(key, key * 10, u64::from(key)), None);
        }
        assert_eq!(recent.meet(&0, 5), Some(&mut 0));
        recent.insert(3, 30, 6);
        assert_eq!(recent.iter().collect::<Vec<_>>(), [(&2, &20), (&0, &0), (&3, &30)]);
        assert_eq!(recent.insert(2, 21, 7), Some(20));
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let mut recent = Recent::new(3, 1000);
        recent.insert('a', 1, 0);
        recent.insert('b', 2, 500);
        assert_eq!(recent.get(&'a', 1000), Some(&1));
        assert_eq!(recent.get(&'a', 1001), None);
        recent.expire(1001);
        assert_eq!((recent.len(), recent.is_empty()), (1, false));
        assert_eq!(recent.meet(&'b', 2000), None);
        assert!(recent.is_empty());
    }

    proptest! {
        #[test]
        fn is_never_larger_than_its_bound_and_agrees_with_a_plain_list(
            steps in proptest::collection::vec((0u8..12, 0u8..3, 0u64..40), 0..200)
        ) {
            let (mut recent, mut model) = (Recent::new(5, 100), Vec::<(u8, u64)>::new());
            let mut now_ms = 0;
            for (key, step, passed_ms) in steps {
                now_ms += passed_ms;
                model.retain(|&(_, met_ms)| now_ms - met_ms <= 100);
                let known = model.iter().any(|&(k, _)| k == key);
                match step {
                    0 => {
                        prop_assert_eq!(recent.insert(key, (), now_ms).is_some(), known);
                        model.retain(|&(k, _)| k != key);
                        model.push((key, now_ms));
                        if model.len() > 5 {
                            model.remove(0);
                        }
                    }
                    1 => {
                        prop_assert_eq!(recent.meet(&key, now_ms).is_some(), known);
                        if known {
                            model.retain(|&(k, _)| k != key);
                            model.push((key, now_ms));
                        }
                    }
                    _ => {
                        prop_assert_eq!(recent.remove(&key).is_some() && known, known);
                        model.retain(|&(k, _)| k != key);
                    }
                }
                recent.expire(now_ms);
                prop_assert_eq!(recent.len(), recent.order.len());
                let keys: Vec<_> = recent.iter().map(|(&key, ())| key).collect();
                prop_assert_eq!(keys, model.iter().map(|&(key, _)| key).collect::<Vec<_>>());
            }
        }
    }
}
