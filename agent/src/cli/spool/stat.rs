//! `vitrine spool stat`

use super::open::{self, Opened, Which};
use crate::{
    cli::text::{self, Table},
    clock::Clock,
    spool::{LaneStanding, Standing, Stats, StreamStanding},
};
use std::fmt;
use vitrine_protocol::time::Timestamp;

/// Tell what waits in the spool, since when, and how much room it takes
///
/// A lane is a priority class with room of its own. Events wait until the platform has acknowledged them; notes are what the agent
/// has to remember with them, and are never sent. `first` is the first number of a stream that the platform does not have,
/// `next` the one that the next event gets.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let Opened { view, bounds, stats } = open::open(&args.which)?;
    let standing = Standing::of(&view, bounds, stats)?;
    let text = Text { standing: &standing, now: Clock::system().now().utc };
    Ok(text::print(&standing, args.json, text)?)
}

/// A spool's standing for people.
struct Text<'a> {
    standing: &'a Standing,
    now: Timestamp,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Standing { dir, spool_id, is_running, lanes, aside, since_start } = self.standing;
        let id = spool_id.map_or("unreadable".to_owned(), |id| id.to_string());
        let agent = if *is_running { "the agent runs" } else { "no agent runs" };
        writeln!(f, "{}: spool {id}, {agent}\n", dir.display())?;
        let head = ["lane", "waiting", "notes", "oldest", "on disk", "bound", "segments", "cursor"];
        let rows = lanes.iter().map(|lane| self.lane(lane));
        writeln!(f, "{}", Table([head.map(str::to_owned)].into_iter().chain(rows).collect()))?;
        let streams: Vec<_> = lanes.iter().flat_map(|lane| &lane.streams).map(stream).collect();
        if !streams.is_empty() {
            let head = ["stream", "waiting", "first", "next"].map(str::to_owned);
            writeln!(f, "{}", Table([head].into_iter().chain(streams).collect()))?;
        }
        for lane in lanes {
            for lost in &lane.evicted {
                let range = text::range(lost.first_seq, lost.last_seq);
                writeln!(f, "evicted: {} {range}; a gap will tell the platform", lost.stream)?;
            }
        }
        for aside in aside {
            writeln!(f, "{}", text::aside(aside))?;
        }
        since_start.as_ref().map_or(Ok(()), |stats| since(f, stats))
    }
}

impl Text<'_> {
    fn lane(&self, lane: &LaneStanding) -> [String; 8] {
        let oldest = lane.oldest_at.map(|oldest| text::age(self.now.as_ms() - oldest.as_ms()));
        let or_none = |text: Option<String>| text.unwrap_or("-".into());
        [
            lane.lane.name().to_owned(),
            lane.waiting_events.to_string(),
            or_none(lane.waiting_notes.map(|notes| notes.to_string())),
            or_none(oldest),
            text::bytes(lane.disk_bytes),
            or_none(lane.bytes_max.map(text::bytes)),
            lane.segments.to_string(),
            lane.cursor.to_string(),
        ]
    }
}

fn stream(stream: &StreamStanding) -> [String; 4] {
    let StreamStanding { stream: name, first_seq, next_seq } = *stream;
    [name.to_string(), stream.waiting_events().to_string(), first_seq.to_string(), next_seq.to_string()]
}

fn since(f: &mut fmt::Formatter<'_>, stats: &Stats) -> fmt::Result {
    let Stats { events, commits, payload_bytes, written_bytes, .. } = stats;
    write!(f, "since the agent was started: {events} events in {commits} commits")?;
    if *payload_bytes > 0 {
        let per_octet = *written_bytes as f64 / *payload_bytes as f64;
        write!(f, ", {} written, {per_octet:.2} per octet of events", text::bytes(*written_bytes))?;
    }
    let Stats { lost_events, evicted_segments, damaged_segments, is_full, .. } = stats;
    writeln!(
        f,
        "\nlost: {lost_events} events; {evicted_segments} segments evicted, {damaged_segments} damaged"
    )?;
    if *is_full {
        writeln!(
            f,
            "full: shelves, kiosks and counters are told to come again; make room on the disk, or bring the line up"
        )?;
    }
    Ok(())
}
