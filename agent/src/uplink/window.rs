//! What is in flight on one connection.
//!
//! Messages are numbered from 0 in the order in which they were handed to the connection. The window reaches from
//! the oldest one that is not acknowledged to the newest, and is bounded in length, in bytes and by what the broker
//! takes at once. Acknowledgements come in any order and leave holes; the window moves on only over an
//! acknowledged prefix, so a message that is never acknowledged stops it, where the watchdog sees it.

use std::collections::VecDeque;

/// Longest window, in messages.
pub(super) const MESSAGES_MAX: usize = 128;

/// Most bytes of unacknowledged payload.
pub(super) const BYTES_MAX: usize = 4 << 20;

/// The window; `T` is what its user wants back when a message is acknowledged.
#[derive(Debug)]
pub(super) struct Window<T> {
    /// From the oldest unacknowledged message on; `None` is acknowledged.
    slots: VecDeque<Option<Sent<T>>>,
    /// The number of the first slot.
    first: u64,
    in_flight: usize,
    bytes: usize,
    receive_maximum: usize,
}

#[derive(Debug)]
struct Sent<T> {
    bytes: usize,
    what: T,
}

impl<T> Window<T> {
    /// An empty window towards a broker that takes `receive_maximum` messages at once.
    pub(super) fn new(receive_maximum: u16) -> Self {
        Self {
            slots: VecDeque::new(),
            first: 0,
            in_flight: 0,
            bytes: 0,
            receive_maximum: usize::from(receive_maximum),
        }
    }

    /// Whether a message of up to `bytes` may be sent now.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.slots.len() < MESSAGES_MAX
            && self.in_flight < self.receive_maximum
            && (self.in_flight == 0 || self.bytes + bytes <= BYTES_MAX)
    }

    /// The next message was sent. The window does not refuse: its user asks [`Window::has_room`] first.
    pub(super) fn push(&mut self, bytes: usize, what: T) {
        self.slots.push_back(Some(Sent { bytes, what }));
        self.in_flight += 1;
        self.bytes += bytes;
    }

    /// Message `number` is acknowledged. `None` if it was not in flight.
    pub(super) fn acknowledge(&mut self, number: u64) -> Option<T> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let sent = self.slots.get_mut(index)?.take()?;
        self.in_flight -= 1;
        self.bytes -= sent.bytes;
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
        Some(sent.what)
    }

    /// Takes the oldest message that is in flight, as if it were acknowledged.
    pub(super) fn pop_oldest(&mut self) -> Option<T> {
        let index = self.slots.iter().position(Option::is_some)?;
        self.acknowledge(self.first + index as u64)
    }

    /// What is in flight, the oldest first.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten().map(|sent| &sent.what)
    }

    /// How many messages are in flight.
    pub(super) fn len(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_oldest_message_stops_the_window() {
        let mut window = Window::new(u16::MAX);
        for n in 0..MESSAGES_MAX {
            assert!(window.has_room(1));
            window.push(1, n);
        }
        for n in 1..128 {
            assert!(window.acknowledge(n).is_some());
            assert!(!window.has_room(1), "{n}");
        }
        assert_eq!(window.acknowledge(0), Some(0));
        assert!(window.has_room(1));
        assert_eq!((window.len(), window.first), (0, 128));
    }

    #[test]
    fn bytes_and_the_brokers_maximum_bound_it() {
        let mut window = Window::new(3);
        assert!(window.has_room(BYTES_MAX + 1), "a message alone always fits");
        window.push(BYTES_MAX - 10, ());
        assert!(window.has_room(10) && !window.has_room(11));
        window.push(1, ());
        window.push(1, ());
        assert!(!window.has_room(1), "three are in flight");
    }

    proptest! {
        /// Random sends and acknowledgements (of any number, repeats and strangers too) against a plain map.
        #[test]
        fn it_is_a_map_with_a_bound(
            receive_maximum in 1_u16..200,
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), 0_usize..100_000), 0..600),
        ) {
            let mut window = Window::new(receive_maximum);
            let mut model = BTreeMap::new();
            let mut sent = 0_u64;
            for (send, choice, bytes) in steps {
                if send {
                    let oldest = model.keys().next().copied().unwrap_or(sent);
                    let room = sent - oldest < MESSAGES_MAX as u64
                        && model.len() < usize::from(receive_maximum)
                        && (model.is_empty() || model.values().sum::<usize>() + bytes <= BYTES_MAX);
                    prop_assert_eq!(window.has_room(bytes), room);
                    if room {
                        window.push(bytes, sent);
                        model.insert(sent, bytes);
                        sent += 1;
                    }
                } else {
                    let number = choice.index(sent as usize + 2) as u64;
                    prop_assert_eq!(window.acknowledge(number), model.remove(&number).map(|_| number));
                }
                prop_assert_eq!(window.len(), model.len());
                prop_assert!(window.in_flight().eq(model.keys()));
            }
        }
    }
}
