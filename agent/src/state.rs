//! Small durable state: named files under one directory.
//!
//! A file is one header line, `vitrine-state 1 <CRC-32C of the rest, 8 hexadecimal digits>`, and JSON. It is
//! replaced as a whole: write beside it, fsync, rename, fsync the directory. After a crash a reader finds the old
//! value or the new one, never a mixture. What changes often, or is large, belongs into the spool.

use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const MAGIC: &str = "vitrine-state 1 ";

/// Why a value could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("{path}: {error}; is the directory there, writable by this user, and not full?")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The file's checksum or form is wrong; it was renamed to `<name>.corrupt` and will not be read again.
    #[error("{path}: damaged ({why}); set aside as {path}.corrupt")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A directory of named values.
#[derive(Clone, Debug)]
pub struct StateDir {
    dir: PathBuf,
}

impl StateDir {
    /// Opens the directory, which is created (readable by this user alone) if it is not there.
    ///
    /// # Errors
    /// [`StateError::Io`]
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StateError> {
        let dir = dir.into();
        create_private_dir(&dir).map_err(|error| StateError::Io { path: dir.clone(), error })?;
        Ok(Self { dir })
    }

    /// Where the values are.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The value called `name`, if there is one.
    ///
    /// # Errors
    /// [`StateError`]; after `Corrupt` the next read finds no value.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.dir.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::Io { path, error }),
        };
        match decode(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(why) => {
                let aside = self.dir.join(format!("{name}.corrupt"));
                fs::rename(&path, aside).map_err(|error| StateError::Io { path: path.clone(), error })?;
                Err(StateError::Corrupt { path, why })
            }
        }
    }

    /// Makes `value` the value called `name`; durable when this returns.
    ///
    /// # Errors
    /// [`StateError::Io`]; the old value is still there then.
    pub fn write<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let path = self.dir.join(name);
        let write = || {
            let json = serde_json::to_vec(value)?;
            let temporary = self.dir.join(format!("{name}.new"));
            let mut file =
                File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            writeln!(file, "{MAGIC}{:08x}", crc32c::crc32c(&json))?;
            file.write_all(&json)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_dir(&self.dir)
        };
        write().map_err(|error: io::Error| StateError::Io { path: path.clone(), error })
    }
}

/// The value in the file at `path`, if there is one that can be read. Changes nothing.
pub(crate) fn look<T: DeserializeOwned>(path: &Path) -> Option<T> {
    decode(&fs::read(path).ok()?).ok()
}

/// Creates a directory and its parents, for this user alone; an existing one is left as it is.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes a directory's entries durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let header = MAGIC.len() + 9;
    let head = bytes.get(..header).and_then(|head| std::str::from_utf8(head).ok()).ok_or("too short")?;
    let crc = head.strip_prefix(MAGIC).ok_or("not a state file of this version")?.trim_end();
    let body = &bytes[header..];
    if u32::from_str_radix(crc, 16) != Ok(crc32c::crc32c(body)) {
        return Err("its checksum does not match".into());
    }
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().join("state")).unwrap();
        (dir, state)
    }

    #[test]
    fn reads_what_was_written_last() {
        let (_dir, state) = fresh();
        assert_eq!(state.read::<u32>("n").unwrap(), None);
        state.write("n", &7u32).unwrap();
        state.write("n", &8u32).unwrap();
        assert_eq!(state.read::<u32>("n").unwrap(), Some(8));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed_and_set_aside() {
        let (_dir, state) = fresh();
        state.write("v", "a value").unwrap();
        let path = state.path().join("v");
        let good = fs::read(&path).unwrap();
        let flips = (0..good.len() * 8).map(|bit| {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            bad
        });
        let cuts = (0..good.len()).map(|length| good[..length].to_vec());
        for bad in flips.chain(cuts) {
            fs::write(&path, &bad).unwrap();
            // A hexadecimal digit may change its case and still mean the same.
            match state.read::<String>("v") {
                Err(StateError::Corrupt { .. }) => assert_eq!(state.read::<String>("v").unwrap(), None),
                Ok(Some(value)) => assert_eq!(value, "a value", "{:?}", String::from_utf8_lossy(&bad)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = StateDir::open("/proc/none/state").unwrap_err().to_string();
        assert!(error.starts_with("/proc/none/state: "), "{error}");
    }
}
