//! The next segment, opened ahead: creating one takes several syncs, for which no commit should wait.

use super::{dirs, segment::Segment};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// An empty segment for whichever lane needs one next.
#[derive(Clone, Debug)]
pub(super) struct Spare(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    ready: Mutex<Option<Segment>>,
    is_being_made: AtomicBool,
}

impl Spare {
    /// Kept in `spool`; what an earlier process has left there is removed.
    pub(super) fn new(spool: &Path) -> io::Result<Self> {
        let dir = spool.join("spare");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        Ok(Self(Arc::new(Inner { dir, ready: Mutex::default(), is_being_made: AtomicBool::new(false) })))
    }

    /// Makes one, if there is none, on a thread of its own.
    pub(super) fn prepare(&self) {
        let is_ready = self.ready().is_some();
        if is_ready || self.0.is_being_made.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        let make = move || {
            match this.make() {
                Ok(segment) => *this.ready() = Some(segment),
                // It is tried again when one is needed.
                Err(error) => tracing::debug!(error, "no segment could be opened ahead"),
            }
            this.0.is_being_made.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("spool-spare".into()).spawn(make).is_err() {
            self.0.is_being_made.store(false, Ordering::Release);
        }
    }

    /// Puts the spare, if there is one, to `place`. Durable when this returns.
    pub(super) fn take(&self, place: &Path) -> io::Result<Option<Segment>> {
        let Some(segment) = self.ready().take() else { return Ok(None) };
        segment.move_to(&self.0.dir, place)?;
        Ok(Some(segment))
    }

    /// Removes it: its room is needed, or the spool is closed.
    pub(super) fn discard(&self) {
        if let Some(segment) = self.ready().take() {
            drop(segment);
            fs::remove_dir_all(&self.0.dir).ok();
        }
    }

    fn make(&self) -> Result<Segment, String> {
        if self.0.dir.exists() {
            dirs::remove(&self.0.dir).map_err(|error| error.to_string())?;
        }
        Segment::create(&self.0.dir).map_err(|error| error.to_string())
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, Option<Segment>> {
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
