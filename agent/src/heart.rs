//! The two pure state machines, joined: observations and time in, what may leave the store out.

use crate::{
    capture::{Heard, Input},
    clock::Now,
    ids::Ids,
    pipeline::{self, Counters, Note, Order, Pipeline, Random},
    plan::Plan,
    privacy::{Kept, Privacy, Release, WindowNote},
};
use std::sync::Arc;

/// How often time is told to the state machines.
pub const TICK_MS: u64 = 1000;

/// Pipeline and privacy engine.
pub struct Heart {
    pipeline: Pipeline,
    privacy: Privacy,
    order: Order,
    ticked_ms: u64,
}

impl Heart {
    /// A heart that has seen nothing, in the window that `now` lies in.
    pub fn new(plan: Arc<Plan>, ids: Ids, random: Random, now: Now) -> Self {
        Self {
            pipeline: Pipeline::new(plan.clone(), ids, random),
            privacy: Privacy::new(plan, ids, now),
            order: Order::new(0),
            ticked_ms: now.mono_ms,
        }
    }

    /// Some sightings come up to `late_ms` after they were heard: all of them wait for so long.
    #[must_use]
    pub fn with_late_sightings(self, late_ms: u64) -> Self {
        Self { order: Order::new(late_ms), ..self }
    }

    /// Takes back the running window's counts; before all notes.
    pub fn restore_window(&mut self, kept: Kept) {
        self.privacy.restore(kept);
    }

    /// Takes back a checkpoint's state; before all notes.
    pub fn restore(&mut self, state: pipeline::State) {
        self.pipeline.restore(state);
    }

    /// Takes back a note of the pipeline.
    pub fn restore_note(&mut self, note: Note) {
        self.pipeline.restore_note(note);
    }

    /// Takes back a note of the privacy engine.
    pub fn restore_window_note(&mut self, note: WindowNote) {
        self.privacy.restore_note(note);
    }

    /// To be called once after everything was restored.
    pub fn resume(&mut self, now: Now) {
        self.pipeline.resume(now);
        self.decide(now);
    }

    /// A receiver heard something.
    pub fn handle_heard(&mut self, heard: &Heard) {
        self.order.push(*heard);
        self.handle_waiting(heard.at.mono_ms);
        self.handle_timeout(heard.at);
    }

    /// A device sent inputs.
    pub fn handle_inputs(&mut self, inputs: Vec<Input>, now: Now) {
        self.pipeline.handle_inputs(inputs, now);
        self.decide(now);
    }

    /// Time has passed; more often than every [`TICK_MS`] is no use.
    pub fn handle_timeout(&mut self, now: Now) {
        if now.mono_ms < self.ticked_ms + TICK_MS {
            return;
        }
        self.ticked_ms = now.mono_ms;
        self.handle_waiting(now.mono_ms);
        self.pipeline.handle_timeout(now);
        self.decide(now);
        if self.privacy.handle_timeout(now) {
            self.close(now);
        }
    }

    /// The day or the agent ends: visits, sessions and the window end with it.
    pub fn close(&mut self, now: Now) {
        self.handle_waiting(u64::MAX);
        self.pipeline.close(now);
        self.decide(now);
        self.privacy.close(now);
    }

    /// The next thing that may leave, or has to be remembered.
    pub fn poll_release(&mut self) -> Option<Release> {
        self.privacy.poll_release()
    }

    /// What is to be kept of the running window, if that has changed since it was last asked for.
    pub fn kept_window(&mut self) -> Option<Kept> {
        self.privacy.kept(self.pipeline.open_visits())
    }

    /// What was said to be kept could not be.
    pub fn window_not_kept(&mut self) {
        self.privacy.not_kept();
    }

    /// What a checkpoint has to hold.
    pub fn state(&self) -> pipeline::State {
        self.pipeline.state()
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.pipeline.counters()
    }

    fn handle_waiting(&mut self, now_ms: u64) {
        while let Some(heard) = self.order.pop(now_ms) {
            self.pipeline.handle_heard(&heard);
        }
    }

    fn decide(&mut self, now: Now) {
        while let Some(output) = self.pipeline.poll_output() {
            self.privacy.handle(output, now);
        }
    }
}
