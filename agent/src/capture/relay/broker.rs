//! What relays and satellites publish on the store's broker, as a source; and the watch that notices their silence.

use super::{relays::Relays, satellites::Satellites};
use crate::{
    capture::source::{AdvertSource, Listener, SourceError, Stop, stopped},
    clock::Clock,
    store_broker::{Config, Connection, Publisher},
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tracing::info;

/// How often silence is looked for.
const TICK: Duration = Duration::from_secs(1);

/// Everyone who hears for this hub.
#[derive(Clone)]
pub struct Others {
    /// Scanners of other makes.
    pub relays: Arc<Relays>,
    /// Our own.
    pub satellites: Arc<Satellites>,
}

impl Others {
    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.relays.is_empty() && self.satellites.is_empty()
    }
}

/// The source `store broker`.
pub struct StoreBroker {
    /// The broker.
    pub config: Config,
    /// Whose messages are taken.
    pub others: Others,
    /// Published, retained, on every connection.
    pub retained: Vec<(String, Vec<u8>)>,
}

impl AdvertSource for StoreBroker {
    fn run(
        self: Box<Self>,
        listener: Arc<dyn Listener>,
        clock: Clock,
        stop: Stop,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        let Self { config, others, retained } = *self;
        let filters = others.relays.topics().cloned().chain(others.satellites.topics()).collect();
        let handle = Box::new(move |topic: &str, payload: &[u8]| {
            let now = clock.now();
            if !others.satellites.handle_topic(topic, payload, now) {
                others.relays.handle_topic(topic, payload, now, &*listener);
            }
        });
        let publisher = Publisher::default();
        Connection { config, filters, retained, handle, takes_kept: false, publisher }
            .run(stop)
            .map(Ok)
            .boxed()
    }
}

/// The source `relays`: hears nothing itself, and says who has fallen silent, however their messages come.
pub struct Watch {
    /// Who is watched.
    pub others: Others,
}

impl AdvertSource for Watch {
    fn run(
        self: Box<Self>,
        listener: Arc<dyn Listener>,
        clock: Clock,
        stop: Stop,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        let Others { relays, satellites } = self.others;
        async move {
            let mut stopping = std::pin::pin!(stopped(stop));
            loop {
                tokio::select! {
                    () = sleep(TICK) => {}
                    () = &mut stopping => break,
                }
                let now = clock.now();
                relays.handle_timeout(now, &*listener);
                satellites.handle_timeout(now);
            }
            info!(relays = ?relays.counters(), satellites = ?satellites.counters(), "what others heard");
            Ok(())
        }
        .boxed()
    }
}
