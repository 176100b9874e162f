//! Starts the parts, watches them, and stops them in order.
//!
//! Going down follows the line: capture stops, its channels close, the line ends what is open and makes all durable, the
//! uplink publishes for the time that is left, the spool closes. What is unsent stays in the spool.

mod notices;
mod others;
pub mod satellite;
pub(crate) mod sources;

use crate::{
    capture::{
        Admission, Ingest, Radio, RadioCounters,
        desk::Desk,
        http, serial,
        source::{AdvertSource, Notice, SourceError, stopped},
    },
    clock::{Clock, Now},
    config::{self, Config},
    health::Observed,
    line::{Line, LineCounters, LineError},
    local::{
        self,
        socket::{self, Socket},
    },
    plan::Plan,
    spool::{self, Spool},
    uplink,
};
use std::{io, net::SocketAddr, path::PathBuf, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

/// From the request to go down until the process may end.
pub const GRACE: Duration = Duration::from_secs(10);
/// Of this, what requests in hand and radios have to end.
const SOURCES_GRACE: Duration = Duration::from_secs(3);
/// And what is kept for closing the spool.
const CLOSING: Duration = Duration::from_secs(2);
/// Frames that wait for the line; more are dropped and counted.
const RADIO_QUEUE: usize = 4096;
/// Requests that wait for the line; more are told to come again.
const INGEST_QUEUE: usize = 64;

/// Why the agent could not be started, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The line failed.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The listener's address cannot be used.
    #[error(
        "cannot listen on {address}: {error}; is another vitrine running? Set `listen` under [http] in gateway.toml"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What was said.
        error: io::Error,
    },
    /// The agent's socket cannot be used.
    #[error(
        "cannot listen on {path}: {error}; is another vitrine running, and the directory there, writable and its name short? \
         Set `socket` in gateway.toml"
    )]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What was said.
        error: io::Error,
    },
    /// The file with the broker's password cannot be read.
    #[error("{path}: {error}; `password_file` in gateway.toml names it")]
    Password {
        /// The file.
        path: PathBuf,
        /// What was said.
        error: io::Error,
    },
    /// A source is at its end; everything else went down in order.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A task ended that should not.
    #[error("a part of the agent panicked: this is a bug")]
    Panicked,
}

/// What an agent is made of.
#[derive(Clone)]
pub struct Setup {
    /// The tagging plan.
    pub plan: Arc<Plan>,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// Where unsent events are kept, and how many.
    pub spool: spool::Config,
    /// The broker, and who publishes.
    pub uplink: uplink::Config,
    /// The time.
    pub clock: Clock,
    /// How long after they were heard sightings come at most.
    pub late_ms: u64,
}

/// A running agent without sources: whoever has its channels is one.
pub struct Agent {
    radio: Radio,
    ingest: mpsc::Sender<Ingest>,
    observed: Observed,
    line: JoinHandle<Result<(), LineError>>,
    uplink: JoinHandle<()>,
    stop_line: oneshot::Sender<()>,
    leave: oneshot::Sender<Duration>,
}

impl Agent {
    /// Opens what is kept and starts the line and the uplink.
    ///
    /// # Errors
    /// [`LineError`] if the state cannot be opened.
    pub fn start(setup: Setup) -> Result<Self, LineError> {
        let Setup { plan, state_dir, spool, uplink, clock, late_ms } = setup;
        let line = Line::open(plan.clone(), &state_dir, &spool, clock.clone(), late_ms)?;
        let (radio, heard) = Radio::channel(RADIO_QUEUE);
        let (ingest, requests) = mpsc::channel(INGEST_QUEUE);
        let (stop_line, line_stops) = oneshot::channel::<()>();
        let (leave, leaving) = oneshot::channel();
        let leaving = async { leaving.await.unwrap_or(Duration::ZERO) };
        let uplink_stats = Arc::<uplink::Stats>::default();
        let observed = Observed {
            plan,
            started_ms: clock.now().mono_ms,
            clock: clock.clone(),
            radio: radio.counters().clone(),
            health: Arc::default(),
            line: line.counters().clone(),
            spool: line.spool().clone(),
            uplink: uplink_stats.clone(),
        };
        let metrics: uplink::MetricsSource = Arc::new({
            let (observed, gateway) = (observed.clone(), uplink.gateway);
            move || observed.metrics(gateway)
        });
        let uplink = uplink::run(uplink, line.spool().clone(), clock, uplink_stats, Some(metrics), leaving);
        Ok(Self {
            radio,
            ingest,
            observed,
            line: tokio::spawn(line.run(heard, requests, async { drop(line_stops.await) })),
            uplink: tokio::spawn(uplink),
            stop_line,
            leave,
        })
    }

    /// Where radios send what they hear.
    pub fn radio(&self) -> &Radio {
        &self.radio
    }

    /// Whether devices' inputs are taken on now.
    pub fn admission(&self) -> Admission {
        let spool = self.observed.spool.clone();
        Arc::new(move || spool.admit().map_err(|full| full.retry_after))
    }

    /// Where devices' inputs go.
    pub fn ingest(&self) -> &mpsc::Sender<Ingest> {
        &self.ingest
    }

    /// All that shows how it is.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Where shelves on serial lines go.
    fn hands(&self, notices: mpsc::Sender<(Notice, Now)>, clock: Clock) -> serial::Hands {
        serial::Hands { admission: self.admission(), ingest: self.ingest.clone(), notices, clock }
    }

    /// Whether the line has taken everything that was sent to it.
    pub fn is_idle(&self) -> bool {
        self.radio.is_idle() && self.ingest.capacity() == self.ingest.max_capacity()
    }

    /// The spool.
    pub fn spool(&self) -> &Spool {
        &self.observed.spool
    }

    /// The pipeline's counters.
    pub fn counters(&self) -> &LineCounters {
        &self.observed.line
    }

    /// What became of advertisements before the pipeline.
    pub fn radio_counters(&self) -> &Arc<RadioCounters> {
        self.radio.counters()
    }

    /// The uplink's counters.
    pub fn uplink_stats(&self) -> &Arc<uplink::Stats> {
        &self.observed.uplink
    }

    /// Resolves when the line or the uplink has stopped by itself, which they never do in good order.
    pub async fn failed(&mut self) -> AgentError {
        tokio::select! {
            line = &mut self.line => match line {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) | Err(_) => AgentError::Panicked,
            },
            _ = &mut self.uplink => AgentError::Panicked,
        }
    }

    /// Stops in order, soon after `deadline` at the latest. What is in the channels is taken, what comes later is not.
    ///
    /// # Errors
    /// [`AgentError`] if the line failed.
    pub async fn stop(self, deadline: Instant) -> Result<(), AgentError> {
        let Self { observed: Observed { spool, .. }, line, uplink, stop_line, leave, .. } = self;
        // It may have ended already.
        stop_line.send(()).ok();
        let line = timeout_at(deadline, line).await;
        // The uplink may have ended already.
        leave.send(deadline.saturating_duration_since(Instant::now())).ok();
        if timeout_at(deadline + CLOSING / 2, uplink).await.is_err() {
            tracing::warn!("the uplink did not end in time");
        }
        let closed = timeout_at(deadline + CLOSING, spool.close()).await;
        match line {
            Ok(Ok(Ok(()))) if matches!(closed, Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(_)) => Err(AgentError::Panicked),
            Ok(Ok(Ok(()))) | Err(_) => {
                tracing::error!(
                    "not everything could be written in time; producers were not answered for it"
                );
                Ok(())
            }
        }
    }
}

/// Runs the agent that `config` and `plan` describe until `shutdown` resolves, and then goes down within [`GRACE`].
///
/// # Errors
/// [`AgentError`]
pub async fn run(
    config: Config,
    plan: Arc<Plan>,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    let address = config.listen;
    let listener = TcpListener::bind(address).await.map_err(|error| AgentError::Listen { address, error })?;
    let uplink =
        uplink::Config { gateway: config.gateway, plan: plan.version, settings: config.uplink.clone() };
    let late_ms = others::late_ms(&config);
    let Config { state_dir, spool, radios, serial, socket, .. } = config.clone();
    let path = socket.unwrap_or_else(|| socket::default_path(&state_dir));
    let setup = Setup { plan: plan.clone(), state_dir, spool, uplink, clock: clock.clone(), late_ms };
    let mut agent = Agent::start(setup)?;
    // Not before the state is known to be ours: another agent may have its socket beside it.
    let (socket_listener, _socket) =
        Socket::bind(&path).map_err(|error| AgentError::Socket { path, error })?;
    tracing::info!(%address, plan = %plan.version, "vitrine {} is running", env!("CARGO_PKG_VERSION"));

    let (stop, stopping) = watch::channel(false);
    let (admission, ingest) = (agent.admission(), agent.ingest.clone());
    let (notices, noticed) = mpsc::channel(notices::QUEUE);
    let health = agent.observed.health.clone();
    tokio::spawn(notices::carry(noticed, health.clone(), ingest.clone()));
    let desk = Arc::new(Desk::new(plan.clone(), agent.radio.clone(), health, notices.clone()));
    let (others, mut sources) = others::of(&config, plan.clone(), desk.clone(), clock.now())?;
    sources.extend(sources::of(radios.clone()));
    let heard = http::radio::router(plan.clone(), others.relays, desk.clone(), clock.clone());
    let router = local::router(plan.clone(), admission, ingest, clock.clone(), agent.observed.clone());
    let router = router.merge(heard);
    let tools = router.clone().merge(local::tools_router(agent.spool().clone(), agent.observed.clone()));
    let devices = local::run(listener, router, stopped(stopping.clone()));
    let tools = local::run(socket_listener, tools, stopped(stopping.clone()));
    let mut http = tokio::spawn(async { tokio::try_join!(devices, tools).map(|_| ()) });
    let (failed, source_failed) = oneshot::channel();
    let sources = tokio::spawn(sources::run(sources, desk, clock.clone(), stopping.clone(), failed));
    let hands = agent.hands(notices, clock.clone());
    let ports = tokio::spawn(serial::run(serial, hands, stopping.clone()));

    let mut shutdown = pin!(shutdown);
    let result = tokio::select! {
        () = &mut shutdown => Ok(()),
        error = agent.failed() => Err(error),
        // It runs until it is told to stop.
        _ = &mut http => Err(AgentError::Panicked),
        failed = source_failed => Err(failed.map_or(AgentError::Panicked, AgentError::from)),
    };
    let deadline = Instant::now() + GRACE - CLOSING;
    stop.send_replace(true);
    // A lost source is no reason to lose what is in hand.
    if !matches!(result, Ok(()) | Err(AgentError::Source(_))) {
        return result;
    }
    tracing::info!("going down");
    let sources_end = Instant::now() + SOURCES_GRACE;
    let http_ended = timeout_at(sources_end, http).await.is_ok();
    let sources_ended = timeout_at(sources_end, sources).await.is_ok();
    let ports_ended = timeout_at(sources_end, ports).await.is_ok();
    if !(http_ended && sources_ended && ports_ended) {
        tracing::warn!(http_ended, sources_ended, ports_ended, "not every source has ended in time");
    }
    let spool = agent.spool().clone();
    agent.stop(deadline).await?;
    tracing::info!(waiting_records = spool.backlog(), "down");
    result
}

/// The sources of a satellite's radios.
pub fn radios(config: &config::satellite::Satellite) -> Vec<Box<dyn AdvertSource>> {
    sources::of(config.radios.clone())
}

/// The user and the password for a broker.
fn credentials(broker: &config::Broker) -> Result<Option<(String, String)>, AgentError> {
    let Some((user, path)) = &broker.credentials else { return Ok(None) };
    match std::fs::read_to_string(path) {
        Ok(password) => Ok(Some((user.clone(), password.trim_end_matches(['\r', '\n']).to_owned()))),
        Err(error) => Err(AgentError::Password { path: path.clone(), error }),
    }
}
