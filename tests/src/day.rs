//! A day of the demo's store through a real agent, published to a broker of the test's own.

use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use vitrine_agent::{
    capture::{Ingest, Input, source::Notice},
    clock::Clock,
    demo::simulation::Simulation,
    plan, spool,
    supervisor::{Agent, Setup},
    uplink::{Config, Server, Settings},
};
use vitrine_protocol::{
    Id,
    event::{DeviceKind, RadioState},
    time::Timestamp,
    topic::Gateway,
};

const STEP_MS: i64 = 15_000;
const SHOPPERS: usize = 400;
const AFTER_CLOSING_MS: i64 = 20 * 60_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays a day; returns when everything is acknowledged. The agent's state is kept in `state_dir`.
///
/// # Panics
/// Where the agent fails.
pub async fn play(broker_port: u16, state_dir: &Path) {
    let id = |text| Id::new(text).unwrap();
    let mut simulation = Simulation::new(1, SHOPPERS);
    let plan = Arc::new(plan::parse(&simulation.plan_text()).unwrap());
    let (clock, hand) = Clock::turned(simulation.start());
    let mut settings = Settings::new(Server::tcp("127.0.0.1", broker_port));
    settings.metrics_every = Some(Duration::from_secs(1));
    let uplink = Config {
        gateway: Gateway { tenant: id("demo"), store: id("paris"), gateway: id("gw-1") },
        plan: plan.version,
        settings,
    };
    let spool = spool::Config::new(state_dir.join("spool"));
    let setup =
        Setup { plan, state_dir: state_dir.to_owned(), spool, uplink, clock: clock.clone(), late_ms: 0 };
    let agent = Agent::start(setup).unwrap();
    let mut time = simulation.start();
    while time < simulation.end() {
        time = time.plus_ms(STEP_MS).min(simulation.end());
        let step = simulation.advance(time);
        for heard in step.heard {
            assert!(agent.radio().send_waiting(heard).await);
        }
        for (at, inputs) in step.inputs {
            hand.turn_to(at);
            let reply = oneshot::channel().0;
            agent.ingest().send(Ingest { at: clock.now(), inputs, reply }).await.unwrap();
        }
        while !agent.is_idle() {
            sleep(Duration::from_millis(1)).await;
        }
        hand.turn_to(time);
    }
    for notice in mishaps(simulation.start()) {
        let (inputs, reply) = (vec![Input::Notice(notice)], oneshot::channel().0);
        agent.ingest().send(Ingest { at: clock.now(), inputs, reply }).await.unwrap();
    }
    hand.turn_to(time.plus_ms(AFTER_CLOSING_MS));
    agent.stop(Instant::now() + PATIENCE).await.unwrap();
}

/// What the simulated store is spared: a radio that is switched off and on, a relay that is silent and comes back.
fn mishaps(since: Timestamp) -> [Notice; 4] {
    let (receiver, device) = (Id::new("door").unwrap(), Id::new("ap-1").unwrap());
    let kind = DeviceKind::Relay;
    [
        Notice::Radio { receiver, state: RadioState::Off },
        Notice::Radio { receiver, state: RadioState::Scanning },
        Notice::Silent { kind, device, since },
        Notice::Back { kind, device },
    ]
}
