use super::*;
use crate::spool::{Context, Record};
use proptest::prelude::*;
use vitrine_protocol::{Id, topic::Stream};

fn chunk(positions: impl IntoIterator<Item = (u64, Stream)>, next_pos: u64) -> Chunk {
    let context = Context { plan: Id::new("7").unwrap(), business_date: jiff::civil::date(2026, 3, 4) };
    let record = |(pos, stream)| Record { pos, stream, seq: pos, context, json: "1".into() };
    Chunk { records: positions.into_iter().map(record).collect(), next_pos, ..Chunk::default() }
}

fn reader() -> Reader {
    let mut reader = Reader::default();
    reader.rewind(0, None);
    reader
}

fn read_from(reader: &Reader) -> Option<u64> {
    reader.read_from(|_| true, Instant::now(), true)
}

fn pop(reader: &mut Reader) -> Option<(Batch, Source)> {
    reader.pop(|_| true, |_| usize::MAX)
}

fn read(reader: &mut Reader, chunk: Chunk) {
    assert_eq!(reader.read(chunk, Limits::new(None)), []);
}

#[test]
fn reads_on_until_the_end_and_again_after_a_change() {
    let mut reader = reader();
    assert_eq!(read_from(&reader), Some(1));
    read(&mut reader, chunk([(1, Stream::Stock)], 2));
    assert_eq!(read_from(&reader), None, "a batch waits");
    pop(&mut reader).unwrap();
    read(&mut reader, chunk([], 5));
    assert_eq!(read_from(&reader), Some(5), "positions without records are passed over");
    assert!(!reader.is_drained());
    read(&mut reader, chunk([], 5));
    assert_eq!((read_from(&reader), reader.is_drained()), (None, true));
    reader.changed(Instant::now());
    assert_eq!((read_from(&reader), reader.is_drained()), (Some(5), false));
}

#[test]
fn only_what_a_change_brings_to_a_lane_at_its_end_is_live() {
    let (mut reader, now) = (reader(), Instant::now());
    let source = |reader: &mut Reader, pos| {
        read(reader, chunk([(pos, Stream::Stock)], pos + 1));
        pop(reader).unwrap().1
    };
    reader.changed(now);
    let old = Source { may_be_older_than_the_agent: true, live_since: None };
    assert_eq!(source(&mut reader, 1), old);
    read(&mut reader, chunk([], 2));
    reader.changed(now);
    reader.changed(now + std::time::Duration::from_secs(1));
    let live = Source { may_be_older_than_the_agent: false, live_since: Some(now) };
    assert_eq!(source(&mut reader, 2), live);
    reader.changed(now);
    assert_eq!(source(&mut reader, 3), Source { live_since: None, ..live }, "a backlog");
}

#[test]
fn looks_again_when_what_is_held_is_due() {
    let (mut reader, due) = (reader(), Timestamp::from_ms(900_000));
    read(&mut reader, Chunk { held_until: Some(due), ..chunk([], 1) });
    reader.release(due.plus_ms(-1));
    assert_eq!((reader.held_until(), read_from(&reader)), (Some(due), None));
    reader.release(due);
    assert_eq!((reader.held_until(), read_from(&reader)), (None, Some(1)));
}

#[test]
fn refuses_an_event_once_and_passes_over_it() {
    let mut reader = reader();
    for expected in [1, 0] {
        let mut chunk = chunk([(1, Stream::Stock)], 2);
        chunk.records[0].json = "no".into();
        assert_eq!(reader.read(chunk, Limits::new(None)).len(), expected);
        reader.rewind(0, None);
    }
    read(&mut reader, chunk([], 2));
    assert_eq!(reader.settle(None), Some(1));
}

#[test]
fn counts_an_event_once_however_often_it_is_acknowledged() {
    let mut reader = reader();
    read(&mut reader, chunk([(1, Stream::Door), (2, Stream::Till), (3, Stream::Door)], 4));
    assert_eq!(reader.acknowledged(&[1, 3]), 2);
    assert_eq!(reader.acknowledged(&[1]), 0);
    pop(&mut reader).unwrap();
    assert_eq!(reader.settle(None), Some(1));
    reader.rewind(1, None);
    assert_eq!(reader.acknowledged(&[3]), 0);
    assert_eq!(reader.acknowledged(&[2]), 1);
    read(&mut reader, chunk([], 4));
    assert_eq!(reader.settle(None), Some(3));
    assert_eq!(reader.acknowledged(&[3]), 0);
    assert_eq!(reader.acknowledged, BTreeSet::new());
}

#[test]
fn what_comes_while_something_is_in_flight_is_gathered() {
    let (mut reader, now) = (reader(), Instant::now());
    read(&mut reader, chunk([], 1));
    reader.changed(now);
    reader.changed(now + LINGER / 2);
    assert_eq!(reader.read_from(|_| true, now, true), Some(1), "at once when idle");
    assert_eq!(reader.read_from(|_| true, now + LINGER * 9 / 10, false), None);
    assert_eq!(reader.read_from(|_| true, now + LINGER, false), Some(1));
}

#[test]
fn a_stream_that_rests_is_read_past_and_holds_the_cursor() {
    let mut reader = reader();
    read(&mut reader, chunk([(1, Stream::Door), (2, Stream::Till), (3, Stream::Till)], 4));
    let may = |batch: &Batch| batch.stream != Stream::Door;
    assert_eq!(reader.pop(may, |_| 1).unwrap().0.positions, [2]);
    assert_eq!(reader.pop(may, |_| 1).unwrap().0.positions, [3]);
    assert_eq!((reader.read_from(may, Instant::now(), true), reader.settle(None)), (Some(4), None));
    let (door, _) = pop(&mut reader).unwrap();
    assert_eq!(reader.settle(Some(1)), None);
    reader.put_back(door);
    assert_eq!(reader.settle(None), None);
    pop(&mut reader).unwrap();
    assert_eq!(reader.settle(None), Some(3));
}

#[test]
fn the_rest_of_a_batch_waits_behind_what_stands_before_it() {
    let mut reader = reader();
    reader.rewind(0, None);
    let records =
        [(1, Stream::Till), (2, Stream::Door), (3, Stream::Door), (5, Stream::Till), (9, Stream::Till)];
    read(&mut reader, chunk(records, 10));
    let (first, _) = reader.pop(|_| true, |_| 1).unwrap();
    assert_eq!((first.stream, &first.positions[..]), (Stream::Till, &[1][..]));
    assert_eq!(reader.acknowledged(&first.positions), 1);
    // What was not sent is not behind the cursor.
    assert_eq!(reader.settle(None), Some(1));
    let order: Vec<_> = std::iter::from_fn(|| pop(&mut reader)).map(|(batch, _)| batch.first_pos()).collect();
    assert_eq!(order, [2, 5, 9]);
}

#[test]
fn the_platforms_mark_frees_what_it_covers_and_a_backlog_stops_where_it_is_told() {
    let mut reader = reader();
    reader.rewind(0, Some(4));
    read(&mut reader, chunk([(1, Stream::Door), (3, Stream::Door), (4, Stream::Door)], 5));
    while let Some((batch, _)) = pop(&mut reader) {
        reader.await_mark(&batch.positions, batch.stream, batch.last_seq());
    }
    reader.changed(Instant::now());
    assert!(reader.is_drained() && reader.awaits_mark_of(Stream::Door));
    assert_eq!(reader.settle(None), None);
    reader.confirm(Stream::Till, 9);
    reader.confirm(Stream::Door, 2);
    assert_eq!(reader.settle(None), Some(2));
    reader.confirm(Stream::Door, 3);
    assert_eq!((reader.settle(None), reader.awaits_mark_of(Stream::Door)), (Some(3), false));
}

proptest! {
    /// Batches acknowledged in any order: the cursor is always just below the first position that still
    /// counts, and nothing is left in the end.
    #[test]
    fn the_cursor_never_passes_what_is_not_acknowledged(
        steps in prop::collection::vec((any::<bool>(), 1_u64..4), 1..300),
        order in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..40),
    ) {
        let mut reader = reader();
        let mut pos = 0;
        let positions: Vec<_> = steps.into_iter().map(|(door, step)| {
            pos += step;
            (pos, if door { Stream::Door } else { Stream::Till })
        }).collect();
        let mut open: BTreeSet<u64> = positions.iter().map(|&(pos, _)| pos).collect();
        read(&mut reader, chunk(positions, pos + 3));
        let mut in_flight: Vec<Batch> = Vec::new();
        let mut order = order.into_iter();
        while !open.is_empty() {
            let (send, choice) = order.next().map_or((reader.front(|_| true).is_some(), None), |(s, c)| (s, Some(c)));
            if send || in_flight.is_empty() {
                in_flight.extend(pop(&mut reader).map(|(batch, _)| batch));
            } else {
                let choice = choice.map_or(0, |choice| choice.index(in_flight.len()));
                let batch = in_flight.swap_remove(choice);
                prop_assert_eq!(reader.acknowledged(&batch.positions), batch.positions.len() as u64);
                batch.positions.iter().for_each(|pos| { open.remove(pos); });
            }
            reader.settle(in_flight.iter().map(Batch::first_pos).min());
            let first_open = open.first().copied().unwrap_or(pos + 3);
            prop_assert!(reader.cursor < first_open);
        }
        prop_assert_eq!(reader.cursor, pos + 2);
    }
}
