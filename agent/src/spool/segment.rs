//! One segment: a sled database in a directory of its own. sled is used here and nowhere else.
//!
//! sled 0.34 has to be handled with care. `flush()` ends in `sync_file_range`, which does not survive a power cut, so
//! the file is synced here through a descriptor of our own. A value beyond a quarter of sled's own segment size is
//! written to `blobs/`, which that sync would miss, so blocks stay far below. After an error a database answers
//! nothing but that error, and closing it may hang: it is forgotten, not dropped. Opening may panic or hang on
//! damaged files: it is watched.

use super::{Mark, block::BlockError};
use crate::state::{create_private_dir, sync_dir};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

/// A database may take this long to open before it is given up.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// How often, and after which pause, a locked database is tried again.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// sled's page cache. Blocks are read once, in order: more would not help.
const CACHE_BYTES: u64 = 1024 * 1024;
/// Prefix of a directory that is being removed.
const DEAD: &str = "dead-";
/// Prefix of a directory that is to replace another.
const COPY: &str = "copy-";
/// The key of the segment's [`Mark`]; positions start at 1.
const MARK_KEY: [u8; 8] = 0u64.to_be_bytes();

/// Why a segment could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Sled(#[from] sled::Error),
    #[error("opening it took longer than {} s", OPEN_TIMEOUT.as_secs())]
    Timeout,
    #[error("opening it panicked")]
    Panicked,
    #[error("it cannot be copied: {0}")]
    Copy(io::Error),
    #[error("an earlier error has made it useless until it is opened anew")]
    Poisoned,
    #[error("it could not be opened before")]
    Closed,
    #[error("it does not say where it starts")]
    NoMark,
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
    mark: Mark,
}

impl SegmentError {
    /// Whether the files may be whole and the trouble elsewhere: then the same is worth trying again.
    pub(super) fn is_passing(&self) -> bool {
        let io = match self {
            Self::Io(error) | Self::Copy(error) | Self::Sled(sled::Error::Io(error)) => error,
            _ => return false,
        };
        let passing = [libc::ENOSPC, libc::EDQUOT, libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN];
        io.raw_os_error().is_some_and(|code| passing.contains(&code)) || is_locked(io)
    }
}

/// sled says so in words only.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

impl Segment {
    /// Creates the segment that starts at `mark`. Durable when this returns.
    pub(super) fn create(dir: &Path, mark: Mark) -> Result<Self, SegmentError> {
        create_private_dir(dir)?;
        let segment = Self::new(dir, mark)?;
        match segment.write_mark(dir) {
            Ok(()) => Ok(segment),
            Err(error) => {
                segment.abandon();
                Err(error)
            }
        }
    }

    fn write_mark(&self, dir: &Path) -> Result<(), SegmentError> {
        let json = serde_json::to_vec(&self.mark).map_err(io::Error::from)?;
        self.checked(self.db().insert(MARK_KEY, json))?;
        self.sync()?;
        sync_dir(dir)?;
        Ok(sync_dir(dir.parent().unwrap_or(dir))?)
    }

    /// Closes a database that holds nothing of worth, on a thread of its own: closing may hang. Forgetting it would
    /// cost a file descriptor at every try.
    fn abandon(mut self) {
        let db = self.db.take();
        std::thread::Builder::new().name("sled-close".into()).spawn(move || drop(db)).ok();
    }

    /// Opens a segment that an earlier process, or this one, has written.
    pub(super) fn open(dir: &Path) -> Result<Self, SegmentError> {
        let mut segment = Self::new(dir, Mark::default())?;
        let json = segment.checked(segment.db().get(MARK_KEY))?.ok_or(SegmentError::NoMark)?;
        segment.mark = serde_json::from_slice(&json).map_err(|_| SegmentError::NoMark)?;
        Ok(segment)
    }

    /// Where it starts.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Whether an error made the database useless. What it holds on disk is not touched by that.
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::Relaxed);
    }

    /// Writes blocks by position; durable when this returns.
    pub(super) fn write(&self, blocks: &[(u64, Vec<u8>)]) -> Result<(), SegmentError> {
        if self.is_poisoned() {
            return Err(SegmentError::Poisoned);
        }
        for (pos, block) in blocks {
            self.checked(self.db().insert(pos.to_be_bytes(), block.as_slice()))?;
        }
        self.sync()?;
        // A reader may have found it poisoned meanwhile, and have copied the file without these blocks.
        if self.is_poisoned() { Err(SegmentError::Poisoned) } else { Ok(()) }
    }

    /// The blocks from position `from` on, which one of them starts at, each with its position.
    pub(super) fn blocks(&self, from: u64) -> impl Iterator<Item = Result<(u64, sled::IVec), SegmentError>> {
        self.db().range(from.to_be_bytes()..).map(|item| {
            let (key, value) = self.checked(item)?;
            Ok((u64::from_be_bytes(key.as_ref().try_into().map_err(|_| SegmentError::NoMark)?), value))
        })
    }

    fn new(dir: &Path, mark: Mark) -> Result<Self, SegmentError> {
        let db = open_watched(dir)?;
        let file = File::open(dir.join("db"))?;
        Ok(Self { db: Some(db), poisoned: AtomicBool::new(false), file, mark })
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("taken only when dropped")
    }

    fn sync(&self) -> Result<(), SegmentError> {
        self.checked(self.db().flush())?;
        Ok(self.checked(self.file.sync_data())?)
    }

    /// Poisons the segment if there was an error.
    fn checked<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.poisoned.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.poisoned.load(Ordering::Relaxed) {
            std::mem::forget(self.db.take());
        }
    }
}

/// Opens a database on a thread of its own, so that a panic or a hang stays there.
fn open_watched(dir: &Path) -> Result<sled::Db, SegmentError> {
    let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("sled-open".into()).spawn(move || {
        let mut opened = config.open();
        // A database that was just closed may still hold its lock for a moment.
        for _ in 0..LOCK_ATTEMPTS {
            if !matches!(&opened, Err(sled::Error::Io(error)) if is_locked(error)) {
                break;
            }
            std::thread::sleep(LOCK_PAUSE);
            opened = config.open();
        }
        // Nobody listens any more after the time-out; the database is closed then.
        drop(sender.send(opened));
    })?;
    match receiver.recv_timeout(OPEN_TIMEOUT) {
        Ok(opened) => Ok(opened?),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(SegmentError::Timeout),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(SegmentError::Panicked),
    }
}

/// The directory of the segment that starts at position `first_pos`.
pub(super) fn dir_name(first_pos: u64) -> String {
    format!("seg-{first_pos:020}")
}

/// The segments in a lane's directory by first position, once what a crash left half done there is finished.
pub(super) fn list(lane: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(lane)? {
        let mut path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let original = name.strip_prefix(COPY).map(|original| lane.join(original));
        if name.starts_with(DEAD) || original.as_ref().is_some_and(|original| original.exists()) {
            fs::remove_dir_all(&path)?;
            continue;
        }
        if let Some(original) = original {
            fs::rename(&path, &original)?;
            path = original;
        }
        let pos = name.trim_start_matches(COPY).strip_prefix("seg-").and_then(|pos| pos.parse().ok());
        segments.extend(pos.map(|pos| (pos, path)));
    }
    segments.sort();
    Ok(segments)
}

/// Gives a poisoned segment new files with the same content: the old ones stay locked by the forgotten database
/// for as long as the process lives.
pub(super) fn copy(dir: &Path) -> io::Result<()> {
    let sibling = sibling(dir, COPY);
    if !dir.exists() && sibling.exists() {
        // An earlier try came as far as this.
        return fs::rename(&sibling, dir);
    }
    if sibling.exists() {
        fs::remove_dir_all(&sibling)?;
    }
    create_private_dir(&sibling)?;
    for name in ["conf", "db"] {
        fs::copy(dir.join(name), sibling.join(name))?;
        File::open(sibling.join(name))?.sync_all()?;
    }
    sync_dir(&sibling)?;
    // A crash between the two renames leaves the finished copy alone, which `list` then takes.
    let dead = bury(dir)?;
    fs::rename(&sibling, dir)?;
    sync_dir(dir.parent().unwrap_or(dir))?;
    // Otherwise the next start removes it.
    fs::remove_dir_all(dead).ok();
    Ok(())
}

/// Removes a segment's directory. It is renamed first, so that a crash leaves nothing half removed to be read.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    fs::remove_dir_all(bury(dir)?)
}

fn bury(dir: &Path) -> io::Result<PathBuf> {
    let dead = sibling(dir, DEAD);
    if dead.exists() {
        fs::remove_dir_all(&dead)?;
    }
    fs::rename(dir, &dead)?;
    sync_dir(dir.parent().unwrap_or(dir))?;
    Ok(dead)
}

fn sibling(dir: &Path, prefix: &str) -> PathBuf {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    dir.with_file_name(format!("{prefix}{name}"))
}
