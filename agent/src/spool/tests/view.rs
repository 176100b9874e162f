//! What tools see of a spool that is stopped, and of one that runs.

use super::*;

#[tokio::test]
async fn a_stopped_spool_is_looked_at_without_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for n in 0..40 {
        commit(&spool, (0..20).map(|i| event(Stream::Stock, n * 20 + i)).collect()).await;
    }
    read_all(&spool, Lane::Facts).await;
    spool.acknowledge(Lane::Facts, 7);
    let view = View::open(dir.path()).unwrap();
    assert!(view.is_running());
    assert!(matches!(view.lane(Lane::Facts), Err(SpoolError::Locked(_))));
    spool.close().await.unwrap();

    let before = listing(dir.path());
    let view = View::open(dir.path()).unwrap();
    assert_eq!(view.id(), Some(spool.id()));
    let lane = view.lane(Lane::Facts).unwrap();
    assert_eq!((lane.file, lane.cursor.pos, lane.cursor.seq(Stream::Stock)), (FileState::Whole, 8, 8));
    assert_eq!((lane.head.pos, lane.reserved.pos), (801, 801));
    assert_eq!(view.lane(Lane::Critical).unwrap().file, FileState::Absent);
    let scans: Vec<_> =
        lane.segments.iter().map(|segment| (segment, Scan::of(&segment.dir).unwrap())).collect();
    for (segment, scan) in &scans {
        assert_eq!(scan.mark().unwrap().pos, segment.first_pos);
        assert_eq!(scan.holes(segment.first_pos, segment.end_pos), []);
    }
    let records: Vec<Record> =
        scans.iter().flat_map(|(_, scan)| scan.records(8)).map(Result::unwrap).collect();
    assert_eq!(seqs(&records, Stream::Stock), (8..=800).collect::<Vec<_>>());
    for (now, before) in listing(dir.path()).into_iter().zip(before) {
        assert!(now == before, "{} was {}", now.0.display(), before.0.display());
    }
    drop(view);
    let (spool, _) = open(dir.path());
    assert_eq!(read_all(&spool, Lane::Facts).await.0, records);
}

#[test]
fn a_directory_that_is_no_spool_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(View::open(dir.path()), Err(SpoolError::Io { .. })));
}

#[tokio::test]
async fn stats_tell_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    commit(&spool, (0..20).map(|n| event(Stream::Till, n)).collect()).await;
    spool.read(Lane::Slots, 1, NOW).await;
    spool.acknowledge(Lane::Slots, 5);
    let stats = spool.stats();
    let lane = &stats.lanes[Lane::Slots as usize];
    assert_eq!((lane.cursor, lane.next_pos, lane.backlog_records, lane.segments), (5, 21, 15, 1));
    assert_eq!((lane.first_seqs.get(&Stream::Till), lane.oldest_at), (Some(&6), Some(NOW)));
    assert_eq!((stats.spool_id, stats.events, stats.is_full), (spool.id(), 20, false));
    assert!(stats.payload_bytes > 2000 && stats.written_bytes > 4096, "{stats:?}");
    assert!(lane.disk_bytes >= 4096 && lane.disk_bytes <= 64 * 1024, "{stats:?}");
}

/// All files, with what is in them.
fn listing(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            files.extend(listing(&entry.path()));
        } else {
            files.push((entry.path(), fs::read(entry.path()).unwrap()));
        }
    }
    files.sort();
    files
}
