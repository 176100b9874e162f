//! `vitrine spool dump`: segment by segment, block by block, in memory that does not depend on how much there is.

use super::{
    line,
    open::{self, Opened, Which},
};
use crate::spool::{Entry, Lane, LaneFiles, Scan, SegmentFiles, SpoolError, Standing, View};
use std::{
    io::{self, BufWriter, Write},
    ops::RangeInclusive,
    thread,
    time::Duration,
};
use vitrine_protocol::{time::Timestamp, topic::Stream};

/// How often, and after which pause, a segment of a running agent is looked at again in which something seems to be missing: it may
/// just have been drained, or written anew.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(150);

/// Print the events in the spool, one JSON object a line
///
/// A line has the event as the platform gets it, its place (`lane`, `pos`), its name (`spool_id`, `stream`, `seq`), what its
/// envelope says (`plan`, `business_date`), when it was written, and until when it is held back. Events are there until the
/// segment that they are in is acknowledged as a whole: --waiting leaves out what the platform has. What the agent notes for itself is
/// not printed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  vitrine spool dump --stream stock --seq 812       where is number 812?
  vitrine spool dump --waiting --until 2026-03-04T11:00:00Z | wc -l
  vitrine spool dump --stream kiosk --stream shelf | jq .event")]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Of this stream alone; may be said several times.
    #[arg(long = "stream", value_name = "STREAM", value_parser = parse_stream)]
    streams: Vec<Stream>,
    /// With these numbers: A, A..B (B is one of them), A.. or ..B
    #[arg(long, value_name = "A..B", value_parser = parse_seqs, requires = "streams")]
    seq: Option<RangeInclusive<u64>>,
    /// Written at this time (RFC 3339, such as 2026-03-04T11:00:00Z) or later.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Written at this time or earlier.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Only what the platform has not acknowledged.
    #[arg(long)]
    waiting: bool,
    /// JSON lines, which it prints anyway.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let Opened { view, .. } = open::open(&args.which)?;
    let mut dump =
        Dump { view: &view, args: &args, out: BufWriter::new(io::stdout().lock()), printed: 0, missing: 0 };
    for lane in Lane::ALL.into_iter().filter(|&lane| args.wants_lane(lane)) {
        dump.lane(lane)?;
    }
    dump.out.flush()?;
    let Dump { printed, missing, .. } = dump;
    if missing > 0 {
        writeln!(
            io::stderr(),
            "vitrine: {missing} records cannot be read: vitrine spool verify tells which"
        )?;
    } else if printed == 0 && args.seq.is_some() {
        explain(&view, &args)?;
    }
    Ok(())
}

impl Args {
    fn wants_lane(&self, lane: Lane) -> bool {
        self.streams.is_empty() || self.streams.iter().any(|&stream| Lane::of(stream) == lane)
    }

    fn wants(&self, entry: &Entry) -> bool {
        let Entry { record, written_at, .. } = entry;
        (self.streams.is_empty() || self.streams.contains(&record.stream))
            && self.seq.as_ref().is_none_or(|seqs| seqs.contains(&record.seq))
            && self.since.is_none_or(|since| *written_at >= since)
            && self.until.is_none_or(|until| *written_at <= until)
    }
}

struct Dump<'a, W> {
    view: &'a View,
    args: &'a Args,
    out: W,
    printed: u64,
    /// Records that should be there.
    missing: u64,
}

impl<W: Write> Dump<'_, W> {
    fn lane(&mut self, lane: Lane) -> anyhow::Result<()> {
        let mut lane_files = self.view.lane(lane)?;
        let mut pos = if self.args.waiting { lane_files.cursor.pos } else { 0 };
        while let Some((segment, scan)) = self.next_segment(&mut lane_files, pos)? {
            let end = lane_files.end_pos(&segment, scan.as_ref());
            pos = pos.max(segment.first_pos);
            let holes = scan
                .as_ref()
                .map_or_else(|| std::iter::once(pos..end).collect(), |scan| scan.holes(pos, Some(end)));
            self.missing += holes.iter().map(|hole| hole.end.saturating_sub(hole.start)).sum::<u64>();
            for entry in scan.iter().flat_map(|scan| scan.entries(pos)) {
                let Ok(entry) = entry else {
                    self.missing += 1;
                    continue;
                };
                if entry.record.pos >= end {
                    break;
                }
                if self.args.wants(&entry) {
                    line::print(&mut self.out, self.view.id(), &entry, false)?;
                    self.printed += 1;
                }
            }
            if segment.end_pos.is_none() {
                break;
            }
            pos = end;
        }
        Ok(())
    }

    /// The segment that holds position `pos`, or the first one after it; without a scan if it cannot be read.
    fn next_segment(
        &self,
        lane_files: &mut LaneFiles,
        pos: u64,
    ) -> Result<Option<(SegmentFiles, Option<Scan>)>, SpoolError> {
        for look in 1.. {
            let holds = |segment: &&SegmentFiles| segment.end_pos.is_none_or(|end| end > pos);
            let Some(segment) = lane_files.segments.iter().find(holds).cloned() else { break };
            let scan = Scan::of(&segment.dir).ok();
            let is_whole = scan.as_ref().is_some_and(|scan| {
                let end = lane_files.end_pos(&segment, Some(scan));
                scan.holes(pos.max(segment.first_pos), Some(end)).is_empty()
            });
            if is_whole || look == LOOKS {
                return Ok(Some((segment, scan)));
            }
            let now = self.view.lane(lane_files.lane)?;
            if now.is_still(lane_files) {
                return Ok(Some((segment, scan)));
            }
            *lane_files = now;
            thread::sleep(PAUSE);
        }
        Ok(None)
    }
}

/// Says what has become of numbers that are not in the spool.
fn explain(view: &View, args: &Args) -> anyhow::Result<()> {
    let Some(seqs) = &args.seq else { return Ok(()) };
    let standing = Standing::of(view, None, None)?;
    for &stream in &args.streams {
        let found = standing.lanes.iter().flat_map(|lane| &lane.streams).find(|at| at.stream == stream);
        let (first_seq, next_seq) = found.map_or((1, 1), |at| (at.first_seq, at.next_seq));
        let why = if *seqs.start() >= next_seq {
            format!("no event has this number yet; the next one gets {next_seq}")
        } else if *seqs.end() < first_seq {
            "the platform has it, or a gap in its place; it is here no more".to_owned()
        } else {
            "it is not here, or not as asked for; vitrine spool verify tells what is missing".to_owned()
        };
        writeln!(io::stderr(), "vitrine: {stream}: {why}")?;
    }
    Ok(())
}

fn parse_stream(text: &str) -> Result<Stream, String> {
    let found = Stream::ALL.iter().copied().find(|stream| stream.name() == text);
    found.ok_or_else(|| {
        let names: Vec<_> = Stream::ALL.iter().map(|stream| stream.name()).collect();
        format!("write one of {}", names.join(", "))
    })
}

fn parse_seqs(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str, default| if text.is_empty() { Some(default) } else { text.parse().ok() };
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (number(first, 0), number(last.trim_start_matches('='), u64::MAX)),
        None => (text.parse().ok(), text.parse().ok()),
    };
    let seqs = first.zip(last).map(|(first, last)| first..=last).filter(|seqs| !seqs.is_empty());
    seqs.ok_or_else(|| "write a number, or two as in 800..850".to_owned())
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time: Result<jiff::Timestamp, _> = text.parse();
    time.map(Timestamp::from).map_err(|_| "write a time such as 2026-03-04T11:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_asked_for_one_by_one_or_as_a_range() {
        assert_eq!(parse_seqs("812"), Ok(812..=812));
        assert_eq!(parse_seqs("5..7"), Ok(5..=7));
        assert_eq!(parse_seqs("5.."), Ok(5..=u64::MAX));
        assert_eq!(parse_seqs("..7"), Ok(0..=7));
        for bad in ["", "x", "7..5", "1..2..3", "-1"] {
            assert!(parse_seqs(bad).is_err(), "{bad}");
        }
    }
}
