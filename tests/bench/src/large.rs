//! Large backlogs: how much memory a process takes that has queued 5 million events, and how long it takes to open 500 MB
//! again after a kill.

use crate::{
    contender::Contender,
    events::Events,
    measure::{disk_bytes, memory_max_mib},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// The names of the parts.
pub(crate) const FILL: &str = "fill";
pub(crate) const OPEN: &str = "open";

const EVENTS: f64 = 5e6;
const DISK_BYTES: f64 = 500e6;
const COMMIT: usize = 2048;
/// Commits between two looks at the disk.
const LOOK_EVERY: usize = 50;

/// A contender's figures.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) filled: Filled,
    /// `None` where the contender cannot be opened again.
    pub(crate) opened: Option<Opened>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Filled {
    /// With so many events queued, and at most until then.
    pub(crate) events: usize,
    pub(crate) memory_max_mib: f64,
    /// On the disk when it was killed.
    pub(crate) disk_mb: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) took_s: f64,
    pub(crate) memory_max_mib: f64,
}

/// Figures as [`Contender::ALL`].
pub(crate) fn run(dir: &Path, scale: f64) -> anyhow::Result<Vec<Figures>> {
    let figures = |contender: Contender| {
        let dir = tempfile::tempdir_in(dir)?;
        let filled = measure(contender, FILL, dir.path(), scale)?;
        let opens_again = !matches!(contender, Contender::Raw | Contender::RawZstd);
        let open = || {
            forget_files();
            measure(contender, OPEN, dir.path(), scale)
        };
        let opened = opens_again.then(open).transpose()?;
        Ok(Figures { filled, opened })
    };
    Contender::ALL.into_iter().map(figures).collect()
}

/// Runs a part in a process of its own, and reads the figures that it prints.
fn measure<T: DeserializeOwned>(
    contender: Contender,
    part: &str,
    dir: &Path,
    scale: f64,
) -> anyhow::Result<T> {
    let output = contender.command(part, dir, &scale.to_string())?.output()?;
    anyhow::ensure!(output.status.success(), "{}: the part {part} failed", contender.name());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Fills a queue, first with as many events as memory is measured at, then up to the size that is opened; prints figures,
/// and dies without closing it.
pub(crate) fn fill(contender: Contender, dir: &Path, scale: f64) -> anyhow::Result<()> {
    let mut queue = contender.open(dir, Duration::ZERO)?;
    let mut events = Events::default();
    let count = (EVENTS * scale) as usize;
    for _ in 0..count.div_ceil(COMMIT) {
        queue.append(&events.take(COMMIT))?;
    }
    let memory_max_mib = memory_max_mib()?;
    while (disk_bytes(dir) as f64) < DISK_BYTES * scale {
        for _ in 0..LOOK_EVERY {
            queue.append(&events.take(COMMIT))?;
        }
    }
    let disk_mb = disk_bytes(dir) as f64 / 1e6;
    println!("{}", serde_json::to_string(&Filled { events: count, memory_max_mib, disk_mb })?);
    std::process::exit(0);
}

/// Opens it again, and prints figures.
pub(crate) fn open(contender: Contender, dir: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let queue = contender.open(dir, Duration::ZERO)?;
    let took_s = started.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&Opened { took_s, memory_max_mib: memory_max_mib()? })?);
    drop(queue);
    Ok(())
}

/// Has the system forget what it has read and written, where it lets us: the files come from the disk then, as after a
/// start of the machine.
fn forget_files() {
    let synced = Command::new("sync").status().is_ok_and(|status| status.success());
    if !synced || fs::write("/proc/sys/vm/drop_caches", "3").is_err() {
        eprintln!("files stay in memory (to forget them needs root): opening is measured warm");
    }
}
