//! One segment: a sled database in a directory of its own. sled is used here and nowhere else.
//!
//! sled 0.34 has to be handled with care:
//! - `flush()` ends in `sync_file_range`, which does not survive a power cut: the file is synced here through a descriptor
//!   of our own.
//! - A page that gets its tenth addition is written anew as a whole, and one of more than 16 items is split, which writes
//!   both halves: appended in order, every block would be written nearly four times. So a tree takes a *run* of few blocks, and the next
//!   run is another tree: then every block is written once (measured: 1.02 octets in the file for each in blocks, instead of 2.0 to 2.5).
//! - An item larger than a quarter of sled's own segments goes to a file in `blobs/`, which our sync would miss; a page is
//!   such an item when it is moved. So a run stays below that as a whole.
//! - The cache does not shrink in a database as small as ours: what was written since it was opened stays in memory. So
//!   segments are small, and only those being written are open.
//! - After an error a database answers nothing but that error, and closing it may hang: it is forgotten, not dropped.
//! - Opening a database that is not new writes to it, and on damaged files may panic, hang, or change what is left. So a segment is opened
//!   once, when it is created; what is closed is read by [`super::scan`]. Even so, opening is watched.

use super::{
    MAX_BLOCK, Mark,
    block::{self, BlockError},
    pack::Packed,
};
use crate::state::{create_private_dir, sync_dir};
use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};
use vitrine_protocol::time::Timestamp;

/// A database may take this long to open before it is given up.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// sled's page cache. Blocks are read once, in order: more would not help.
const CACHE_BYTES: u64 = 256 * 1024;
/// Nine additions to a new page do not make sled write it anew: a mark and so many blocks.
const RUN_BLOCKS: usize = 8;
/// Below this a run goes on: small blocks would need too many trees, each of which is named in a page that grows.
const RUN_BYTES_MIN: usize = 24 * 1024;
/// A quarter of sled's segments of 512 KiB, less what keys and headers take.
const RUN_BYTES_MAX: usize = 120 * 1024;
/// The key of a run's [`Mark`]; positions start at 1.
const MARK_KEY: [u8; 8] = 0u64.to_be_bytes();
/// The file in a segment's directory that holds everything.
pub(super) const DB_FILE: &str = "db";
/// What the file system writes at once.
const PAGE: u64 = 4096;

const _: () = assert!(RUN_BLOCKS * MAX_BLOCK <= RUN_BYTES_MAX);

/// Why a segment could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Sled(#[from] sled::Error),
    #[error("opening it took longer than {} s", OPEN_TIMEOUT.as_secs())]
    Timeout,
    #[error("sled panicked")]
    Panicked,
    #[error("an earlier error has made it useless")]
    Poisoned,
    #[error("block at position {pos}: {error}")]
    Block { pos: u64, error: BlockError },
    #[error("positions {expected} to {found} are missing", found = found - 1)]
    Hole { expected: u64, found: u64 },
}

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    /// Taken only when a poisoned segment is dropped.
    db: Option<sled::Db>,
    poisoned: AtomicBool,
    file: File,
    run: Mutex<Option<Run>>,
    /// Octets of the file that were counted as written.
    counted_bytes: AtomicU64,
}

/// The tree that is being filled.
#[derive(Debug)]
struct Run {
    tree: sled::Tree,
    blocks: usize,
    bytes: usize,
}

impl SegmentError {
    pub(super) fn hole(positions: &Range<u64>) -> Self {
        Self::Hole { expected: positions.start, found: positions.end }
    }

    /// Whether the files may be whole and the trouble elsewhere: then the same is worth trying again.
    pub(super) fn is_passing(&self) -> bool {
        let (Self::Io(error) | Self::Sled(sled::Error::Io(error))) = self else { return false };
        is_passing(error)
    }

    /// Whether the disk is full.
    pub(super) fn is_full(&self) -> bool {
        let (Self::Io(error) | Self::Sled(sled::Error::Io(error))) = self else { return false };
        is_full(error)
    }
}

/// Whether the trouble lies elsewhere than in the file.
pub(super) fn is_passing(error: &io::Error) -> bool {
    let passing = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN];
    error.raw_os_error().is_some_and(|code| passing.contains(&code))
}

/// Whether the error says that the disk is full. sled repeats an earlier error in words.
pub(super) fn is_full(error: &io::Error) -> bool {
    let is_code = [Some(libc::ENOSPC), Some(libc::EDQUOT)].contains(&error.raw_os_error());
    is_code || error.kind() == io::ErrorKind::StorageFull || error.to_string().contains("StorageFull")
}

impl Segment {
    /// Creates an empty segment. Durable when this returns.
    pub(super) fn create(dir: &Path) -> Result<Self, SegmentError> {
        create_private_dir(dir)?;
        let db = open_watched(dir)?;
        let segment = Self {
            db: Some(db),
            poisoned: AtomicBool::new(false),
            file: File::open(dir.join(DB_FILE))?,
            run: Mutex::default(),
            counted_bytes: AtomicU64::new(0),
        };
        let synced = segment.sync().and_then(|_| {
            sync_dir(dir)?;
            Ok(sync_dir(dir.parent().unwrap_or(dir))?)
        });
        match synced {
            Ok(()) => Ok(segment),
            Err(error) => {
                segment.abandon();
                Err(error)
            }
        }
    }

    /// Moves an empty segment from `dir` to its place. Durable when this returns.
    pub(super) fn move_to(&self, dir: &Path, place: &Path) -> io::Result<()> {
        fs::rename(dir, place)?;
        sync_dir(place.parent().unwrap_or(place))?;
        sync_dir(dir.parent().unwrap_or(dir))
    }

    /// Whether an error made the database useless. What it holds on disk is not touched by that.
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    /// Has nothing more be written to it; `false` if that was so.
    pub(super) fn poison(&self) -> bool {
        !self.poisoned.swap(true, Ordering::Relaxed)
    }

    /// Writes the mark that it starts at, in a commit of its own. Durable when this returns.
    pub(super) fn begin(&self, mark: &Mark, written_at: Timestamp) -> Result<u64, SegmentError> {
        self.checked(self.new_run(mark, written_at))?;
        self.sync()
    }

    /// Writes blocks in order; durable when this returns, which is how many octets the disk had to write, about.
    pub(super) fn write(&self, blocks: &[Packed], written_at: Timestamp) -> Result<u64, SegmentError> {
        if self.is_poisoned() {
            return Err(SegmentError::Poisoned);
        }
        for block in blocks {
            self.checked(self.insert(block, written_at))?;
        }
        self.sync()
    }

    /// Octets that it takes on the disk: of its file, and of the small one in which sled keeps its settings.
    pub(super) fn disk_bytes(&self) -> u64 {
        PAGE + self.file.metadata().map_or(0, |file| file.blocks() * 512)
    }

    /// The blocks in order, from the start of the run that holds `pos` on; marks among them.
    pub(super) fn blocks(&self, pos: u64) -> impl Iterator<Item = Result<sled::IVec, SegmentError>> {
        let db = self.db();
        let mut runs: Vec<u64> = db
            .tree_names()
            .iter()
            .filter_map(|name| Some(u64::from_be_bytes(name.as_ref().try_into().ok()?)))
            .collect();
        runs.sort_unstable();
        let first = runs.partition_point(|&run| run <= pos).saturating_sub(1);
        runs.drain(..first);
        let blocks = move |run: u64| {
            let (tree, error) = match self.checked(db.open_tree(run.to_be_bytes())) {
                Ok(tree) => (Some(tree), None),
                Err(error) => (None, Some(Err(SegmentError::from(error)))),
            };
            let blocks = tree.into_iter().flat_map(|tree| tree.iter());
            blocks.map(|item| Ok(self.checked(item)?.1)).chain(error)
        };
        runs.into_iter().flat_map(blocks)
    }

    fn insert(&self, block: &Packed, written_at: Timestamp) -> Result<(), sled::Error> {
        let is_full = |run: &Run| {
            run.blocks >= RUN_BLOCKS && run.bytes >= RUN_BYTES_MIN
                || run.bytes + block.bytes.len() > RUN_BYTES_MAX
        };
        if self.run().as_ref().is_none_or(is_full) {
            self.new_run(&block.mark, written_at)?;
        }
        if let Some(run) = &mut *self.run() {
            run.tree.insert(block.mark.pos.to_be_bytes(), block.bytes.as_slice())?;
            run.blocks += 1;
            run.bytes += block.bytes.len();
        }
        Ok(())
    }

    fn new_run(&self, mark: &Mark, written_at: Timestamp) -> Result<(), sled::Error> {
        let tree = self.db().open_tree(mark.pos.to_be_bytes())?;
        tree.insert(MARK_KEY, block::encode_mark(mark, written_at))?;
        *self.run() = Some(Run { tree, blocks: 0, bytes: 0 });
        Ok(())
    }

    fn run(&self) -> std::sync::MutexGuard<'_, Option<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("taken only when dropped")
    }

    /// Makes durable what was inserted. Returns the octets that this wrote: whole pages, of which the first had been written
    /// in part before.
    fn sync(&self) -> Result<u64, SegmentError> {
        self.checked(self.db().flush())?;
        self.checked(self.file.sync_data())?;
        let length = self.file.metadata()?.len();
        let before = self.counted_bytes.swap(length, Ordering::Relaxed);
        Ok(length.max(before + 1).div_ceil(PAGE) * PAGE - before / PAGE * PAGE)
    }

    /// Poisons the segment if there was an error.
    fn checked<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.poisoned.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Closes a database that holds nothing of worth, on a thread of its own: closing may hang. Forgetting it would
    /// cost a file descriptor at every try.
    pub(super) fn abandon(mut self) {
        drop(self.run().take());
        let db = self.db.take();
        std::thread::Builder::new().name("sled-close".into()).spawn(move || drop(db)).ok();
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.poisoned.load(Ordering::Relaxed) {
            std::mem::forget(self.run().take());
            std::mem::forget(self.db.take());
        }
    }
}

/// Runs something that goes through sled, which may panic on damaged files.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, SegmentError>) -> Result<T, SegmentError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(Err(SegmentError::Panicked))
}

/// Opens a database on a thread of its own, so that a panic or a hang stays there.
fn open_watched(dir: &Path) -> Result<sled::Db, SegmentError> {
    let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("sled-open".into()).spawn(move || {
        // Nobody listens any more after the time-out; the database is closed then.
        drop(sender.send(config.open()));
    })?;
    match receiver.recv_timeout(OPEN_TIMEOUT) {
        Ok(opened) => Ok(opened?),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(SegmentError::Timeout),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(SegmentError::Panicked),
    }
}
