//! A disk that remembers every write and every flush, so that its power can be cut at any of them, as often as wanted.
//!
//! It is a file in a FUSE file system of this process, below a loop device and an ext4. What it models:
//!
//! - What was written before the last flush is on the disk. A flush is a barrier that the file system asked for.
//! - Each write since then, independently, is on the disk, or is not, or is torn: some of its sectors are. So writes
//!   may reach the disk in any order.
//! - A sector is written, or is not.
//!
//! What it does not model: a disk that lies about flushes, one that damages sectors at rest (see the damage tests), and
//! a write that is under way at the instant of a flush being answered, which counts as before it.

use super::disk::{self, Mounted};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

const SECTOR: usize = 512;
const NAME: &str = "disk";
const DISK: INodeNo = INodeNo(2);
const FOREVER: Duration = Duration::from_secs(1 << 20);

/// Something that was asked of the disk.
#[derive(Debug)]
enum Asked {
    Write { offset: usize, data: Box<[u8]> },
    Flush,
}

#[derive(Debug, Default)]
struct Disk {
    content: Vec<u8>,
    log: Vec<Asked>,
}

/// An ext4 file system on a disk that records.
#[derive(Debug)]
pub struct Recorder {
    // Dropped in this order: the file system must go before the disk below it.
    mounted: Option<Mounted>,
    session: Option<BackgroundSession>,
    disk: Arc<Mutex<Disk>>,
    at_first: Vec<u8>,
    // The mount points.
    dir: tempfile::TempDir,
}

impl Recorder {
    /// Makes a disk of so many octets, with an empty file system, and starts to record.
    ///
    /// # Errors
    /// What was said where FUSE or loop devices cannot be used.
    pub fn start(bytes: u64) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let [plain, below, point] = ["plain", "below", "point"].map(|name| dir.path().join(name));
        fs::create_dir(&below).unwrap();
        fs::create_dir(&point).unwrap();
        disk::make_ext4(&plain, bytes);
        let at_first = fs::read(&plain).unwrap();
        fs::remove_file(plain).unwrap();
        let disk = Arc::new(Mutex::new(Disk { content: at_first.clone(), log: Vec::new() }));
        let mut options = Config::default();
        options.mount_options = vec![MountOption::FSName("vitrine-recorder".into())];
        let session =
            fuser::spawn_mount(Server(disk.clone()), &below, &options).map_err(|e| format!("FUSE: {e}"))?;
        let mut recorder = Self { mounted: None, session: Some(session), disk, at_first, dir };
        recorder.mounted = Some(Mounted::ext4(&point, &below.join(NAME))?);
        Ok(recorder)
    }

    /// Where the file system is.
    pub fn point(&self) -> std::path::PathBuf {
        self.dir.path().join("point")
    }

    /// Tells how much was asked of the disk so far: an instant at which its power can be cut.
    pub fn clock(&self) -> impl Fn() -> u64 + Send + 'static {
        let disk = self.disk.clone();
        move || lock(&disk).log.len() as u64
    }

    /// Unmounts the file system and returns what was recorded.
    pub fn stop(mut self) -> Recording {
        drop(self.mounted.take());
        drop(self.session.take());
        let log = std::mem::take(&mut lock(&self.disk).log);
        Recording { stable: std::mem::take(&mut self.at_first), done: 0, log }
    }
}

/// All that was asked of a disk.
#[derive(Debug)]
pub struct Recording {
    /// The disk as of the first `done` of `log`.
    stable: Vec<u8>,
    done: usize,
    log: Vec<Asked>,
}

impl Recording {
    /// How many writes and flushes there are.
    pub fn len(&self) -> u64 {
        self.log.len() as u64
    }

    /// Whether nothing was asked of the disk.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// A random instant; every other time one at which as much as possible is not flushed.
    pub fn instant(&self, random: &mut fastrand::Rng) -> u64 {
        let at = random.usize(..self.log.len());
        let next_flush = self.log[at..].iter().position(|asked| matches!(asked, Asked::Flush)).unwrap_or(0);
        (if random.bool() { at + next_flush } else { at + 1 }) as u64
    }

    /// Puts the disk into a file, as it is when the power is cut after the first `at` of what was asked of it. Instants
    /// have to rise from call to call. Tells how many writes were lost or torn.
    ///
    /// # Panics
    /// Where an earlier instant is asked for.
    pub fn cut(&mut self, at: u64, random: &mut fastrand::Rng, file: &Path) -> u64 {
        let at = usize::try_from(at).unwrap();
        let flushed = self.log[..at]
            .iter()
            .rposition(|asked| matches!(asked, Asked::Flush))
            .map_or(0, |index| index + 1);
        assert!(flushed >= self.done, "instants have to rise");
        for asked in &self.log[self.done..flushed] {
            if let Asked::Write { offset, data } = asked {
                self.stable[*offset..*offset + data.len()].copy_from_slice(data);
            }
        }
        self.done = flushed;
        let file = sparse(file, &self.stable);
        let mut lost = 0;
        // Of one cut, so that disks which keep nearly everything, or nearly nothing, are met too.
        let (keep, tear) = (random.f64(), random.f64() / 2.0);
        for asked in &self.log[flushed..at] {
            let Asked::Write { offset, data } = asked else { continue };
            let is_torn = random.f64() < tear;
            let is_kept = random.f64() < keep;
            lost += u64::from(is_torn || !is_kept);
            for (index, sector) in data.chunks(SECTOR).enumerate() {
                if if is_torn { random.bool() } else { is_kept } {
                    file.write_all_at(sector, (offset + index * SECTOR) as u64).unwrap();
                }
            }
        }
        lost
    }
}

/// A file with this content; what is zero is not written.
fn sparse(path: &Path, content: &[u8]) -> File {
    let file = File::create(path).unwrap();
    file.set_len(content.len() as u64).unwrap();
    for (index, chunk) in
        content.chunks(1 << 16).enumerate().filter(|(_, chunk)| chunk.iter().any(|&byte| byte != 0))
    {
        file.write_all_at(chunk, (index << 16) as u64).unwrap();
    }
    file
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves the disk as the only file of a directory.
struct Server(Arc<Mutex<Disk>>);

impl Server {
    fn attributes(&self, ino: INodeNo) -> FileAttr {
        let size = lock(&self.0).content.len() as u64;
        let is_disk = ino == DISK;
        FileAttr {
            ino,
            size: if is_disk { size } else { 0 },
            blocks: if is_disk { size / 512 } else { 0 },
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_disk { FileType::RegularFile } else { FileType::Directory },
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            reply.entry(&FOREVER, &self.attributes(DISK), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &self.attributes(ino));
    }

    /// Times are what the kernel wants to set; nobody asks for them.
    #[rustfmt::skip]
    fn setattr(
        &self, _: &Request, ino: INodeNo, _: Option<u32>, _: Option<u32>, _: Option<u32>, _: Option<u64>,
        _: Option<TimeOrNow>, _: Option<TimeOrNow>, _: Option<std::time::SystemTime>, _: Option<FileHandle>,
        _: Option<std::time::SystemTime>, _: Option<std::time::SystemTime>, _: Option<std::time::SystemTime>,
        _: Option<fuser::BsdFileFlags>, reply: ReplyAttr,
    ) {
        reply.attr(&FOREVER, &self.attributes(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    #[rustfmt::skip]
    fn read(
        &self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, size: u32, _: OpenFlags, _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let disk = lock(&self.0);
        let rest = usize::try_from(offset).ok().and_then(|offset| disk.content.get(offset..)).unwrap_or_default();
        reply.data(&rest[..rest.len().min(size as usize)]);
    }

    #[rustfmt::skip]
    fn write(
        &self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, data: &[u8], _: WriteFlags, _: OpenFlags,
        _: Option<LockOwner>, reply: ReplyWrite,
    ) {
        let mut disk = lock(&self.0);
        let place = usize::try_from(offset).ok().and_then(|offset| disk.content.get_mut(offset..offset + data.len()));
        let (Some(place), Ok(offset), Ok(size)) = (place, usize::try_from(offset), u32::try_from(data.len())) else {
            return reply.error(Errno::ENOSPC);
        };
        place.copy_from_slice(data);
        disk.log.push(Asked::Write { offset, data: data.into() });
        reply.written(size);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // This is what a process says that closes a file; it makes nothing durable.
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        lock(&self.0).log.push(Asked::Flush);
        reply.ok();
    }
}
