//! A satellite: radios, the hub's plan, and the store's broker; no line, no spool, no uplink.
//!
//! The plan comes from the hub, retained on the store's broker. It is checked before it is used, and the last good one is
//! kept, so that a satellite which starts while the broker is away hears at once. Without any plan nothing is heard: who
//! is not in a plan is not heard of.
//!
//! Left out: telling the hub what happens to the satellite's own radios; they are in its log.

use super::{AgentError, SOURCES_GRACE, credentials, sources};
use crate::{
    capture::{
        relay::outbox::{Collector, Outbox},
        source::{AdvertSource, Stop, stopped},
    },
    clock::Clock,
    config::satellite::Satellite,
    line::LineError,
    plan::{self, Plan},
    state::{StateDir, StateError},
    store_broker::{self, Connection, Publisher},
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    time::{sleep, timeout},
};
use tracing::{error, info, warn};
use vitrine_protocol::{
    Id,
    sighting::{self, PLAN_TOPIC, StorePlan, VERSION},
};

/// How often sightings are sent.
const SEND_EVERY: Duration = Duration::from_millis(250);
/// Where nothing is heard, one in so many times an empty message says that the satellite is well.
const WELL_EVERY: u32 = 8;
const KEPT: &str = "store-plan";

/// A plan that was found good, and its text.
#[derive(Clone)]
struct Good {
    plan: Arc<Plan>,
    message: StorePlan,
}

/// Runs the satellite that `config` describes until `shutdown` resolves; `radios` makes its sources, anew for each plan.
///
/// # Errors
/// [`AgentError`]
pub async fn run(
    config: Satellite,
    radios: impl Fn(&Satellite) -> Vec<Box<dyn AdvertSource>>,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    let state = StateDir::open(config.state_dir.join("state")).map_err(LineError::from)?;
    let receivers: Vec<Id> = config.radios.iter().map(|radio| radio.receiver).collect();
    let (plans, mut plan) = watch::channel(kept(&state, &receivers));
    let outbox = Arc::new(Outbox::new(getrandom::u32().map_err(LineError::from)?));
    let publisher = Publisher::default();
    let connection = Connection {
        config: store_broker::Config {
            client_id: format!("vitrine-{}", config.gateway),
            host: config.store_broker.host.clone(),
            port: config.store_broker.port,
            credentials: credentials(&config.store_broker)?,
        },
        filters: vec![PLAN_TOPIC.to_owned()],
        retained: Vec::new(),
        handle: Box::new(move |_, payload| take(payload, &receivers, &plans)),
        takes_kept: true,
        publisher: publisher.clone(),
    };
    let (stop, stopping) = watch::channel(false);
    info!(satellite = %config.gateway, "vitrine {} is running", env!("CARGO_PKG_VERSION"));
    if plan.borrow().is_none() {
        warn!("there is no plan yet: nothing is heard until the hub has told it");
    }
    let broker = tokio::spawn(connection.run(stopping.clone()));
    let topic = sighting::topic(config.gateway);
    let sender = tokio::spawn(send(topic, outbox.clone(), publisher, plan.clone(), clock.clone(), stopping));
    let mut shutdown = pin!(shutdown);
    let result = loop {
        let good = plan.borrow_and_update().clone();
        if let Some(Good { message, .. }) = &good {
            keep(&state, message.clone()).await;
        }
        let (stop_hearing, stopping) = watch::channel(false);
        let (failed, source_failed) = oneshot::channel();
        let hearing = good.map(|Good { plan, .. }| {
            info!(plan = %plan.version, beacons = plan.beacons.len(), "hearing");
            let collector = Arc::new(Collector::new(plan, outbox.clone()));
            tokio::spawn(sources::run(radios(&config), collector, clock.clone(), stopping, failed))
        });
        let end = tokio::select! {
            () = &mut shutdown => Some(Ok(())),
            failed = source_failed, if hearing.is_some() => {
                Some(Err(failed.map_or(AgentError::Panicked, AgentError::from)))
            }
            changed = plan.changed() => changed.is_err().then_some(Err(AgentError::Panicked)),
        };
        stop_hearing.send_replace(true);
        if let Some(hearing) = hearing
            && timeout(SOURCES_GRACE, hearing).await.is_err()
        {
            warn!("not every radio has stopped in time");
        }
        if let Some(end) = end {
            break end;
        }
    };
    info!("going down");
    stop.send_replace(true);
    for task in [broker, sender] {
        if timeout(SOURCES_GRACE, task).await.is_err() {
            warn!("not every part has ended in time");
        }
    }
    info!(waiting_sightings = outbox.waiting(), "down");
    result
}

/// Sends what waits, until `stop`.
async fn send(
    topic: String,
    outbox: Arc<Outbox>,
    publisher: Publisher,
    plan: watch::Receiver<Option<Good>>,
    clock: Clock,
    stop: Stop,
) {
    let (mut stopping, mut idle) = (pin!(stopped(stop)), 0);
    loop {
        tokio::select! {
            () = sleep(SEND_EVERY) => {}
            () = &mut stopping => return,
        }
        let version = plan.borrow().as_ref().map(|good| good.plan.version);
        let Some(version) = version.filter(|_| publisher.is_connected()) else { continue };
        idle += 1;
        while outbox.waiting() > 0 || idle >= WELL_EVERY {
            idle = 0;
            let message = outbox.message(version, clock.now());
            let sent =
                serde_json::to_vec(&message).is_ok_and(|bytes| publisher.publish(&topic, false, bytes));
            if !sent {
                // The hub sees by the message's number that it is missing.
                break;
            }
        }
    }
}

/// A message on the plan's topic.
fn take(payload: &[u8], receivers: &[Id], plans: &watch::Sender<Option<Good>>) {
    let message = match serde_json::from_slice::<StorePlan>(payload) {
        Ok(message) if message.v == VERSION => message,
        Ok(StorePlan { v, .. }) => {
            return warn!(v, "the hub's plan is of another version: update this satellite");
        }
        Err(error) => return warn!(%error, "the hub's plan cannot be read"),
    };
    if plans.borrow().as_ref().is_some_and(|good| good.message == message) {
        return;
    }
    match check(message, receivers) {
        Ok(good) => drop(plans.send_replace(Some(good))),
        Err(why) => error!(why, "the hub's plan is not used: the last good one stays"),
    }
}

fn check(message: StorePlan, receivers: &[Id]) -> Result<Good, String> {
    let plan = plan::parse(&message.toml).map_err(|problems| problems.to_string())?;
    if let Some(missing) = receivers.iter().find(|receiver| !plan.receivers.contains_key(receiver)) {
        return Err(format!(
            "[[receivers]] lacks `{missing}`, which this satellite's gateway.toml names: add it"
        ));
    }
    Ok(Good { plan: Arc::new(plan), message })
}

/// The last good plan.
fn kept(state: &StateDir, receivers: &[Id]) -> Option<Good> {
    let message = state.read::<StorePlan>(KEPT).unwrap_or_else(|error: StateError| {
        error!("{error}");
        None
    })?;
    check(message, receivers).map_err(|why| warn!(why, "the kept plan cannot be used any more")).ok()
}

async fn keep(state: &StateDir, message: StorePlan) {
    let state = state.clone();
    let written = tokio::task::spawn_blocking(move || match state.read::<StorePlan>(KEPT) {
        Ok(Some(kept)) if kept == message => Ok(()),
        _ => state.write(KEPT, &message),
    });
    if let Ok(Err(error)) = written.await {
        error!("the plan cannot be kept: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(plan: &str, toml: &str) -> Vec<u8> {
        let plan = Id::new(plan).unwrap();
        serde_json::to_vec(&StorePlan { v: VERSION, plan, toml: toml.to_owned() }).unwrap()
    }

    const GOOD: &str =
        "version = 1\nplan = '1'\n[[zones]]\nid = 'z'\n[[receivers]]\nid = 'back'\nzone = 'z'\n";

    #[tokio::test]
    async fn a_plan_is_checked_before_it_is_used_and_the_last_good_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().join("state")).unwrap();
        let back = [Id::new("back").unwrap()];
        assert!(kept(&state, &back).is_none());
        let (plans, plan) = watch::channel(None);
        let version = || plan.borrow().as_ref().map(|good: &Good| good.plan.version.to_string());
        for bad in [&b"{"[..], &message("1", "version = 1\nplan = '1'\n"), &message("1", "plan")] {
            take(bad, &back, &plans);
            assert_eq!(version(), None);
        }
        take(&message("1", GOOD), &back, &plans);
        assert_eq!(version().as_deref(), Some("1"));
        take(&message("2", &GOOD.replace("back", "front")), &back, &plans);
        assert_eq!(version().as_deref(), Some("1"));
        let good = plan.borrow().clone().unwrap();
        keep(&state, good.message).await;
        assert!(kept(&state, &back).is_some() && kept(&state, &[Id::new("front").unwrap()]).is_none());
    }
}
