//! Directories of segments: their names, making and removing them, and the room they take.

use crate::state::sync_dir;
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often, and after which pause, removing a directory is tried again that is still written to.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);
/// Prefix of a directory that is being removed.
const DEAD: &str = "dead-";
/// Prefix of a directory that is being written.
const NEW: &str = "new-";
/// End of the name of a segment that was written anew, and replaces the one without.
const DENSE: &str = "-dense";

/// The directory of the segment that starts at position `first_pos`.
pub(super) fn name(first_pos: u64) -> String {
    format!("seg-{first_pos:020}")
}

/// The first position of the segment in a directory called `name`.
pub(super) fn first_pos(name: &str) -> Option<u64> {
    name.strip_suffix(DENSE).unwrap_or(name).strip_prefix("seg-")?.parse().ok()
}

/// The segments in a lane's directory by first position. Changes nothing.
pub(super) fn list(lane: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(lane)? {
        let entry = entry?;
        let pos = entry.file_name().to_str().and_then(first_pos);
        segments.extend(pos.map(|pos| (pos, entry.path())));
    }
    // Of two with the same position, the dense one comes last, and is complete.
    segments.sort();
    segments.reverse();
    segments.dedup_by_key(|(pos, _)| *pos);
    segments.reverse();
    Ok(segments)
}

/// Finishes what a crash left half done in a lane's directory.
pub(super) fn tidy(lane: &Path) -> io::Result<()> {
    let listed = list(lane)?;
    for entry in fs::read_dir(lane)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_replaced = first_pos(name).is_some() && listed.iter().all(|(_, dir)| *dir != path);
        if is_replaced || name.starts_with(DEAD) || name.starts_with(NEW) {
            remove_all(&path)?;
        }
    }
    sync_dir(lane)
}

/// Removes a segment's directory. It is renamed first, so that a crash leaves nothing half removed to be read.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    remove_all(&bury(dir)?)
}

/// Removes a directory that nobody reads; a database that failed may still be closing in it.
pub(super) fn remove_all(dir: &Path) -> io::Result<()> {
    let mut removed = fs::remove_dir_all(dir);
    for _ in 0..ATTEMPTS {
        match &removed {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            _ => break,
        }
        std::thread::sleep(PAUSE);
        removed = fs::remove_dir_all(dir);
    }
    removed
}

/// Where a denser copy of the segment in `dir` is written.
pub(super) fn new(dir: &Path) -> PathBuf {
    sibling(dir, NEW)
}

/// Makes the copy that was written in [`new`] one of the lane's segments: it counts instead of that in `dir` from now on.
pub(super) fn publish(dir: &Path) -> io::Result<PathBuf> {
    let mut dense = dir.as_os_str().to_owned();
    dense.push(DENSE);
    let dense = PathBuf::from(dense);
    fs::rename(new(dir), &dense)?;
    sync_dir(dir.parent().unwrap_or(dir))?;
    Ok(dense)
}

/// Octets that the files in `dir`, and below, take on the disk.
pub(super) fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let of_entry = |entry: io::Result<fs::DirEntry>| match entry.and_then(|e| Ok((e.metadata()?, e.path()))) {
        Ok((metadata, path)) if metadata.is_dir() => disk_bytes(&path),
        Ok((metadata, _)) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(of_entry).sum()
}

fn bury(dir: &Path) -> io::Result<PathBuf> {
    let dead = sibling(dir, DEAD);
    if dead.exists() {
        remove_all(&dead)?;
    }
    fs::rename(dir, &dead)?;
    sync_dir(dir.parent().unwrap_or(dir))?;
    Ok(dead)
}

fn sibling(dir: &Path, prefix: &str) -> PathBuf {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    dir.with_file_name(format!("{prefix}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_is_finished() {
        let lane = tempfile::tempdir().unwrap();
        let seg = |pos: u64| lane.path().join(name(pos));
        for dir in [sibling(&seg(1), DEAD), seg(2), new(&seg(2)), seg(3), new(&seg(3))] {
            fs::create_dir(dir).unwrap();
        }
        let dense = publish(&seg(3)).unwrap();
        tidy(lane.path()).unwrap();
        assert_eq!(list(lane.path()).unwrap(), [(2, seg(2)), (3, dense)]);
        assert_eq!(fs::read_dir(lane.path()).unwrap().count(), 2);
    }
}
