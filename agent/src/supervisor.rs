//! Starts the parts, watches them, and stops them in order.
//!
//! Going down follows the line: capture stops, its channels close, the line ends what is open and makes all durable, the
//! uplink publishes for the time that is left, the spool closes. What is unsent stays in the spool.

mod notices;

use crate::{
    capture::{Admission, Ingest, Radio, RadioCounters, ble, source::stopped},
    clock::Clock,
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
    time::{Instant, sleep, timeout_at},
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
/// How long to wait before a radio that failed is started again.
const RADIO_AGAIN_AFTER: Duration = Duration::from_secs(10);

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
        let Setup { plan, state_dir, spool, uplink, clock } = setup;
        let line = Line::open(plan.clone(), &state_dir, &spool, clock.clone())?;
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
    let Config { gateway, uplink, state_dir, spool, radios, socket, .. } = config;
    let uplink = uplink::Config { gateway, plan: plan.version, settings: uplink };
    let path = socket.unwrap_or_else(|| socket::default_path(&state_dir));
    let setup = Setup { plan: plan.clone(), state_dir, spool, uplink, clock: clock.clone() };
    let mut agent = Agent::start(setup)?;
    // Not before the state is known to be ours: another agent may have its socket beside it.
    let (socket_listener, _socket) =
        Socket::bind(&path).map_err(|error| AgentError::Socket { path, error })?;
    tracing::info!(%address, plan = %plan.version, "vitrine {} is running", env!("CARGO_PKG_VERSION"));

    let (stop, stopping) = watch::channel(false);
    let (admission, ingest) = (agent.admission(), agent.ingest.clone());
    let router = local::router(plan.clone(), admission, ingest, clock.clone(), agent.observed.clone());
    let tools = router.clone().merge(local::tools_router(agent.spool().clone(), agent.observed.clone()));
    let http = local::run(listener, router, stopped(stopping.clone()));
    let tools = local::run(socket_listener, tools, stopped(stopping.clone()));
    let mut http = tokio::spawn(async { tokio::try_join!(http, tools).map(|_| ()) });
    let radios = tokio::spawn(run_radios(radios, plan, agent.radio.clone(), clock, stopping));

    let mut shutdown = pin!(shutdown);
    let result = tokio::select! {
        () = &mut shutdown => Ok(()),
        error = agent.failed() => Err(error),
        // It runs until it is told to stop.
        _ = &mut http => Err(AgentError::Panicked),
    };
    let deadline = Instant::now() + GRACE - CLOSING;
    stop.send_replace(true);
    result?;
    tracing::info!("going down");
    let sources_end = Instant::now() + SOURCES_GRACE;
    let http_ended = timeout_at(sources_end, http).await.is_ok();
    let radios_ended = timeout_at(sources_end, radios).await.is_ok();
    if !(http_ended && radios_ended) {
        tracing::warn!(http_ended, radios_ended, "not every source has ended in time");
    }
    let spool = agent.spool().clone();
    agent.stop(deadline).await?;
    tracing::info!(waiting_records = spool.backlog(), "down");
    Ok(())
}

/// Keeps the adapters listening; one that fails is tried again, and the rest of the agent goes on.
async fn run_radios(
    radios: Vec<config::Radio>,
    plan: Arc<Plan>,
    radio: Radio,
    clock: Clock,
    stopping: watch::Receiver<bool>,
) {
    let adapters: Vec<_> = radios
        .into_iter()
        .map(|radio| ble::Adapter { name: radio.adapter, receiver: radio.receiver })
        .collect();
    if adapters.is_empty() {
        return;
    }
    loop {
        match ble::run(&adapters, &plan.layouts, radio.clone(), clock.clone(), stopped(stopping.clone()))
            .await
        {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(%error, "no radio; trying again in {} s", RADIO_AGAIN_AFTER.as_secs());
            }
        }
        tokio::select! {
            () = sleep(RADIO_AGAIN_AFTER) => {}
            () = stopped(stopping.clone()) => return,
        }
    }
}
