//! Everyone who hears for this hub besides its own radios: built from the configuration.

use super::{AgentError, credentials};
use crate::{
    capture::{
        desk::Desk,
        relay::{
            broker::{Others, StoreBroker, Watch},
            relays::Relays,
            satellites::{self, Satellites},
        },
        source::AdvertSource,
    },
    clock::Now,
    config::Config,
    plan::Plan,
    store_broker,
};
use std::{fs, path::Path, sync::Arc};
use vitrine_protocol::sighting::PLAN_TOPIC;

/// How long after they were heard sightings come at most.
pub(super) fn late_ms(config: &Config) -> u64 {
    let relays = config.relays.iter().map(|relay| relay.late_ms);
    let satellites = config.satellites.iter().map(|_| satellites::LATE_MS);
    relays.chain(satellites).max().unwrap_or(0)
}

/// The others, and the sources that they are.
pub(super) fn of(
    config: &Config,
    plan: Arc<Plan>,
    desk: Arc<Desk>,
    now: Now,
) -> Result<(Others, Vec<Box<dyn AdvertSource>>), AgentError> {
    let relays = Arc::new(Relays::new(config.relays.clone(), now));
    let satellites = Arc::new(Satellites::new(&config.satellites, plan, desk, now));
    let others = Others { relays, satellites };
    let mut sources = Vec::<Box<dyn AdvertSource>>::new();
    if others.is_empty() {
        return Ok((others, sources));
    }
    if let Some(broker) = &config.store_broker {
        let retained = if config.satellites.is_empty() { Vec::new() } else { plan_message(&config.plan) };
        let config = store_broker::Config {
            client_id: format!("vitrine-{}", config.gateway.gateway),
            host: broker.host.clone(),
            port: broker.port,
            credentials: credentials(broker)?,
        };
        sources.push(Box::new(StoreBroker { config, others: others.clone(), retained }));
    }
    sources.push(Box::new(Watch { others: others.clone() }));
    Ok((others, sources))
}

/// What tells satellites the plan, and where.
fn plan_message(path: &Path) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    match text.and_then(satellites::plan_message) {
        Ok(message) => vec![(PLAN_TOPIC.to_owned(), message)],
        Err(error) => {
            tracing::error!(path = %path.display(), error, "the plan cannot be told to satellites");
            Vec::new()
        }
    }
}
