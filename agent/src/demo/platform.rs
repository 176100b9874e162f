//! The central platform's end of the line: reads what arrives, and keeps account of it.
//!
//! An event is known by its number (spool id, stream, seq). A number that came before is a repeat; one that is missing
//! below the highest is a hole, unless a gap states that it is lost.

use super::broker::{Message, Subscription};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::JoinHandle;
use vitrine_protocol::{
    envelope::{Envelope, Status},
    event::{Body, EventId, Gap, Trace},
    topic::Stream,
};

/// How many traces and status messages are kept; all are counted.
const KEPT_MAX: usize = 1_000;

/// The platform. Dropped, it stops listening.
#[derive(Debug)]
pub struct Platform {
    received: Arc<Mutex<Received>>,
    listening: JoinHandle<()>,
}

/// What has arrived.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Batches that could be read.
    pub batches: u64,
    /// Octets of all payloads.
    pub bytes: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Why the first of them could not.
    pub first_unreadable: Option<String>,
    /// What arrived, by spool and stream.
    pub streams: BTreeMap<(EventId, Stream), Numbers>,
    /// The ids of all events.
    pub event_ids: HashSet<EventId>,
    /// The traces, the first 1000.
    pub traces: Vec<Trace>,
    /// The status messages, the first 1000.
    pub statuses: Vec<Status>,
}

/// The numbers of one stream of one spool.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    seen: BTreeSet<u64>,
    lost: BTreeSet<u64>,
    repeats: u64,
}

impl Numbers {
    /// Different events that arrived.
    pub fn events(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Copies of events that had arrived before.
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Numbers up to the highest that arrived, or was stated as lost, which neither arrived nor were.
    pub fn holes(&self) -> u64 {
        let highest = self.seen.last().max(self.lost.last()).copied().unwrap_or(0);
        highest - self.seen.union(&self.lost).count() as u64
    }

    /// Numbers that a gap states as lost.
    pub fn lost(&self) -> u64 {
        self.lost.difference(&self.seen).count() as u64
    }
}

impl Platform {
    /// Listens. Must be called within a tokio runtime.
    pub fn start(mut subscription: Subscription) -> Self {
        let received = Arc::new(Mutex::new(Received::default()));
        let shared = received.clone();
        let listening = tokio::spawn(async move {
            while let Ok(message) = subscription.next().await {
                shared.lock().unwrap_or_else(PoisonError::into_inner).take(&message);
            }
        });
        Self { received, listening }
    }

    /// Looks at what has arrived so far.
    pub fn look<T>(&self, at: impl FnOnce(&Received) -> T) -> T {
        at(&self.received.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Received {
    /// Different events that arrived, of all streams.
    pub fn events(&self) -> u64 {
        self.streams.values().map(Numbers::events).sum()
    }

    /// Copies of events that had arrived before, of all streams.
    pub fn repeats(&self) -> u64 {
        self.streams.values().map(Numbers::repeats).sum()
    }

    /// Events missing without a word, of all streams.
    pub fn holes(&self) -> u64 {
        self.streams.values().map(Numbers::holes).sum()
    }

    fn take(&mut self, message: &Message) {
        self.bytes += message.payload.len() as u64;
        if message.topic.ends_with("/metrics") {
            return;
        }
        let outcome = if message.topic.ends_with("/status") {
            serde_json::from_slice(&message.payload).map(|status| keep(&mut self.statuses, status))
        } else {
            serde_json::from_slice(&message.payload).map(|envelope| self.take_batch(envelope))
        };
        if let Err(error) = outcome {
            self.unreadable += 1;
            self.first_unreadable.get_or_insert_with(|| format!("{}: {error}", message.topic));
        }
    }

    fn take_batch(&mut self, envelope: Envelope) {
        self.batches += 1;
        let Envelope { spool_id, stream, first_seq, events, .. } = envelope;
        for (seq, event) in (first_seq..).zip(events) {
            let numbers = self.streams.entry((spool_id, stream)).or_default();
            if !numbers.seen.insert(seq) {
                numbers.repeats += 1;
                continue;
            }
            self.event_ids.insert(event.id);
            match event.body {
                Body::Trace(trace) => keep(&mut self.traces, trace),
                Body::Gap(Gap { stream, first_seq, last_seq, .. }) => {
                    self.streams.entry((spool_id, stream)).or_default().lost.extend(first_seq..=last_seq);
                }
                _ => {}
            }
        }
    }
}

fn keep<T>(kept: &mut Vec<T>, item: T) {
    if kept.len() < KEPT_MAX {
        kept.push(item);
    }
}

#[cfg(test)]
mod tests;
