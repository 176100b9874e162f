//! Storage that rots: bits flip, pages turn to rubbish, files lose their end. Whatever it is, every event still comes, or
//! lies in exactly one gap; and who looks through the segments finds the damage.

use super::check;
use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use vitrine_agent::spool::{Finding, Lane, Scan, View, verify};
use vitrine_protocol::event::GapReason;
use vitrine_tests::spool::{
    disk, effort,
    ledger::{Balance, Ledger},
    load,
    queue::{self, Queue, Settings},
};

const PAGE: u64 = 4096;
/// Of each lane's two streams together.
const EVENTS: u64 = 1200;
const EVENT_OCTETS: usize = 1500;

/// What happens to a file at some octet of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// One bit is another.
    Flip,
    /// The file ends there.
    Truncate,
    /// From there on to the end of the page there is something else.
    Overwrite,
}

/// A segment of a lane.
#[derive(Clone, Debug)]
struct Place {
    lane: Lane,
    /// Below the spool's.
    dir: PathBuf,
    is_newest: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_costs_what_gaps_state_and_is_found() {
    let seed = effort::seed("damage");
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let ledger = fill(&whole).await;
    let places = places(&whole);
    assert_eq!(findings(&whole, None), [], "something is wrong already");
    let rounds = effort::rounds(60, 400);
    let (mut lossy, mut lost, mut harmless) = (0, 0, 0);
    for round in 0..rounds {
        let spool = dir.path().join(format!("round-{round}"));
        disk::copy_dir(&whole, &spool);
        let place = random.choice(&places).unwrap();
        let (damage, at) = injure(&spool.join(&place.dir).join("db"), &mut random);
        let what = format!("round {round}, {damage:?} at {at} of {place:?}");
        let findings = findings(&spool, Some(place.lane));
        let is_found = !findings.is_empty();
        for pos in destroyed(&whole.join(&place.dir), &spool.join(&place.dir)) {
            let mut holes = findings.iter().flat_map(|finding| &finding.positions);
            assert!(
                holes.any(|hole| hole.first_pos <= pos && pos <= hole.last_pos),
                "{what}: {pos} not found"
            );
        }
        let mut ledger = ledger.clone();
        let balance = go_on(&spool, &mut ledger, round).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(balance.split_hole(), None, "{what}");
        for hole in &balance.holes {
            assert!(hole.reason == GapReason::Corrupt, "{what}: {hole}");
            assert!(Lane::of(hole.stream) == place.lane, "{what}: {hole}");
            assert!(hole.exact || place.is_newest, "{what}: {hole}");
        }
        if damage == Damage::Flip {
            let streams = load::streams(place.lane);
            let of = |stream| balance.holes.iter().filter(|hole| hole.stream == stream).count();
            assert!(streams.into_iter().all(|stream| of(stream) <= 1), "{what}: {:?}", balance.holes);
        }
        assert!(is_found || balance.holes.is_empty(), "{what}: lossy, and not found");
        lossy += u64::from(!balance.holes.is_empty());
        harmless += u64::from(!is_found);
        lost += balance.lost;
        fs::remove_dir_all(&spool).unwrap();
    }
    println!(
        "damage: {rounds} rounds, {lossy} lost something, {lost} events in all; {harmless} hit nothing of worth"
    );
    assert!(lossy > rounds / 4, "the damage was too little to test anything");
}

/// A spool with several closed segments in every lane, which was closed well.
async fn fill(spool: &Path) -> Ledger {
    let mut ledger = Ledger::default();
    let queue = Queue::open(spool, Settings::ROOMY).unwrap();
    for serial in (0..EVENTS).step_by(30) {
        for lane in Lane::ALL {
            let streams = load::streams(lane);
            let events =
                (serial..serial + 30).map(|n| load::event(streams[usize::from(n % 7 == 0)], n, EVENT_OCTETS));
            queue::commit(&queue.spool(), events.collect()).await.unwrap();
        }
    }
    for lane in Lane::ALL {
        let [often, seldom] = load::streams(lane);
        for n in 0..EVENTS {
            ledger.answered(if n % 7 == 0 { seldom } else { often }, n..n + 1);
        }
    }
    queue.close().await.unwrap();
    ledger
}

/// All segments.
fn places(spool: &Path) -> Vec<Place> {
    let view = View::open(spool).unwrap();
    let mut places = Vec::new();
    for lane in Lane::ALL {
        let segments = view.lane(lane).unwrap().segments;
        assert!(segments.len() > 3, "{lane:?}: {segments:?}");
        places.extend(segments.into_iter().map(|segment| Place {
            lane,
            dir: segment.dir.strip_prefix(spool).unwrap().to_owned(),
            is_newest: segment.end_pos.is_none(),
        }));
    }
    places
}

/// What `vitrine spool verify` finds in a lane, or the files of the whole spool, and nowhere else.
fn findings(spool: &Path, lane: Option<Lane>) -> Vec<Finding> {
    let found = verify(&View::open(spool).unwrap()).unwrap().findings;
    assert!(found.iter().all(|finding| finding.lane == lane), "{found:#?}");
    found
}

/// Positions of blocks of which there is no copy any more in `injured`.
fn destroyed(whole: &Path, injured: &Path) -> Vec<u64> {
    let left = Scan::of(injured).unwrap();
    let left: Vec<_> = left.blocks().iter().map(|block| block.pos).collect();
    let blocks = Scan::of(whole).unwrap();
    blocks.blocks().iter().map(|block| block.pos).filter(|pos| !left.contains(pos)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_the_spool_or_a_lane_is_found() {
    let mut random = fastrand::Rng::with_seed(effort::seed("files"));
    let dir = tempfile::tempdir().unwrap();
    let (whole, spool) = (dir.path().join("whole"), dir.path().join("spool"));
    fill(&whole).await;
    let lanes = Lane::ALL.map(|lane| (Some(lane), format!("{}/lane", lane.name())));
    let files = ["spool", "spool-copy"].map(|name| (None, name.to_owned())).into_iter().chain(lanes);
    let mut found = 0;
    for (lane, file) in files.collect::<Vec<_>>().into_iter().cycle().take(effort::rounds(100, 1000) as usize)
    {
        disk::copy_dir(&whole, &spool);
        let path = spool.join(&file);
        let (damage, at) = injure(&path, &mut random);
        let is_found = !findings(&spool, lane).is_empty();
        let (before, after) = (fs::read(whole.join(&file)).unwrap(), fs::read(&path).unwrap());
        let matters = values(&before, lane) != values(&after, lane);
        assert_eq!(is_found, matters, "{damage:?} at {at} of {file}");
        found += u64::from(is_found);
        fs::remove_dir_all(&spool).unwrap();
    }
    assert!(found > 20, "the damage was too little to test anything");
}

/// What is read of a file: all of it, though the digits of its checksum may be of either case; of a lane's, the octets of its two places that a
/// value takes.
fn values(octets: &[u8], lane: Option<Lane>) -> Vec<Vec<u8>> {
    const PLACE: usize = 8192;
    const DIGITS: Range<usize> = 16..24;
    if lane.is_none() {
        let mut octets = octets.to_vec();
        octets.get_mut(DIGITS).into_iter().for_each(<[u8]>::make_ascii_lowercase);
        return vec![octets];
    }
    let of_place = |place: usize| {
        let place = octets.get(place * PLACE..)?;
        let length = u32::from_le_bytes(place.get(8..12)?.try_into().ok()?) as usize;
        Some(place.get(..20 + length)?.to_vec())
    };
    [0, 1].map(|place| of_place(place).unwrap_or_default()).to_vec()
}

fn injure(path: &Path, random: &mut fastrand::Rng) -> (Damage, u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let at = random.u64(..length);
    match random.u8(..4) {
        0 => {
            file.set_len(at).unwrap();
            (Damage::Truncate, at)
        }
        1 => {
            let rubbish: Vec<u8> =
                std::iter::repeat_with(|| random.u8(..)).take((PAGE - at % PAGE) as usize).collect();
            file.write_all_at(&rubbish, at).unwrap();
            file.set_len(length).unwrap();
            (Damage::Overwrite, at)
        }
        _ => {
            let mut octet = [0];
            file.read_exact_at(&mut octet, at).unwrap();
            octet[0] ^= 1 << random.u8(..8);
            file.write_all_at(&octet, at).unwrap();
            (Damage::Flip, at)
        }
    }
}

/// Works on with the damaged spool, and reads all of it, twice: a gap must not be stated again.
async fn go_on(spool: &Path, ledger: &mut Ledger, round: u64) -> Result<Balance, String> {
    let queue = Queue::open(spool, Settings::ROOMY).map_err(|e| e.to_string())?;
    let serial = EVENTS + round;
    for lane in Lane::ALL {
        let [stream, _] = load::streams(lane);
        queue::commit(&queue.spool(), vec![load::event(stream, serial, 100)])
            .await
            .map_err(|e| e.to_string())?;
        ledger.answered(stream, serial..serial + 1);
    }
    queue.close().await.map_err(|e| e.to_string())?;
    check(spool, Settings::ROOMY, ledger, false).await?;
    check(spool, Settings::ROOMY, ledger, true).await
}
