//! The disk is full, by the spool's doing or others'; and has room again later.

use super::{PROGRAM, STUCK, check};
use std::{fs::File, io::Write, path::Path, thread, time::Duration};
use tokio::time::{sleep, timeout};
use vitrine_agent::spool::{Lane, WhenFull};
use vitrine_protocol::event::GapReason;
use vitrine_tests::spool::{
    disk::{self, Mounted},
    effort,
    ledger::Ledger,
    load,
    queue::{self, Queue, Settings},
    worker::{self, Reading, Room, Worker},
};

const DISK_BYTES: u64 = 10 << 20;
const EVENT_OCTETS: usize = 3000;
/// More than fit on a full disk, fewer than fit on an empty one.
const STUCK_EVENTS: u64 = 2500;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process fills the disk and is killed, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_fills_its_disk_loses_what_gaps_state() {
    if !disk::in_namespace("full::a_spool_that_fills_its_disk_loses_what_gaps_state") {
        return;
    }
    let seed = effort::seed("full disk");
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let disk = Mounted::memory(dir.path(), DISK_BYTES);
    let spool = disk.point().join("spool");
    let mut ledger = Ledger::of_harmed();
    let rounds = effort::rounds(4, 40);
    for round in 0..rounds {
        let worker = Worker::start(PROGRAM, &spool, Room::Roomy, Reading::None, round << 20, || 0);
        thread::sleep(Duration::from_millis(random.u64(1500..5000)));
        let heard = worker.kill();
        worker::enter(&mut ledger, &heard).unwrap_or_else(|e| panic!("round {round}: {e}"));
        if random.bool() {
            check(&spool, Settings::ROOMY, &mut ledger, random.u8(..4) == 0)
                .await
                .unwrap_or_else(|e| panic!("round {round}: {e}"));
        }
    }
    let balance = check(&spool, Settings::ROOMY, &mut ledger, true).await.unwrap();
    println!(
        "full disk: {rounds} rounds, {} events came, {} lie in {} gaps",
        balance.received,
        balance.lost,
        balance.holes.len()
    );
    for hole in &balance.holes {
        assert!(hole.reason == GapReason::DiskFull && hole.exact, "{hole}");
    }
    assert!(balance.lost > 0, "the disk was never full");
}

/// Others take all room that is left; lanes that push back wait, and lose nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_others_fill_loses_nothing_where_lanes_push_back() {
    if !disk::in_namespace("full::a_disk_that_others_fill_loses_nothing_where_lanes_push_back") {
        return;
    }
    let mut random = fastrand::Rng::with_seed(effort::seed("disk filled by others"));
    let dir = tempfile::tempdir().unwrap();
    let disk = Mounted::memory(dir.path(), DISK_BYTES);
    let (spool, filler) = (disk.point().join("spool"), disk.point().join("filler"));
    let settings = Settings { when_full: WhenFull::PushBack, ..Settings::ROOMY };
    let mut queue = Queue::open(&spool, settings).unwrap();
    let mut ledger = Ledger::default();
    let mut serial = 0;
    for round in 0..effort::rounds(2, 12) {
        serial = append(&queue, &mut ledger, serial, random.u64(1..200)).await;
        fill(&filler);
        let spool = queue.spool();
        let stuck = tokio::spawn(async move {
            let mut ledger = Ledger::default();
            let serial = append_to(&spool, &mut ledger, serial, STUCK_EVENTS).await;
            (ledger, serial)
        });
        let turned_away = async {
            while queue.spool().admit().is_ok() {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(STUCK, turned_away).await.expect("a full disk turns producers away");
        assert!(!stuck.is_finished(), "round {round}: they all fit on a full disk");
        // What is there can be read all the while.
        let before = read(&mut queue, &mut ledger).await;
        assert!(before > 0, "round {round}: nothing could be read");

        std::fs::remove_file(&filler).unwrap();
        if round % 2 == 1 {
            queue.free().await.unwrap();
        }
        let (more, after) = timeout(STUCK, stuck).await.expect("commits go on when there is room").unwrap();
        ledger.answered_too(more);
        serial = after;
        read(&mut queue, &mut ledger).await;
        queue.free().await.unwrap();
        let let_in = async {
            while queue.spool().admit().is_err() {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(STUCK, let_in).await.expect("producers are let in when there is room");
    }
    queue.close().await.unwrap();
    let balance = check(&spool, settings, &mut ledger, true).await.unwrap();
    assert!(balance.holes.is_empty(), "{}", balance.holes[0]);
    println!("disk filled by others: {} events, none lost", balance.received);
}

/// Others take all room, and a process that evicts is killed and started on the full disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_can_be_started_on() {
    if !disk::in_namespace("full::a_full_disk_can_be_started_on") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = Mounted::memory(dir.path(), DISK_BYTES);
    let (spool, filler) = (disk.point().join("spool"), disk.point().join("filler"));
    let mut ledger = Ledger::of_harmed();
    for round in 0..effort::rounds(2, 10) {
        let worker = Worker::start(PROGRAM, &spool, Room::Roomy, Reading::None, round << 20, || 0);
        thread::sleep(Duration::from_millis(700));
        fill(&filler);
        thread::sleep(Duration::from_millis(700));
        let heard = worker.kill();
        worker::enter(&mut ledger, &heard).unwrap_or_else(|e| panic!("round {round}: {e}"));

        // What can be read on a full disk is right; whether it opens or says why not is up to it.
        match Queue::open(&spool, Settings::ROOMY) {
            Ok(queue) => queue.close().await.unwrap(),
            Err(error) => println!("round {round}: on a full disk: {error}"),
        }
        std::fs::remove_file(&filler).unwrap();
        check(&spool, Settings::ROOMY, &mut ledger, round % 2 == 0)
            .await
            .unwrap_or_else(|e| panic!("round {round}: {e}"));
    }
    let balance = ledger.balance().unwrap();
    for hole in &balance.holes {
        assert!(hole.reason == GapReason::DiskFull && hole.exact, "{hole}");
    }
    println!("started on a full disk: {} events came, {} lie in gaps", balance.received, balance.lost);
}

async fn append(queue: &Queue, ledger: &mut Ledger, serial: u64, count: u64) -> u64 {
    append_to(&queue.spool(), ledger, serial, count).await
}

/// Commits so many events, by ten, in turn to each lane; returns the next serial number.
async fn append_to(
    spool: &vitrine_agent::spool::Spool,
    ledger: &mut Ledger,
    mut serial: u64,
    count: u64,
) -> u64 {
    let end = serial + count;
    while serial < end {
        let [stream, _] = load::streams(Lane::ALL[(serial / 10 % 3) as usize]);
        let next = serial + 10;
        let events = (serial..next).map(|n| load::event(stream, n, EVENT_OCTETS)).collect();
        queue::commit(spool, events).await.unwrap();
        ledger.answered(stream, serial..next);
        serial = next;
    }
    serial
}

/// Reads what there is now; returns how many events that were.
async fn read(queue: &mut Queue, ledger: &mut Ledger) -> usize {
    let mut count = 0;
    for lane in Lane::ALL {
        loop {
            let chunk = queue.read(lane).await;
            if chunk.records.is_empty() {
                break;
            }
            count += chunk.records.len();
            chunk.records.iter().for_each(|record| ledger.received(record).unwrap());
        }
    }
    count
}

/// Takes all the room that is left.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [1 << 16, 1 << 12] {
        while file.write_all(&vec![0xaa; size]).is_ok() {}
    }
}
