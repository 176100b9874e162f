//! A contender under one workload, in a process of its own that does a little whenever it is told to.
//!
//! It reads a word a line, and answers each with a line of JSON.

use crate::{
    contender::{Contender, Queue},
    events::Events,
    measure::{disk_bytes, written_bytes},
};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The name of the part.
pub(crate) const PART: &str = "work";

const APPEND: &str = "append";
const DRAIN: &str = "drain";
const COSTS: &str = "costs";

/// How events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// So many a commit, each of which is waited for.
    Commits(usize),
    /// One by one, to be gathered for 50 ms.
    Groups,
}

/// What a workload has cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Costs {
    /// Octets written for each octet of payload.
    pub(crate) written: f64,
    /// Octets on the disk for each octet of payload that was appended.
    pub(crate) disk: f64,
    pub(crate) disk_mib: f64,
}

impl Workload {
    /// Events that are appended at a time.
    fn events(self) -> usize {
        match self {
            Self::Commits(each) => (each * 20).max(2560),
            Self::Groups => 30_000,
        }
    }

    /// Events a commit; 0 stands for groups.
    fn to_word(self) -> String {
        match self {
            Self::Commits(each) => each,
            Self::Groups => 0,
        }
        .to_string()
    }

    fn from_word(word: &str) -> anyhow::Result<Self> {
        Ok(match word.parse()? {
            0 => Self::Groups,
            each => Self::Commits(each),
        })
    }
}

/// The process, as seen from the one that leads.
pub(crate) struct Worker {
    child: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
    _dir: TempDir,
}

impl Worker {
    pub(crate) fn start(contender: Contender, workload: Workload, dir: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(dir)?;
        let mut child = contender
            .command(PART, dir.path(), &workload.to_word())?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let tell = child.stdin.take().context("its input is piped")?;
        let hear = BufReader::new(child.stdout.take().context("its output is piped")?);
        Ok(Self { child, tell, hear, _dir: dir })
    }

    /// Appends some events. Returns how many a second.
    pub(crate) fn append(&mut self) -> anyhow::Result<f64> {
        self.ask(APPEND)
    }

    /// Drains what was appended. Returns how many events a second.
    pub(crate) fn drain(&mut self) -> anyhow::Result<f64> {
        self.ask(DRAIN)
    }

    /// What it has cost. The process ends then.
    pub(crate) fn costs(mut self) -> anyhow::Result<Costs> {
        let costs = self.ask(COSTS)?;
        drop(self.tell);
        anyhow::ensure!(self.child.wait()?.success(), "a contender failed at the end");
        Ok(costs)
    }

    fn ask<T: DeserializeOwned>(&mut self, word: &str) -> anyhow::Result<T> {
        writeln!(self.tell, "{word}")?;
        let mut line = String::new();
        self.hear.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("a contender failed to {word}"))
    }
}

/// The process itself.
pub(crate) fn child(contender: Contender, dir: &Path, workload: &str) -> anyhow::Result<()> {
    let workload = Workload::from_word(workload)?;
    let delay = if workload == Workload::Groups { Duration::from_millis(50) } else { Duration::ZERO };
    let mut work =
        Work { queue: contender.open(dir, delay)?, events: Events::default(), waiting: (0, 0), payload: 0 };
    // The first commit creates files; that is not what a commit costs.
    work.append(1, |queue, events| queue.append(events))?;
    let written = written_bytes()?;
    for line in std::io::stdin().lines() {
        let answer = match line?.as_str() {
            APPEND => {
                serde_json::to_string(&work.append(workload.events(), |queue, events| match workload {
                    Workload::Commits(each) => {
                        events.chunks(each).try_for_each(|commit| queue.append(commit))
                    }
                    Workload::Groups => queue.append_grouped(events),
                })?)?
            }
            DRAIN => serde_json::to_string(&work.drain()?)?,
            COSTS => {
                work.queue.settle()?;
                let (payload, disk) = (work.payload as f64, disk_bytes(dir) as f64);
                let written = (written_bytes()? - written) as f64 / payload;
                serde_json::to_string(&Costs { written, disk: disk / payload, disk_mib: disk / 1_048_576.0 })?
            }
            word => bail!("{word}?"),
        };
        println!("{answer}");
    }
    Ok(())
}

struct Work {
    queue: Box<dyn Queue>,
    events: Events,
    /// Events that were not drained, and their octets.
    waiting: (usize, usize),
    /// Octets of all events.
    payload: usize,
}

impl Work {
    fn append(
        &mut self,
        count: usize,
        append: impl FnOnce(&mut dyn Queue, &[Box<str>]) -> anyhow::Result<()>,
    ) -> anyhow::Result<f64> {
        let events = self.events.take(count);
        let bytes = events.iter().map(|event| event.len()).sum::<usize>();
        let started = Instant::now();
        append(&mut *self.queue, &events)?;
        let rate = count as f64 / started.elapsed().as_secs_f64();
        self.waiting = (self.waiting.0 + count, self.waiting.1 + bytes);
        self.payload += bytes;
        Ok(rate)
    }

    fn drain(&mut self) -> anyhow::Result<f64> {
        let started = Instant::now();
        let drained = self.queue.drain()?;
        let rate = drained.0 as f64 / started.elapsed().as_secs_f64();
        let waiting = std::mem::take(&mut self.waiting);
        anyhow::ensure!(drained == waiting, "{drained:?} events and octets came back of {waiting:?}");
        Ok(rate)
    }
}
