//! A contender's part of a round: what appending, draining and keeping costs.

use crate::{
    contender::{Contender, Queue},
    events::Events,
    measure::{disk_bytes, written_bytes},
};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// The name of the part.
pub(crate) const PART: &str = "round";

/// Commits of 64 events, commits of 512, events in groups.
const COMMITS_64: f64 = 1000.0;
const COMMITS_512: f64 = 200.0;
const GROUPED: f64 = 300_000.0;
const GROUP_DELAY: Duration = Duration::from_millis(50);

/// Events a second, and octets for each octet of payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) append_64: f64,
    pub(crate) written_64: f64,
    pub(crate) disk_64: f64,
    pub(crate) append_512: f64,
    pub(crate) append_grouped: f64,
    pub(crate) disk_grouped: f64,
    pub(crate) drain: f64,
    /// Of groups, drained again.
    pub(crate) written_grouped: f64,
    pub(crate) disk_after_mib: f64,
}

/// One round, which begins with another contender than the one before. Figures as [`Contender::ALL`].
pub(crate) fn run(dir: &Path, scale: f64, number: usize) -> anyhow::Result<Vec<Figures>> {
    let mut figures: Vec<_> = Contender::ALL.iter().map(|_| None).collect();
    for turn in 0..Contender::ALL.len() {
        let index = (number + turn) % Contender::ALL.len();
        let dir = tempfile::tempdir_in(dir)?;
        figures[index] = Some(Contender::ALL[index].measure(PART, dir.path(), scale)?);
    }
    figures.into_iter().collect::<Option<_>>().context("a contender had no turn")
}

/// Measures one contender, and prints the figures.
pub(crate) fn child(contender: Contender, dir: &Path, scale: f64) -> anyhow::Result<()> {
    let scaled = |count: f64| (count * scale) as usize;
    let (of_64, of_512) = (scaled(COMMITS_64) * 64, scaled(COMMITS_512) * 512);
    let events = Events::default().take(1 + of_64 + of_512 + scaled(GROUPED));
    let (first, events) = events.split_at(1);
    let (of_64, rest) = events.split_at(of_64);
    let (of_512, grouped) = rest.split_at(of_512);

    let single = dir.join("single");
    std::fs::create_dir(&single)?;
    let mut queue = contender.open(&single, Duration::ZERO)?;
    // The first commit creates files; that is not what a commit costs.
    queue.append(first)?;
    let written = written_bytes()?;
    let append_64 = rate(of_64, |events| commits(&mut *queue, events, 64))?;
    let written_64 = (written_bytes()? - written) as f64 / bytes(of_64);
    queue.settle()?;
    let disk_64 = disk_bytes(&single) as f64 / bytes(of_64);
    let append_512 = rate(of_512, |events| commits(&mut *queue, events, 512))?;
    drop(queue);

    let gathered = dir.join("gathered");
    std::fs::create_dir(&gathered)?;
    let mut queue = contender.open(&gathered, GROUP_DELAY)?;
    queue.append(first)?;
    let written = written_bytes()?;
    let append_grouped = rate(grouped, |events| queue.append_grouped(events))?;
    queue.settle()?;
    let disk_grouped = disk_bytes(&gathered) as f64 / bytes(grouped);
    let all = (1 + grouped.len(), bytes(first) as usize + bytes(grouped) as usize);
    let drain = rate(grouped, |_| {
        let drained = queue.drain()?;
        anyhow::ensure!(drained == all, "{drained:?} events and octets came back of {all:?}");
        Ok(())
    })?;
    queue.settle()?;
    let written_grouped = (written_bytes()? - written) as f64 / bytes(grouped);
    let disk_after_mib = disk_bytes(&gathered) as f64 / 1_048_576.0;
    let figures = Figures {
        append_64,
        written_64,
        disk_64,
        append_512,
        append_grouped,
        disk_grouped,
        drain,
        written_grouped,
        disk_after_mib,
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

fn commits(queue: &mut dyn Queue, events: &[Box<str>], each: usize) -> anyhow::Result<()> {
    events.chunks(each).try_for_each(|commit| queue.append(commit))
}

fn bytes(events: &[Box<str>]) -> f64 {
    events.iter().map(|event| event.len()).sum::<usize>() as f64
}

/// Events a second.
fn rate(events: &[Box<str>], work: impl FnOnce(&[Box<str>]) -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let started = Instant::now();
    work(events)?;
    Ok(events.len() as f64 / started.elapsed().as_secs_f64())
}
