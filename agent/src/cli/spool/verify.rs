//! `vitrine spool verify`

use super::open::{self, Which};
use crate::{
    cli::text,
    spool::{self, Consequence, Damage, Finding, Verified},
};
use anyhow::bail;
use std::fmt;

/// Read everything in the spool, and say what is damaged
///
/// Exit code 1 if something is: then each damage is a line with its file, what it has held, what that costs and what to do. What
/// was put aside earlier is told and does not count. The agent need not be stopped, and need not be told: it finds the same
/// when it comes there, and tells the platform which events are lost.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let verified = spool::verify(&open::open(&args.which)?.view)?;
    text::print(&verified, args.json, Text(&verified))?;
    match verified.findings.len() {
        0 => Ok(()),
        count => bail!(
            "{count} damaged {}: look at the disk (dmesg, smartctl), and replace it if it goes on",
            if count == 1 { "place" } else { "places" }
        ),
    }
}

/// What was found, for people.
struct Text<'a>(&'a Verified);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verified { segments, blocks, events, notes, findings, aside } = self.0;
        for finding in findings {
            writeln!(f, "{}", Line(finding))?;
        }
        for aside in aside {
            writeln!(f, "{}", text::aside(aside))?;
        }
        let end = if findings.is_empty() { "All is whole." } else { "The rest is whole." };
        writeln!(f, "{segments} segments, {blocks} blocks, {events} events and {notes} notes read. {end}")
    }
}

/// A finding in a line.
struct Line<'a>(&'a Finding);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, lane, damage, error, positions, seqs, consequence } = self.0;
        write!(f, "{}: ", path.display())?;
        if let Some(lane) = lane {
            write!(f, "{}: ", lane.name())?;
        }
        write!(f, "{}", what(*damage))?;
        if let Some(error) = error {
            write!(f, " ({error})")?;
        }
        let positions = positions.iter().map(|hole| text::range(hole.first_pos, hole.last_pos));
        let positions = positions.collect::<Vec<_>>().join(", ");
        if !positions.is_empty() {
            write!(f, ", positions {positions}")?;
        }
        write!(f, "{}: {}", text::held(seqs), meaning(*consequence))
    }
}

fn what(damage: Damage) -> &'static str {
    match damage {
        Damage::Blocks => "blocks cannot be read",
        Damage::Segment => "the segment cannot be read",
        Damage::SegmentStart => "the segment's first mark cannot be read",
        Damage::LaneFile => "the lane's file cannot be read",
        Damage::LaneFileCopy => {
            "one of two copies cannot be read, as a power cut while it is written leaves it"
        }
        Damage::Birth => "the spool's id cannot be read, nor its copy",
        Damage::BirthCopy => "this copy of the spool's id cannot be read, or is another",
        Damage::Checkpoint => "the checkpoint cannot be read",
    }
}

fn meaning(consequence: Consequence) -> &'static str {
    match consequence {
        Consequence::Nothing => "nothing is lost by it, and nothing is to be done",
        Consequence::Stated => "lost, which the platform was told; nothing is to be done",
        Consequence::Lost => {
            "lost, which a gap will tell the platform; nothing is to be done, the agent goes on after it"
        }
        Consequence::Memory => {
            "no event is lost; the agent takes shelf levels anew from the next readings, and may take an input twice"
        }
        Consequence::Repeated => {
            "nothing is lost; what is still here is sent again, and the platform knows it by its number"
        }
        Consequence::Unusable => {
            "the next start will put the spool aside and begin a new one: run vitrine spool salvage on what it puts aside"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Lane, PosRange, SeqRange};
    use expect_test::expect;
    use vitrine_protocol::topic::Stream;

    #[test]
    fn a_finding_is_a_line() {
        let finding = Finding {
            path: "/s/facts/seg-00000000000000000001".into(),
            lane: Some(Lane::Facts),
            damage: Damage::Blocks,
            error: None,
            positions: vec![
                PosRange { first_pos: 21, last_pos: 40 },
                PosRange { first_pos: 50, last_pos: 50 },
            ],
            seqs: vec![SeqRange { stream: Stream::Stock, first_seq: 21, last_seq: 41 }],
            consequence: Consequence::Lost,
        };
        let copy = Finding {
            path: "/s/spool".into(),
            lane: None,
            damage: Damage::BirthCopy,
            positions: Vec::new(),
            seqs: Vec::new(),
            consequence: Consequence::Nothing,
            ..finding.clone()
        };
        let verified =
            Verified { segments: 2, blocks: 30, findings: vec![finding, copy], ..Verified::default() };
        expect![[r"
            /s/facts/seg-00000000000000000001: facts: blocks cannot be read, positions 21 to 40, 50, which held stock 21 to 41: lost, which a gap will tell the platform; nothing is to be done, the agent goes on after it
            /s/spool: this copy of the spool's id cannot be read, or is another: nothing is lost by it, and nothing is to be done
            2 segments, 30 blocks, 0 events and 0 notes read. The rest is whole.
        "]]
        .assert_eq(&Text(&verified).to_string());
    }
}
