//! `vitrine replay`

use crate::{
    capture::{
        Heard,
        replay::{Recorded, Recording, ReplayError},
    },
    clock::{Clock, Now},
    heart::Heart,
    ids::Ids,
    pipeline::Counters,
    plan::{self, Layouts},
    privacy::Release,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, BufWriter, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use vitrine_protocol::{
    Id,
    advertisement::{self, MANUFACTURER_DATA, SERVICE_DATA_16},
    frame::Frame,
};

/// Kinds of unknown payloads that are counted, and shown.
const OTHERS: usize = 1000;
const OTHERS_SHOWN: usize = 5;
/// So many bad lines are told; the rest are only counted.
const TOLD: u64 = 5;

/// Read a recording of advertisements and tell what is in it, and how fast it was read.
///
/// The file has a JSON object a line (`time`, `receiver`, `address`, `rssi_dbm`, and `adv_hex` where the payload was
/// recorded), as `vitrine record` writes it, or is a btsnoop capture (`btmon -w FILE`, or Android's HCI snoop log); either
/// may be gzip-compressed. With a plan, the recording goes through the agent's pipeline and privacy
/// engine, and every event that would leave the store is printed as a JSON line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recording.
    file: PathBuf,
    /// The receiver in the plan that has heard what is in a btsnoop file, which doesn't say it; hci0, hci1, ... if not
    /// given.
    #[arg(long, value_name = "ID")]
    receiver: Option<Id>,
    /// The tagging plan to apply.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Times the recording's own pace; as fast as possible if not given.
    #[arg(long, value_name = "X", value_parser = super::positive)]
    speed: Option<f64>,
    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was in a recording.
#[derive(Debug, Default, Serialize)]
struct Summary {
    advertisements: u64,
    frames: BTreeMap<&'static str, u64>,
    no_known_format: u64,
    /// Of these, the payloads, by what they say they are.
    others: BTreeMap<String, u64>,
    malformed: u64,
    bad_lines: u64,
    recorded_s: u64,
    read_s: f64,
    advertisements_per_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Counters>,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let plan = args.plan.as_deref().map(plan::load).transpose()?.map(Arc::new);
    let mut out = BufWriter::new(io::stdout().lock());
    // Made at the first advertisement, whose time is its first.
    let mut heart: Option<(Heart, Now)> = None;
    let mut summary = Summary::default();
    let no_layouts = Layouts::default();
    let clock = Clock::system();
    let started = clock.now().mono_ms;
    for line in Recording::open(&args.file, args.receiver)? {
        let recorded = match line {
            Ok(recorded) => recorded,
            Err(error @ (ReplayError::Line { .. } | ReplayError::Record { .. })) => {
                summary.bad_lines += 1;
                if summary.bad_lines <= TOLD {
                    writeln!(io::stderr(), "{error}")?;
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(speed) = args.speed {
            let due_ms = recorded.at.mono_ms as f64 / speed;
            let ahead_ms = due_ms - (clock.now().mono_ms - started) as f64;
            std::thread::sleep(Duration::from_millis(ahead_ms.max(0.0) as u64));
        }
        let heard = summary.add(&recorded, plan.as_ref().map_or(&no_layouts, |plan| &plan.layouts));
        if let Some(plan) = &plan {
            let first = || {
                (
                    Heart::new(plan.clone(), Ids::new(no_random()), Box::new(no_random), recorded.at),
                    recorded.at,
                )
            };
            let (heart, latest) = heart.get_or_insert_with(first);
            *latest = recorded.at;
            heard.iter().for_each(|heard| heart.handle_heard(heard));
            print(heart, &mut out)?;
        }
    }
    if let Some((mut heart, latest)) = heart {
        heart.close(latest);
        print(&mut heart, &mut out)?;
        summary.plan = Some(heart.counters());
    }
    summary.read_s = (clock.now().mono_ms - started).max(1) as f64 / 1000.0;
    summary.advertisements_per_s = (summary.advertisements as f64 / summary.read_s) as u64;
    if args.json {
        serde_json::to_writer(&mut out, &summary)?;
        writeln!(out)?;
    } else {
        write!(out, "{summary}")?;
    }
    Ok(out.flush()?)
}

impl Summary {
    fn add(&mut self, recorded: &Recorded, layouts: &Layouts) -> Vec<Heard> {
        let (heard, malformed) = recorded.hear(layouts);
        self.advertisements += 1;
        self.malformed += u64::from(malformed.is_some());
        self.recorded_s = recorded.at.mono_ms / 1000;
        for heard in &heard {
            match heard.frame.as_ref().map(Frame::format) {
                Some(format) => *self.frames.entry(format).or_default() += 1,
                None => self.no_known_format += u64::from(malformed.is_none()),
            }
        }
        if heard.iter().all(|heard| heard.frame.is_none()) {
            self.add_others(recorded.payload.as_deref().unwrap_or_default());
        }
        heard
    }

    fn add_others(&mut self, payload: &[u8]) {
        for structure in advertisement::structures(payload).flatten() {
            let Some((key, _)) = structure.data.split_first_chunk() else { continue };
            let key = u16::from_le_bytes(*key);
            let name = match structure.ad_type {
                MANUFACTURER_DATA => format!("manufacturer 0x{key:04x}"),
                SERVICE_DATA_16 => format!("service 0x{key:04x}"),
                _ => continue,
            };
            if self.others.len() < OTHERS || self.others.contains_key(&name) {
                *self.others.entry(name).or_default() += 1;
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, count: u64| writeln!(f, "{name:<24} {count:>10}");
        row("advertisements", self.advertisements)?;
        for (format, count) in &self.frames {
            row(&format!("  {format}"), *count)?;
        }
        row("  no known format", self.no_known_format)?;
        let mut others: Vec<_> = self.others.iter().collect();
        others.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (name, count) in others.into_iter().take(OTHERS_SHOWN) {
            row(&format!("    {name}"), *count)?;
        }
        row("  malformed", self.malformed)?;
        row("bad lines", self.bad_lines)?;
        if let Some(plan) = self.plan {
            row("of the plan", plan.sightings)?;
            row("not in the plan", plan.not_in_plan)?;
            row("staff, dropped", plan.staff)?;
            row("visits", plan.visits)?;
        }
        let Self { recorded_s, read_s, advertisements_per_s, .. } = self;
        writeln!(
            f,
            "{recorded_s} s of recording read in {read_s:.2} s: {advertisements_per_s} advertisements/s"
        )
    }
}

/// A recording has no kiosks, and nothing else is random.
fn no_random() -> [u8; 16] {
    [0; 16]
}

fn print(heart: &mut Heart, out: &mut impl Write) -> io::Result<()> {
    while let Some(release) = heart.poll_release() {
        if let Release::Event { event, .. } = release {
            serde_json::to_writer(&mut *out, &event)?;
            writeln!(out)?;
        }
    }
    Ok(())
}
