//! `vitrine spool salvage`

use super::line;
use crate::cli::text;
use crate::spool::{self, Recovered, Salvage};
use anyhow::{Context, bail};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Recover the events of damaged segments, as far as their checksums allow
///
/// DIR is a segment's directory (one in the quarantine, one that was being written, or one in use), or holds some: a quarantine, a
/// spool, or one that was put aside as `spool.damaged-*`. Nothing in it is changed. Events come as `vitrine spool dump` prints them, each
/// once; what is missing is told on stderr.
///
/// To hand them to the platform, send it the file: `spool_id`, `stream` and `seq` are what it knows an event by, so what it
/// has already does no harm, and what it was told is lost fills a gap. An event that is `unconfirmed` may never have been answered, and
/// its number may have been given to another one since: what the platform has under that number counts.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  vitrine spool salvage /var/lib/vitrine/spool/quarantine --output lyon-2.jsonl
  vitrine spool salvage /var/lib/vitrine/spool.damaged-1772622000000 | gzip > lyon-2.jsonl.gz")]
pub(super) struct Args {
    /// The directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Where to write the events; a new file. To stdout if not given.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Tell what is missing as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let dir = args.dir.display();
    let spools = spool::copies(&args.dir).with_context(|| format!("{dir}: cannot be looked through"))?;
    if spools.is_empty() {
        bail!(
            "{dir}: there is no segment in it; name a directory such as <spool>/quarantine, or one with a file `db`"
        );
    }
    let output = args.output.as_deref().map(create).transpose()?;
    let mut out: BufWriter<Box<dyn Write>> = BufWriter::new(match &output {
        Some(file) => Box::new(file),
        None => Box::new(io::stdout().lock()),
    });
    let mut reports = Vec::new();
    for copies in &spools {
        let mut salvage = Salvage::default();
        for dir in &copies.dirs {
            salvage.read(dir, |entry, is_unconfirmed| {
                line::print(&mut out, copies.spool_id, entry, is_unconfirmed)
            })?;
        }
        reports.push(salvage.finish());
    }
    out.flush()?;
    drop(out);
    output.as_ref().map_or(Ok(()), File::sync_all)?;
    let mut report = io::stderr().lock();
    for recovered in &reports {
        if args.json {
            serde_json::to_writer(&mut report, recovered)?;
            writeln!(report)?;
        } else {
            tell(&mut report, recovered)?;
        }
    }
    Ok(())
}

/// For its user alone: events are not for everyone on the machine.
fn create(path: &Path) -> anyhow::Result<File> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("{}: cannot be created; name a new file with --output", path.display()))
}

fn tell(out: &mut impl Write, recovered: &Recovered) -> io::Result<()> {
    let Recovered { segments, events, unconfirmed_events, streams, missing, unreadable } = recovered;
    writeln!(out, "{events} events recovered from {segments} segments")?;
    for stream in streams {
        let range = text::range(stream.first_seq, stream.last_seq);
        writeln!(out, "  {}: {} events, {range}", stream.stream, stream.events)?;
    }
    if *unconfirmed_events > 0 {
        writeln!(out, "  {unconfirmed_events} of them unconfirmed")?;
    }
    for unreadable in unreadable {
        writeln!(out, "cannot be read: {}: {}", unreadable.dir.display(), unreadable.error)?;
    }
    for lost in missing {
        let (dir, held) = (lost.dir.display(), text::held(&lost.seqs));
        writeln!(out, "missing: {dir}: {} records{held}", lost.records)?;
    }
    if missing.is_empty() && unreadable.is_empty() {
        writeln!(out, "nothing that shows is missing")?;
    }
    Ok(())
}
