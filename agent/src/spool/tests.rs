//! Tests of the whole spool on a real directory. A crash is a copy of the directory, taken while it is in use.

mod bounds;
mod damage;
mod verify;
mod view;

use super::*;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use vitrine_protocol::{
    Id,
    event::{Body, Event, Gap},
    topic::Stream,
};

const NOW: Timestamp = Timestamp::from_ms(1_772_622_000_000);

fn context() -> Context {
    Context { plan: Id::new("7").unwrap(), business_date: jiff::civil::date(2026, 3, 4) }
}

fn config(dir: &Path) -> Config {
    Config { free_space_floor_bytes: 0, segment_bytes: 16 * 1024, ..Config::new(dir) }
}

fn open(dir: &Path) -> (Spool, Recovery<u64>) {
    open_with(&config(dir))
}

fn open_with(config: &Config) -> (Spool, Recovery<u64>) {
    let (clock, _hand) = Clock::turned(NOW);
    Spool::open(config, context(), clock).unwrap()
}

fn event(stream: Stream, n: u64) -> Draft {
    // Hard to compress, so that segments fill.
    let noise: String =
        (0..20).map(|i| format!("{:x}", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> i)).collect();
    Draft::Event { stream, hold_until: None, json: format!("{{\"n\":{n},\"noise\":\"{noise}\"}}").into() }
}

fn note(text: &str) -> Draft {
    Draft::Note { lane: Lane::Slots, bytes: text.as_bytes().into() }
}

async fn commit(spool: &Spool, drafts: Vec<Draft>) {
    let (reply, durable) = oneshot::channel();
    spool.commit(Commit { context: context(), drafts, reply: Some(reply) }).await.unwrap();
    durable.await.unwrap();
}

async fn eventually(mut is_so: impl FnMut() -> bool) {
    let started = tokio::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(20), "it never was so");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Reads a lane to its end.
async fn read_all(spool: &Spool, lane: Lane) -> (Vec<Record>, u64) {
    let (mut records, mut pos) = (Vec::new(), spool.cursor(lane) + 1);
    loop {
        let chunk = spool.read(lane, pos, NOW).await;
        if chunk.next_pos == pos {
            return (records, pos - 1);
        }
        pos = chunk.next_pos;
        records.extend(chunk.records);
    }
}

fn seqs(records: &[Record], stream: Stream) -> Vec<u64> {
    records.iter().filter(|record| record.stream == stream).map(|record| record.seq).collect()
}

/// The spool as a power cut would leave it, or better: files as they are now.
fn crash(dir: &Path) -> tempfile::TempDir {
    loop {
        let before = directories(dir);
        let copy = tempfile::tempdir().unwrap();
        // A directory that came or went meanwhile would be in neither place, or in both.
        if try_copy(dir, &copy.path().join("spool")).is_ok() && directories(dir) == before {
            return copy;
        }
    }
}

fn directories(dir: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let lanes: Vec<_> = entries.map(|entry| entry.path()).collect();
    let below = lanes.iter().flat_map(|lane| fs::read_dir(lane).into_iter().flatten().flatten());
    below.map(|entry| entry.path()).filter(|path| path.is_dir()).chain(lanes.clone()).collect()
}

fn copy_dir(from: &Path, to: &Path) {
    try_copy(from, to).unwrap();
}

fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { try_copy(&path, &target)? } else { fs::copy(path, target).map(|_| ())? }
    }
    Ok(())
}

fn segments(dir: &Path, lane: Lane) -> Vec<PathBuf> {
    dirs::list(&dir.join(lane.name())).unwrap().into_iter().map(|(_, dir)| dir).collect()
}

/// The gaps that stand in the spool.
async fn all_gaps(spool: &Spool) -> Vec<Gap> {
    commit(spool, Vec::new()).await;
    // Reading the lane may find more of them.
    read_all(spool, Lane::Critical).await;
    commit(spool, Vec::new()).await;
    let (records, _) = read_all(spool, Lane::Critical).await;
    let gap = |record: &Record| match serde_json::from_str::<Event>(&record.json).unwrap().body {
        Body::Gap(gap) => gap,
        other => panic!("{other:?}"),
    };
    records.iter().filter(|record| record.stream == Stream::Gaps).map(gap).collect()
}

/// The gaps that stand in the spool, as (stream, first, last, exact).
async fn gaps(spool: &Spool) -> BTreeSet<(Stream, u64, u64, bool)> {
    let gaps = all_gaps(spool).await;
    gaps.into_iter().map(|gap| (gap.stream, gap.first_seq, gap.last_seq, gap.exact)).collect()
}

#[tokio::test]
async fn what_is_answered_survives_a_crash_in_order_with_its_notes() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for n in 0..50 {
        commit(&spool, vec![event(Stream::Kiosk, n), note(&format!("note {n}")), event(Stream::Shelf, n)])
            .await;
    }
    let crashed = crash(dir.path());
    let (again, recovery) = open(&crashed.path().join("spool"));
    assert_eq!(again.id(), spool.id());
    assert_eq!(recovery.notes.len(), 50);
    assert_eq!(&*recovery.notes[49], b"note 49");
    let (records, upto) = read_all(&again, Lane::Slots).await;
    assert_eq!(upto, 150);
    assert_eq!(seqs(&records, Stream::Kiosk), (1..=50).collect::<Vec<_>>());
    assert_eq!(seqs(&records, Stream::Shelf), (1..=50).collect::<Vec<_>>());
    commit(&again, vec![event(Stream::Kiosk, 50)]).await;
    let (records, _) = read_all(&again, Lane::Slots).await;
    assert_eq!(records.last().unwrap().seq, 51);
}

#[tokio::test]
async fn a_fact_is_not_durable_before_the_step_that_it_follows_from() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let (slots, aside) = (dir.path().join("slots"), dir.path().join("aside"));
    fs::rename(&slots, &aside).unwrap();
    fs::write(&slots, "in the way").unwrap();

    let (reply, mut durable) = oneshot::channel();
    let drafts = vec![event(Stream::Stock, 0), event(Stream::Shelf, 0)];
    spool.commit(Commit { context: context(), drafts, reply: Some(reply) }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(read_all(&spool, Lane::Facts).await.0, []);
    assert!(durable.try_recv().is_err());

    fs::remove_file(&slots).unwrap();
    fs::rename(&aside, &slots).unwrap();
    durable.await.unwrap();
    assert_eq!(seqs(&read_all(&spool, Lane::Facts).await.0, Stream::Stock), [1]);
    assert_eq!(seqs(&read_all(&spool, Lane::Slots).await.0, Stream::Shelf), [1]);
}

#[tokio::test]
async fn held_records_wait_for_their_time_and_block_only_their_lane() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let until = NOW.plus_ms(900_000);
    let held = Draft::Event { stream: Stream::Kiosk, hold_until: Some(until), json: "{}".into() };
    commit(&spool, vec![event(Stream::Door, 0), held, event(Stream::Stock, 0)]).await;
    let chunk = spool.read(Lane::Slots, 1, NOW).await;
    assert_eq!((chunk.records.len(), chunk.next_pos, chunk.held_until), (1, 2, Some(until)));
    assert_eq!(spool.read(Lane::Facts, 1, NOW).await.records.len(), 1);
    assert_eq!(spool.read(Lane::Slots, 2, until).await.records.len(), 1);
    // A clock that was set back by a day does not hold anything for a day.
    assert_eq!(spool.read(Lane::Slots, 2, NOW.plus_ms(-86_400_000)).await.records.len(), 1);
}

#[tokio::test]
async fn drained_segments_are_removed_once_a_checkpoint_has_passed_them() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for n in 0..40 {
        commit(&spool, (0..20).map(|i| event(Stream::Stock, n * 20 + i)).collect()).await;
    }
    assert!(segments(dir.path(), Lane::Facts).len() > 3);
    let (records, upto) = read_all(&spool, Lane::Facts).await;
    assert_eq!(records.len(), 800);
    spool.acknowledge(Lane::Facts, upto);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(segments(dir.path(), Lane::Facts).len() > 3, "notes in them are still needed");
    let state = serde_json::value::to_raw_value(&7u64).unwrap();
    spool.checkpoint(state).await.unwrap();
    spool.acknowledge(Lane::Facts, upto);
    eventually(|| segments(dir.path(), Lane::Facts).len() == 1).await;
    spool.close().await.unwrap();
    let (spool, recovery) = open(dir.path());
    assert_eq!((recovery.state, spool.backlog()), (Some(7), 0));
    commit(&spool, vec![event(Stream::Stock, 800)]).await;
    assert_eq!(seqs(&read_all(&spool, Lane::Facts).await.0, Stream::Stock), [801]);
    assert!(gaps(&spool).await.is_empty());
}

#[tokio::test]
async fn notes_before_a_checkpoint_are_not_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    commit(&spool, vec![note("before")]).await;
    spool.checkpoint(serde_json::value::to_raw_value(&1u64).unwrap()).await.unwrap();
    commit(&spool, vec![note("after")]).await;
    let crashed = crash(dir.path());
    let (_, recovery) = open(&crashed.path().join("spool"));
    assert_eq!(recovery.notes, [Box::from(*b"after")]);
}

#[tokio::test]
async fn a_second_process_is_told_who_has_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let (_spool, _) = open(dir.path());
    let (clock, _hand) = Clock::turned(NOW);
    let error = Spool::open::<u64>(&config(dir.path()), context(), clock).unwrap_err();
    assert!(error.to_string().contains("another vitrine uses this spool"), "{error}");
}

#[tokio::test]
async fn a_write_error_moves_on_to_a_new_segment_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for n in 0..30 {
        if n % 10 == 5 {
            spool.log(Lane::Facts).slots().back().unwrap().open.as_ref().unwrap().poison();
        }
        commit(&spool, vec![event(Stream::Stock, n)]).await;
    }
    assert_eq!(segments(dir.path(), Lane::Facts).len(), 4);
    assert_eq!(seqs(&read_all(&spool, Lane::Facts).await.0, Stream::Stock), (1..=30).collect::<Vec<_>>());
    let crashed = crash(dir.path());
    let (again, _) = open(&crashed.path().join("spool"));
    assert_eq!(seqs(&read_all(&again, Lane::Facts).await.0, Stream::Stock), (1..=30).collect::<Vec<_>>());
}

/// Whatever is damaged, every event comes or lies in exactly one gap, and the spool goes on.
async fn check_damage(damage: impl Fn(&[PathBuf]), exact: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for n in 0..40 {
        commit(&spool, (0..20).map(|i| event(Stream::Stock, n * 20 + i)).collect()).await;
    }
    let copy = crash(dir.path());
    let path = copy.path().join("spool");
    let before = segments(&path, Lane::Facts);
    damage(&before);
    let (spool, _) = open(&path);
    commit(&spool, vec![event(Stream::Stock, 800)]).await;
    let (records, upto) = read_all(&spool, Lane::Facts).await;
    let got = seqs(&records, Stream::Stock);
    let gaps = gaps(&spool).await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let &(stream, first, last, gap_exact) = gaps.first().unwrap();
    assert_eq!((stream, gap_exact), (Stream::Stock, exact));
    let end = *got.last().unwrap();
    let expected: Vec<u64> = (1..=end).filter(|seq| !(first..=last).contains(seq)).collect();
    assert_eq!(got, expected);
    assert!(end > 800 && (!exact || end == 801), "{end}");
    assert_eq!(
        records.last().unwrap().json,
        match event(Stream::Stock, 800) {
            Draft::Event { json, .. } => json,
            Draft::Note { .. } => unreachable!(),
        }
    );
    // Once drained, what could not be read is kept for whoever wants to look at it.
    spool.acknowledge(Lane::Facts, upto);
    spool.checkpoint(serde_json::value::to_raw_value(&0u64).unwrap()).await.unwrap();
    spool.close().await.unwrap();
    assert_eq!(fs::read_dir(path.join("quarantine")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_segment_with_a_flipped_bit_costs_a_gap() {
    let flip = |segments: &[PathBuf]| {
        let blocks = Scan::of(&segments[1]).unwrap().blocks().to_vec();
        damage::damage_block(&segments[1], blocks[blocks.len() / 2].pos);
    };
    check_damage(flip, true).await;
}

#[tokio::test]
async fn a_segment_that_is_no_database_any_more_costs_a_gap() {
    check_damage(|segments| fs::write(segments[1].join("db"), b"rotten").unwrap(), true).await;
    check_damage(|segments| fs::write(segments[0].join("db"), b"rotten").unwrap(), true).await;
}

#[tokio::test]
async fn a_lost_newest_segment_never_makes_a_number_be_used_twice() {
    check_damage(|segments| fs::write(segments.last().unwrap().join("db"), b"rotten").unwrap(), false).await;
}

#[tokio::test]
async fn large_commits_make_no_side_files() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for n in 0..10 {
        commit(&spool, (0..400).map(|i| event(Stream::Stock, n * 400 + i)).collect()).await;
    }
    for segment in segments(dir.path(), Lane::Facts) {
        assert_eq!(fs::read_dir(segment.join("blobs")).map_or(0, Iterator::count), 0);
    }
}

#[tokio::test]
async fn a_spool_whose_numbering_is_lost_is_set_aside_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let (spool, _) = open(&path);
    let id = spool.id();
    commit(&spool, vec![event(Stream::Stock, 0)]).await;
    spool.close().await.unwrap();
    drop(spool);
    fs::write(path.join("spool"), b"rotten").unwrap();
    let (spool, _) = open(&path);
    assert_eq!(spool.id(), id, "there is a copy");
    spool.close().await.unwrap();
    drop(spool);
    for name in ["spool", "spool-copy"] {
        fs::write(path.join(name), b"rotten").unwrap();
    }
    let (spool, _) = open(&path);
    assert_ne!(spool.id(), id);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_kill_while_a_segment_is_created_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let id = spool.id();
    for n in 0..5 {
        commit(&spool, vec![event(Stream::Stock, n)]).await;
    }
    let first = crash(dir.path());
    let path = first.path().join("spool");
    fs::create_dir(path.join("facts").join(format!("new-{}", dirs::name(6)))).unwrap();
    // And once more, at the next start.
    let (spool, _) = open(&path);
    let second = crash(&path);
    drop(spool);
    let path = second.path().join("spool");
    fs::create_dir_all(path.join("facts").join(format!("new-{}", dirs::name(6)))).unwrap();
    let (spool, _) = open(&path);
    commit(&spool, vec![event(Stream::Stock, 5)]).await;
    let read = seqs(&read_all(&spool, Lane::Facts).await.0, Stream::Stock);
    assert_eq!((spool.id(), read, gaps(&spool).await), (id, (1..=6).collect::<Vec<_>>(), BTreeSet::new()));
}

#[tokio::test]
async fn a_lane_whose_file_is_damaged_keeps_its_segments_over_every_start() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for n in 0..20 {
        commit(&spool, vec![event(Stream::Kiosk, n)]).await;
    }
    spool.close().await.unwrap();
    fs::write(dir.path().join("slots/lane"), b"rotten").unwrap();
    for _ in 0..3 {
        let (spool, _) = open(dir.path());
        assert_eq!(seqs(&read_all(&spool, Lane::Slots).await.0, Stream::Kiosk), (1..=20).collect::<Vec<_>>());
        spool.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_drained_lane_whose_file_is_damaged_knows_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    commit(&spool, (0..200).map(|n| event(Stream::Kiosk, n)).collect()).await;
    commit(&spool, (200..400).map(|n| event(Stream::Kiosk, n)).collect()).await;
    spool.checkpoint(serde_json::value::to_raw_value(&0u64).unwrap()).await.unwrap();
    let (_, upto) = read_all(&spool, Lane::Slots).await;
    spool.acknowledge(Lane::Slots, upto);
    spool.close().await.unwrap();
    let (spool, _) = open(dir.path());
    spool.close().await.unwrap();
    let id = spool.id();
    fs::write(dir.path().join("slots/lane"), b"rotten").unwrap();
    let (spool, _) = open(dir.path());
    commit(&spool, vec![event(Stream::Kiosk, 400)]).await;
    let last = read_all(&spool, Lane::Slots).await.0.pop().unwrap();
    assert_eq!((spool.id(), last.seq, gaps(&spool).await), (id, 401, BTreeSet::new()));
}
