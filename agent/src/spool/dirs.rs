//! Directories of segments: their names, making and removing them, and the room they take.

use crate::state::sync_dir;
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Prefix of a directory that is being removed.
const DEAD: &str = "dead-";
/// Prefix of a directory that is to replace another, with the same content in less room.
const DENSE: &str = "dense-";

/// The directory of the segment that starts at position `first_pos`.
pub(super) fn name(first_pos: u64) -> String {
    format!("seg-{first_pos:020}")
}

/// The first position of the segment in a directory called `name`.
pub(super) fn first_pos(name: &str) -> Option<u64> {
    name.strip_prefix("seg-")?.parse().ok()
}

/// The segments in a lane's directory by first position. Changes nothing.
pub(super) fn list(lane: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(lane)? {
        let entry = entry?;
        let pos = entry.file_name().to_str().and_then(first_pos);
        segments.extend(pos.map(|pos| (pos, entry.path())));
    }
    segments.sort();
    Ok(segments)
}

/// Finishes what a crash left half done in a lane's directory.
pub(super) fn tidy(lane: &Path) -> io::Result<()> {
    for entry in fs::read_dir(lane)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let original = name.strip_prefix(DENSE).map(|original| lane.join(original));
        match original {
            // Complete, for the other one was moved out of its way.
            Some(original) if !original.exists() => fs::rename(entry.path(), original)?,
            Some(_) => fs::remove_dir_all(entry.path())?,
            None if name.starts_with(DEAD) => fs::remove_dir_all(entry.path())?,
            None => {}
        }
    }
    sync_dir(lane)
}

/// Removes a segment's directory. It is renamed first, so that a crash leaves nothing half removed to be read.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    fs::remove_dir_all(bury(dir)?)
}

/// Where a denser copy of the segment in `dir` is made.
pub(super) fn dense(dir: &Path) -> PathBuf {
    sibling(dir, DENSE)
}

/// Puts the dense copy of the segment in `dir` in its place.
pub(super) fn replace_by_dense(dir: &Path) -> io::Result<()> {
    let dead = bury(dir)?;
    fs::rename(dense(dir), dir)?;
    sync_dir(dir.parent().unwrap_or(dir))?;
    // What is left of it, the next start removes.
    fs::remove_dir_all(dead).ok();
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_is_finished() {
        let lane = tempfile::tempdir().unwrap();
        for name in [
            "dead-seg-1",
            "seg-00000000000000000002",
            "dense-seg-00000000000000000002",
            "dense-seg-00000000000000000003",
        ] {
            fs::create_dir(lane.path().join(name)).unwrap();
        }
        tidy(lane.path()).unwrap();
        let names: Vec<_> = list(lane.path()).unwrap().into_iter().map(|(pos, _)| pos).collect();
        assert_eq!((names, fs::read_dir(lane.path()).unwrap().count()), (vec![2, 3], 2));
    }
}
