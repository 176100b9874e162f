//! Directories and file systems that a spool is put on.
//!
//! Mounting needs root. [`can_mount`] tells whether this process may; a test that cannot do its work otherwise runs
//! [`in_namespace`], where it is root of itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};
use vitrine_agent::spool::Found;

/// A file system that was just left may be busy for a moment.
const UNMOUNT_ATTEMPTS: u32 = 100;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(50);
/// Set where a test runs itself again in a namespace of its own.
const NAMESPACE_VARIABLE: &str = "VITRINE_TEST_IN_NAMESPACE";

/// Changes the octets of a block of the segment in `dir`, in every copy that its file has of it.
pub fn rot(dir: &Path, block: &Found) {
    let db = dir.join("db");
    let mut octets = fs::read(&db).unwrap();
    let whole = octets[block.offset as usize..][..block.length].to_vec();
    for at in 0..=octets.len() - whole.len() {
        if octets[at..].starts_with(&whole) {
            octets[at + whole.len() - 1] ^= 1;
        }
    }
    fs::write(db, octets).unwrap();
}

/// Copies a directory. What vanishes meanwhile is left out.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        }
    }
}

/// Copies a directory as it is at one instant, as soon as nothing is changed in it while it is copied.
pub fn snapshot(from: &Path, to: &Path) {
    loop {
        let before = contents(from);
        copy_dir(from, to);
        if contents(from) == before {
            return;
        }
        fs::remove_dir_all(to).unwrap();
    }
}

/// What shows that something was changed in a directory.
fn contents(dir: &Path) -> Vec<(PathBuf, u64, Option<std::time::SystemTime>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if let Ok(metadata) = entry.metadata() {
            found.push((entry.path(), metadata.len(), metadata.modified().ok()));
            if metadata.is_dir() {
                found.extend(contents(&entry.path()));
            }
        }
    }
    found.sort();
    found
}

/// The octets that a directory takes of its disk.
pub fn used_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let used = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => used_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // It was removed meanwhile.
        Err(_) => 0,
    });
    used.sum()
}

/// Something mounted, until it is dropped.
#[derive(Debug)]
pub struct Mounted {
    point: PathBuf,
    /// The loop device below it, if any.
    device: Option<String>,
}

impl Mounted {
    /// An empty file system of so many octets in memory.
    pub fn memory(point: &Path, bytes: u64) -> Self {
        let mut command = Command::new("mount");
        run(command.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0700"), "tmpfs"]).arg(point))
            .unwrap();
        Self { point: point.to_owned(), device: None }
    }

    /// The ext4 file system in a file, through a loop device.
    ///
    /// # Errors
    /// What `losetup` or `mount` said.
    pub fn ext4(point: &Path, file: &Path) -> Result<Self, String> {
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(file))?;
        // From here on it is detached when this is dropped.
        let mounted = Self { point: point.to_owned(), device: Some(device.trim().to_owned()) };
        run(Command::new("mount").args(["-t", "ext4", "-o", "noatime"]).arg(device.trim()).arg(point))?;
        Ok(mounted)
    }

    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut left = UNMOUNT_ATTEMPTS;
        while left > 0 && run(Command::new("umount").arg(&self.point)).is_err_and(|why| why.contains("busy"))
        {
            thread::sleep(UNMOUNT_PAUSE);
            left -= 1;
        }
        if let Some(device) = &self.device {
            run(Command::new("losetup").args(["--detach", device])).ok();
        }
    }
}

/// Makes an ext4 file system of so many octets in a new file.
pub fn make_ext4(file: &Path, bytes: u64) {
    fs::File::create(file).unwrap().set_len(bytes).unwrap();
    // Nothing is left for later: what is written from now on is the spool's doing.
    let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
    run(Command::new("mkfs.ext4").args(["-q", "-E", options]).arg(file)).unwrap();
}

/// Whether this process may mount file systems through loop devices; otherwise why not.
///
/// # Errors
/// What was said when it was tried.
pub fn can_mount() -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let (file, point) = (dir.path().join("disk"), dir.path().join("point"));
    fs::create_dir(&point).unwrap();
    make_ext4(&file, 8 << 20);
    Mounted::ext4(&point, &file).map(drop)
}

/// Runs the test `name` of this program where it is root: here, or else in a namespace of its own. Tells whether this is
/// the place; otherwise it has been run.
///
/// # Panics
/// Where neither is permitted: such a test cannot run, and does not pretend that it has.
#[allow(clippy::print_stdout, reason = "it is said where a test runs")]
pub fn in_namespace(name: &str) -> bool {
    let is_root = run(Command::new("id").arg("-u")).unwrap().trim() == "0";
    if is_root || std::env::var_os(NAMESPACE_VARIABLE).is_some() {
        return true;
    }
    println!("{name}: not root; running in a user namespace");
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]).arg(program).args([
        "--exact",
        name,
        "--nocapture",
    ]);
    let status = command.env(NAMESPACE_VARIABLE, "1").status().unwrap();
    assert!(status.success(), "{name} needs root, or user namespaces to be permitted; or see above");
    false
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// What it printed to standard error.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}
