//! The demo's MQTT broker: rumqttd, in process, on a free loopback port, MQTT 5 without TLS or passwords.
//!
//! rumqttd cannot be stopped: its threads live as long as the process. It logs lost connections as errors; whoever
//! does not care for them adds [`LOG_FILTER`] to a filter of `tracing_subscriber`.

use rumqttd::{
    Config, ConnectionSettings, Notification, RouterConfig, ServerSettings,
    local::{LinkError, LinkRx, LinkTx},
};
use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Silences rumqttd in a filter of `tracing_subscriber`.
pub const LOG_FILTER: &str = "rumqttd=off";

/// What the subscription is for.
const EVERYTHING: &str = "vitrine/#";
/// The largest message; the uplink's have at most 128 KiB.
const PAYLOAD_MAX: usize = 256 * 1024;
/// What the broker keeps for a subscriber that lags behind: 64 MiB, far more than a day of the demo.
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
const SEGMENTS: usize = 16;
const START_ATTEMPTS: u32 = 250;
const START_PAUSE: Duration = Duration::from_millis(20);

/// A running broker.
#[derive(Clone, Copy, Debug)]
pub struct Broker {
    address: SocketAddr,
}

/// A subscription to all that agents publish: an in-process link, which cannot be cut and misses nothing.
pub struct Subscription {
    /// The router drops a connection whose sending end is gone.
    _sender: LinkTx,
    receiver: LinkRx,
}

/// A message as a subscriber gets it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it was published.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
}

impl Broker {
    /// Starts a broker, and a subscription made before anybody can publish. The broker accepts connections when this
    /// returns, some milliseconds later; it blocks the thread until then.
    ///
    /// # Errors
    /// No port or no thread could be had, or the port was snatched by another process: try again.
    pub fn start() -> io::Result<(Self, Subscription)> {
        // rumqttd does not tell which port it was given, so a free one is found for it.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut broker = rumqttd::Broker::new(config(address));
        let (mut sender, receiver) = broker.link("platform").map_err(io::Error::other)?;
        sender.subscribe(EVERYTHING).map_err(io::Error::other)?;
        let serve = move || {
            if let Err(error) = broker.start() {
                tracing::error!(%error, "the embedded broker has ended");
            }
        };
        let server = thread::Builder::new().name("broker".into()).spawn(serve)?;
        for _ in 0..START_ATTEMPTS {
            if server.is_finished() {
                break;
            }
            if TcpStream::connect(address).is_ok() {
                return Ok((Self { address }, Subscription { _sender: sender, receiver }));
            }
            thread::sleep(START_PAUSE);
        }
        Err(io::Error::other(format!("the embedded broker does not listen on {address}: try again")))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Subscription {
    /// The next message.
    ///
    /// # Errors
    /// [`LinkError`]: the broker is gone.
    pub async fn next(&mut self) -> Result<Message, LinkError> {
        loop {
            match self.receiver.next().await? {
                Some(Notification::Forward(forward)) => {
                    let topic = String::from_utf8_lossy(&forward.publish.topic).into_owned();
                    return Ok(Message { topic, payload: forward.publish.payload.to_vec() });
                }
                // The router has filled the link's buffer and waits to be told that it was emptied.
                Some(Notification::Unschedule) => self.receiver.wake().await?,
                _ => {}
            }
        }
    }
}

fn config(address: SocketAddr) -> Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: PAYLOAD_MAX,
        max_inflight_count: 256,
        auth: None,
        external_auth: None,
        dynamic_filters: true, // without it, publishing what nobody has subscribed to ends the connection
    };
    let name = "v5".to_owned();
    let server = ServerSettings {
        name: name.clone(),
        listen: address,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let router = RouterConfig {
        max_connections: 64,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    Config { router, v5: Some(HashMap::from([(name, server)])), ..Config::default() }
}
