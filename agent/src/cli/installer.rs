//! What `vitrine scan` and `vitrine record` share: they listen as the agent would, for somebody who stands in the store.
//!
//! Here alone an address may become text: for the eyes of whoever installs, or in the file that they ask for.

pub(super) mod record;
pub(super) mod scan;

mod health;
mod what;
mod who;

use super::DEFAULT_CONFIG;
use crate::{
    capture::source::Listener,
    clock::Clock,
    config::{self, Backend, Radio},
    plan::{self, Plan},
    supervisor::sources,
};
use anyhow::Context;
use std::{
    future::pending,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use vitrine_protocol::Id;

/// Leave to turn a radio address into text. Nothing outside of this module and those below it can make one.
pub(crate) struct Leave(());

const DEFAULT_ADAPTER: &str = "hci0";
/// What radios have to end their scans.
const ENDING: Duration = Duration::from_secs(3);

/// Who listens, and under which plan.
#[derive(Debug, clap::Args)]
struct RadioArgs {
    /// The gateway's configuration, which names radios and the tagging plan; /etc/vitrine/gateway.toml, if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Another tagging plan than the configuration's.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Listen on this adapter alone; on those of the configuration, or on hci0, if not given.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// How to listen: as the configuration says, or through bluez, if not given.
    #[arg(long, value_enum, value_name = "NAME")]
    backend: Option<Through>,
    /// Play this recording instead of listening.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["adapter", "backend"])]
    replay: Option<PathBuf>,
    /// Times the recording's own pace.
    #[arg(long, value_name = "X", value_parser = super::positive, default_value = "1", requires = "replay")]
    speed: f64,
    /// End after this time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
}

/// What an adapter is listened to through.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Through {
    /// BlueZ's daemon, over D-Bus.
    Bluez,
    /// The kernel's management socket.
    Mgmt,
}

impl Through {
    fn backend(self, adapter: String) -> Backend {
        match self {
            Self::Bluez => Backend::Bluez { adapter },
            Self::Mgmt => Backend::Mgmt { adapter },
        }
    }
}

/// What is listened with.
struct Ears {
    radios: Vec<Radio>,
    plan: Option<Plan>,
    seconds: Option<u64>,
}

impl RadioArgs {
    /// Reads the files that are named, or usual and there.
    fn ears(self) -> anyhow::Result<Ears> {
        let usual = Path::new(DEFAULT_CONFIG);
        let config_path = self.config.or_else(|| usual.exists().then(|| usual.to_owned()));
        let config = config_path.as_deref().map(config::load).transpose()?;
        let plan_path = self.plan.or_else(|| config.as_ref().map(|config| config.plan.clone()));
        let plan = plan_path.as_deref().map(plan::load).transpose()?;
        let configured = config.map(|config| config.radios).unwrap_or_default();
        let through = self.backend;
        let adapter = |name: String| -> anyhow::Result<Radio> {
            let known = configured.iter().find(|radio| radio.backend.adapter() == Some(&name));
            let named = || Id::new(&name).with_context(|| format!("--adapter {name}"));
            let receiver = known.map_or_else(named, |radio| Ok(radio.receiver))?;
            let backend = match (through, known) {
                (None, Some(radio)) => radio.backend.clone(),
                (through, _) => through.unwrap_or(Through::Bluez).backend(name),
            };
            Ok(Radio { receiver, backend })
        };
        let radios = match (self.replay, self.adapter) {
            (Some(file), _) => {
                let receiver = configured
                    .first()
                    .map_or_else(|| Id::new(DEFAULT_ADAPTER), |radio| Ok(radio.receiver))?;
                vec![Radio { backend: Backend::Replay { file, speed: self.speed }, receiver }]
            }
            (None, Some(name)) => vec![adapter(name)?],
            (None, None) if configured.is_empty() => vec![adapter(DEFAULT_ADAPTER.to_owned())?],
            (None, None) => configured
                .into_iter()
                .map(|radio| match (through, radio.backend.adapter()) {
                    (Some(through), Some(name)) => {
                        Radio { backend: through.backend(name.to_owned()), ..radio }
                    }
                    _ => radio,
                })
                .collect(),
        };
        Ok(Ears { radios, plan, seconds: self.seconds })
    }
}

/// Lets `listener` hear until every source is at its end, the time is over or somebody has had enough; `tick` is called
/// `every` so often.
fn listen(
    radios: Vec<Radio>,
    seconds: Option<u64>,
    listener: &Arc<impl Listener + 'static>,
    clock: &Clock,
    every: Duration,
    mut tick: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = super::runtime()?;
    let result = runtime.block_on(async {
        let (stop, stopping) = watch::channel(false);
        let mut hearing = JoinSet::new();
        for source in sources::of(radios) {
            hearing.spawn(source.run(listener.clone(), clock.clone(), stopping.clone()));
        }
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut over = std::pin::pin!(async {
            match seconds {
                Some(seconds) => sleep(Duration::from_secs(seconds)).await,
                None => pending().await,
            }
        });
        let mut ticks = interval(every);
        loop {
            tokio::select! {
                ended = hearing.join_next() => match ended {
                    Some(ended) => ended.context("a radio's part panicked: this is a bug")??,
                    None => break,
                },
                _ = ticks.tick() => tick()?,
                () = &mut over => break,
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            }
        }
        stop.send_replace(true);
        // A radio that does not end in time ends with the process.
        timeout(ENDING, async { while hearing.join_next().await.is_some() {} }).await.ok();
        Ok(())
    });
    runtime.shutdown_background();
    result
}
