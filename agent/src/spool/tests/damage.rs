//! Damage: what is lost is what was damaged, and is said.

use super::*;
use vitrine_protocol::event::GapReason;

/// A spool with 40 commits of 20 events, as a crash leaves it.
async fn crashed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for n in 0..40 {
        commit(&spool, (0..20).map(|i| event(Stream::Stock, n * 20 + i)).collect()).await;
    }
    crash(dir.path())
}

/// Changes an octet in every copy of the block at `pos`.
pub(super) fn damage_block(segment: &Path, pos: u64) -> Found {
    let found = *Scan::of(segment).unwrap().blocks().iter().find(|block| block.pos == pos).unwrap();
    let db = fs::read(segment.join("db")).unwrap();
    damage_copies(segment, &db[found.offset as usize..][..found.length]);
    found
}

/// The same of the mark that a segment starts with.
pub(super) fn damage_mark(segment: &Path) {
    let first_pos = dirs::first_pos(segment.file_name().unwrap().to_str().unwrap()).unwrap();
    let mark = Scan::of(segment).unwrap().octets(first_pos).next().unwrap().unwrap();
    damage_copies(segment, &mark);
}

fn damage_copies(segment: &Path, block: &[u8]) {
    let db = segment.join("db");
    let mut bytes = fs::read(&db).unwrap();
    for at in 0..=bytes.len() - block.len() {
        if bytes[at..].starts_with(block) {
            bytes[at + 30] ^= 1;
        }
    }
    fs::write(&db, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_block_costs_its_own_events_alone() {
    let crashed = crashed().await;
    let path = crashed.path().join("spool");
    for segment in segments(&path, Lane::Facts) {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(&path, &copy.path().join("spool"));
        let path = copy.path().join("spool");
        let segment = path.join("facts").join(segment.file_name().unwrap());
        let blocks = Scan::of(&segment).unwrap().blocks().to_vec();
        let damaged = damage_block(&segment, blocks[blocks.len() / 2].pos);
        let (spool, _) = open(&path);
        commit(&spool, vec![event(Stream::Stock, 800)]).await;
        let read = seqs(&read_all(&spool, Lane::Facts).await.0, Stream::Stock);
        let gaps: Vec<Gap> = all_gaps(&spool).await.into_iter().filter(|gap| gap.exact).collect();
        let lost = damaged.pos..damaged.end_pos();
        let gap = Gap {
            stream: Stream::Stock,
            first_seq: lost.start,
            last_seq: lost.end - 1,
            reason: GapReason::Corrupt,
            exact: true,
        };
        assert_eq!(gaps, [gap]);
        let expected: Vec<u64> = (1..=800).filter(|seq| !lost.contains(seq)).collect();
        assert_eq!(read[..expected.len()], expected);
        assert!(read.len() == expected.len() + 1);
    }
}

#[tokio::test]
async fn what_a_hole_held_is_told_even_if_only_a_later_start_can_know() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    commit(&spool, (0..20).map(|n| event(Stream::Stock, n)).collect()).await;
    commit(&spool, (0..20).map(|n| event(Stream::Devices, n)).collect()).await;
    commit(&spool, (20..40).map(|n| event(Stream::Stock, n)).collect()).await;
    let crashed = crash(dir.path());
    let path = crashed.path().join("spool");
    damage_block(&segments(&path, Lane::Facts)[0], 21);
    // Everything is read and acknowledged before a new segment tells how far the numbers of devices went.
    let (spool, _) = open(&path);
    let (records, upto) = read_all(&spool, Lane::Facts).await;
    assert_eq!((records.len(), upto), (40, 60));
    spool.acknowledge(Lane::Facts, upto);
    spool.close().await.unwrap();
    let (spool, _) = open(&path);
    commit(&spool, vec![event(Stream::Devices, 20), event(Stream::Stock, 40)]).await;
    let (records, _) = read_all(&spool, Lane::Facts).await;
    assert_eq!((seqs(&records, Stream::Stock), seqs(&records, Stream::Devices)), (vec![41], vec![21]));
    assert_eq!(gaps(&spool).await, [(Stream::Devices, 1, 20, false)].into());
}

#[tokio::test]
async fn a_commit_that_was_cut_off_never_was() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    commit(&spool, (0..20).map(|n| event(Stream::Stock, n)).collect()).await;
    commit(&spool, (20..2020).map(|n| event(Stream::Stock, n)).collect()).await;
    let crashed = crash(dir.path());
    let path = crashed.path().join("spool");
    let newest = segments(&path, Lane::Facts).pop().unwrap();
    let last = *Scan::of(&newest).unwrap().blocks().last().unwrap();
    assert!(last.commit_pos == 21 && last.pos > 21, "the first part of the commit is whole");
    let db = fs::File::options().write(true).open(newest.join("db")).unwrap();
    db.set_len(last.offset + last.length as u64 / 2).unwrap();
    // The lane's file is written some time after a commit; it has not heard of this one.
    fs::remove_file(path.join("facts/lane")).unwrap();
    let (spool, _) = open(&path);
    commit(&spool, vec![event(Stream::Stock, 800)]).await;
    let read = seqs(&read_all(&spool, Lane::Facts).await.0, Stream::Stock);
    assert_eq!(read, (1..=21).collect::<Vec<_>>());
    assert_eq!(all_gaps(&spool).await, []);
}

#[tokio::test]
async fn an_error_while_reading_what_is_written_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    commit(&spool, (0..20).map(|n| event(Stream::Stock, n)).collect()).await;
    assert!(spool.log(Lane::Facts).mark_unreadable(1));
    commit(&spool, (20..40).map(|n| event(Stream::Stock, n)).collect()).await;
    assert_eq!(segments(dir.path(), Lane::Facts).len(), 2);
    assert_eq!(seqs(&read_all(&spool, Lane::Facts).await.0, Stream::Stock), (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_spool_of_another_format_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let files = StateDir::open(dir.path()).unwrap();
    let id = "0".repeat(32);
    files.write("spool", &serde_json::json!({"v": 77, "id": id, "secret": id})).unwrap();
    let (clock, _hand) = Clock::turned(NOW);
    let error = Spool::open::<u64>(&config(dir.path()), context(), clock).unwrap_err().to_string();
    assert!(error.contains("format 77") && error.contains("install the version"), "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_explained() {
    for (dir, what) in
        [("/proc/none/spool", "is the directory there"), ("/dev/null/spool", "is the directory there")]
    {
        let (clock, _hand) = Clock::turned(NOW);
        let error = Spool::open::<u64>(&config(Path::new(dir)), context(), clock).unwrap_err().to_string();
        assert!(error.starts_with(dir) && error.contains(what), "{error}");
    }
}
