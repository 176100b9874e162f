//! The power is cut at any instant: what the disk was not told to flush is lost, or torn.
//!
//! [`vitrine_tests::spool::recorder`] says what is modelled and what is not.

use super::{PROGRAM, check};
use std::{fs, path::Path, thread, time::Duration};
use vitrine_protocol::topic::Stream;
use vitrine_tests::spool::{
    disk::Mounted,
    effort,
    ledger::{Balance, Ledger},
    load,
    queue::{self, Queue, Settings},
    recorder::{Recorder, Recording},
    worker::{self, Heard, Reading, Room, Worker},
};

const DISK_BYTES: u64 = 96 << 20;
/// Events of after the cut have serial numbers from here on.
const LATER: u64 = 1 << 40;

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_lose_nothing() {
    let seed = effort::seed("power");
    let mut random = fastrand::Rng::with_seed(seed);
    let (lives, cuts) = (effort::rounds(2, 10), effort::rounds(8, 30));
    let (mut lost_writes, mut events) = (0, 0);
    for life in 0..lives {
        let (mut recording, heard) = live(life);
        let mut instants: Vec<u64> = (0..cuts).map(|_| random.u64(1..=recording.len())).collect();
        instants.sort_unstable();
        for at in instants {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("disk");
            lost_writes += recording.cut(at, &mut random, &file);
            let promised = heard.iter().filter(|heard| heard.at <= at);
            let balance = check_disk(&file, dir.path(), promised).await;
            let balance =
                balance.unwrap_or_else(|e| panic!("life {life}, cut at {at} of {}: {e}", recording.len()));
            assert!(balance.holes.is_empty(), "life {life}, cut at {at}: {}", balance.holes[0]);
            events += balance.received;
        }
    }
    println!(
        "power: {lives} lives, {cuts} cuts each, {lost_writes} writes lost or torn, {events} events, none lost"
    );
    assert!(lost_writes > 0, "no write was lost: nothing was tested");
}

/// A process works for a while on a disk that records.
fn live(life: u64) -> (Recording, Vec<Heard>) {
    let recorder = Recorder::start(DISK_BYTES).unwrap();
    let spool = recorder.point().join("spool");
    let reading = if life.is_multiple_of(2) { Reading::Follow } else { Reading::None };
    let worker = Worker::start(PROGRAM, &spool, Room::Roomy, reading, 0, recorder.clock());
    thread::sleep(Duration::from_secs(if effort::is_long() { 10 } else { 4 }));
    let heard = worker.kill();
    (recorder.stop(), heard)
}

/// Opens the spool that is on a disk, if there is one yet, and reads all that is in it. It must also go on.
async fn check_disk<'a>(
    file: &Path,
    dir: &Path,
    promised: impl Iterator<Item = &'a Heard>,
) -> Result<Balance, String> {
    let point = dir.join("point");
    fs::create_dir(&point).unwrap();
    let mounted = Mounted::ext4(&point, file)?;
    let spool = mounted.point().join("spool");
    let mut ledger = Ledger::default();
    worker::enter(&mut ledger, promised)?;
    check(&spool, Settings::ROOMY, &mut ledger, false).await?;

    let queue = Queue::open(&spool, Settings::ROOMY).map_err(|e| e.to_string())?;
    let drafts = (0..3).map(|n| load::event(Stream::Stock, LATER + n, 100)).collect();
    queue::commit(&queue.spool(), drafts).await.map_err(|e| e.to_string())?;
    ledger.answered(Stream::Stock, LATER..LATER + 3);
    queue.close().await.map_err(|e| e.to_string())?;
    check(&spool, Settings::ROOMY, &mut ledger, false).await
}
