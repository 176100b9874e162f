//! A small value that is written often: two places in one file, used in turn.
//!
//! Writing needs no new room on the disk, so it works when that is full, and costs one sync. A crash while one place is written, or
//! damage to one, leaves the other: the value as it was before.
//!
//! | octets of a place | |
//! |---|---|
//! | 4 | `VTW1` |
//! | 4 | CRC-32C of the rest, up to the end of the value (numbers are little endian) |
//! | 4 | length of the value |
//! | 8 | how many values were written before |
//! | length | the value as JSON |

use crate::state::sync_dir;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const MAGIC: [u8; 4] = *b"VTW1";
const HEADER: usize = 20;
/// Octets of a place: whole pages, enough for a lane's file with all streams in it.
const PLACE: usize = 8192;

/// The file of a value.
#[derive(Debug)]
pub(super) struct Twin {
    path: PathBuf,
    file: Option<File>,
    /// How many values were written.
    count: u64,
}

/// What was found in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// There is no file.
    Nothing,
    /// The last value; or perhaps the one before, where the other place is damaged.
    Value(T, Certainty),
    /// Neither place can be read.
    Damaged,
}

/// Whether a value is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    Last,
    Perhaps,
}

impl Twin {
    /// Opens the file at `path`, if it is there, and reads it. One that cannot be read is renamed to `<name>.corrupt`.
    pub(super) fn open<T: DeserializeOwned>(path: &Path) -> io::Result<(Self, Found<T>)> {
        let mut twin = Self { path: path.to_owned(), file: None, count: 0 };
        let (count, found) = look(path)?;
        match &found {
            Found::Nothing => {}
            Found::Value(..) => {
                twin.file = Some(File::options().read(true).write(true).open(path)?);
                twin.count = count + 1;
            }
            Found::Damaged => fs::rename(path, path.with_extension("corrupt"))?,
        }
        Ok((twin, found))
    }

    /// Makes `value` the value. Durable when this returns; on an error, the one before is still there.
    pub(super) fn write<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let json = serde_json::to_vec(value)?;
        if HEADER + json.len() > PLACE {
            return Err(io::Error::other(format!("{} octets do not fit", json.len())));
        }
        let mut place = MAGIC.to_vec();
        place.extend([0; 4]);
        place.extend((json.len() as u32).to_le_bytes());
        place.extend(self.count.to_le_bytes());
        place.extend(json);
        let crc = crc32c::crc32c(&place[8..]);
        place[4..8].copy_from_slice(&crc.to_le_bytes());
        match &self.file {
            Some(file) => {
                file.write_all_at(&place, PLACE as u64 * (self.count % 2))?;
                file.sync_data()?;
            }
            None => self.file = Some(self.create(place)?),
        }
        self.count += 1;
        Ok(())
    }

    /// The first value is in both places, so that a file is whole from the start.
    fn create(&self, mut place: Vec<u8>) -> io::Result<File> {
        let new = self.path.with_extension("new");
        place.resize(PLACE, 0);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&place)?;
        file.write_all(&place)?;
        file.sync_all()?;
        fs::rename(new, &self.path)?;
        sync_dir(self.path.parent().unwrap_or(&self.path))?;
        Ok(file)
    }
}

/// Reads the file at `path` and changes nothing. With it, how many values had been written before.
pub(super) fn look<T: DeserializeOwned>(path: &Path) -> io::Result<(u64, Found<T>)> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((0, Found::Nothing)),
        Err(e) => return Err(e),
    };
    let places = [0, 1].map(|place| bytes.get(place * PLACE..).and_then(decode));
    let certainty = if places.iter().all(Option::is_some) { Certainty::Last } else { Certainty::Perhaps };
    let last = places.into_iter().flatten().max_by_key(|(count, _)| *count);
    Ok(last.map_or((0, Found::Damaged), |(count, value)| (count, Found::Value(value, certainty))))
}

fn decode<T: DeserializeOwned>(place: &[u8]) -> Option<(u64, T)> {
    let header = place.get(..HEADER).filter(|header| header.starts_with(&MAGIC))?;
    let number = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let (crc, length) = (number(4)?, number(8)? as usize);
    let count = u64::from_le_bytes(header.get(12..)?.try_into().ok()?);
    let end = HEADER.checked_add(length).filter(|&end| end <= PLACE)?;
    let checked = place.get(8..end)?;
    (crc32c::crc32c(checked) == crc).then_some(())?;
    Some((count, serde_json::from_slice(&place[HEADER..end]).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &Path) -> Found<u32> {
        Twin::open(path).unwrap().1
    }

    #[test]
    fn the_last_value_is_found_and_one_damaged_place_costs_one_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        assert_eq!(found(&path), Found::Nothing);
        let (mut twin, _) = Twin::open::<u32>(&path).unwrap();
        for n in 0..5 {
            twin.write(&n).unwrap();
            assert_eq!(found(&path), Found::Value(n, Certainty::Last));
        }
        let (mut twin, _) = Twin::open::<u32>(&path).unwrap();
        twin.write(&5).unwrap();
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).filter(|at| at % PLACE < HEADER + 1) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            let last = if at < PLACE { 5 } else { 4 };
            assert_eq!(found(&path), Found::Value(last, Certainty::Perhaps), "octet {at}");
        }
    }

    #[test]
    fn where_both_places_are_damaged_the_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        fs::write(&path, b"rotten").unwrap();
        assert_eq!((found(&path), found(&path)), (Found::Damaged, Found::Nothing));
        assert!(dir.path().join("n.corrupt").exists());
    }
}
