//! Bounds: what gives way when a lane is full, and what is said of it.

use super::*;
use std::ops::RangeInclusive;
use vitrine_protocol::event::GapReason;

/// Room for some segments of the tests' size.
const BYTES_MAX: u64 = 128 * 1024;

fn bounded(dir: &Path, lane: Lane, when_full: WhenFull) -> Config {
    let mut config = config(dir);
    *config.bound_mut(lane) = Bound { bytes_max: BYTES_MAX, when_full };
    config
}

async fn fill(spool: &Spool, stream: Stream, commits: u64) {
    for n in 0..commits {
        commit(spool, (0..20).map(|i| event(stream, n * 20 + i)).collect()).await;
    }
}

/// Every event comes, or lies in exactly one gap of that reason. Returns the range that the gaps make up.
async fn check_gaps(spool: &Spool, stream: Stream, upto: u64, reason: GapReason) -> (u64, u64) {
    let acknowledged = spool.log(Lane::of(stream)).acknowledged().seq(stream) - 1;
    let lane = Lane::of(stream);
    let gaps = gaps_once(spool, lane, |gaps, records| {
        !gaps.is_empty() && is_accounted_for(gaps, records, stream, acknowledged + 1..=upto)
    });
    let gaps: Vec<Gap> = gaps.await.into_iter().filter(|gap| gap.stream == stream).collect();
    assert!(gaps.iter().all(|gap| (gap.reason, gap.exact) == (reason, true)), "{gaps:?}");
    (gaps[0].first_seq, gaps.last().unwrap().last_seq)
}

#[tokio::test]
async fn a_full_lane_gives_up_its_oldest_segments_and_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open_with(&bounded(dir.path(), Lane::Facts, WhenFull::EvictOldest));
    fill(&spool, Stream::Stock, 150).await;
    let stats = spool.stats();
    assert!(stats.lanes[Lane::Facts as usize].disk_bytes <= BYTES_MAX, "{stats:?}");
    assert!(stats.evicted_segments > 5, "{stats:?}");
    let (first, last) = check_gaps(&spool, Stream::Stock, 3000, GapReason::Evicted).await;
    assert_eq!((first, all_gaps(&spool).await.len()), (1, 1));
    assert_eq!(spool.stats().lost_events, last);
}

#[tokio::test]
async fn what_was_acknowledged_is_no_part_of_the_gap_and_a_restart_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = bounded(dir.path(), Lane::Facts, WhenFull::EvictOldest);
    let (spool, _) = open_with(&config);
    fill(&spool, Stream::Stock, 2).await;
    spool.read(Lane::Facts, 1, NOW).await;
    spool.acknowledge(Lane::Facts, 7);
    fill(&spool, Stream::Stock, 148).await;
    spool.close().await.unwrap();
    let (spool, _) = open_with(&config);
    assert_eq!(check_gaps(&spool, Stream::Stock, 3000, GapReason::Evicted).await.0, 8);
    spool.close().await.unwrap();
    // The gap waits for the platform; reading the lane again makes no other.
    let (spool, _) = open_with(&config);
    assert_eq!(check_gaps(&spool, Stream::Stock, 3000, GapReason::Evicted).await.0, 8);
}

#[tokio::test]
async fn a_gap_is_stated_once_even_if_a_crash_keeps_the_lane_from_knowing() {
    let dir = tempfile::tempdir().unwrap();
    let config = bounded(dir.path(), Lane::Facts, WhenFull::EvictOldest);
    let (spool, _) = open_with(&config);
    fill(&spool, Stream::Stock, 150).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = fs::read(dir.path().join("facts/lane")).unwrap();
    check_gaps(&spool, Stream::Stock, 3000, GapReason::Evicted).await;
    let crashed = crash(dir.path());
    let path = crashed.path().join("spool");
    fs::write(path.join("facts/lane"), before).unwrap();
    let (spool, _) = open_with(&bounded(&path, Lane::Facts, WhenFull::EvictOldest));
    check_gaps(&spool, Stream::Stock, 3000, GapReason::Evicted).await;
}

#[tokio::test]
async fn a_reader_in_the_middle_meets_the_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open_with(&bounded(dir.path(), Lane::Facts, WhenFull::EvictOldest));
    fill(&spool, Stream::Stock, 10).await;
    let chunk = spool.read(Lane::Facts, 1, NOW).await;
    let upto = chunk.next_pos - 1;
    spool.acknowledge(Lane::Facts, upto);
    fill(&spool, Stream::Stock, 140).await;
    let read = seqs(&read_all(&spool, Lane::Facts).await.0, Stream::Stock);
    let gaps = all_gaps(&spool).await;
    assert_eq!((gaps.len(), gaps[0].first_seq), (1, upto + 1), "{gaps:?}");
    assert_eq!(read, (gaps[0].last_seq + 1..=3000).collect::<Vec<_>>());
}

#[tokio::test]
async fn gaps_are_never_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open_with(&bounded(dir.path(), Lane::Critical, WhenFull::EvictOldest));
    let gap = Gap { stream: Stream::Till, first_seq: 4, last_seq: 9, reason: GapReason::Reset, exact: false };
    let id = spool.ids().derive(&[b"test"]);
    let stated =
        Event { id, time: NOW, clock: vitrine_protocol::event::Clock::Synced, body: Body::Gap(gap.clone()) };
    let json = serde_json::to_string(&stated).unwrap().into();
    commit(&spool, vec![Draft::Event { stream: Stream::Gaps, hold_until: None, json }]).await;
    fill(&spool, Stream::Flows, 300).await;
    assert!(spool.stats().evicted_segments > 5);
    let gaps = gaps_once(&spool, Lane::Critical, |gaps, records| {
        let last = *seqs(records, Stream::Gaps).last().unwrap();
        is_accounted_for(gaps, records, Stream::Flows, 1..=6000)
            && is_accounted_for(gaps, records, Stream::Gaps, 1..=last)
    });
    let gaps = gaps.await;
    assert_eq!(gaps.iter().filter(|found| **found == gap).count(), 1, "{gaps:?}");
}

/// All gaps, once they and the records of a lane are as they should be: to state a gap may take room, and so make another, a
/// little later.
async fn gaps_once(
    spool: &Spool,
    lane: Lane,
    as_they_should: impl Fn(&[Gap], &[Record]) -> bool,
) -> Vec<Gap> {
    for _ in 0..500 {
        let (gaps, (records, _)) = (all_gaps(spool).await, read_all(spool, lane).await);
        if as_they_should(&gaps, &records) {
            return gaps;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("numbers are not accounted for: {:?}", all_gaps(spool).await);
}

/// Whether each of a stream's `numbers` is in a record or in a gap, once; also those that the gap had in segments
/// that are gone.
fn is_accounted_for(gaps: &[Gap], records: &[Record], stream: Stream, numbers: RangeInclusive<u64>) -> bool {
    let of_stream = gaps.iter().filter(|gap| gap.stream == stream);
    let lost = of_stream.flat_map(|gap| gap.first_seq..=gap.last_seq);
    lost.chain(seqs(records, stream)).eq(numbers)
}

#[tokio::test]
async fn a_lane_that_pushes_back_turns_producers_away_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open_with(&bounded(dir.path(), Lane::Slots, WhenFull::PushBack));
    assert_eq!(spool.admit(), Ok(()));
    let mut commits = 0;
    while spool.admit().is_ok() {
        assert!(commits < 200, "it never was full");
        commit(&spool, (0..20).map(|i| event(Stream::Kiosk, commits * 20 + i)).collect()).await;
        commits += 1;
    }
    let full = spool.admit().unwrap_err();
    assert_eq!(full.lane, Some(Lane::Slots));
    assert!(full.retry_after >= Duration::from_secs(1));
    // What was taken on before is written still.
    commit(&spool, vec![event(Stream::Kiosk, 0)]).await;
    let (records, upto) = read_all(&spool, Lane::Slots).await;
    assert_eq!(seqs(&records, Stream::Kiosk), (1..=commits * 20 + 1).collect::<Vec<_>>());
    spool.acknowledge(Lane::Slots, upto);
    spool.checkpoint(serde_json::value::to_raw_value(&0u64).unwrap()).await.unwrap();
    spool.acknowledge(Lane::Slots, upto);
    eventually(|| spool.admit().is_ok()).await;
    assert_eq!(all_gaps(&spool).await, []);
}

#[tokio::test]
async fn below_the_floor_the_spool_does_not_grow() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let (spool, _) = open_with(&config);
    fill(&spool, Stream::Stock, 60).await;
    fill(&spool, Stream::Kiosk, 30).await;
    spool.close().await.unwrap();
    let facts = segments(dir.path(), Lane::Facts).len();
    // No disk has so much room.
    let (spool, _) = open_with(&Config { free_space_floor_bytes: u64::MAX / 2, ..config });
    tokio::time::sleep(Duration::from_millis(100)).await;
    fill(&spool, Stream::Kiosk, 30).await;
    let left = spool.stats().lanes[Lane::Facts as usize].segments;
    assert!(left > 0 && (left as usize) < facts, "{left} of {facts} segments are left");
    check_gaps(&spool, Stream::Stock, 1200, GapReason::DiskFull).await;
    assert_eq!(seqs(&read_all(&spool, Lane::Slots).await.0, Stream::Kiosk), (1..=1200).collect::<Vec<_>>());
}

#[tokio::test]
async fn small_commits_are_packed_once_their_segment_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { commit_delay: Duration::ZERO, segment_bytes: 256 * 1024, ..config(dir.path()) };
    let (spool, _) = open_with(&config);
    let mut n = 0;
    while segments(dir.path(), Lane::Facts).len() < 3 {
        commit(&spool, vec![event(Stream::Stock, n)]).await;
        n += 1;
    }
    let before = spool.stats().lanes[Lane::Facts as usize].disk_bytes;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Whatever happens in the spool makes it look.
        commit(&spool, vec![event(Stream::Stock, n)]).await;
        n += 1;
        if spool.stats().lanes[Lane::Facts as usize].disk_bytes < before * 3 / 4 {
            break;
        }
    }
    let after = spool.stats().lanes[Lane::Facts as usize].disk_bytes;
    assert!(after < before * 3 / 4, "{before} octets before, {after} after");
    let all: Vec<u64> = (1..=n).collect();
    assert_eq!(seqs(&read_all(&spool, Lane::Facts).await.0, Stream::Stock), all);
    let (again, _) = open_with(&Config { dir: crash(dir.path()).keep().join("spool"), ..config });
    assert_eq!(seqs(&read_all(&again, Lane::Facts).await.0, Stream::Stock), all);
    assert_eq!(all_gaps(&again).await, []);
}
