//! The next segment, opened ahead: creating one takes several syncs, for which no commit should wait.

use super::{dirs, segment::Segment};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

/// Its directory.
pub(super) const DIR: &str = "spare";

/// An empty segment for whichever lane needs one next.
#[derive(Clone, Debug)]
pub(super) struct Spare(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    ready: Mutex<Option<Segment>>,
    making: Mutex<Option<JoinHandle<()>>>,
}

impl Spare {
    /// Kept in `spool`; what an earlier process has left there is removed.
    pub(super) fn new(spool: &Path) -> io::Result<Self> {
        let dir = spool.join(DIR);
        if dir.exists() {
            dirs::remove_all(&dir)?;
        }
        Ok(Self(Arc::new(Inner { dir, ready: Mutex::default(), making: Mutex::default() })))
    }

    /// Makes one, if there is none, on a thread of its own.
    pub(super) fn prepare(&self) {
        let mut making = self.making();
        if self.ready().is_some() || making.as_ref().is_some_and(|making| !making.is_finished()) {
            return;
        }
        let this = self.clone();
        let make = move || match this.make() {
            Ok(segment) => *this.ready() = Some(segment),
            // It is tried again when one is needed.
            Err(error) => tracing::debug!(error, "no segment could be opened ahead"),
        };
        *making = std::thread::Builder::new().name("spool-spare".into()).spawn(make).ok();
    }

    /// The spare, if there is one, and its directory.
    pub(super) fn take(&self) -> Option<(Segment, PathBuf)> {
        Some((self.ready().take()?, self.0.dir.clone()))
    }

    /// Removes it: its room is needed.
    pub(super) fn discard(&self) {
        if let Some(segment) = self.ready().take() {
            drop(segment);
            dirs::remove_all(&self.0.dir).ok();
        }
    }

    /// Removes it, also one that is being made.
    pub(super) fn close(&self) {
        if let Some(making) = self.making().take() {
            drop(making.join());
        }
        self.discard();
    }

    fn make(&self) -> Result<Segment, String> {
        if self.0.dir.exists() {
            dirs::remove(&self.0.dir).map_err(|error| error.to_string())?;
        }
        Segment::create(&self.0.dir).map_err(|error| error.to_string())
    }

    fn ready(&self) -> MutexGuard<'_, Option<Segment>> {
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn making(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.0.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
