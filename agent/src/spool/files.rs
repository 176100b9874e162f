//! The spool's own files: lock, birth, checkpoint.

use super::{Lane, SpoolError};
use crate::state::{StateDir, StateError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fs::File, io, path::Path, time::Duration};
use vitrine_protocol::event::EventId;

const LOCK_FILE: &str = "lock";
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
pub(super) const CHECKPOINT_FILE: &str = "checkpoint";

/// The birth, and a copy of it.
pub(super) const BIRTH_FILES: [&str; 2] = ["spool", "spool-copy"];
/// The format that is written.
const FORMAT: u32 = 2;

/// What a spool is born with.
#[derive(Serialize, Deserialize)]
pub(super) struct Birth {
    v: u32,
    pub(super) id: EventId,
    pub(super) secret: EventId,
}

/// State as of a position in each lane.
#[derive(Serialize, Deserialize)]
pub(super) struct Checkpoint<S> {
    pub(super) lanes: BTreeMap<Lane, u64>,
    pub(super) state: S,
}

/// Makes sure that no other process has the spool, for as long as the file lives. A tool has it for moments.
pub(super) fn lock(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join(LOCK_FILE);
    let file = File::create(&path).map_err(|e| SpoolError::io(&path, e))?;
    for _ in 1..LOCK_ATTEMPTS {
        if file.try_lock().is_ok() {
            return Ok(file);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    locked(dir, file.try_lock(), file)
}

/// Makes sure that no process changes a spool that is only looked at, and has to be there. Others may look as well.
pub(super) fn lock_to_look(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join(LOCK_FILE);
    let file = File::open(&path).map_err(|e| SpoolError::io(&path, e))?;
    locked(dir, file.try_lock_shared(), file)
}

/// Whether there is, or was, a spool in the directory.
pub(super) fn check_is_spool(dir: &Path) -> Result<(), SpoolError> {
    let path = dir.join(LOCK_FILE);
    std::fs::metadata(&path).map(|_| ()).map_err(|e| SpoolError::io(&path, e))
}

fn locked(dir: &Path, lock: Result<(), std::fs::TryLockError>, file: File) -> Result<File, SpoolError> {
    match lock {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(SpoolError::Locked(dir.to_owned())),
        Err(std::fs::TryLockError::Error(e)) => Err(SpoolError::io(dir, e)),
    }
}

/// The birth of a spool that is only looked at; `None` where no copy can be read.
pub(super) fn look(dir: &Path) -> Option<Birth> {
    BIRTH_FILES.iter().find_map(|name| crate::state::look(&dir.join(name)))
}

/// Whether a birth is of a spool that this agent reads.
pub(super) fn check_format(dir: &Path, birth: &Birth) -> Result<(), SpoolError> {
    if birth.v == FORMAT {
        return Ok(());
    }
    Err(SpoolError::Format { dir: dir.to_owned(), found: birth.v, known: FORMAT })
}

/// A new spool's id is drawn; one that lost its id is not the same spool any more. It is written once and never again, so two copies
/// are enough.
pub(super) fn birth(files: &StateDir) -> Result<Birth, SpoolError> {
    let mut born = None;
    for name in BIRTH_FILES {
        match files.read::<Birth>(name) {
            Ok(Some(birth)) => {
                check_format(files.path(), &birth)?;
                born.get_or_insert(birth);
            }
            Ok(None) => {}
            Err(e @ StateError::Corrupt { .. }) => tracing::error!("{e}"),
            Err(e) => return Err(e.into()),
        }
    }
    if let Some(birth) = born {
        write_birth(files, &birth)?;
        return Ok(birth);
    }
    if Lane::ALL.iter().any(|lane| files.path().join(lane.name()).exists()) {
        return Err(SpoolError::Unrecoverable(files.path().join(BIRTH_FILES[0])));
    }
    let (mut id, mut secret) = ([0; 16], [0; 16]);
    let drawn = getrandom::fill(&mut id).and_then(|()| getrandom::fill(&mut secret));
    drawn.map_err(|e| SpoolError::io(files.path(), io::Error::other(e)))?;
    let birth = Birth { v: FORMAT, id: EventId(id), secret: EventId(secret) };
    write_birth(files, &birth)?;
    Ok(birth)
}

fn write_birth(files: &StateDir, birth: &Birth) -> Result<(), StateError> {
    let mut missing = BIRTH_FILES.iter().filter(|name| !files.path().join(name).exists());
    missing.try_for_each(|name| files.write(name, birth))
}

pub(super) fn read_checkpoint<S: DeserializeOwned>(
    files: &StateDir,
) -> Result<Option<Checkpoint<S>>, SpoolError> {
    match files.read(CHECKPOINT_FILE) {
        Ok(checkpoint) => Ok(checkpoint),
        Err(e @ StateError::Corrupt { .. }) => {
            tracing::error!("{e}; shelf levels are taken anew from the next readings");
            Ok(None)
        }
        Err(e) => Err(e.into()),
    }
}
