//! `vitrine scan`

mod pulse;
mod render;
mod screen;
mod table;

use self::{
    render::Line,
    screen::Screen,
    table::{Row, Table},
};
use super::{Leave, RadioArgs, what::Battery, who::Who};
use crate::{
    capture::source::{Advertisement, Listener, Notice},
    clock::{Clock, Now},
    config::{Backend, Radio},
};
use serde::Serialize;
use std::{
    io::{self, BufWriter, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use vitrine_protocol::{Id, time::Timestamp};

const REDRAW: Duration = Duration::from_millis(500);
const TELL: Duration = Duration::from_secs(1);
/// How wide the table is where no terminal says it.
const PLAIN_WIDTH: usize = 120;

/// Show who is heard, live: a table for whoever installs beacons.
///
/// The plan's beacons come first, with how strong and how often they are heard, their batteries, and which of them are
/// missing. Others are only counted. Where the output is no terminal the table is printed once, at the end.
///
/// With --json every sender and receiver that was heard has an object a line each second: time, receiver, beacon, carrier,
/// format, identity, rssi_dbm (mean of 3 s), rate_per_s (of 5 s), advertisements (since the start), battery_mv or
/// battery_pct where it is told, and with --all sender (the end of a stranger's address).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    radio: RadioArgs,
    /// Print JSON lines instead of a table.
    #[arg(long)]
    json: bool,
    /// Show strangers too, with the ends of their addresses. They may be people's phones: store nothing of it.
    #[arg(long)]
    all: bool,
}

/// The table behind a lock, as a listener.
struct Shared(Mutex<Table>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Shared {
    fn wants(&self, advertisement: &Advertisement<'_>) -> bool {
        self.lock().wants(advertisement)
    }

    fn hear(&self, advertisement: &Advertisement<'_>) {
        self.lock().handle(advertisement);
    }

    fn lost(&self, _receiver: Id, count: u64) {
        self.lock().counts.lost += count;
    }

    fn notice(&self, notice: Notice, _now: Now) {
        self.lock().health.notice(&notice);
    }
}

/// A row as a program reads it.
#[derive(Serialize)]
struct JsonRow<'a> {
    time: Timestamp,
    receiver: Id,
    beacon: Option<Id>,
    carrier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    format: &'a str,
    identity: Option<&'a str>,
    rssi_dbm: Option<i8>,
    rate_per_s: f64,
    advertisements: u64,
    #[serde(flatten)]
    battery: Option<Battery>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let leave = Leave(());
    let ears = args.radio.ears()?;
    let clock = Clock::system();
    let title = title(&ears.radios, ears.plan.as_ref().map(|plan| plan.version));
    if args.all && args.json {
        writeln!(io::stderr(), "warning: strangers may be people's phones: store nothing of this")?;
    }
    let table = Table::new(Who::new(ears.plan), args.all, clock.now());
    let table = Arc::new(Shared(Mutex::new(table)));
    let draw = |width, height| render::render(&mut table.lock(), &title, clock.now(), width, height, &leave);

    let screen = if args.json { None } else { Screen::enter()? };
    let (every, json) = (if args.json { TELL } else { REDRAW }, args.json);
    let mut told_ms = 0;
    let mut tell =
        || tell(&mut table.lock(), std::mem::replace(&mut told_ms, clock.now().mono_ms), clock.now(), &leave);
    let tick = || {
        match &screen {
            Some(screen) => {
                let (width, height) = screen::size();
                screen.draw(&draw(width, height))?;
            }
            None if json => tell()?,
            None => {}
        }
        table.lock().check(clock.now())
    };
    let heard = super::listen(ears.radios, ears.seconds, &table, &clock, every, tick);
    let width = if screen.is_some() { screen::size().0 } else { PLAIN_WIDTH };
    drop(screen);
    heard?;
    if json {
        tell()?;
    } else {
        let mut out = BufWriter::new(io::stdout().lock());
        for Line { text, .. } in draw(width, usize::MAX) {
            writeln!(out, "{text}")?;
        }
        out.flush()?;
    }
    Ok(())
}

/// Prints the rows that were heard from `since_ms` on.
fn tell(table: &mut Table, since_ms: u64, now: Now, leave: &Leave) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for row in table.rows(now).into_iter().filter(|row| row.heard_ms >= since_ms) {
        serde_json::to_writer(&mut out, &json(row, now, leave))?;
        writeln!(out)?;
    }
    out.flush()
}

fn json<'a>(row: &'a Row, now: Now, leave: &Leave) -> JsonRow<'a> {
    JsonRow {
        time: now.utc,
        receiver: row.receiver,
        beacon: row.tag.map(|tag| tag.beacon),
        carrier: row.tag.map(|tag| tag.carrier),
        sender: row.address.filter(|_| row.tag.is_none()).map(|a| render::shortened(&a.told(leave))),
        format: &row.format,
        identity: row.identity.as_deref(),
        rssi_dbm: row.pulse.rssi_dbm(now.mono_ms),
        rate_per_s: row.pulse.rate_per_s(now.mono_ms),
        advertisements: row.heard,
        battery: row.battery,
    }
}

/// Who listens, and under which plan.
fn title(radios: &[Radio], plan: Option<Id>) -> String {
    let radio = |radio: &Radio| match &radio.backend {
        Backend::Replay { file, speed } => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let name: String = name.chars().filter(|c| !c.is_control()).collect();
            if *speed == 1.0 { name } else { format!("{name} × {speed}") }
        }
        Backend::Bluez { adapter } | Backend::Mgmt { adapter } if *adapter == radio.receiver.to_string() => {
            adapter.clone()
        }
        Backend::Bluez { adapter } | Backend::Mgmt { adapter } => format!("{} ({adapter})", radio.receiver),
    };
    let radios: Vec<_> = radios.iter().map(radio).collect();
    let plan = plan.map(|plan| format!(" · plan {plan}")).unwrap_or_default();
    format!("{}{plan}", radios.join(", "))
}
