//! The pure heart: observations in, facts out. It sees no runtime, no storage, no network and no clock; time and
//! randomness are arguments.
//!
//! A carrier's sightings become stays and a visit, a shelf's readings become steps, a kiosk's touches become
//! sessions. What may leave the store of all this, and when, is [`crate::privacy`]'s.
//!
//! Inputs of devices are processed exactly once, over crashes too: what has to be remembered for that comes out as
//! [`Note`]s, to be made durable together with the events, and goes back in through [`Pipeline::restore_note`].
//! Carriers, and what they do, are in no note.

mod counter;
mod identify;
mod kiosk;
mod notices;
mod order;
mod seen;
mod shelf;
mod trouble;
mod visit;
mod zone;

pub use kiosk::OpenSession;
pub(crate) use order::Order;
pub use shelf::FacingState;
pub use visit::{ClosedVisit, Stay};

use crate::{
    capture::{Heard, Input},
    clock::Now,
    ids::Ids,
    plan::Plan,
    spool::Lane,
};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, sync::Arc};
use vitrine_protocol::{
    Id,
    event::{Body, EventId},
    time::Timestamp,
};

/// What the pipeline found out.
#[derive(Debug)]
pub enum Output {
    /// Something happened to a thing, or at a kiosk, or was counted.
    Event {
        /// The event's name.
        id: EventId,
        /// When.
        at: Now,
        /// What.
        body: Body,
    },
    /// A visit ended.
    Visit(ClosedVisit),
    /// Something to remember.
    Note(Note),
}

/// What has to be remembered over a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "n", rename_all = "snake_case")]
pub enum Note {
    /// An input was taken.
    Seen {
        /// Its event.
        id: EventId,
    },
    /// An input that is a fact at once was taken.
    SeenFact {
        /// Its event.
        id: EventId,
    },
    /// A facing's level and what is needed to find the next one.
    Facing {
        /// The shelf.
        shelf: Id,
        /// The facing.
        facing: Id,
        /// Its state.
        state: FacingState,
    },
    /// Whether a facing was said to be empty, and since when.
    Empty {
        /// The shelf.
        shelf: Id,
        /// The facing.
        facing: Id,
        /// Since when it is empty; `None` where it is not.
        since: Option<Timestamp>,
    },
    /// A kiosk's open session, or that it has none.
    Kiosk {
        /// The kiosk.
        kiosk: Id,
        /// The session.
        open: Option<OpenSession>,
    },
}

impl Note {
    /// The lane of the events that the note agrees with.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Empty { .. } | Self::SeenFact { .. } => Lane::Facts,
            Self::Seen { .. } | Self::Facing { .. } | Self::Kiosk { .. } => Lane::Slots,
        }
    }
}

/// Draws 128 random bits.
pub type Random = Box<dyn FnMut() -> [u8; 16] + Send>;

/// What the pipeline has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Frames of carriers in the plan, from receivers in the plan.
    pub sightings: u64,
    /// Frames of anything that is not in the plan.
    pub not_in_plan: u64,
    /// Frames of staff badges, dropped.
    pub staff: u64,
    /// Visits that ended.
    pub visits: u64,
    /// Inputs that had been taken before.
    pub repeats: u64,
    /// Weights that are no whole number of units.
    pub odd_weights: u64,
    /// Shelves' changes that came after a later measurement had told as much.
    pub late_changes: u64,
}

/// The pipeline.
pub struct Pipeline {
    plan: Arc<Plan>,
    visits: visit::Visits,
    shelves: shelf::Shelves,
    kiosks: kiosk::Kiosks,
    notices: notices::Notices,
    seen: seen::Seen,
    ids: Ids,
    random: Random,
    counters: Counters,
    outputs: VecDeque<Output>,
}

/// What a checkpoint holds of the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    seen: seen::Seen,
    notes: Vec<Note>,
}

impl Pipeline {
    /// A pipeline that knows `plan` and has seen nothing. `ids` must be the same over restarts.
    pub fn new(plan: Arc<Plan>, ids: Ids, random: Random) -> Self {
        Self {
            visits: visit::Visits::new(plan.carriers),
            shelves: shelf::Shelves::new(ids),
            kiosks: kiosk::Kiosks::new(ids),
            notices: notices::Notices::default(),
            seen: seen::Seen::default(),
            ids,
            random,
            counters: Counters::default(),
            outputs: VecDeque::new(),
            plan,
        }
    }

    /// Takes back a checkpoint's state.
    pub fn restore(&mut self, state: State) {
        self.seen = state.seen;
        state.notes.into_iter().for_each(|note| self.restore_note(note));
    }

    /// Takes back a note, in the order in which it came out.
    pub fn restore_note(&mut self, note: Note) {
        match note {
            Note::Seen { id } | Note::SeenFact { id } => {
                self.seen.insert(id);
            }
            Note::Facing { shelf, facing, state } => self.shelves.restore((shelf, facing), state),
            Note::Empty { shelf, facing, since } => self.shelves.restore_empty((shelf, facing), since),
            Note::Kiosk { kiosk, open } => self.kiosks.restore(kiosk, open),
        }
    }

    /// What a checkpoint has to hold.
    pub fn state(&self) -> State {
        State { seen: self.seen.clone(), notes: self.shelves.notes().chain(self.kiosks.notes()).collect() }
    }

    /// To be called once after everything was restored: says what was left unsaid before.
    pub fn resume(&mut self, now: Now) {
        self.shelves.resume(&self.plan, now, &mut self.outputs);
        self.kiosks.resume(now, &mut self.outputs);
    }

    /// A receiver heard something.
    pub fn handle_heard(&mut self, heard: &Heard) {
        if let Some(sighted) = identify::identify(&self.plan, heard, &mut self.counters) {
            self.visits.handle(&self.plan, sighted, heard, &mut self.outputs);
        }
    }

    /// A device sent inputs. The facings' notes come out once, after all events.
    pub fn handle_inputs(&mut self, inputs: Vec<Input>, now: Now) {
        let mut touched = Vec::new();
        for input in inputs {
            match input {
                Input::Shelf(reading) => {
                    let place = (reading.shelf, reading.facing);
                    self.shelves.handle(&self.plan, &reading, now, &mut self.counters, &mut self.outputs);
                    if !touched.contains(&place) {
                        touched.push(place);
                    }
                }
                Input::ShelfChange(change) => {
                    let place = (change.shelf, change.facing);
                    let id = shelf::change_id(self.ids, &change);
                    if self.is_new(id, |id| Note::Seen { id }) {
                        self.shelves.handle_change(
                            &self.plan,
                            &change,
                            now,
                            &mut self.counters,
                            &mut self.outputs,
                        );
                        if !touched.contains(&place) {
                            touched.push(place);
                        }
                    }
                }
                Input::ShelfTrouble(trouble) => {
                    let (id, event) = trouble::event(self.ids, trouble, now);
                    if self.is_new(id, |id| Note::SeenFact { id }) {
                        self.outputs.push_back(event);
                    }
                }
                Input::Kiosk(input) => {
                    let id = kiosk::event_id(self.ids, &input);
                    if self.is_new(id, |id| Note::Seen { id }) {
                        self.kiosks.handle(&self.plan, id, input, now, &mut self.random, &mut self.outputs);
                    }
                }
                Input::Notice(notice) => {
                    let name = || EventId((self.random)());
                    self.notices.handle(notice, now, name, &mut self.outputs);
                }
                Input::Count(input) => {
                    let id = counter::event_id(self.ids, &input);
                    if self.is_new(id, |id| Note::Seen { id }) {
                        self.outputs.push_back(counter::event(id, &input, now));
                    }
                }
            }
        }
        self.outputs
            .extend(touched.into_iter().filter_map(|place| self.shelves.note(place)).map(Output::Note));
    }

    /// Time has passed: to be called at least every second of the agent's clock.
    pub fn handle_timeout(&mut self, now: Now) {
        self.visits.handle_timeout(&self.plan, now, &mut self.outputs);
        self.kiosks.handle_timeout(&self.plan, now, &mut self.outputs);
    }

    /// The day or the agent ends: visits and sessions end with it.
    pub fn close(&mut self, now: Now) {
        self.visits.close(&self.plan, now, &mut self.outputs);
        self.kiosks.close(now, &mut self.outputs);
    }

    /// The next thing found out.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        self.counters.visits += u64::from(matches!(output, Some(Output::Visit(_))));
        output
    }

    /// Visits that have not ended.
    pub fn open_visits(&self) -> u32 {
        self.visits.open()
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// `note` says in which lane that is remembered: that of the event.
    fn is_new(&mut self, id: EventId, note: fn(EventId) -> Note) -> bool {
        let new = self.seen.insert(id);
        if new {
            self.outputs.push_back(Output::Note(note(id)));
        } else {
            self.counters.repeats += 1;
        }
        new
    }
}

#[cfg(test)]
mod tests;
