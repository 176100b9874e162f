//! Numbers for people, and results for people or programs.

use crate::spool::{Aside, SeqRange};
use serde::Serialize;
use std::{
    fmt,
    io::{self, Write},
    iter,
};

/// Prints a result: as one JSON object, or as `text`.
pub(super) fn print(result: &impl Serialize, as_json: bool, text: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        serde_json::to_writer(&mut out, result)?;
        writeln!(out)
    } else {
        write!(out, "{text}")
    }
}

/// Octets, such as `4.2 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let digits = usize::from(value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A length of time, such as `3 h 12 min`.
pub(super) fn age(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    match (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, min, s) => format!("{min} min {s} s"),
        (0, h, min, _) => format!("{h} h {min} min"),
        (days, h, ..) => format!("{days} d {h} h"),
    }
}

/// Something that was put aside, and what to do with it.
pub(super) fn aside(aside: &Aside) -> String {
    let (path, size) = (aside.path.display(), bytes(aside.disk_bytes));
    let is_file = aside.path.extension().is_some_and(|end| end == "corrupt");
    let what =
        if is_file { "nobody needs it any more" } else { "vitrine spool salvage recovers what is in it" };
    format!("put aside: {path} ({size}); {what}")
}

/// `first`, or `first to last`.
pub(super) fn range(first: u64, last: u64) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// What missing positions have held, after them: `, which held stock 21 to 41, till 7`; nothing where that is not known.
pub(super) fn held(seqs: &[SeqRange]) -> String {
    let seqs = seqs.iter().map(|held| format!("{} {}", held.stream, range(held.first_seq, held.last_seq)));
    let seqs = seqs.collect::<Vec<_>>().join(", ");
    if seqs.is_empty() { seqs } else { format!(", which held {seqs}") }
}

/// Rows of cells in columns: the first one to the left, numbers to the right.
pub(super) struct Table<const N: usize>(pub(super) Vec<[String; N]>);

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.0.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..N).map(width).collect();
        for row in &self.0 {
            write!(f, "{:<width$}", row[0], width = widths[0])?;
            for (cell, &width) in iter::zip(row, &widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases =
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (102_400, "100 KiB"), (1_048_570, "1.0 MiB")];
        for (n, text) in cases.into_iter().chain([(u64::MAX, "16777216 TiB")]) {
            assert_eq!(bytes(n), text);
        }
        for (s, text) in [(0, "0 s"), (61, "1 min 1 s"), (11_520, "3 h 12 min"), (90_000, "1 d 1 h")] {
            assert_eq!(age(s * 1000 + 999), text);
        }
        assert_eq!(age(-5), "0 s");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["lane", "waiting"], ["critical", "1"], ["facts", "1000000"]];
        expect_test::expect![[r"
            lane      waiting
            critical        1
            facts     1000000
        "]]
        .assert_eq(&Table(rows.map(|row| row.map(str::to_owned)).to_vec()).to_string());
    }
}
