//! The simulated store's counters: people at the door and transactions at the tills, once per quarter of an hour.
//!
//! A counter reports a second before its slot ends, so that the report's time lies in the slot that it is of; who
//! passes in that second is counted in the next.

use super::{
    chance::Chance,
    layout::Layout,
    shoppers::{CLOSES, OPENS, Passage, Visit},
};
use crate::capture::{Count, CountInput};
use vitrine_protocol::time::Timestamp;

const SLOT_MS: i64 = 900_000;
const BEFORE_END_MS: i64 = 1_000;

/// The day's reports, by time.
pub(super) fn counts(
    chance: &mut Chance,
    layout: &Layout,
    passages: &[Passage],
    visits: &[Visit],
) -> Vec<(Timestamp, CountInput)> {
    let slots = (CLOSES.as_ms() - OPENS.as_ms()) / SLOT_MS;
    let (mut counts, mut since) = (Vec::new(), OPENS);
    for slot in 1..=slots {
        let until = OPENS.plus_ms(slot * SLOT_MS - BEFORE_END_MS);
        let within = |at: Timestamp| since <= at && at < until;
        let at_door = passages.iter().filter(|passage| within(passage.at));
        let (entries, exits) = at_door.fold((0, 0), |(i, o), p| (i + p.entries, o + p.exits));
        let door = Count::Door { entries, exits };
        let till =
            Count::Till { transactions: visits.iter().filter(|visit| within(visit.end())).count() as u32 };
        for (counter, count) in [(layout.door, door), (layout.till, till)] {
            counts.push((until, CountInput { counter, id: chance.event_id(), count }));
        }
        since = until;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::shoppers;

    #[test]
    fn counts_add_up_to_the_day_one_per_slot() {
        let mut chance = Chance::new(2);
        let day = shoppers::day(&mut chance, 640);
        let counts = counts(&mut chance, &Layout::default(), &day.passages, &day.visits);
        assert_eq!(counts.len(), 2 * 48);
        for (slot, pair) in counts.chunks(2).enumerate() {
            assert_eq!(pair[0].0.floor_to(SLOT_MS), OPENS.plus_ms(slot as i64 * SLOT_MS));
        }
        let (mut entries, mut exits, mut transactions) = (0, 0, 0);
        for (_, input) in &counts {
            match input.count {
                Count::Door { entries: i, exits: o } => (entries, exits) = (entries + i, exits + o),
                Count::Till { transactions: n } => transactions += n,
            }
        }
        assert_eq!(transactions as usize, day.visits.len());
        assert_eq!(entries, day.passages.iter().map(|passage| passage.entries).sum::<u32>());
        assert_eq!(exits, entries);
    }
}
