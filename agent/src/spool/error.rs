//! What can go wrong, and what to do then.

use super::Lane;
use crate::state::StateError;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Why the spool could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file system refused.
    #[error("{path}: {error}; is the directory there, writable by this user, and not full?")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Another process has the spool.
    #[error("{0}: another vitrine uses this spool; stop it first, or configure another directory")]
    Locked(PathBuf),
    /// A state file could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// A lane's file and its newest segment are both lost: how far numbering went is not known any more.
    #[error("{0}: it is not known any more how far this lane's numbering went")]
    Unrecoverable(PathBuf),
    /// The spool is in a format that this agent does not know.
    #[error(
        "{dir}: this spool has format {found}, and this agent knows format {known}: install the version of vitrine that wrote it, \
         or name another directory by `path` under [spool] in gateway.toml"
    )]
    Format {
        /// The spool.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The format that is written.
        known: u32,
    },
    /// A segment could not be written. The commit waits and is tried again.
    #[error("lane {}: cannot write: {why}", lane.name())]
    Write {
        /// The lane.
        lane: Lane,
        /// What was said.
        why: String,
        /// Whether the disk is full.
        is_full: bool,
    },
    /// The agent that has the spool does not say how it stands.
    #[error(
        "{dir}: an agent has this spool and does not answer: {why}; name its socket with --socket, or stop it"
    )]
    NoAnswer {
        /// The spool.
        dir: PathBuf,
        /// Where it was asked, and what was said.
        why: String,
    },
    /// The agent is going down.
    #[error("the spool is closed")]
    Closed,
}

impl SpoolError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}

/// The spool takes nothing more on for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the spool is full: come again in {} s", retry_after.as_secs())]
pub struct Full {
    /// The lane that is full; `None` where it is the disk.
    pub lane: Option<Lane>,
    /// When to come again.
    pub retry_after: Duration,
}
