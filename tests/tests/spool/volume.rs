//! Many events go through a short queue: neither disk nor memory may grow with how many have.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};
use vitrine_tests::spool::effort;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spool_flow");
/// An unoptimised build, and the program's own queue, take more than the 40 MiB that the agent may have.
const MEMORY_KIB_MAX: u64 = 56 * 1024;
/// From the first half of the run to the second one.
const MEMORY_GROWTH_KIB: u64 = 4 * 1024;

/// A line of the program, specified there.
#[derive(Clone, Copy, Debug)]
struct Sample {
    events: u64,
    memory_kib: u64,
    disk_bytes: u64,
}

#[test]
fn many_events_leave_nothing_behind() {
    let events = effort::rounds(300_000, 10_000_000);
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg(dir.path().join("spool")).arg(events.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let samples: Vec<Sample> = lines.map(|line| parse(&line).unwrap_or_else(|| panic!("{line}"))).collect();
    assert!(child.wait().unwrap().success());
    assert_eq!(samples.last().unwrap().events, events);

    assert!(samples.len() > 20, "{samples:?}");
    let (first, second) = samples.split_at(samples.len() / 2);
    let most = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap();
    let memory = [first, second].map(|half| most(half, |sample| sample.memory_kib));
    let disk = [first, second].map(|half| most(half, |sample| sample.disk_bytes));
    let left = samples.last().unwrap().disk_bytes;
    println!(
        "{events} events: memory {memory:?} KiB, disk {disk:?} octets, {left} left, in the halves of the run"
    );
    assert!(memory[1] <= memory[0] + MEMORY_GROWTH_KIB, "memory grows: {memory:?} KiB");
    assert!(memory[1] <= MEMORY_KIB_MAX, "memory: {memory:?} KiB");
    assert!(disk[1] <= disk[0] * 5 / 4, "the disk fills: {disk:?} octets");
}

fn parse(line: &str) -> Option<Sample> {
    let mut numbers = line.strip_prefix("sample ")?.split(' ').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Sample { events: next()?, memory_kib: next()?, disk_bytes: next()? })
}
