//! What may leave the store, in which form, and when: profile P0, `anonymous`.
//!
//! | what | leaves as | when |
//! |---|---|---|
//! | facts about stock | they are | at once |
//! | shelf steps, kiosk interactions and sessions, counts | their time floored to the slot | at the slot's end |
//! | visits | counts per window of zones, moves and paths of departments, none below k | at the window's end |
//!
//! A visit that ends is at once reduced to increments of tallies; no record of it remains. Windows end at their end,
//! at closing time, and when the agent stops. A release is made once: a note that it was made is durable with it.
//!
//! Like the pipeline, this sees no runtime, no storage and no clock. An agent that stops loses no visit; one that is
//! killed loses those that were open when the counts were last kept, seconds before, and `lost_open` says so. Left out
//! so far: sealing the tallies on disk, a ladder of rungs, limits on what one carrier adds to a class, noise, and
//! identity.

mod release;
mod tally;

use crate::{
    clock::Now,
    ids::Ids,
    pipeline::{ClosedVisit, Note, Output},
    plan::Plan,
    spool::Lane,
};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, sync::Arc};
use tally::Tallies;
use vitrine_protocol::{
    event::{Body, Event, EventId, Window},
    time::Timestamp,
    topic::Stream,
};

/// Something that may leave the store, or has to be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// An event for the platform.
    Event {
        /// The event.
        event: Event,
        /// When it may be sent; `None` for at once.
        hold_until: Option<Timestamp>,
    },
    /// A note of the pipeline, passed through.
    Note(Note),
    /// A note of the privacy engine, for [`Privacy::restore_note`].
    Window(WindowNote),
}

/// What has to be remembered together with events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "w", rename_all = "snake_case")]
pub enum WindowNote {
    /// A window was released.
    Released {
        /// The window.
        window: Window,
    },
    /// So many entries were counted in a window so far.
    DoorIn {
        /// The window.
        window: Window,
        /// Entries.
        total: u32,
    },
}

impl WindowNote {
    /// The lane of the events that the note agrees with.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Released { .. } => Lane::Critical,
            Self::DoorIn { .. } => Lane::Slots,
        }
    }
}

/// What is kept of the running window over a restart: counts, and nothing about any one visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    tallies: Tallies,
    open_visits: u32,
    latest: Timestamp,
    highest_part: u32,
}

/// The privacy engine.
#[derive(Debug)]
pub struct Privacy {
    plan: Arc<Plan>,
    ids: Ids,
    tallies: Tallies,
    /// The latest start of any window so far: windows that start later are new, others are further parts.
    latest: Timestamp,
    /// The highest part of any window so far.
    highest_part: u32,
    /// Visits that were open when the agent was last interrupted.
    interrupted: u32,
    closing: Timestamp,
    /// The open visits last kept; `None` when the tallies have changed since.
    kept_open: Option<u32>,
    releases: VecDeque<Release>,
}

impl Privacy {
    /// An engine whose first window is the one that `now` lies in.
    pub fn new(plan: Arc<Plan>, ids: Ids, now: Now) -> Self {
        let tallies = Tallies::new(window_at(&plan, now.utc));
        Self {
            latest: tallies.window.start,
            highest_part: 0,
            interrupted: 0,
            closing: plan.next_closing(now.utc),
            tallies,
            plan,
            ids,
            kept_open: None,
            releases: VecDeque::new(),
        }
    }

    /// Takes back what was kept of the window that ran when the agent stopped. Visits that were open then are lost.
    pub fn restore(&mut self, kept: Kept) {
        self.tallies = kept.tallies;
        self.tallies.lost_open += kept.open_visits;
        self.interrupted = kept.open_visits;
        (self.latest, self.highest_part) = (kept.latest, kept.highest_part);
        self.closing = self.plan.next_closing(self.tallies.window.start);
    }

    /// Takes back a note, after [`Privacy::restore`].
    pub fn restore_note(&mut self, note: WindowNote) {
        match note {
            WindowNote::Released { window: Window { start, s, part } } => {
                self.latest = self.latest.max(start);
                self.highest_part = self.highest_part.max(part);
                let running = self.tallies.window;
                if (start, part) >= (running.start, running.part) {
                    let window = Window { start, s, part: self.next_part() };
                    // What was open then was not in the release, and is lost all the same.
                    self.tallies = Tallies { lost_open: self.interrupted, ..Tallies::new(window) };
                }
            }
            WindowNote::DoorIn { window, total } if window == self.tallies.window => {
                self.tallies.door_in = self.tallies.door_in.max(total);
            }
            WindowNote::DoorIn { .. } => {}
        }
    }

    /// What is to be kept of the running window, if that has changed since it was last asked for.
    pub fn kept(&mut self, open_visits: u32) -> Option<Kept> {
        let changed = self.kept_open.replace(open_visits) != Some(open_visits);
        changed.then(|| Kept {
            tallies: self.tallies.clone(),
            open_visits,
            latest: self.latest,
            highest_part: self.highest_part,
        })
    }

    /// What was said to be kept could not be: it is still to be kept.
    pub fn not_kept(&mut self) {
        self.kept_open = None;
    }

    /// The pipeline found something out.
    pub fn handle(&mut self, output: Output, now: Now) {
        match output {
            Output::Event { id, at, body } => self.handle_event(id, at, body, now),
            Output::Visit(visit) => self.handle_visit(&visit),
            Output::Note(note) => self.releases.push_back(Release::Note(note)),
        }
    }

    /// Time has passed. `true` when the store closes now: the caller ends all visits, hands them over, and says
    /// [`Privacy::close`].
    #[must_use]
    pub fn handle_timeout(&mut self, now: Now) -> bool {
        // A clock that was ahead has been set back, or the window is over.
        if now.utc < self.tallies.window.start || now.utc >= self.window_end() {
            self.release(now);
            self.closing = self.closing.min(self.plan.next_closing(now.utc));
        }
        let closes = now.utc >= self.closing;
        if closes {
            self.closing = self.plan.next_closing(now.utc);
        }
        closes
    }

    /// The day or the agent ends, and the running window with it; what follows is another part of it.
    pub fn close(&mut self, now: Now) {
        self.release(now);
    }

    /// The next thing that may leave.
    pub fn poll_release(&mut self) -> Option<Release> {
        self.releases.pop_front()
    }

    fn handle_event(&mut self, id: EventId, at: Now, body: Body, now: Now) {
        if let Body::DoorCount(count) = &body {
            self.tallies.door_in = self.tallies.door_in.saturating_add(count.entries);
            self.kept_open = None;
            let (window, total) = (self.tallies.window, self.tallies.door_in);
            self.releases.push_back(Release::Window(WindowNote::DoorIn { window, total }));
        }
        let slot_ms = i64::from(self.plan.privacy.slot_s) * 1000;
        let Some(stream) = body.stream() else { return };
        let (time, hold_until) = match Timing::of(stream) {
            Timing::AtOnce => (at.utc, None),
            // The end of the slot of now, not of the event: when it is sent must not tell more than its time does.
            Timing::SlotEnd => (at.utc.floor_to(slot_ms), Some(now.utc.floor_to(slot_ms).plus_ms(slot_ms))),
        };
        self.releases
            .push_back(Release::Event { event: Event { id, time, clock: at.source, body }, hold_until });
    }

    fn handle_visit(&mut self, visit: &ClosedVisit) {
        self.tallies.add(&self.plan, visit);
        self.kept_open = None;
    }

    /// Releases the running window and starts the one that `now` lies in.
    fn release(&mut self, now: Now) {
        let slot_ms = i64::from(self.plan.privacy.slot_s) * 1000;
        let time = now.utc.floor_to(slot_ms).min(self.window_end());
        for (id, body) in release::release(&self.plan, self.ids, &self.tallies) {
            let event = Event { id, time, clock: now.source, body };
            self.releases.push_back(Release::Event { event, hold_until: None });
        }
        self.releases.push_back(Release::Window(WindowNote::Released { window: self.tallies.window }));
        let mut window = window_at(&self.plan, now.utc);
        if window.start <= self.latest {
            window.part = self.next_part();
        }
        self.latest = self.latest.max(window.start);
        self.tallies = Tallies::new(window);
        self.kept_open = None;
    }

    /// A part that no window has had.
    fn next_part(&mut self) -> u32 {
        self.highest_part += 1;
        self.highest_part
    }

    fn window_end(&self) -> Timestamp {
        let Window { start, s, .. } = self.tallies.window;
        start.plus_ms(i64::from(s) * 1000)
    }
}

/// When events of a stream may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timing {
    AtOnce,
    SlotEnd,
}

impl Timing {
    fn of(stream: Stream) -> Self {
        match Lane::of(stream) {
            Lane::Critical | Lane::Facts => Self::AtOnce,
            Lane::Slots => Self::SlotEnd,
        }
    }
}

fn window_at(plan: &Plan, time: Timestamp) -> Window {
    let s = plan.privacy.window_s;
    Window { start: time.floor_to(i64::from(s) * 1000), s, part: 0 }
}

#[cfg(test)]
mod tests;
