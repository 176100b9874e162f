//! The simulated store: everything in it, moved on together in virtual time, with ground truth.
//!
//! What people do is drawn in advance for the whole day; beacons and scales run as time is moved on. The same seed
//! gives the same day, in however many steps it is lived through.

use super::{
    chance::Chance,
    counters,
    kiosks::{self, KioskSession},
    layout::Layout,
    radio::Ether,
    shelves::{self, Scales, ShelfChange},
    shoppers::{self, CLOSES, OPENS, Passage, Visit},
};
use crate::capture::{CountInput, Heard, Input};
use std::collections::BTreeMap;
use vitrine_protocol::time::Timestamp;

/// How many messages of shelves, and of kiosks and counters, are sent a second time.
const SHELF_RETRIES: f64 = 0.002;
const RETRIES: f64 = 0.05;

/// What really happened so far.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Visits that have ended, by their end.
    pub visits: Vec<Visit>,
    /// Who passed the door, by time.
    pub passages: Vec<Passage>,
    /// What was taken from shelves and put on them, by time.
    pub shelf: Vec<ShelfChange>,
    /// Kiosk sessions that have ended, by their end.
    pub sessions: Vec<KioskSession>,
    /// What the counters reported, by time.
    pub counts: Vec<(Timestamp, CountInput)>,
    /// Messages that were sent a second time.
    pub retries: u64,
}

/// What happened between two points in time.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// What the receivers heard, by time.
    pub heard: Vec<Heard>,
    /// What the devices sent, a message each, by time.
    pub inputs: Vec<(Timestamp, Vec<Input>)>,
}

/// The simulated store.
#[derive(Debug)]
pub struct Simulation {
    layout: Layout,
    ether: Ether,
    scales: Scales,
    /// Messages to be sent, by time and order.
    outbox: BTreeMap<(Timestamp, u64), Message>,
    messages: u64,
    chance: Chance,
    /// The truth of the whole day.
    day: Truth,
    truth: Truth,
}

#[derive(Debug)]
struct Message {
    inputs: Vec<Input>,
    is_retry: bool,
}

impl Simulation {
    /// A store at the opening of a day on which `shoppers` people, at most [`shoppers::SHOPPERS_MAX`], come for a cart.
    pub fn new(seed: u64, shoppers: usize) -> Self {
        let (layout, mut chance) = (Layout::default(), Chance::new(seed));
        let shoppers::Day { visits, moves, passages } = shoppers::day(&mut chance.fork(), shoppers);
        let shelf = shelves::changes(&mut chance.fork(), &layout, &visits);
        let sessions = kiosks::sessions(&mut chance.fork(), &layout, &visits);
        let counts = counters::counts(&mut chance.fork(), &layout, &passages, &visits);
        let mut simulation = Self {
            ether: Ether::new(chance.fork(), &layout, moves),
            scales: Scales::new(chance.fork(), &layout, shelf.clone()),
            outbox: BTreeMap::new(),
            messages: 0,
            chance,
            day: Truth { visits, passages, shelf, sessions, counts, retries: 0 },
            truth: Truth::default(),
            layout,
        };
        simulation.post_the_day();
        simulation
    }

    /// What kiosks and counters will send.
    fn post_the_day(&mut self) {
        let Truth { sessions, counts, .. } = &self.day;
        let touches = sessions.iter().flat_map(|session| &session.touches);
        let touches = touches.map(|(at, touch)| (*at, Input::Kiosk(touch.clone())));
        let counts = counts.iter().map(|(at, count)| (*at, Input::Count(count.clone())));
        for (at, input) in touches.chain(counts).collect::<Vec<_>>() {
            self.post(at, vec![input], RETRIES);
        }
    }

    /// Sends a message at `at`, and maybe again, as a device does that missed the answer.
    fn post(&mut self, at: Timestamp, inputs: Vec<Input>, retries: f64) {
        if self.chance.happens(retries) {
            let later = at.plus_ms(i64::from(self.chance.whole(100, 900)));
            self.outbox.insert((later, self.messages), Message { inputs: inputs.clone(), is_retry: true });
            self.messages += 1;
        }
        self.outbox.insert((at, self.messages), Message { inputs, is_retry: false });
        self.messages += 1;
    }

    /// The store.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The store's tagging plan, as the text of a `store.toml`.
    pub fn plan_text(&self) -> String {
        self.layout.plan_text()
    }

    /// When the store opens. A clock for the simulation starts here: [`Clock::turned`](crate::clock::Clock::turned).
    pub fn start(&self) -> Timestamp {
        OPENS
    }

    /// When the store closes; everybody has left. Beacons and scales go on.
    pub fn end(&self) -> Timestamp {
        CLOSES
    }

    /// Moves on to `to`: what happened since the last call, up to and including `to`.
    pub fn advance(&mut self, to: Timestamp) -> Step {
        let mut step = Step::default();
        self.ether.advance(to, &mut step.heard);
        let mut readings = Vec::new();
        self.scales.advance(to, |at, inputs| readings.push((at, inputs)));
        for (at, inputs) in readings {
            self.post(at, inputs, SHELF_RETRIES);
        }
        let later = self.outbox.split_off(&(to.plus_ms(1), 0));
        for ((at, _), message) in std::mem::replace(&mut self.outbox, later) {
            self.truth.retries += u64::from(message.is_retry);
            step.inputs.push((at, message.inputs));
        }
        self.reveal(to);
        step
    }

    /// What really happened so far.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    fn reveal(&mut self, to: Timestamp) {
        let (truth, day) = (&mut self.truth, &self.day);
        reveal(&mut truth.visits, &day.visits, to, Visit::end);
        reveal(&mut truth.passages, &day.passages, to, |passage| passage.at);
        reveal(&mut truth.shelf, &day.shelf, to, |change| change.at);
        reveal(&mut truth.sessions, &day.sessions, to, |session| session.ended);
        reveal(&mut truth.counts, &day.counts, to, |(at, _)| *at);
    }
}

/// Adds to `known` what of `all`, which is in order of `time`, has happened by `to`.
fn reveal<T: Clone>(known: &mut Vec<T>, all: &[T], to: Timestamp, time: impl Fn(&T) -> Timestamp) {
    let news = all.iter().skip(known.len()).take_while(|item| time(item) <= to);
    known.extend(news.cloned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use sha2::{Digest, Sha256};
    use std::collections::HashSet;

    /// A digest of all that happens in the first hour, lived through in steps of `step_ms`.
    fn digest(seed: u64, step_ms: i64) -> (Vec<u8>, usize) {
        let mut simulation = Simulation::new(seed, 640);
        let (mut hash, mut heard, mut now) = (Sha256::new(), 0, simulation.start());
        let end = simulation.start().plus_ms(3_600_000);
        let (mut frames, mut inputs) = (String::new(), String::new());
        while now < end {
            now = now.plus_ms(step_ms).min(end);
            let step = simulation.advance(now);
            heard += step.heard.len();
            for item in &step.heard {
                frames += &format!("{:?} {} {} {:?}", item.at, item.receiver, item.rssi_dbm, item.frame);
            }
            inputs += &step.inputs.iter().map(|input| format!("{input:?}")).collect::<String>();
            hash.update(std::mem::take(&mut frames));
        }
        hash.update(inputs);
        hash.update(format!("{:?}", simulation.truth()));
        (hash.finalize().to_vec(), heard)
    }

    #[test]
    fn a_seed_gives_the_same_day_in_steps_of_any_length() {
        let (first, heard) = digest(42, 1_000);
        assert!(heard > 50_000, "{heard}");
        assert_eq!(digest(42, 1_000).0, first);
        assert_eq!(digest(42, 7_777).0, first);
        assert_ne!(digest(43, 1_000).0, first);
    }

    #[test]
    fn steps_are_in_order_and_on_the_turned_clocks_scale() {
        let mut simulation = Simulation::new(1, 640);
        let (clock, hand) = Clock::turned(simulation.start());
        let mut last = (simulation.start(), simulation.start());
        for minute in 1..=30 {
            let to = simulation.start().plus_ms(minute * 60_000);
            hand.turn_to(to);
            let step = simulation.advance(to);
            for heard in step.heard {
                assert!(last.0 <= heard.at.utc && heard.at.utc <= to);
                let before = to.as_ms() - heard.at.utc.as_ms();
                assert_eq!(heard.at.mono_ms as i64 + before, clock.now().mono_ms as i64);
                last.0 = heard.at.utc;
            }
            for (at, _) in step.inputs {
                assert!(last.1 <= at && at <= to);
                last.1 = at;
            }
        }
    }

    #[test]
    fn the_day_ends_with_all_of_the_truth_and_every_input_once_apart_from_retries() {
        let mut simulation = Simulation::new(9, 640);
        let inputs = simulation.advance(simulation.end()).inputs;
        let truth = simulation.truth();
        assert!(truth.visits.len() >= 600 && truth.shelf.len() > 300 && truth.sessions.len() > 50);
        assert!(truth.retries > 20, "{}", truth.retries);
        let mut readings = HashSet::new();
        let mut ids = HashSet::new();
        let mut messages = 0;
        for (_, inputs) in &inputs {
            let fresh = inputs.iter().map(|input| match input {
                Input::Shelf(reading) => readings.insert((reading.shelf, reading.counter)),
                Input::Kiosk(touch) => ids.insert(touch.id),
                Input::Count(count) => ids.insert(count.id),
                Input::ShelfChange(_) | Input::ShelfTrouble(_) | Input::Notice(_) => panic!("{input:?}"),
            });
            messages += u64::from(!fresh.collect::<Vec<_>>().contains(&true));
        }
        assert_eq!(messages, truth.retries);
        let touches: usize = truth.sessions.iter().map(|session| session.touches.len()).sum();
        assert_eq!(ids.len(), touches + truth.counts.len());
    }
}
