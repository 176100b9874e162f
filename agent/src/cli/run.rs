//! `vitrine run`

use super::{ConfigArgs, check::Checked, runtime, start_logging};
use crate::{clock::Clock, supervisor};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Run the agent until SIGTERM or SIGINT.
///
/// It goes down within 10 s of the signal: what is open is ended, everything is made durable, and what can still be
/// sent is sent. Unsent events wait in the spool for the next start.
///
/// A satellite (role = "satellite" in gateway.toml) hears the beacons of the hub's plan and tells the hub.
///
/// Shelves, kiosks and counters post to http://127.0.0.1:7400/v1/... unless gateway.toml says otherwise. Logs go to
/// stderr; VITRINE_LOG=debug tells more.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let role = super::check::load_role(&args.config.config)?;
    start_logging("info");
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        match role {
            Checked::Hub(config, plan) => {
                supervisor::run(*config, Arc::new(*plan), Clock::system(), shutdown).await?;
            }
            Checked::Satellite(config) => {
                supervisor::satellite::run(config, supervisor::radios, Clock::system(), shutdown).await?;
            }
        }
        Ok(())
    });
    // Whatever still blocks must not hold up the end.
    runtime.shutdown_background();
    result
}
