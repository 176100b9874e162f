//! The power is cut at any instant: what the disk was not told to flush is lost, or torn.
//!
//! [`vitrine_tests::spool::recorder`] and [`vitrine_tests::spool::replay`] say what is modelled and what is not.

use super::{PROGRAM, check, check_is_whole};
use std::{fs, path::Path, thread, time::Duration};
use vitrine_protocol::topic::Stream;
use vitrine_tests::spool::{
    disk::{self, Mounted},
    effort,
    ledger::{Balance, Ledger},
    load,
    queue::{self, Queue, Settings},
    recorder::{Recorder, Recording},
    replay::Files,
    traced::{self, Call},
    worker::{self, Heard, Reading, Room, Said, Worker},
};

const DISK_BYTES: u64 = 96 << 20;
/// Events of after the cut have serial numbers from here on.
const LATER: u64 = 1 << 40;

/// On a real file system, whose disk records.
#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_of_a_disk_lose_nothing() {
    if let Err(why) = disk::can_mount() {
        println!(
            "not run: no loop devices here ({why}). The replay of a log of writes and syncs, in this file, stands for it."
        );
        return;
    }
    let mut random = fastrand::Rng::with_seed(effort::seed("power"));
    let (lives, cuts) = (effort::rounds(2, 10), effort::rounds(8, 30));
    let (mut lost_writes, mut events) = (0, 0);
    for life in 0..lives {
        let (mut recording, heard) = live(life);
        let mut instants: Vec<u64> = (0..cuts).map(|_| recording.instant(&mut random)).collect();
        instants.sort_unstable();
        for at in instants {
            let dir = tempfile::tempdir().unwrap();
            let (file, point) = (dir.path().join("disk"), dir.path().join("point"));
            lost_writes += recording.cut(at, &mut random, &file);
            fs::create_dir(&point).unwrap();
            let mounted = Mounted::ext4(&point, &file).unwrap();
            let promised = heard.iter().filter(|heard| heard.at <= at).map(|heard| &heard.what);
            let balance = go_on(&mounted.point().join("spool"), promised).await;
            let balance =
                balance.unwrap_or_else(|e| panic!("life {life}, cut at {at} of {}: {e}", recording.len()));
            events += balance.received;
        }
    }
    println!(
        "power: {lives} lives, {cuts} cuts each; {lost_writes} writes lost or torn; {events} events came, none lost"
    );
    assert!(lost_writes > 0, "no write was lost: nothing was tested");
}

/// On what the process asked of its files, anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_of_a_log_of_writes_and_syncs_lose_nothing() {
    let mut random = fastrand::Rng::with_seed(effort::seed("power by log"));
    let (lives, cuts) = (effort::rounds(2, 10), effort::rounds(8, 30));
    let (mut lost, mut events) = (0, 0);
    for life in 0..lives {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let (spool, serial) = (root.join("spool"), (life << 20).to_string());
        let command = [PROGRAM, spool.to_str().unwrap(), &serial, "none", "roomy"];
        let calls = traced::run(&command, &dir.path().join("log"), Duration::from_secs(2)).unwrap();
        let mut instants: Vec<usize> = (0..cuts).map(|_| random.usize(..calls.len())).collect();
        instants.sort_unstable();
        let (mut files, mut done) = (Files::new(&root), 0);
        for at in instants {
            calls[done..at].iter().for_each(|call| files.take(call));
            done = at;
            let place = dir.path().join("cut");
            lost += files.cut(&mut random, &place);
            let promised = calls[..at].iter().filter_map(|call| match call {
                Call::Say(said) => Some(said),
                _ => None,
            });
            let balance = go_on(&place.join("spool"), promised).await;
            let balance =
                balance.unwrap_or_else(|e| panic!("life {life}, cut at {at} of {}: {e}", calls.len()));
            events += balance.received;
            fs::remove_dir_all(place).unwrap();
        }
    }
    println!(
        "power by log: {lives} lives, {cuts} cuts each; {lost} changes lost or torn; {events} events came, none lost"
    );
    assert!(lost > 0, "nothing was lost: nothing was tested");
}

/// A process works for a while on a disk that records.
fn live(life: u64) -> (Recording, Vec<Heard>) {
    let recorder = Recorder::start(DISK_BYTES).unwrap();
    let spool = recorder.point().join("spool");
    let reading = if life.is_multiple_of(2) { Reading::Follow } else { Reading::None };
    let worker = Worker::start(PROGRAM, &spool, Room::Roomy, reading, 0, recorder.clock());
    thread::sleep(Duration::from_secs(if effort::is_long() { 8 } else { 2 }));
    let heard = worker.kill();
    (recorder.stop(), heard)
}

/// Opens the spool that was cut off, works on with it, and reads all that is in it.
async fn go_on<'a>(spool: &Path, promised: impl Iterator<Item = &'a Said>) -> Result<Balance, String> {
    let mut ledger = Ledger::default();
    worker::enter_all(&mut ledger, promised)?;
    check_is_whole(spool)?;
    let queue = Queue::open(spool, Settings::ROOMY).map_err(|e| e.to_string())?;
    let drafts = (0..3).map(|n| load::event(Stream::Stock, LATER + n, 100)).collect();
    queue::commit(&queue.spool(), drafts).await.map_err(|e| e.to_string())?;
    ledger.answered(Stream::Stock, LATER..LATER + 3);
    queue.close().await.map_err(|e| e.to_string())?;
    let balance = check(spool, Settings::ROOMY, &mut ledger, false).await?;
    balance.holes.first().map_or(Ok(()), |hole| Err(hole.to_string()))?;
    Ok(balance)
}
