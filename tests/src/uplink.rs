//! An uplink at work, and a broker in the test's own hand.

use crate::{
    mqtt::{Link, Message, Packet, kind},
    store::{self, Store},
};
use std::{net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};
use vitrine_agent::{
    clock::Clock,
    spool::{Draft, Lane},
    uplink::{Config, Protocol, Server, Settings, Snapshot, Stats, run},
};
use vitrine_protocol::{
    Id,
    envelope::{Envelope, MqttVersion, Status},
    topic::Gateway,
};

/// The time that an uplink is given to leave.
pub const GRACE: Duration = Duration::from_secs(5);

/// MQTT 5 and nothing special, towards a broker at `port`.
pub fn settings(port: u16) -> Settings {
    let mut settings = Settings::new(Server::tcp("127.0.0.1", port));
    settings.protocol = Protocol::Only(MqttVersion::V5);
    settings
}

/// An uplink at work.
pub struct Uplink {
    /// What it reads from.
    pub store: Store,
    /// Its counters.
    pub stats: Arc<Stats>,
    shutdown: oneshot::Sender<Duration>,
    running: JoinHandle<()>,
}

impl Uplink {
    /// Starts to publish what is in `store` to the broker at `port`.
    pub fn start(port: u16, store: Store, clock: Clock) -> Self {
        Self::start_with(settings(port), store, clock)
    }

    /// Starts to publish what is in `store` as `settings` say.
    pub fn start_with(settings: Settings, store: Store, clock: Clock) -> Self {
        Self::start_as("gw-1", settings, store, clock)
    }

    /// Starts to publish what is in `store` as `settings` say, as the gateway of this name.
    pub fn start_as(gateway: &str, settings: Settings, store: Store, clock: Clock) -> Self {
        let id = |text| Id::new(text).unwrap();
        let gateway = Gateway { tenant: id("acme"), store: id("s1"), gateway: id(gateway) };
        let config = Config { gateway, plan: store::plan(), settings };
        let stats = Arc::new(Stats::default());
        let (shutdown, asked) = oneshot::channel();
        let asked = async { asked.await.unwrap_or(Duration::ZERO) };
        let running = tokio::spawn(run(config, store.spool.clone(), clock, stats.clone(), None, asked));
        Self { store, stats, shutdown, running }
    }

    /// Appends to its spool; see [`store::append`].
    pub async fn append(&self, drafts: impl IntoIterator<Item = Draft>) {
        store::append(&self.store.spool, drafts).await;
    }

    /// The cursor of a lane of its spool.
    pub fn cursor(&self, lane: Lane) -> u64 {
        self.store.spool.cursor(lane)
    }

    /// Waits until the counters are as wanted.
    pub async fn until(&self, wanted: impl Fn(&Snapshot) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !wanted(&self.stats.snapshot()) {
            assert!(Instant::now() < deadline, "{:?}", self.stats.snapshot());
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until so many events are acknowledged.
    pub async fn until_events(&self, count: u64) {
        self.until(|now| acknowledged(now) >= count).await;
    }

    /// Shuts it down. Returns the counters and how long it took.
    pub async fn stop(self, grace: Duration) -> (Snapshot, Duration) {
        let asked = Instant::now();
        self.shutdown.send(grace).unwrap();
        self.running.await.unwrap();
        (self.stats.snapshot(), asked.elapsed())
    }

    /// Ends it where it stands, and starts another one on its spool, which knows nothing of it.
    pub fn start_again(self, settings: Settings) -> Self {
        self.running.abort();
        Self::start_with(settings, self.store, Clock::system())
    }

    /// Ends it where it stands.
    pub fn kill(self) {
        self.running.abort();
    }
}

/// The events that were acknowledged, of all streams.
pub fn acknowledged(stats: &Snapshot) -> u64 {
    stats.published.values().map(|published| published.events).sum()
}

/// The batch, if the message is one.
pub fn batch(message: &Message) -> Option<Envelope<serde_json::Value>> {
    message.topic.contains("/evt/").then(|| serde_json::from_slice(&message.payload).unwrap())
}

/// The status, if the message is one.
pub fn status(message: &Message) -> Option<Status> {
    message.topic.ends_with("/status").then(|| serde_json::from_slice(&message.payload).unwrap())
}

/// A broker that does what the test says.
pub struct Broker {
    listener: TcpListener,
}

impl Broker {
    /// Listens. Returns the port, too.
    pub async fn start() -> (Self, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (Self { listener }, port)
    }

    /// The next connection, of which nothing is read.
    pub async fn connection(&self) -> Link {
        Link::accept(&self.listener).await
    }

    /// The next connection, answered with `connack`, and its CONNECT.
    pub async fn accept_with(&self, connack: &Packet) -> (Link, Packet) {
        loop {
            let mut link = self.connection().await;
            if let Some(connect) = link.next().await {
                assert_eq!(connect.kind, kind::CONNECT);
                link.send(connack).await;
                return (link, connect);
            }
        }
    }

    /// The next connection, accepted with `properties`.
    pub async fn accept(&self, properties: &[u8]) -> Link {
        self.accept_with(&Packet::connack(false, 0, properties)).await.0
    }
}

/// Acknowledges messages in order until `events` events have come; returns their batches.
pub async fn acknowledge(link: &mut Link, events: usize) -> Vec<Envelope<serde_json::Value>> {
    let mut batches = Vec::new();
    while batches.iter().map(|batch: &Envelope<_>| batch.events.len()).sum::<usize>() < events {
        let message = link.next_message().await.expect("the uplink is gone");
        link.send(&Packet::puback(message.packet_id, 0)).await;
        batches.extend(batch(&message));
    }
    batches
}
