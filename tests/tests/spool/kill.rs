//! The process is killed at any instant, again and again on the same spool.

use super::{PROGRAM, check, check_is_whole};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tokio::time::Instant;
use vitrine_agent::spool::Lane;
use vitrine_protocol::event::GapReason;
use vitrine_tests::spool::{
    disk, effort,
    ledger::{Balance, Ledger},
    queue::Settings,
    worker::{self, Reading, Room, Said, Worker},
};

/// More than a process comes to in its short life.
const SERIALS_A_ROUND: u64 = 1 << 20;
/// What is aimed at comes within this time, or the process is killed anyway.
const PATIENCE: Duration = Duration::from_secs(3);

/// When the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aim {
    /// Before it says that the spool is open.
    Opening,
    /// At any time after that.
    Working,
    /// As soon as a segment comes to be.
    Rotation,
    /// As soon as a segment is being removed.
    Removal,
}

const AIMS: [Aim; 4] = [Aim::Opening, Aim::Working, Aim::Rotation, Aim::Removal];

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing() {
    let balance = kill_again_and_again("kills", Room::Roomy, effort::rounds(20, 150)).await;
    assert!(balance.holes.is_empty(), "{}", balance.holes[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_while_segments_are_evicted_lose_only_what_gaps_state() {
    let balance = kill_again_and_again("kills in tight room", Room::Tight, effort::rounds(10, 100)).await;
    for hole in &balance.holes {
        assert!(hole.reason == GapReason::Evicted && hole.exact, "{hole}");
    }
    assert!(!balance.holes.is_empty(), "nothing was evicted");
}

/// Returns the account after the last round. After every round it must balance.
async fn kill_again_and_again(test: &str, room: Room, rounds: u64) -> Balance {
    let seed = effort::seed(test);
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let mut ledger = if room == Room::Tight { Ledger::of_harmed() } else { Ledger::default() };
    let mut opening = Duration::from_millis(100);
    let mut hits = [0; AIMS.len()];
    let mut was_evicted = room == Room::Roomy;
    let mut round = 0;
    // On a busy machine a process comes to little: rounds are added until something was evicted.
    while round < rounds || !was_evicted && round < 5 * rounds {
        round += 1;
        let aim = *random.choice(&AIMS).unwrap();
        // In tight room it is eviction that removes segments.
        let reads = room == Room::Roomy && aim == Aim::Removal || random.u8(..4) == 0;
        let reading = if reads { Reading::Follow } else { Reading::None };
        let worker = Worker::start(PROGRAM, &spool, room, reading, round * SERIALS_A_ROUND, || 0);
        hits[aim as usize] += u64::from(take_aim(&worker, aim, &spool, &mut opening, &mut random));
        let heard = worker.kill();
        let place = format!("round {round}, {aim:?}");
        worker::enter(&mut ledger, &heard).unwrap_or_else(|e| panic!("{place}: {e}"));
        check_is_whole(&spool).unwrap_or_else(|e| panic!("{place}: {e}"));
        // Now and then it is left to the next process to find what the last one left.
        let checked = match random.u8(..4) {
            0 => continue,
            1 => check_copy(&spool, room.settings(), ledger.clone()).await,
            _ => check(&spool, room.settings(), &mut ledger, random.u8(..8) == 0).await,
        };
        let balance = checked.unwrap_or_else(|e| panic!("{place}: {e}"));
        assert!(room == Room::Tight || balance.holes.is_empty(), "{place}: {}", balance.holes[0]);
        was_evicted |= !balance.holes.is_empty();
    }
    let balance = check(&spool, room.settings(), &mut ledger, true).await.unwrap();
    println!(
        "{test}: {round} rounds, {} events came, {} lie in {} gaps",
        balance.received,
        balance.lost,
        balance.holes.len()
    );
    for (aim, hits) in AIMS.into_iter().zip(hits) {
        println!("{test}: {hits} rounds killed at {aim:?}");
        assert!(hits > 0 || !effort::is_long(), "no round was killed at {aim:?}");
    }
    balance
}

/// Waits for the instant; tells whether it came.
fn take_aim(
    worker: &Worker,
    aim: Aim,
    spool: &Path,
    opening: &mut Duration,
    random: &mut fastrand::Rng,
) -> bool {
    let started = Instant::now();
    let is_open = || worker.has_said(|said| matches!(said, Said::Open));
    if aim == Aim::Opening {
        thread::sleep(opening.mul_f64(random.f64()));
        return !is_open();
    }
    watch(is_open);
    *opening = started.elapsed();
    match aim {
        Aim::Rotation => {
            let before = newest_segments(spool);
            watch(|| newest_segments(spool) != before)
        }
        Aim::Removal => watch(|| names(spool).iter().any(|name| is_named(name, "dead-"))),
        Aim::Opening | Aim::Working => {
            thread::sleep(Duration::from_millis(random.u64(..500)));
            true
        }
    }
}

/// Looks as often as it can.
fn watch(look: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if look() {
            return true;
        }
        thread::sleep(Duration::from_micros(100));
    }
    false
}

/// Everything in the lanes' directories.
fn names(spool: &Path) -> Vec<PathBuf> {
    let lanes = Lane::ALL.into_iter().filter_map(|lane| fs::read_dir(spool.join(lane.name())).ok());
    lanes.flatten().flatten().map(|entry| entry.path()).collect()
}

fn is_named(path: &Path, prefix: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
}

fn newest_segments(spool: &Path) -> Vec<PathBuf> {
    let lanes = Lane::ALL.map(|lane| {
        names(spool)
            .into_iter()
            .filter(|path| path.starts_with(spool.join(lane.name())) && is_named(path, "seg-"))
            .max()
    });
    lanes.into_iter().flatten().collect()
}

/// The same on a copy: the spool stays as the killed process left it.
async fn check_copy(spool: &Path, settings: Settings, mut ledger: Ledger) -> Result<Balance, String> {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("spool");
    disk::copy_dir(spool, &copy);
    check(&copy, settings, &mut ledger, false).await
}
