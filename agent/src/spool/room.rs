//! Room on the file system: what is free, what is kept in reserve, and how much the quarantine may hold.

use super::{dirs, segment::is_full};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Octets of the ballast: enough for cursors, gaps, and one more segment.
const BALLAST_BYTES: u64 = if cfg!(test) { 64 * 1024 } else { 4 * 1024 * 1024 };

/// A file that takes room which is needed once the disk is full: it is removed then, so that gaps and cursors can still be
/// written, and made again when there is room.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    is_there: bool,
}

impl Ballast {
    /// In the spool's directory.
    pub(super) fn new(spool: &Path) -> Self {
        let path = spool.join("ballast");
        let is_there = fs::metadata(&path).is_ok_and(|file| file.len() == BALLAST_BYTES);
        Self { path, is_there }
    }

    /// Gives its room away; `false` if that was done before.
    pub(super) fn release(&mut self) -> bool {
        std::mem::take(&mut self.is_there) && fs::remove_file(&self.path).is_ok()
    }

    /// Takes its room again, if more than it is free above `floor_bytes`.
    pub(super) fn restore(&mut self, free_bytes: u64, floor_bytes: u64) {
        if self.is_there || free_bytes < floor_bytes.saturating_add(4 * BALLAST_BYTES) {
            return;
        }
        match self.fill() {
            Ok(()) => self.is_there = true,
            Err(error) => {
                tracing::debug!(%error, "no ballast");
                fs::remove_file(&self.path).ok();
            }
        }
    }

    fn fill(&self) -> io::Result<()> {
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        for _ in 0..BALLAST_BYTES / 65536 {
            file.write_all(&[0x55; 65536])?;
        }
        file.sync_all()
    }
}

/// Octets that an ordinary user may still write to the file system of `dir`.
#[allow(unsafe_code, reason = "statvfs has no safe wrapper in the libraries we use")]
#[allow(clippy::unnecessary_cast, reason = "the fields have 32 bits on some machines")]
pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let path = std::ffi::CString::new(dir.as_os_str().as_bytes())?;
    // SAFETY: all-zero is a valid `statvfs`, the path ends in a zero, and both live over the call.
    let (code, stat) = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut stat), stat)
    };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((stat.f_bavail as u64).saturating_mul(stat.f_frsize as u64))
}

/// Moves a damaged segment to the quarantine, and removes the oldest ones there if they are too much.
pub(super) fn quarantine(segment: &Path, quarantine: &Path, name: &str, bytes_max: u64) -> io::Result<()> {
    crate::state::create_private_dir(quarantine)?;
    let place = quarantine.join(name);
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::rename(segment, &place)?;
    let mut kept: Vec<_> = fs::read_dir(quarantine)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    kept.sort();
    let mut total: u64 = kept.iter().map(|(_, dir)| dirs::disk_bytes(dir)).sum();
    for (_, dir) in kept {
        if total <= bytes_max {
            break;
        }
        total -= dirs::disk_bytes(&dir);
        tracing::warn!(segment = %dir.display(), "removed: the quarantine is full");
        fs::remove_dir_all(dir)?;
    }
    Ok(())
}

/// Whether an error means that the disk is full.
pub(super) fn is_disk_full(error: &super::SpoolError) -> bool {
    match error {
        super::SpoolError::Io { error, .. }
        | super::SpoolError::State(crate::state::StateError::Io { error, .. }) => is_full(error),
        super::SpoolError::Write { is_full, .. } => *is_full,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ballast_takes_room_and_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut ballast = Ballast::new(dir.path());
        ballast.restore(BALLAST_BYTES, 0);
        assert!(!ballast.release(), "there was no room for it");
        ballast.restore(u64::MAX, 0);
        assert!(dirs::disk_bytes(dir.path()) >= BALLAST_BYTES);
        assert!(Ballast::new(dir.path()).is_there);
        assert!(ballast.release() && !ballast.release());
        assert_eq!(dirs::disk_bytes(dir.path()), 0);
    }

    #[test]
    fn the_quarantine_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let quarantined = dir.path().join("quarantine");
        for n in 0..4 {
            let segment = dir.path().join("seg");
            fs::create_dir(&segment).unwrap();
            fs::write(segment.join("db"), vec![1; 8192]).unwrap();
            quarantine(&segment, &quarantined, &format!("{n}"), 20_000).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let mut left: Vec<_> = fs::read_dir(&quarantined).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["2", "3"]);
    }

    #[test]
    fn free_space_is_told() {
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
        assert!(free_bytes(Path::new("/nowhere")).is_err());
    }
}
