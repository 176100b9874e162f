//! What the spool costs: beside a raw segment file with checksums, which is as fast as durable can be, and beside fjall
//! and redb, as a reader would want to know.
//!
//! In a round every contender appends some events, one after the other, each round beginning with another one, on the same
//! disk, each in a process of its own: the kernel counts what it writes and how much memory it takes. Events are the same in
//! every run. The table tells medians over the rounds; ratios are medians of those within a round.
//!
//! `cargo run --release --manifest-path tests/bench/Cargo.toml -- [--quick] [--rounds N] [--dir DIR]`

mod contender;
mod databases;
mod events;
mod large;
mod measure;
mod raw;
mod rounds;
mod spooled;
mod table;
mod worker;

use anyhow::{Context, bail};
use contender::Contender;
use std::path::PathBuf;

/// What a process of its own is started with; then the part, the contender, a directory, and how much.
const CHILD: &str = "--child";

/// How much is measured, and where.
struct Args {
    dir: PathBuf,
    rounds: usize,
    /// Of 5 million events and 500 MB.
    large_scale: f64,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [child, part, contender, dir, how_much] = words.as_slice()
        && child == CHILD
    {
        let contender = Contender::named(contender)?;
        if contender == Contender::Spool {
            // As the agent does.
            vitrine_agent::memory::keep_small();
        }
        return match part.as_str() {
            worker::PART => worker::child(contender, dir.as_ref(), how_much),
            large::FILL => large::fill(contender, dir.as_ref(), how_much.parse()?),
            large::OPEN => large::open(contender, dir.as_ref()),
            _ => bail!("there is no part {part}"),
        };
    }
    let args = Args::parse(words)?;
    table::print_rounds(&rounds::run(&args.dir, args.rounds)?);
    eprintln!("large backlogs");
    table::print_large(&large::run(&args.dir, args.large_scale)?);
    Ok(())
}

impl Args {
    fn parse(words: Vec<String>) -> anyhow::Result<Self> {
        let mut args = Self { dir: std::env::temp_dir(), rounds: 100, large_scale: 1.0 };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => (args.rounds, args.large_scale) = (rounds::DRAIN_EVERY, 0.02),
                "--rounds" => args.rounds = value()?.parse().context("--rounds needs a number")?,
                "--dir" => args.dir = value()?.into(),
                _ => bail!("unknown word {word}: there are --quick, --rounds N and --dir DIR"),
            }
        }
        anyhow::ensure!(
            args.rounds >= rounds::DRAIN_EVERY,
            "--rounds needs a number from {} on",
            rounds::DRAIN_EVERY
        );
        Ok(args)
    }
}
