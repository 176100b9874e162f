//! What the system counts: octets written, memory, room on the disk.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Octets that this process has caused to be written, as the kernel counts them.
pub(crate) fn written_bytes() -> anyhow::Result<u64> {
    field("/proc/self/io", "write_bytes:")
}

/// The most resident memory that this process has had, in MiB.
pub(crate) fn memory_max_mib() -> anyhow::Result<f64> {
    Ok(field("/proc/self/status", "VmHWM:")? as f64 / 1024.0)
}

/// Octets that `dir` takes on the disk: blocks, not lengths. Files may come and go meanwhile.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let of_entry = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(of_entry).sum()
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A number of a `/proc` file.
fn field(path: &str, name: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|n| n.parse().ok()).ok_or_else(|| anyhow::anyhow!("{path} has no {name}"))
}
