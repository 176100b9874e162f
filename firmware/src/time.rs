//! The beacon's time: seconds that go on counting over resets and battery swaps.
//!
//! Beacon time starts with the configuration, which says when it was made. A [`Calendar`] counts on from there, and
//! every [`LOG_EVERY_S`] the time goes into a log in flash. After a power cut the beacon goes on a second after the
//! last entry, late by the time without power and at most [`LOG_EVERY_S`] more, and knows that it is late
//! ([`Calendar::is_certain`]). A warm reset, over which a board kept the time in memory, loses nothing. Time never
//! goes back: a configuration that is older than the log does not set it.
//!
//! # The log
//!
//! An entry also holds how far the counter of secure frames is set aside
//! ([`Reservation`]): it is written before the counters are used.
//! Entries of 16 octets follow each other in a page: time in s (4), ceiling of the counter (3), 0 (5), CRC-32C
//! (iSCSI) of the twelve octets before (4), little endian. Times rise from entry to entry, so that the last entry that
//! is whole is the one with the latest time. A page that is full is left alone, the other erased and gone on with:
//! a cut at any moment leaves the last entry that was whole. With pages of 4 KiB and an entry every 256 s each page is
//! erased every day and a half: 10 000 erasures last 40 years.
//!
//! Pages that hold something, but no whole entry, are a log that was destroyed, or other software's. Which counters
//! were used is not known then, so none are used: the beacon sends no secure frames, and has to be erased and given a
//! new key. A few entries that were cut short do not count: before the first whole one no counter was used.

use crate::{
    Error, Page, Store,
    image::{CRC, Reader},
    store::WORD,
};
use vitrine_protocol::{frame::Counter, identity::sequence::Reservation};

/// How often the time is logged, in seconds.
pub const LOG_EVERY_S: u32 = 256;

const ENTRY: usize = WORD;
const CHECKED: usize = ENTRY - 4;
/// The most entries cut short before the first whole one: more of them are no log.
const TORN_MAX: usize = 8;

/// Beacon time over the board's clock.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    /// Beacon time at `base_ms`.
    base_s: u32,
    base_ms: u64,
    certain: bool,
}

impl Calendar {
    /// It is `time_s` when the board's clock shows `now_ms`. `certain` where that is known and not guessed.
    pub const fn new(time_s: u32, now_ms: u64, certain: bool) -> Self {
        Self { base_s: time_s, base_ms: now_ms, certain }
    }

    /// Beacon time in seconds; stands still at the end of its range.
    pub const fn time_s(&self, now_ms: u64) -> u32 {
        let since_s = now_ms.saturating_sub(self.base_ms) / 1_000;
        if since_s > u32::MAX as u64 { u32::MAX } else { self.base_s.saturating_add(since_s as u32) }
    }

    /// Whether no time without power is missing in it.
    pub const fn is_certain(&self) -> bool {
        self.certain
    }

    /// What to keep in memory over a reset.
    pub const fn keep(&self, now_ms: u64) -> Kept {
        let (time_s, certain) = (self.time_s(now_ms), self.certain as u32);
        Kept { time_s, certain, check: Kept::sum(time_s, certain) }
    }
}

/// Beacon time as a board keeps it in memory that outlives a reset; it tells itself from noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Kept {
    time_s: u32,
    certain: u32,
    check: u32,
}

impl Kept {
    const fn sum(time_s: u32, certain: u32) -> u32 {
        !(time_s ^ certain.rotate_left(16) ^ 0x5654_4b50)
    }

    /// `None` where memory held something else: it had no power.
    const fn read(self) -> Option<(u32, bool)> {
        match self {
            Self { time_s, certain: certain @ (0 | 1), check } if check == Self::sum(time_s, certain) => {
                Some((time_s, certain == 1))
            }
            _ => None,
        }
    }
}

/// How a beacon begins after power-up or a reset.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub(crate) calendar: Calendar,
    pub(crate) log: Option<Log>,
}

impl Start {
    /// The start of a board without a store, or whose store fails: beacon time 0, and no secure frames, because
    /// counters cannot be set aside.
    pub const fn unlogged(now_ms: u64) -> Self {
        Self { calendar: Calendar::new(0, now_ms, false), log: None }
    }

    /// Finds out what time it is. `configured_s` is the configuration's [`time_s`](crate::image::Image::time_s): where
    /// the log is older, the configuration is new and its time counts. `kept` is what the board found in memory,
    /// where it kept some. Where the log was destroyed the start is as [`unlogged`](Self::unlogged), at `configured_s`.
    ///
    /// # Errors
    /// [`Error::Store`]: the beacon can run [`unlogged`](Self::unlogged).
    pub fn read<S: Store>(
        store: &mut S,
        configured_s: u32,
        kept: Option<Kept>,
        now_ms: u64,
    ) -> Result<Self, Error<S::Error>> {
        let log = Log::open(store)?;
        let resume_s = log.and_then(|log| log.last).map_or(0, Reservation::resume_s);
        let (time_s, certain) = match kept.and_then(Kept::read) {
            // The log may be ahead by the second that its entries are apart.
            Some((kept_s, certain)) if kept_s.saturating_add(2) >= resume_s.max(configured_s) => {
                (kept_s.max(resume_s), certain)
            }
            _ if configured_s >= resume_s => (configured_s, log.is_some()),
            _ => (resume_s, false),
        };
        Ok(Self { calendar: Calendar::new(time_s, now_ms, certain), log })
    }
}

/// The log in the store.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    page: Page,
    /// Where the next entry goes.
    offset: usize,
    last: Option<Reservation>,
}

impl Log {
    /// Finds the end of the log; `None` where it was destroyed.
    ///
    /// # Errors
    /// [`Error::Store`]
    pub fn open<S: Store>(store: &mut S) -> Result<Option<Self>, Error<S::Error>> {
        let [a, b] = [Self::scan(store, Page::TimeA)?, Self::scan(store, Page::TimeB)?];
        let time_s = |log: &Self| log.last.map(|entry| entry.time_s);
        let newer = if time_s(&b) > time_s(&a) { b } else { a };
        let is_log = newer.last.is_some() || a.offset.max(b.offset) <= TORN_MAX * ENTRY;
        Ok(is_log.then_some(newer))
    }

    fn scan<S: Store>(store: &mut S, page: Page) -> Result<Self, Error<S::Error>> {
        let mut log = Self { page, offset: 0, last: None };
        for offset in (0..=S::PAGE_LEN.saturating_sub(ENTRY)).step_by(ENTRY) {
            let mut entry = [0; ENTRY];
            store.read(page, offset, &mut entry).map_err(|cause| Error::Store { page, cause })?;
            if entry != [0xff; ENTRY] {
                log.offset = offset + ENTRY; // an entry that was cut short is passed over, too
            }
            log.last = decode(&entry).or(log.last);
        }
        Ok(log)
    }

    /// The last entry.
    pub fn last(&self) -> Option<Reservation> {
        self.last
    }

    /// Appends an entry: at its time, or a second after the last entry.
    ///
    /// # Errors
    /// [`Error::Store`]; the entries before are still there.
    pub fn append<S: Store>(&mut self, store: &mut S, mut entry: Reservation) -> Result<(), Error<S::Error>> {
        if self.offset + ENTRY > S::PAGE_LEN {
            let page = if self.page == Page::TimeA { Page::TimeB } else { Page::TimeA };
            store.erase(page).map_err(|cause| Error::Store { page, cause })?;
            (self.page, self.offset) = (page, 0);
        }
        entry.time_s = entry.time_s.max(self.last.map_or(0, Reservation::resume_s));
        let (page, offset) = (self.page, self.offset);
        self.offset += ENTRY;
        store.program(page, offset, &encode(entry)).map_err(|cause| Error::Store { page, cause })?;
        self.last = Some(entry);
        Ok(())
    }
}

fn encode(entry: Reservation) -> [u8; ENTRY] {
    let [a, b, c, d] = entry.time_s.to_le_bytes();
    let [e, f, g, _] = entry.ceiling.get().to_le_bytes();
    let [h, i, j, k] = CRC.checksum(&[a, b, c, d, e, f, g, 0, 0, 0, 0, 0]).to_le_bytes();
    [a, b, c, d, e, f, g, 0, 0, 0, 0, 0, h, i, j, k]
}

fn decode(bytes: &[u8; ENTRY]) -> Option<Reservation> {
    let (checked, _) = bytes.split_at_checked(CHECKED)?;
    let mut fields = Reader(bytes);
    let (time_s, ceiling, _, crc) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
    (crc == CRC.checksum(checked)).then_some(Reservation { ceiling: Counter::wrapping(ceiling), time_s })
}

#[cfg(test)]
mod tests;
