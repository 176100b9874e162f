//! The lanes, as they are read: from the cursor on, and, with `drain = "live_first"`, from where a backlog ends.
//!
//! When a connection begins, and more than a little waits in a lane, it is read twice: the *backlog* from the cursor to
//! where the lane ends at that moment, and what comes *live* from there on, which goes first. When the backlog is sent,
//! and nothing live is in flight, the cursor jumps over what was sent live, and the lane is read once again. What was
//! sent live and is not passed yet when a connection breaks is remembered, and not sent again.

use super::{reader::Reader, settings::Drain, turn::Turn};
use crate::spool::Lane;
use vitrine_protocol::topic::Stream;

const LANES: usize = Lane::ALL.len();

/// A lane with so many records that wait has a backlog.
const BACKLOG_MIN: u64 = 256;

/// One way of reading a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feed {
    pub(super) lane: Lane,
    pub(super) is_live: bool,
}

/// The lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// As [`Lane::ALL`].
    main: [Reader; LANES],
    /// Where a lane has a backlog.
    live: [Option<Reader>; LANES],
    /// Where that ends.
    split: [u64; LANES],
    /// Events that were given up among what is live: position, stream and number.
    deferred: [Vec<GivenUp>; LANES],
    to_state: Vec<GivenUp>,
}

/// An event that nothing can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GivenUp {
    pub(super) pos: u64,
    pub(super) stream: Stream,
    pub(super) seq: u64,
}

impl Lanes {
    /// A connection begins: `lane` is acknowledged up to `cursor`, and its next record comes at `end`.
    pub(super) fn rewind(&mut self, lane: Lane, cursor: u64, end: u64, drain: Drain) {
        let index = lane as usize;
        if let Some(live) = self.live[index].take() {
            // What was given up there is tried once more, in its turn.
            let first = self.deferred[index].drain(..).map(|event| event.pos).min();
            let upto = first.map_or(live.cursor(), |pos| live.cursor().min(pos.saturating_sub(1)));
            self.main[index].pass(self.split[index], upto);
        }
        let has_backlog = drain == Drain::LiveFirst && end.saturating_sub(cursor + 1) >= BACKLOG_MIN;
        self.main[index].rewind(cursor, has_backlog.then_some(end));
        if has_backlog {
            let mut live = Reader::default();
            live.start_new(end);
            (self.live[index], self.split[index]) = (Some(live), end);
        }
    }

    /// An event is given up. It is stated as lost when all before it are sent or stated: losses are stated in order.
    pub(super) fn give_up(&mut self, feed: Feed, event: GivenUp) {
        self.get_mut(feed).pass(event.pos, event.pos);
        let is_live = feed.is_live && self.has_backlog(feed.lane);
        let list = if is_live { &mut self.deferred[feed.lane as usize] } else { &mut self.to_state };
        list.push(event);
    }

    /// The events to be stated as lost.
    pub(super) fn take_given_up(&mut self) -> Vec<GivenUp> {
        std::mem::take(&mut self.to_state)
    }

    /// Whether `lane` has a backlog that is sent behind what is live.
    pub(super) fn has_backlog(&self, lane: Lane) -> bool {
        self.live[lane as usize].is_some()
    }

    /// The feeds, the one to be looked at first first; on a metered line, of the critical lane alone.
    pub(super) fn order(&self, turn: Turn, metered: bool) -> impl Iterator<Item = Feed> + use<> {
        let is_read = self.live.each_ref().map(Option::is_some);
        let live = turn.order().into_iter().filter(move |&lane| is_read[lane as usize]);
        let live = live.map(|lane| Feed { lane, is_live: true });
        let main = turn.order().into_iter().map(|lane| Feed { lane, is_live: false });
        live.chain(main).filter(move |feed| !metered || feed.lane == Lane::Critical)
    }

    /// The feed that a position belongs to.
    pub(super) fn feed_of(&self, lane: Lane, pos: u64) -> Feed {
        let index = lane as usize;
        Feed { lane, is_live: self.live[index].is_some() && pos >= self.split[index] }
    }

    pub(super) fn get(&self, feed: Feed) -> &Reader {
        let index = feed.lane as usize;
        self.live[index].as_ref().filter(|_| feed.is_live).unwrap_or(&self.main[index])
    }

    pub(super) fn get_mut(&mut self, feed: Feed) -> &mut Reader {
        let index = feed.lane as usize;
        match &mut self.live[index] {
            Some(live) if feed.is_live => live,
            _ => &mut self.main[index],
        }
    }

    /// Whether `feed` is not to be read on: the lane is about to be read once again.
    pub(super) fn is_paused(&self, feed: Feed) -> bool {
        feed.is_live && self.is_backlog_sent(feed.lane) && !self.get(feed).has_waiting()
    }

    fn is_backlog_sent(&self, lane: Lane) -> bool {
        let index = lane as usize;
        self.live[index].is_some() && self.main[index].cursor() + 1 >= self.split[index]
    }

    /// Moves cursors, where `first_in_flight` tells the first position in flight of a feed. Returns the lane's cursor if
    /// it moved.
    pub(super) fn settle(
        &mut self,
        lane: Lane,
        first_in_flight: impl Fn(&Self, Feed) -> Option<u64>,
    ) -> Option<u64> {
        let index = lane as usize;
        let live = Feed { lane, is_live: true };
        let in_flight = first_in_flight(self, Feed { lane, is_live: false });
        let mut moved = self.main[index].settle(in_flight);
        let live_in_flight = first_in_flight(self, live);
        let is_sent = self.is_backlog_sent(lane);
        if let Some(reader) = &mut self.live[index] {
            reader.settle(live_in_flight);
            if is_sent && live_in_flight.is_none() && !reader.has_waiting() {
                let cursor = reader.cursor();
                self.live[index] = None;
                self.to_state.append(&mut self.deferred[index]);
                moved = self.main[index].move_to(cursor).or(moved);
                self.main[index].rewind(self.main[index].cursor(), None);
                self.main[index].has_caught_up();
            }
        }
        moved
    }

    /// All readers.
    pub(super) fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.main.iter().chain(self.live.iter().flatten())
    }

    pub(super) fn readers_mut(&mut self) -> impl Iterator<Item = &mut Reader> {
        self.main.iter_mut().chain(self.live.iter_mut().flatten())
    }

    /// Whether all that could be read was sent; on a metered line, of the critical lane alone.
    pub(super) fn are_drained(&self, metered: bool) -> bool {
        self.order(Turn::default(), metered).all(|feed| self.get(feed).is_drained())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        spool::{Chunk, Context, Record},
        uplink::batch::Limits,
    };
    use std::ops::RangeInclusive;
    use vitrine_protocol::Id;

    const LIVE: Feed = Feed { lane: Lane::Facts, is_live: true };
    const MAIN: Feed = Feed { is_live: false, ..LIVE };

    fn chunk(positions: RangeInclusive<u64>) -> Chunk {
        let context = Context { plan: Id::new("7").unwrap(), business_date: jiff::civil::date(2026, 3, 4) };
        let next_pos = positions.end() + 1;
        let record = |pos| Record { pos, stream: Stream::Stock, seq: pos, context, json: "1".into() };
        Chunk { records: positions.map(record).collect(), next_pos, ..Chunk::default() }
    }

    /// Reads and sends; returns the positions that were sent.
    fn send(lanes: &mut Lanes, feed: Feed, positions: RangeInclusive<u64>) -> Vec<u64> {
        let reader = lanes.get_mut(feed);
        reader.read(chunk(positions), Limits::new(None));
        std::iter::from_fn(|| reader.pop(|_| true, |_| usize::MAX))
            .flat_map(|(batch, _)| batch.positions)
            .collect()
    }

    fn nothing(_: &Lanes, _: Feed) -> Option<u64> {
        None
    }

    #[test]
    fn what_is_live_goes_first_and_the_cursor_jumps_over_it_in_the_end() {
        let mut lanes = Lanes::default();
        lanes.rewind(Lane::Facts, 0, 1001, Drain::LiveFirst);
        let order: Vec<_> = lanes.order(Turn::default(), false).collect();
        assert_eq!((order.len(), order[0]), (4, LIVE));
        assert_eq!(send(&mut lanes, LIVE, 1001..=1010).len(), 10);
        assert_eq!(lanes.settle(Lane::Facts, nothing), None, "the backlog holds the cursor");
        assert_eq!(send(&mut lanes, MAIN, 1..=500).len(), 500);
        assert_eq!(lanes.settle(Lane::Facts, nothing), Some(500));
        assert_eq!(send(&mut lanes, MAIN, 501..=1010).len(), 500, "not beyond where the backlog ended");
        assert_eq!(lanes.settle(Lane::Facts, |_, feed| feed.is_live.then_some(1005)), Some(1000));
        assert!(lanes.is_paused(LIVE));
        assert_eq!(lanes.settle(Lane::Facts, nothing), Some(1010));
        assert!(!lanes.has_backlog(Lane::Facts));
        assert_eq!(send(&mut lanes, MAIN, 1011..=1020).len(), 10);
    }

    #[test]
    fn what_was_sent_live_is_not_sent_again_after_a_break() {
        let mut lanes = Lanes::default();
        lanes.rewind(Lane::Facts, 0, 1001, Drain::LiveFirst);
        send(&mut lanes, LIVE, 1001..=1300);
        lanes.settle(Lane::Facts, |_, feed| feed.is_live.then_some(1201));
        lanes.rewind(Lane::Facts, 500, 1401, Drain::LiveFirst);
        assert_eq!(lanes.feed_of(Lane::Facts, 1300), MAIN);
        let sent: Vec<_> = send(&mut lanes, MAIN, 501..=1400);
        assert!(sent.into_iter().eq((501..=1000).chain(1201..=1400)));
        assert_eq!(
            lanes.order(Turn::default(), true).collect::<Vec<_>>(),
            [Feed { lane: Lane::Critical, is_live: false }]
        );
    }

    #[test]
    fn what_is_given_up_live_is_stated_after_the_backlog() {
        let mut lanes = Lanes::default();
        lanes.rewind(Lane::Facts, 0, 1001, Drain::LiveFirst);
        let event = GivenUp { pos: 1005, stream: Stream::Stock, seq: 1005 };
        send(&mut lanes, LIVE, 1001..=1010);
        lanes.give_up(LIVE, event);
        assert_eq!((lanes.settle(Lane::Facts, nothing), lanes.take_given_up()), (None, vec![]));
        send(&mut lanes, MAIN, 1..=1010);
        assert_eq!((lanes.settle(Lane::Facts, nothing), lanes.take_given_up()), (Some(1010), vec![event]));

        lanes.rewind(Lane::Facts, 1010, 2001, Drain::LiveFirst);
        send(&mut lanes, LIVE, 2001..=2010);
        lanes.give_up(LIVE, GivenUp { pos: 2005, ..event });
        lanes.settle(Lane::Facts, nothing);
        lanes.rewind(Lane::Facts, 2000, 2011, Drain::LiveFirst);
        assert_eq!(send(&mut lanes, MAIN, 2001..=2010)[0], 2005, "what a break forgets is tried again");
    }

    #[test]
    fn a_short_queue_is_no_backlog() {
        let mut lanes = Lanes::default();
        lanes.rewind(Lane::Facts, 10, 10 + BACKLOG_MIN, Drain::LiveFirst);
        assert!(!lanes.has_backlog(Lane::Facts));
        lanes.rewind(Lane::Facts, 10, 10_000, Drain::OldestFirst);
        assert!(!lanes.has_backlog(Lane::Facts));
    }
}
