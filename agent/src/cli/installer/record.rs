//! `vitrine record`

mod output;
mod structures;

use self::output::Output;
use super::{Ears, Leave, RadioArgs, health::Health, who::Who};
use crate::{
    capture::{
        replay::jsonl::Line,
        source::{Advertisement, Listener, Notice},
    },
    clock::{Clock, Now},
    plan::Tag,
};
use anyhow::{Context, bail};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use vitrine_protocol::Id;

/// How often is looked whether the file can still be written.
const LOOK: Duration = Duration::from_millis(500);

const WARNING: &str = "\
warning: --all also records the radio addresses of customers' phones and of staff. That is personal data (GDPR, article 4):
warning: it needs a legal basis, people who know of it, and an end. Record in an empty store, or ask; delete the file soon.";

/// Record advertisements in a file that `vitrine replay` reads.
///
/// The file has a JSON object a line: time (UNIX seconds), receiver, address, rssi_dbm and adv_hex. It is compressed if its
/// name ends in .gz, and nobody but you may read it. Beacons of the plan are recorded, but no staff badges; others only with
/// --all. It grows to 1 GiB at most.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file to write.
    file: PathBuf,
    #[command(flatten)]
    radio: RadioArgs,
    /// Record staff badges and strangers too: personal data, as they may be people's phones.
    #[arg(long)]
    all: bool,
    /// Write over a file that is there already.
    #[arg(long)]
    force: bool,
}

/// Writes what it hears.
struct Recorder {
    all: bool,
    leave: Leave,
    book: Mutex<Book>,
}

struct Book {
    who: Who,
    output: Output,
    health: Health,
    /// Why no more is written.
    failed: Option<io::Error>,
    recorded: u64,
    beacons: BTreeSet<Id>,
    left_out: u64,
    /// Without a signal strength, or without an address.
    incomplete: u64,
    lost: u64,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let Args { file, radio, all, force } = args;
    let Ears { radios, plan, seconds } = radio.ears()?;
    if plan.is_none() && !all {
        bail!(
            "the plan says which beacons are recorded: name it with --plan store.toml, or record everything with --all"
        );
    }
    if all {
        writeln!(io::stderr(), "{WARNING}")?;
    }
    let output = Output::create(&file, force).with_context(|| {
        format!("{}: cannot be written; name a new file, or say --force to write over one", file.display())
    })?;
    let book = Book {
        who: Who::new(plan),
        output,
        health: Health::default(),
        failed: None,
        recorded: 0,
        beacons: BTreeSet::new(),
        left_out: 0,
        incomplete: 0,
        lost: 0,
    };
    let recorder = Arc::new(Recorder { all, leave: Leave(()), book: Mutex::new(book) });
    let clock = Clock::system();
    let started_ms = clock.now().mono_ms;
    let look = || {
        let mut book = recorder.lock();
        let Book { recorded, left_out, incomplete, .. } = *book;
        book.health.check(recorded + left_out + incomplete, clock.now().mono_ms - started_ms)?;
        Ok(book.failed.take().map_or(Ok(()), Err)?)
    };
    let heard = super::listen(radios, seconds, &recorder, &clock, LOOK, look);
    let mut book = recorder.lock();
    // What was heard is kept, whatever happened to the radio.
    let finished = book.output.finish();
    if heard.is_err() && book.recorded == 0 {
        // An empty file would only be in the way of the next attempt.
        fs::remove_file(&file).ok();
    }
    heard?;
    book.failed.take().map_or(finished, Err).with_context(|| file.display().to_string())?;
    let Book { recorded, beacons, left_out, incomplete, lost, .. } = &*book;
    writeln!(
        io::stdout(),
        "{}: {recorded} advertisements, {} beacons of the plan; {left_out} of others left out, {incomplete} without signal \
         strength or address, {lost} lost",
        file.display(),
        beacons.len(),
    )?;
    Ok(())
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn takes(&self, tag: Option<Tag>) -> bool {
        self.all || tag.is_some_and(|tag| tag.carrier != "staff")
    }
}

impl Listener for Recorder {
    fn wants(&self, advertisement: &Advertisement<'_>) -> bool {
        self.takes(self.lock().who.read(advertisement).tag)
    }

    /// Writes at once: it goes to the system's memory, and seldom waits.
    fn hear(&self, advertisement: &Advertisement<'_>) {
        let mut book = self.lock();
        let tag = book.who.read(advertisement).tag;
        if !self.takes(tag) {
            book.left_out += 1;
            return;
        }
        let &Advertisement { at, receiver, address, rssi_dbm, content } = advertisement;
        let (Some(address), Some(rssi_dbm)) = (address, rssi_dbm) else {
            book.incomplete += 1;
            return;
        };
        let line = Line {
            time: at.utc.as_ms() as f64 / 1000.0,
            receiver,
            address: address.told(&self.leave),
            rssi_dbm,
            adv_hex: structures::of(content).map(hex::encode),
        };
        match book.output.write(&line) {
            Ok(()) => {
                book.recorded += 1;
                book.beacons.extend(tag.map(|tag| tag.beacon));
            }
            Err(error) => {
                book.lost += 1;
                book.failed.get_or_insert(error);
            }
        }
    }

    fn lost(&self, _receiver: Id, count: u64) {
        self.lock().lost += count;
    }

    fn notice(&self, notice: Notice, _now: Now) {
        self.lock().health.notice(&notice);
    }
}
