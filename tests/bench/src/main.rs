//! What the spool costs: beside a raw segment file with checksums, which is as fast as durable can be, and beside fjall
//! and redb, as a reader would want to know.
//!
//! A round runs every contender once, one after the other, each round beginning with another one, on the same events and
//! the same disk, each in a process of its own: the kernel counts what it writes and how much memory it takes. The table
//! tells medians over the rounds; ratios are medians of those within a round.
//!
//! `cargo run --release --manifest-path tests/bench/Cargo.toml -- [--quick] [--rounds N] [--dir DIR]`

mod contender;
mod databases;
mod events;
mod large;
mod measure;
mod raw;
mod round;
mod spooled;
mod table;

use anyhow::{Context, bail};
use contender::Contender;
use std::path::PathBuf;

/// What a process of its own is started with; then the part, the contender, a directory, and how much.
const CHILD: &str = "--child";

/// How much is measured, and where.
struct Args {
    dir: PathBuf,
    rounds: usize,
    /// Of the numbers of events in a round, and of those in a large backlog.
    scale: f64,
    large_scale: f64,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [child, part, contender, dir, scale] = words.as_slice()
        && child == CHILD
    {
        let contender = Contender::named(contender)?;
        if contender == Contender::Spool {
            // As the agent does.
            vitrine_agent::memory::keep_small();
        }
        return match part.as_str() {
            round::PART => round::child(contender, dir.as_ref(), scale.parse()?),
            large::FILL => large::fill(contender, dir.as_ref(), scale.parse()?),
            large::OPEN => large::open(contender, dir.as_ref()),
            _ => bail!("there is no part {part}"),
        };
    }
    let args = Args::parse(words)?;
    let mut rounds = Vec::new();
    for number in 0..args.rounds {
        eprintln!("round {} of {}", number + 1, args.rounds);
        rounds.push(round::run(&args.dir, args.scale, number)?);
    }
    eprintln!("large backlogs");
    let large = large::run(&args.dir, args.large_scale)?;
    table::print(&rounds, &large);
    Ok(())
}

impl Args {
    fn parse(words: Vec<String>) -> anyhow::Result<Self> {
        let mut args = Self { dir: std::env::temp_dir(), rounds: 9, scale: 1.0, large_scale: 1.0 };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => (args.rounds, args.scale, args.large_scale) = (3, 0.1, 0.02),
                "--rounds" => args.rounds = value()?.parse().context("--rounds needs a number")?,
                "--dir" => args.dir = value()?.into(),
                _ => bail!("unknown word {word}: there are --quick, --rounds N and --dir DIR"),
            }
        }
        anyhow::ensure!(args.rounds > 0, "--rounds needs a number from 1 on");
        Ok(args)
    }
}
