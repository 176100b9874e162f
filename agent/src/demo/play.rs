//! Plays a day of the simulated store through a real agent, as fast as asked, and cuts its line to the broker once.

use super::{broker::Broker, line::Line, platform::Platform, simulation::Simulation};
use crate::{
    capture::Ingest,
    clock::{Clock, Hand},
    document::Problems,
    local,
    plan::{self, Plan},
    spool,
    supervisor::{Agent, AgentError, Setup},
    uplink,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{Instant, sleep, sleep_until},
};
use vitrine_protocol::{
    Id,
    event::Trace,
    time::Timestamp,
    topic::{Gateway, Stream},
};

/// Virtual time moved on at once: what passes in this much real time, at least a second, and much less than anything
/// that the pipeline waits for.
const STEP: Duration = Duration::from_millis(3);
const STEP_MS: std::ops::RangeInclusive<f64> = 1_000.0..=15_000.0;
/// The line is cut at this part of the day, and mended at that.
const CUT: f64 = 0.40;
const MENDED: f64 = 0.55;
/// Of the time given, the part for the day; the rest is for starting, for what is held to its slot's end, and for stopping.
const DAYS_PART: f64 = 0.75;
/// From closing time until the last slot has ended.
const AFTER_CLOSING_MS: i64 = 16 * 60_000;
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// What to play.
#[derive(Clone, Debug)]
pub struct Options {
    /// It is over after so many seconds, at the latest.
    pub seconds: f64,
    /// How much faster than real; if not given, so fast that the day fits.
    pub speed: Option<f64>,
    /// People who come for a cart.
    pub shoppers: usize,
    /// The same seed gives the same day.
    pub seed: u64,
    /// Where to serve the local API, if wanted.
    pub listen: Option<SocketAddr>,
}

/// Why a demo could not be played.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A part could not be started.
    #[error("the demo's broker or line cannot be started: {0}")]
    Io(#[from] io::Error),
    /// The agent failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The generated plan is wrong.
    #[error("the demo's plan is wrong: this is a bug: {0}")]
    Plan(#[from] Problems),
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The store's time.
    pub time: Timestamp,
    /// Whether the line to the broker is up.
    pub line_is_up: bool,
    /// Advertisements heard.
    pub advertisements: u64,
    /// Visits that ended.
    pub visits: u64,
    /// Events made durable.
    pub durable: u64,
    /// Events that the platform has.
    pub received: u64,
}

/// How it went.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Advertisements that receivers heard.
    pub advertisements: u64,
    /// Visits that the pipeline found.
    pub visits: u64,
    /// Visits that there were.
    pub true_visits: u64,
    /// Pick-ups, put-backs, empty facings and their refilling that the platform received.
    pub shelf_events: u64,
    /// Times that something was really taken or put back.
    pub true_shelf_changes: u64,
    /// Kiosk interactions and sessions that the platform received.
    pub kiosk_events: u64,
    /// Kiosk sessions that there were.
    pub true_kiosk_sessions: u64,
    /// Traces that the platform received.
    pub traces: u64,
    /// Visits that they stand for.
    pub visits_in_traces: u64,
    /// Events that the platform received, each once.
    pub published: u64,
    /// The same by stream.
    pub published_per_stream: BTreeMap<Stream, u64>,
    /// The most events that waited while the line was down, and until the uplink had connected again.
    pub buffered_max: u64,
    /// Copies of events that the platform had already.
    pub duplicates: u64,
    /// Events that were accepted and neither arrived nor wait in the spool.
    pub lost: u64,
    /// Events that wait in the spool for the next start.
    pub unsent: u64,
    /// Inputs that devices sent twice, and that were recognised.
    pub repeats: u64,
    /// The longest time from durable to acknowledged while the line was up, in milliseconds of real time.
    pub latency_max_ms: u64,
    /// How long the line was down, in seconds of the store's time.
    pub line_down_s: u64,
    /// The store's time that was played, in seconds.
    pub played_s: u64,
    /// How long that took, in seconds.
    pub took_s: f64,
    /// Some of the traces, the largest first.
    #[serde(skip)]
    pub examples: Vec<Trace>,
}

/// Plays a day with the agent's state in `dir`. `progress` is told now and then how far it is.
///
/// # Errors
/// [`DemoError`]
pub async fn play(
    options: &Options,
    dir: &Path,
    mut progress: impl FnMut(Progress),
) -> Result<Summary, DemoError> {
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(options.seconds);
    let mut simulation = Simulation::new(options.seed, options.shoppers);
    let plan = Arc::new(plan::parse(&simulation.plan_text())?);
    let (clock, hand) = Clock::turned(simulation.start());
    let (broker, subscription) = Broker::start()?;
    let line = Line::start(broker.address()).await?;
    let platform = Platform::start(subscription);
    let agent = Agent::start(Setup {
        plan: plan.clone(),
        state_dir: dir.to_owned(),
        spool: spool::Config::new(dir.join("spool")),
        uplink: uplink_config(&plan, line.port()),
        clock: clock.clone(),
        late_ms: 0,
    })
    .map_err(AgentError::from)?;
    let api = serve(options.listen, &plan, &agent, &clock).await?;

    let day_ms = (simulation.end().as_ms() - simulation.start().as_ms()) as f64;
    let speed = options.speed.unwrap_or(day_ms / 1000.0 / (options.seconds * DAYS_PART));
    let step_ms = (speed * STEP.as_secs_f64() * 1000.0).clamp(*STEP_MS.start(), *STEP_MS.end()) as i64;
    let stop_playing = started + Duration::from_secs_f64(options.seconds * (1.0 + DAYS_PART) / 2.0);
    let mut play =
        Play { agent, clock, hand, line, platform, api, buffered_max: 0, cut_at: None, line_down_ms: 0 };
    let mut told = started;
    let mut time = simulation.start();
    while time < simulation.end() && Instant::now() < stop_playing {
        let from = time;
        time = time.plus_ms(step_ms).min(simulation.end());
        play.step(&mut simulation, time).await?;
        play.cut_or_mend((time.as_ms() - simulation.start().as_ms()) as f64 / day_ms, from);
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            progress(play.progress(time));
        }
        let due_ms = (time.as_ms() - simulation.start().as_ms()) as f64 / speed;
        sleep_until(started + Duration::from_secs_f64(due_ms / 1000.0)).await;
    }
    play.mend(time);
    // The store is closed: what was held to the end of its slot leaves now.
    play.hand.turn_to(time.plus_ms(AFTER_CLOSING_MS));
    sleep(PROGRESS_EVERY / 2).await;
    let patience = end - Duration::from_secs_f64(options.seconds / 16.0);
    while !play.everything_arrived() && Instant::now() < patience {
        sleep(Duration::from_millis(20)).await;
        progress(play.progress(time));
    }
    let mut summary = play.finish(&simulation, end).await?;
    summary.played_s = (time.as_ms() - simulation.start().as_ms()).unsigned_abs() / 1000;
    summary.took_s = started.elapsed().as_millis() as f64 / 1000.0;
    Ok(summary)
}

/// What is running.
struct Play {
    agent: Agent,
    clock: Clock,
    hand: Hand,
    line: Line,
    platform: Platform,
    /// Dropped, the local API ends.
    api: Option<oneshot::Sender<()>>,
    buffered_max: u64,
    cut_at: Option<Timestamp>,
    line_down_ms: i64,
}

impl Play {
    /// Moves the store on to `to`, and lets the agent take it all in.
    async fn step(&mut self, simulation: &mut Simulation, to: Timestamp) -> Result<(), AgentError> {
        let step = simulation.advance(to);
        for heard in step.heard {
            self.agent.radio().count(false);
            if !self.agent.radio().send_waiting(heard).await {
                return Err(self.agent.failed().await);
            }
        }
        for (at, inputs) in step.inputs {
            self.hand.turn_to(at);
            // Nobody waits for the answer: that all is durable is seen at the end.
            let ingest = Ingest { at: self.clock.now(), inputs, reply: oneshot::channel().0 };
            if self.agent.ingest().send(ingest).await.is_err() {
                return Err(self.agent.failed().await);
            }
        }
        while !self.agent.is_idle() {
            sleep(Duration::from_millis(1)).await;
        }
        self.hand.turn_to(to);
        Ok(())
    }

    fn cut_or_mend(&mut self, part_of_day: f64, now: Timestamp) {
        if (CUT..MENDED).contains(&part_of_day) && self.cut_at.is_none() && self.line_down_ms == 0 {
            self.line.cut();
            self.cut_at = Some(now);
        }
        // What waits goes on growing until the uplink has connected again.
        if self.cut_at.is_some() || self.line_down_ms > 0 {
            self.buffered_max = self.buffered_max.max(self.durable().saturating_sub(self.received()));
        }
        if part_of_day >= MENDED {
            self.mend(now);
        }
    }

    fn mend(&mut self, now: Timestamp) {
        if let Some(cut_at) = self.cut_at.take() {
            self.line_down_ms = now.as_ms() - cut_at.as_ms();
            self.line.mend();
        }
    }

    fn progress(&self, time: Timestamp) -> Progress {
        Progress {
            time,
            line_is_up: self.cut_at.is_none(),
            advertisements: self.agent.radio_counters().advertisements.load(Ordering::Relaxed),
            visits: self.agent.counters().lock().unwrap_or_else(PoisonError::into_inner).visits,
            durable: self.durable(),
            received: self.received(),
        }
    }

    fn durable(&self) -> u64 {
        self.agent.spool().counters().events.load(Ordering::Relaxed)
    }

    fn received(&self) -> u64 {
        self.platform.look(|received| received.events())
    }

    fn everything_arrived(&self) -> bool {
        self.agent.is_idle() && self.durable() == self.received()
    }

    async fn finish(self, simulation: &Simulation, end: Instant) -> Result<Summary, DemoError> {
        let Self { agent, platform, api, buffered_max, line_down_ms, .. } = self;
        drop(api);
        let (spool, counters) = (agent.spool().clone(), agent.counters().clone());
        let (radio, stats) = (agent.radio_counters().clone(), agent.uplink_stats().clone());
        agent.stop(end).await?;
        let counters = *counters.lock().unwrap_or_else(PoisonError::into_inner);
        let durable = spool.counters().events.load(Ordering::Relaxed);
        let stats = stats.snapshot();
        let acknowledged: u64 = stats.published.values().map(|published| published.events).sum();
        let truth = simulation.truth();
        let summary = platform.look(|received| {
            let mut per_stream = BTreeMap::new();
            for ((_, stream), numbers) in &received.streams {
                *per_stream.entry(*stream).or_default() += numbers.events();
            }
            let count = |stream| per_stream.get(&stream).copied().unwrap_or(0);
            let mut examples = received.traces.clone();
            examples.sort_by_key(|trace| std::cmp::Reverse((trace.path.len() > 2, trace.n)));
            Summary {
                advertisements: radio.advertisements.load(Ordering::Relaxed),
                visits: counters.visits,
                true_visits: truth.visits.len() as u64,
                shelf_events: count(Stream::Shelf) + count(Stream::Stock),
                true_shelf_changes: truth.shelf.len() as u64,
                kiosk_events: count(Stream::Kiosk),
                true_kiosk_sessions: truth.sessions.len() as u64,
                traces: count(Stream::Traces),
                visits_in_traces: received.traces.iter().map(|trace| u64::from(trace.n)).sum(),
                published: received.events(),
                buffered_max,
                duplicates: received.repeats(),
                lost: received.holes() + acknowledged.saturating_sub(received.events()),
                unsent: durable.saturating_sub(acknowledged),
                repeats: counters.repeats,
                latency_max_ms: stats.live_latency_max_ms,
                line_down_s: line_down_ms.unsigned_abs() / 1000,
                played_s: 0,
                took_s: 0.0,
                published_per_stream: per_stream,
                examples,
            }
        });
        Ok(summary)
    }
}

fn uplink_config(plan: &Plan, port: u16) -> uplink::Config {
    let name = |text: &'static str| Id::new(text).unwrap_or(plan.version);
    uplink::Config {
        gateway: Gateway { tenant: name("demo"), store: name("paris"), gateway: name("gw-1") },
        plan: plan.version,
        settings: uplink::Settings::new(uplink::Server::tcp("127.0.0.1", port)),
    }
}

/// Serves the local API beside the simulation, if asked to.
async fn serve(
    listen: Option<SocketAddr>,
    plan: &Arc<Plan>,
    agent: &Agent,
    clock: &Clock,
) -> Result<Option<oneshot::Sender<()>>, AgentError> {
    let Some(address) = listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await.map_err(|error| AgentError::Listen { address, error })?;
    let (api, dropped) = oneshot::channel::<()>();
    let shutdown = async { drop(dropped.await) };
    let router = {
        let (admission, ingest, observed) =
            (agent.admission(), agent.ingest().clone(), agent.observed().clone());
        local::router(plan.clone(), admission, ingest, clock.clone(), observed)
    };
    tokio::spawn(local::run(listener, router, shutdown));
    Ok(Some(api))
}
