//! From an identifier heard to the beacon that sent it.
//!
//! Identifiers are computed ahead: of each beacon those of the window that it should be in, of the one before
//! and of the one after. So finding one is one look-up, whatever the number of beacons, and a beacon's clock may
//! be off by a window either way (1024 s for our own). A beacon that changes identifiers late within the window,
//! as Eddystone recommends, has that much less left for its clock.
//!
//! ## Time
//!
//! `now_s` is UNIX time in seconds, or any clock that goes on over restarts. A beacon's own time is an offset
//! from it, modulo 2^32. The first sighting that is [confirmed](Resolver::confirm) moves the offset so that the
//! window heard is the window expected; later ones follow the clock's drift by 1 s in 1024 s at most, six times
//! of what Eddystone allows a beacon (150 ppm). Nobody can drag a beacon's clock away by playing back old
//! identifiers, then. Keep offsets over restarts ([`Resolver::offset_s`]).
//!
//! A beacon whose clock stood still, in a battery swap for instance, is not found any more;
//! [`Resolver::search`] looks further until it is.
//!
//! ## Work and memory
//!
//! [`Resolver::handle_time`] does a bounded part of what is due and [`Resolver::poll_timeout`] tells when there
//! is more. Since the next window is there already, that work has a whole window's time. 10 000 beacons that all
//! rotate in the same second are 20 000 derivations, in some 40 calls.
//!
//! A beacon takes about 220 octets, 2.2 MB for 10 000 (measured); one that is searched for takes up to 35 more
//! for each window. Two of 10 000 beacons share an identifier once in some 10^10 rotations, and it is taken for
//! that of the one which had it first.
//!
//! There is no removal: a changed plan makes a new resolver, in milliseconds.

use super::{Aes128, Exponent, IDENTIFIER, IdentityKey, SoftwareAes, eid::identifier};
use alloc::{collections::BTreeSet, vec::Vec};
use core::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
    marker::PhantomData,
};
use hashbrown::{HashMap, hash_map::Entry};

/// Derivations after which a call of [`Resolver::handle_time`] comes to its end: at most one beacon more.
pub const WORK_MAX: u32 = 512;
/// Windows that [`Resolver::search`] looks back and ahead, at most.
pub const SEARCH_MAX: u8 = 100;

/// Seconds that have to pass for each second by which a beacon's clock is corrected.
const CORRECTION_S: u64 = 1024;

/// A beacon as it was registered.
pub struct Registration {
    /// Its key.
    pub key: IdentityKey,
    /// Its rotation period.
    pub exponent: Exponent,
    /// The beacon's time less ours, modulo 2^32 s.
    pub offset_s: u32,
}

/// A registered beacon: its number in the order of registration. It may stand for a carrier, so that it does
/// not print.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u32);

impl Handle {
    /// The number, from 0: an index into what the caller knows of its beacons.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(..)")
    }
}

/// An identifier resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Whose it is.
    pub beacon: Handle,
    /// The start, in the beacon's time, of the window that it is of.
    pub window_start_s: u32,
    /// By how many windows the beacon is ahead of where it was expected; negative where it is behind.
    pub ahead_windows: i16,
}

/// Finds beacons by their identifiers. `A` is the AES that derives them.
pub struct Resolver<A = SoftwareAes> {
    beacons: Vec<Beacon>,
    table: HashMap<u64, Owner, BuildHasherDefault<Uniform>>,
    /// When which beacon is looked after next: each beacon once, at its `due_s`.
    due: BTreeSet<(u64, Handle)>,
    now_s: u64,
    aes: PhantomData<fn() -> A>,
}

struct Beacon {
    key: IdentityKey,
    exponent: Exponent,
    offset_s: u32,
    /// The windows in the table.
    covered: Windows,
    reach: Reach,
    due_s: u64,
    /// When the offset was set last; `None` until the first sighting.
    corrected_s: Option<u64>,
}

/// How many windows around the expected one are in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Reach {
    back: u8,
    ahead: u8,
}

const NORMAL: Reach = Reach { back: 1, ahead: 1 };

#[derive(Clone, Copy)]
struct Owner {
    beacon: Handle,
    window_start_s: u32,
}

impl<A: Aes128> Resolver<A> {
    /// Without any beacon.
    pub fn new() -> Self {
        Self {
            beacons: Vec::new(),
            table: HashMap::default(),
            due: BTreeSet::new(),
            now_s: 0,
            aes: PhantomData,
        }
    }

    /// Adds a beacon. It is found after the next [`handle_time`](Self::handle_time), or the one that gets to it.
    pub fn register(&mut self, registration: Registration) -> Handle {
        let Registration { key, exponent, offset_s } = registration;
        let beacon = Handle(self.beacons.len() as u32);
        self.beacons.push(Beacon {
            key,
            exponent,
            offset_s,
            covered: Windows { exponent, first_s: 0, count: 0 },
            reach: NORMAL,
            due_s: 0,
            corrected_s: None,
        });
        self.due.insert((0, beacon));
        beacon
    }

    /// When [`handle_time`](Self::handle_time) is to be called next; in the past where work was left over. `None`
    /// without beacons.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.due.first().map(|&(due_s, _)| due_s)
    }

    /// Computes the identifiers that are due, those that have waited longest first, up to about [`WORK_MAX`].
    /// Where the clock was set back, all beacons are due.
    pub fn handle_time(&mut self, now_s: u64) {
        if now_s < self.now_s {
            self.due = self
                .beacons
                .iter_mut()
                .zip(0..)
                .map(|(beacon, n)| {
                    beacon.due_s = now_s;
                    (now_s, Handle(n))
                })
                .collect();
        }
        self.now_s = now_s;
        let mut work = 0;
        while work < WORK_MAX
            && let Some(&(due_s, handle)) = self.due.first()
            && due_s <= now_s
        {
            self.due.pop_first();
            work += self.look_after(handle, now_s);
        }
    }

    /// Whose identifier this is, if it is one for `now_s`.
    pub fn resolve(&self, identifier: &[u8; IDENTIFIER], now_s: u64) -> Option<Match> {
        let &Owner { beacon: handle, window_start_s } = self.table.get(&u64::from_le_bytes(*identifier))?;
        let beacon = self.beacons.get(handle.index())?;
        let expected_s = beacon.exponent.window_start_s(beacon.time_s(now_s));
        // What is in the table may be out of date until handle_time has come round.
        let ahead = window_start_s.wrapping_sub(expected_s) as i32 >> beacon.exponent.get();
        let reach = -i32::from(beacon.reach.back)..=i32::from(beacon.reach.ahead);
        reach.contains(&ahead).then_some(Match {
            beacon: handle,
            window_start_s,
            ahead_windows: ahead as i16,
        })
    }

    /// Takes a sighting as true: corrects the beacon's clock by it, and ends a search. For a secure frame, call
    /// it once the frame was opened and found [fresh](super::replay::Verdict::Fresh); an Eddystone-EID can only
    /// be believed.
    pub fn confirm(&mut self, sighting: &Match, now_s: u64) {
        let Some(beacon) = self.beacons.get_mut(sighting.beacon.index()) else { return };
        let moved = beacon.correct(sighting.window_start_s, now_s);
        if moved || beacon.reach != NORMAL {
            beacon.reach = NORMAL;
            self.make_due(sighting.beacon, now_s);
        }
    }

    /// Looks for a beacon whose clock may be up to `back_s` behind or `ahead_s` ahead of what is known, until a
    /// sighting is confirmed; [`SEARCH_MAX`] windows each way at most. To be used for beacons that have been
    /// missing for a while, few at a time.
    pub fn search(&mut self, handle: Handle, back_s: u32, ahead_s: u32, now_s: u64) {
        let Some(beacon) = self.beacons.get_mut(handle.index()) else { return };
        let period_s = beacon.exponent.period_s();
        let windows = |reach_s: u32| (reach_s.div_ceil(period_s) + 1).min(SEARCH_MAX.into()) as u8;
        beacon.reach = Reach { back: windows(back_s), ahead: windows(ahead_s) };
        beacon.corrected_s = None;
        self.make_due(handle, now_s);
    }

    /// The beacon's time less ours, as learned so far: what to register it with the next time.
    pub fn offset_s(&self, handle: Handle) -> Option<u32> {
        self.beacons.get(handle.index()).map(|beacon| beacon.offset_s)
    }

    /// How many identifiers are computed at the moment.
    pub fn identifiers(&self) -> usize {
        self.table.len()
    }

    /// Brings a beacon's identifiers up to date and says when it is due again. Returns the derivations done.
    fn look_after(&mut self, handle: Handle, now_s: u64) -> u32 {
        let Some(beacon) = self.beacons.get_mut(handle.index()) else { return 0 };
        let derive = |time_s| u64::from_le_bytes(identifier::<A>(&beacon.key, beacon.exponent, time_s));
        let target = beacon.target(now_s);
        let mut work = 0;
        for window_start_s in beacon.covered.without(target) {
            if let Entry::Occupied(entry) = self.table.entry(derive(window_start_s))
                && entry.get().beacon == handle
            {
                entry.remove();
            }
            work += 1;
        }
        for window_start_s in target.without(beacon.covered) {
            self.table.entry(derive(window_start_s)).or_insert(Owner { beacon: handle, window_start_s });
            work += 1;
        }
        beacon.covered = target;
        beacon.due_s = now_s + u64::from(beacon.rest_of_window_s(now_s));
        self.due.insert((beacon.due_s, handle));
        work
    }

    fn make_due(&mut self, handle: Handle, now_s: u64) {
        let Some(beacon) = self.beacons.get_mut(handle.index()) else { return };
        self.due.remove(&(beacon.due_s, handle));
        beacon.due_s = now_s;
        self.due.insert((now_s, handle));
    }
}

impl<A: Aes128> Default for Resolver<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl Beacon {
    /// What the beacon's clock should show.
    fn time_s(&self, now_s: u64) -> u32 {
        (now_s as u32).wrapping_add(self.offset_s)
    }

    fn rest_of_window_s(&self, now_s: u64) -> u32 {
        let time_s = self.time_s(now_s);
        self.exponent.period_s() - (time_s - self.exponent.window_start_s(time_s))
    }

    /// The windows that should be in the table.
    fn target(&self, now_s: u64) -> Windows {
        let expected_s = self.exponent.window_start_s(self.time_s(now_s));
        let Reach { back, ahead } = self.reach;
        Windows {
            exponent: self.exponent,
            first_s: expected_s.wrapping_sub(self.exponent.period_s() * u32::from(back)),
            count: u32::from(back) + 1 + u32::from(ahead),
        }
    }

    /// Moves the clock, by as little as possible and no more than is allowed, towards the window that was heard.
    /// Says whether it moved.
    fn correct(&mut self, window_start_s: u32, now_s: u64) -> bool {
        let to_start_s = window_start_s.wrapping_sub(self.time_s(now_s)) as i32;
        let to_end_s = to_start_s + (self.exponent.period_s() - 1) as i32;
        let wanted_s = if to_start_s > 0 { to_start_s } else { to_end_s.min(0) };
        let limit_s = match self.corrected_s {
            None => i32::MAX,
            Some(at_s) => (now_s.saturating_sub(at_s) / CORRECTION_S).min(i32::MAX as u64) as i32,
        };
        let step_s = wanted_s.clamp(-limit_s, limit_s);
        self.offset_s = self.offset_s.wrapping_add_signed(step_s);
        if step_s != 0 || self.corrected_s.is_none() {
            self.corrected_s = Some(now_s);
        }
        step_s != 0
    }
}

/// Consecutive windows of a beacon; their times go round at 2^32 s.
#[derive(Clone, Copy)]
struct Windows {
    exponent: Exponent,
    first_s: u32,
    count: u32,
}

impl Windows {
    /// The starts of those that `other` lacks. Both are of one beacon.
    fn without(self, other: Self) -> impl Iterator<Item = u32> {
        (0..self.count)
            .map(move |n| self.first_s.wrapping_add(n * self.exponent.period_s()))
            .filter(move |&start_s| !other.contains(start_s))
    }

    fn contains(self, start_s: u32) -> bool {
        start_s.wrapping_sub(self.first_s) >> self.exponent.get() < self.count
    }
}

/// Hashes an identifier to itself. What is in the table came out of AES, evenly spread and nobody's choice; what
/// is looked up may be chosen, and finds no more than chance put there.
#[derive(Default)]
struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, identifier: u64) {
        self.0 = identifier;
    }
}

#[cfg(test)]
mod tests;
