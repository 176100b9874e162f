//! A scale that prints lines of text, by itself or when it is asked.

use super::{Counts, Dialogue, Pattern, Settle, Settling, Unit, rarely::Rarely};
use crate::{
    capture::{Input, ShelfReading},
    clock::Now,
};
use arrayvec::ArrayVec;
use vitrine_protocol::{Id, shelf::Quantity};

/// The longest line, in octets.
const LINE_MAX: usize = 128;
/// How long until a reading that was refused is offered again.
const AGAIN_AFTER_MS: u64 = 1_000;

/// A scale, and how it prints.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleSettings {
    /// The shelf.
    pub shelf: Id,
    /// The facing that lies on it.
    pub facing: Id,
    /// How a line looks.
    pub pattern: Pattern,
    /// What the pattern's `{stable}` says of a weight at rest.
    pub stable: Option<String>,
    /// The unit where a line names none.
    pub unit: Unit,
    /// What to ask it, and how often.
    pub poll: Option<(String, u64)>,
    /// When a weight is at rest, where the scale does not say so.
    pub settle: Settle,
    /// After how long without a line it is silent; 0 for one that may be.
    pub silent_after_ms: u64,
}

/// What a scale says.
#[derive(Debug)]
pub struct Scale {
    port: String,
    settings: ScaleSettings,
    boot: u32,
    source: usize,
    counter: u64,
    line: ArrayVec<u8, LINE_MAX>,
    is_too_long: bool,
    settling: Settling,
    /// The latest weight that is to be handed on.
    held: Option<Weight>,
    handed: Option<Weight>,
    inputs_from_ms: u64,
    poll_from_ms: u64,
    /// A line was read since the port was opened.
    is_known: bool,
    is_heard: bool,
    unread: Rarely,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Weight {
    grams: i32,
    counter: u64,
    read_ms: u64,
}

impl Scale {
    /// A scale on `port`; `boot` is another number whenever the agent is started, `source` its place among those that
    /// should be heard.
    pub fn new(port: String, settings: ScaleSettings, boot: u32, source: usize) -> Self {
        Self {
            port,
            settling: Settling::new(settings.settle),
            settings,
            boot,
            source,
            counter: 0,
            line: ArrayVec::new(),
            is_too_long: false,
            held: None,
            handed: None,
            inputs_from_ms: 0,
            poll_from_ms: 0,
            is_known: false,
            is_heard: false,
            unread: Rarely::default(),
            counts: Counts::default(),
        }
    }

    fn handle_line(&mut self, line: &str, now: Now) {
        let port = &self.port;
        let Some(found) = self.settings.pattern.read(line) else {
            self.counts.malformed += 1;
            if self.unread.is_due(now.mono_ms) {
                tracing::warn!(
                    port,
                    line,
                    in_all = self.counts.malformed,
                    "a line of the scale does not fit `pattern`"
                );
            }
            return;
        };
        self.is_heard = true;
        let is_resting = match (&self.settings.stable, found.stable) {
            (Some(stable), Some(said)) if *stable != said => return self.settling.handle_moving(),
            (Some(_), Some(_)) => true,
            _ => false,
        };
        let Some(grams) = found.unit.unwrap_or(self.settings.unit).grams(found.weight) else {
            self.counts.malformed += 1;
            return;
        };
        if !self.is_known {
            self.is_known = true;
            tracing::info!(port, shelf = %self.settings.shelf, facing = %self.settings.facing, grams, "the scale is heard");
        }
        if let Some(grams) = self.settling.handle(grams, is_resting, now.mono_ms) {
            self.counter += 1;
            self.held = Some(Weight { grams, counter: self.counter, read_ms: now.mono_ms });
        }
    }
}

impl Dialogue for Scale {
    fn handle_open(&mut self, _now: Now) {
        self.line.clear();
        self.settling.reset();
        (self.is_too_long, self.is_known) = (false, false);
        (self.held, self.handed) = (None, None);
        (self.inputs_from_ms, self.poll_from_ms) = (0, 0);
    }

    fn handle_octets(&mut self, octets: &[u8], now: Now) {
        for &octet in octets {
            if !matches!(octet, b'\r' | b'\n') {
                // STX, ETX and their like frame a line, and are none of it.
                if !octet.is_ascii_control() {
                    self.is_too_long |= self.line.try_push(octet).is_err();
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let text = String::from_utf8_lossy(&line);
            if std::mem::take(&mut self.is_too_long) {
                self.counts.malformed += 1;
            } else if !text.trim().is_empty() {
                self.handle_line(text.trim(), now);
            }
        }
    }

    fn handle_durable(&mut self, _now: Now) {
        self.counts.readings += u64::from(self.handed.take().is_some());
    }

    fn handle_refused(&mut self, now: Now) {
        self.counts.refused += 1;
        self.inputs_from_ms = now.mono_ms + AGAIN_AFTER_MS;
        let handed = self.handed.take();
        self.held = self.held.or(handed);
    }

    fn poll_transmit(&mut self, now: Now) -> Option<Vec<u8>> {
        let (question, every_ms) = self.settings.poll.as_ref()?;
        if now.mono_ms < self.poll_from_ms {
            return None;
        }
        self.poll_from_ms = now.mono_ms + every_ms;
        Some(question.as_bytes().to_vec())
    }

    fn poll_input(&mut self, now: Now) -> Option<Vec<Input>> {
        if now.mono_ms < self.inputs_from_ms {
            return None;
        }
        let weight = self.held.take()?;
        self.handed = Some(weight);
        let Weight { grams, counter, read_ms } = weight;
        let age_ms = u32::try_from(now.mono_ms.saturating_sub(read_ms)).unwrap_or(u32::MAX);
        Some(vec![Input::Shelf(ShelfReading {
            shelf: self.settings.shelf,
            facing: self.settings.facing,
            boot: self.boot,
            counter,
            age_ms,
            quantity: Quantity::Grams(grams),
            settled: true,
        })])
    }

    fn take_heard(&mut self) -> Option<usize> {
        std::mem::take(&mut self.is_heard).then_some(self.source)
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}
