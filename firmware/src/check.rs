//! Checks of a board's parts, to be run on the board before its first beacon: [`entropy`], [`clock`], [`store`],
//! [`cipher`].
//!
//! The traits ask for more than the compiler can see. A clock that stands still while the processor works, a flash
//! driver that takes one page for another, random numbers that only count: each makes a beacon that looks well on the
//! desk and fails in the store. A check takes at most a few seconds, and names the first thing that is wrong. What
//! goes on air is checked from outside, by a gateway.

use crate::{Clock, Entropy, Page, Store, store::WORD};
use core::fmt;
use vitrine_protocol::identity::Aes128;

/// What is wrong with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Flaw {
    /// Random numbers: these bits never change.
    StuckBits(u32),
    /// Random numbers: each is the one before and a constant.
    Counting,
    /// The clock showed this, and later less.
    ClockWentBack {
        /// Before.
        from_ms: u64,
        /// After.
        to_ms: u64,
    },
    /// The clock does not go on while the processor works.
    ClockStandsStill,
    /// A sleep ended before its deadline, and no input had fired.
    WokeEarly {
        /// The deadline.
        deadline_ms: u64,
        /// When it ended.
        now_ms: u64,
    },
    /// A sleep ended long after its deadline.
    WokeLate {
        /// The deadline.
        deadline_ms: u64,
        /// When it ended.
        now_ms: u64,
    },
    /// The store returned an error; the page concerned.
    StoreFailed(Page),
    /// An erased page does not read 0xff.
    NotErased(Page),
    /// A page does not read as it was programmed: nor do others, where two pages are the same flash.
    NotProgrammed(Page),
    /// AES-128 does not encrypt as its standard says.
    Cipher,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StuckBits(bits) => write!(f, "random numbers: bits {bits:#010x} never change"),
            Self::Counting => f.write_str("random numbers: they count"),
            Self::ClockWentBack { from_ms, to_ms } => {
                write!(f, "clock: went back from {from_ms} to {to_ms} ms")
            }
            Self::ClockStandsStill => f.write_str("clock: stands still while the processor works"),
            Self::WokeEarly { deadline_ms, now_ms } => {
                write!(f, "clock: a sleep until {deadline_ms} ended at {now_ms} ms, and no input had fired")
            }
            Self::WokeLate { deadline_ms, now_ms } => {
                write!(f, "clock: a sleep until {deadline_ms} ended at {now_ms} ms")
            }
            Self::StoreFailed(page) => write!(f, "store: {page:?} returned an error"),
            Self::NotErased(page) => write!(f, "store: {page:?} was erased and does not read 0xff"),
            Self::NotProgrammed(page) => write!(f, "store: {page:?} does not read as it was programmed"),
            Self::Cipher => f.write_str("cipher: not AES-128"),
        }
    }
}

impl core::error::Error for Flaw {}

/// Whether random numbers look like some: every bit changes, and no constant lies between them. This finds a source
/// that is not switched on, not one that is weak.
///
/// # Errors
/// [`Flaw::StuckBits`], [`Flaw::Counting`]
pub fn entropy<E: Entropy>(source: &mut E) -> Result<(), Flaw> {
    const DRAWS: usize = 64;
    let draws = [(); DRAWS].map(|()| source.next_u32());
    let (ones, zeros) = draws.iter().fold((0, 0), |(ones, zeros), draw| (ones | draw, zeros | !draw));
    if ones & zeros != u32::MAX {
        return Err(Flaw::StuckBits(!(ones & zeros)));
    }
    let mut steps = draws.iter().zip(&draws[1..]).map(|(before, draw)| draw.wrapping_sub(*before));
    let first = steps.next();
    if steps.all(|step| Some(step) == first) { Err(Flaw::Counting) } else { Ok(()) }
}

/// Whether time goes on, awake and asleep, and sleeps end when they should; takes some seconds. Inputs may fire.
///
/// # Errors
/// [`Flaw::ClockWentBack`], [`Flaw::ClockStandsStill`], [`Flaw::WokeEarly`], [`Flaw::WokeLate`]
pub fn clock<C: Clock>(clock: &mut C) -> Result<(), Flaw> {
    /// Milliseconds; 0 is a deadline that has passed.
    const SLEEPS_MS: [u64; 8] = [0, 1, 2, 5, 10, 100, 700, 1_500];
    /// Half of the shortest advertising interval.
    const LATE_MAX_MS: u64 = 10;
    /// Enough for a millisecond on a processor of several hundred MHz.
    const READS: usize = 1_000_000;

    let mut before_ms = clock.now_ms();
    for sleep_ms in SLEEPS_MS {
        let deadline_ms = before_ms.saturating_add(sleep_ms);
        let fired = clock.sleep_until(deadline_ms);
        let now_ms = clock.now_ms();
        if now_ms < before_ms {
            return Err(Flaw::ClockWentBack { from_ms: before_ms, to_ms: now_ms });
        }
        if now_ms < deadline_ms && fired.is_none() {
            return Err(Flaw::WokeEarly { deadline_ms, now_ms });
        }
        if now_ms > deadline_ms.saturating_add(LATE_MAX_MS) {
            return Err(Flaw::WokeLate { deadline_ms, now_ms });
        }
        before_ms = now_ms;
    }
    if (0..READS).any(|_| clock.now_ms() > before_ms) { Ok(()) } else { Err(Flaw::ClockStandsStill) }
}

/// Whether all four pages are erased, programmed and read, each for itself. **What is in them is lost.**
///
/// # Errors
/// [`Flaw::StoreFailed`], [`Flaw::NotErased`], [`Flaw::NotProgrammed`]
pub fn store<S: Store>(store: &mut S) -> Result<(), Flaw> {
    let pages = || Page::CONFIG.into_iter().chain(Page::TIME);
    for page in pages() {
        store.erase(page).map_err(|_| Flaw::StoreFailed(page))?;
        holds(store, page, |_| 0xff).and_then(|well| well.then_some(()).ok_or(Flaw::NotErased(page)))?;
    }
    // What is programmed tells the page and the place.
    let octet = |page: Page, at: usize| (at / WORD * 7 + at * 5 + page.index() * 64) as u8;
    for page in pages() {
        for offset in (0..S::PAGE_LEN).step_by(WORD) {
            let word = core::array::from_fn::<u8, WORD, _>(|at| octet(page, offset + at));
            store.program(page, offset, &word).map_err(|_| Flaw::StoreFailed(page))?;
        }
    }
    for page in pages() {
        holds(store, page, |at| octet(page, at))
            .and_then(|well| well.then_some(()).ok_or(Flaw::NotProgrammed(page)))?;
    }
    pages().try_for_each(|page| store.erase(page).map_err(|_| Flaw::StoreFailed(page)))
}

/// Whether `page` reads as `octet` says, by place.
fn holds<S: Store>(store: &mut S, page: Page, octet: impl Fn(usize) -> u8) -> Result<bool, Flaw> {
    for offset in (0..S::PAGE_LEN).step_by(WORD) {
        let mut word = [0; WORD];
        store.read(page, offset, &mut word).map_err(|_| Flaw::StoreFailed(page))?;
        if word != core::array::from_fn(|at| octet(offset + at)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `A` is AES-128: the example of FIPS 197, appendix C.1.
///
/// # Errors
/// [`Flaw::Cipher`]
pub fn cipher<A: Aes128>() -> Result<(), Flaw> {
    let key = core::array::from_fn(|at| at as u8);
    let mut block = core::array::from_fn(|at| 0x11 * at as u8);
    A::new(&key).encrypt(&mut block);
    if u128::from_be_bytes(block) == 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a {
        Ok(())
    } else {
        Err(Flaw::Cipher)
    }
}

#[cfg(test)]
mod tests;
