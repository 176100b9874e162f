//! `vitrine demo`

use super::{runtime, start_logging};
use crate::demo::{
    broker,
    play::{self, Options, Progress, Summary},
};
use jiff::tz::TimeZone;
use std::{
    fmt,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
};
use vitrine_protocol::event::Trace;

const SECONDS: f64 = 30.0;
/// Traces shown.
const EXAMPLES: usize = 6;

/// Run the whole line against a simulated store and an embedded broker.
///
/// One day of a store with 40 carts (their beacons are the real firmware core on a virtual radio), 3 receivers, 9 zones,
/// 12 shelves, 2 kiosks, a door counter and a till, faster than real. The agent is the real one: capture, pipeline,
/// privacy, spool, uplink. The line to the broker is cut once for a while, and nothing is lost.
///
/// Exit code 0 if everything arrived.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End after so many seconds, at the latest; the day is played so fast that it fits.
    #[arg(long, value_name = "N", default_value_t = SECONDS, value_parser = seconds)]
    seconds: f64,
    /// Play so many times faster than real, however much of the day fits.
    #[arg(long, value_name = "X", value_parser = super::positive)]
    speed: Option<f64>,
    /// People who come for a cart (they find one if one is free).
    #[arg(long, value_name = "N", default_value_t = 640, value_parser = shoppers)]
    shoppers: usize,
    /// The same seed gives the same day.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Serve the local API too, such as on 127.0.0.1:7400.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    listen: Option<SocketAddr>,
    /// Print the summary as one JSON object, on the last line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    start_logging(&format!("error,{}", broker::LOG_FILTER));
    let options = Options {
        seconds: args.seconds,
        speed: args.speed,
        shoppers: args.shoppers,
        seed: args.seed,
        listen: args.listen,
    };
    let dir = TemporaryDir::new()?;
    let mut meter = Meter::default();
    let summary = runtime()?.block_on(play::play(&options, &dir.0, |progress| meter.show(&progress)))?;
    meter.end();
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&summary)?)?;
    } else {
        write!(out, "{}", Page(&summary))?;
    }
    anyhow::ensure!(summary.lost == 0, "{} events were lost: this is a bug", summary.lost);
    anyhow::ensure!(
        summary.unsent == 0,
        "{} events still wait in the spool: the machine was too slow for {} s, give it more with --seconds",
        summary.unsent,
        args.seconds
    );
    Ok(())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = super::positive(text)?;
    if (5.0..=86_400.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("write a number from 5 to 86400".into())
    }
}

fn shoppers(text: &str) -> Result<usize, String> {
    let max = crate::demo::shoppers::SHOPPERS_MAX;
    text.parse().ok().filter(|n| (1..=max).contains(n)).ok_or(format!("write a number from 1 to {max}"))
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or("write a loopback address and port, such as 127.0.0.1:7400".into())
}

/// A directory of our own that goes with us.
struct TemporaryDir(std::path::PathBuf);

impl TemporaryDir {
    fn new() -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("vitrine-demo-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Shows progress on stderr: one line that is written over on a terminal, a line now and then elsewhere.
#[derive(Default)]
struct Meter {
    shown: u32,
}

impl Meter {
    fn show(&mut self, progress: &Progress) {
        let Progress { time, line_is_up, advertisements, visits, durable, received } = *progress;
        let time = time.to_jiff().to_zoned(TimeZone::get("Europe/Paris").unwrap_or(TimeZone::UTC));
        let line = format!(
            "{} in the store | {:>7} advertisements | {visits:>4} visits | {durable:>5} events durable, {received:>5} arrived | line {}",
            time.strftime("%H:%M"),
            advertisements,
            if line_is_up { "up  " } else { "DOWN" },
        );
        let mut err = io::stderr();
        if err.is_terminal() {
            write!(err, "\r{line}").ok();
        } else if self.shown.is_multiple_of(8) {
            writeln!(err, "{line}").ok();
        }
        self.shown += 1;
    }

    fn end(&self) {
        let mut err = io::stderr();
        if err.is_terminal() {
            writeln!(err).ok();
        }
    }
}

/// The summary as a person reads it.
struct Page<'a>(&'a Summary);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0;
        let (hours, minutes) = (s.played_s / 3600, s.played_s % 3600 / 60);
        writeln!(f, "\nA store-day of {hours} h {minutes:02} min in {:.1} s\n", s.took_s)?;
        writeln!(f, "heard        {:>8} advertisements of carts, by 3 receivers", s.advertisements)?;
        writeln!(f, "visits       {:>8} found by the pipeline; {} there were", s.visits, s.true_visits)?;
        writeln!(
            f,
            "shelves      {:>8} events; {} times something was taken or put back",
            s.shelf_events, s.true_shelf_changes
        )?;
        writeln!(f, "kiosks       {:>8} events of {} sessions", s.kiosk_events, s.true_kiosk_sessions)?;
        writeln!(f, "published    {:>8} events:", s.published)?;
        for (stream, count) in &s.published_per_stream {
            writeln!(f, "               {count:>6} {stream}")?;
        }
        writeln!(
            f,
            "line down    {:>8} min of the store's time; {} events waited",
            s.line_down_s / 60,
            s.buffered_max
        )?;
        writeln!(f, "repeats      {:>8} inputs came twice and counted once", s.repeats)?;
        writeln!(f, "duplicates   {:>8} arrived twice, and are known by their numbers", s.duplicates)?;
        writeln!(f, "lost         {:>8}", s.lost)?;
        writeln!(
            f,
            "latency      {:>8} ms at most from disk to acknowledgement, while the line was up",
            s.latency_max_ms
        )?;
        writeln!(
            f,
            "\nWhat left the store about visits, {} of {} in {} classes. Some of them:\n",
            s.visits_in_traces, s.visits, s.traces
        )?;
        s.examples.iter().take(EXAMPLES).try_for_each(|trace| writeln!(f, "  {}", sentence(trace)))
    }
}

fn sentence(trace: &Trace) -> String {
    let path: Vec<_> = trace.path.iter().map(|department| department.as_str()).collect();
    let zone = TimeZone::get("Europe/Paris").unwrap_or(TimeZone::UTC);
    let clock = |s: i64| {
        trace.window.start.plus_ms(s * 1000).to_jiff().to_zoned(zone.clone()).strftime("%H:%M").to_string()
    };
    let dwell = trace.dwell.as_ref().map_or(String::new(), |dwell| format!(", {dwell} in the median"));
    let (from, to) = (clock(0), clock(i64::from(trace.window.s)));
    format!("{:>3} visits between {from} and {to}: {}{dwell}", trace.n, path.join(" > "))
}
