//! One MQTT connection, from CONNECT to its end: the only module that knows the MQTT client.
//!
//! rumqttc's way of carrying on after a lost connection loses and misattributes messages. So it never carries on
//! here: a [`Session`] is one event loop over one connection; it ends at the first error, and the next one starts
//! with nothing of it. The event loop is polled in a task of its own: to drop a `poll()` half-way is not safe.
//!
//! `publish` does not tell the packet id, and acknowledgements tell nothing else. The loop takes requests in order
//! and announces each with its packet id, so the n-th announcement belongs to the n-th message handed over: that
//! number is what a session's user gets back.

use super::{Config, batch::PACKET_BYTES_MIN, window};
use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, ConnectionError, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{ConnAck, LastWill, Packet, PubAck, PubAckReason},
        },
    },
};
use std::{collections::HashMap, time::Duration};
use tokio::{sync::mpsc, task::JoinHandle};

const CONNECT_TIMEOUT_S: u64 = 10;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Requests that wait for the event loop: a whole window, the two statuses and the DISCONNECT.
const REQUESTS: usize = window::MESSAGES_MAX + 3;

/// Packet ids in use: more than a window, so that an id has come free when its turn comes again even where
/// acknowledgements are out of order (the client stops sending until it has). It allocates a slot for each.
const PACKET_IDS: u16 = 1024;

/// What a session heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The broker accepted the connection: always the first, unless it is [`Heard::Lost`].
    Connected(Terms),
    /// The broker has message `number`, counted from 0.
    Acknowledged { number: u64, nobody_subscribes: bool },
    /// DISCONNECT was sent.
    Left,
    /// The connection is over: always the last.
    Lost(Lost),
}

/// What the broker allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// Messages in flight, at least 1.
    pub(super) receive_maximum: u16,
    /// The largest packet it takes, if it says so.
    pub(super) packet_bytes_max: Option<u32>,
}

/// Why a connection is over, or was none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("the broker did not answer within {CONNECT_TIMEOUT_S} s")]
    ConnectTimeout,
    #[error("{0}")]
    Connection(Box<ConnectionError>),
    #[error("the broker's CONNACK {0}")]
    Terms(&'static str),
    #[error("the broker refused a message: {0:?}")]
    Refused(PubAckReason),
    #[error("the broker acknowledged nothing for {0} s")]
    Silent(u64),
    #[error("the connection ended without a reason")]
    Ended,
    #[error("a message could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the system has no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

impl Lost {
    /// Whether the broker is there, but will have none of what it is sent: coming back at once would not help.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Terms(_))
    }
}

/// A connection; dropped, it is closed at once.
pub(super) struct Session {
    client: AsyncClient,
    heard: mpsc::Receiver<Heard>,
    polling: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

impl Session {
    /// Starts to connect. `will` is what the broker publishes on the status topic should the connection break.
    pub(super) fn open(config: &Config, will: Vec<u8>) -> Self {
        let (client, event_loop) = AsyncClient::new(options(config, will), REQUESTS);
        let (hearing, heard) = mpsc::channel(window::MESSAGES_MAX);
        Self { client, heard, polling: tokio::spawn(poll(event_loop, hearing)) }
    }

    /// What the session hears next. Safe to drop half-way.
    pub(super) async fn heard(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or(Heard::Lost(Lost::Ended))
    }

    /// What the session has heard by now, for the time after its end: the last is [`Heard::Lost`].
    pub(super) fn heard_already(&mut self) -> Heard {
        self.heard.try_recv().unwrap_or(Heard::Lost(Lost::Ended))
    }

    /// Hands a message over, with quality of service 1. Never waits: there is room for a whole window. `false` if
    /// the connection is over: [`Session::heard_already`] says why.
    pub(super) fn publish(&self, topic: String, retain: bool, payload: Vec<u8>) -> bool {
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload).is_ok()
    }

    /// Asks for a DISCONNECT after what was handed over. [`Heard::Left`] or [`Heard::Lost`] follows.
    pub(super) fn disconnect(&self) {
        if self.client.try_disconnect().is_err() {
            self.polling.abort();
        }
    }
}

fn options(config: &Config, will: Vec<u8>) -> MqttOptions {
    let Config { gateway, host, port, credentials, .. } = config;
    // The client joins host and port with a colon.
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
    let client_id = format!("{}:{}:{}", gateway.tenant, gateway.store, gateway.gateway);
    let mut options = MqttOptions::new(client_id, host, *port);
    options
        .set_clean_start(true)
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(CONNECT_TIMEOUT_S)
        .set_outgoing_inflight_upper_limit(PACKET_IDS)
        .set_last_will(LastWill::new(gateway.status().to_string(), will, QoS::AtLeastOnce, true, None));
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    if let Some((user, password)) = credentials {
        options.set_credentials(user, password);
    }
    options
}

/// Polls until the connection is over, or nobody listens.
async fn poll(mut event_loop: EventLoop, hearing: mpsc::Sender<Heard>) {
    let mut numbers = Numbers::default();
    loop {
        let (heard, end) = match event_loop.poll().await {
            Ok(event) => (numbers.translate(event), None),
            Err(error) => {
                // Acknowledgements that came in together with the end wait behind the error.
                for event in std::mem::take(&mut event_loop.state.events) {
                    if let Some(heard @ Heard::Acknowledged { .. }) = numbers.translate(event)
                        && hearing.send(heard).await.is_err()
                    {
                        return;
                    }
                }
                (None, Some(Heard::Lost(Lost::from(error))))
            }
        };
        // A server keep alive of zero turns it off; the client would take it for an interval and ping at once,
        // for ever.
        if event_loop.options.keep_alive().is_zero() {
            event_loop.options.set_keep_alive(KEEP_ALIVE);
        }
        let Some(heard) = heard.or(end) else { continue };
        let last = matches!(heard, Heard::Lost(_));
        if hearing.send(heard).await.is_err() || last {
            return;
        }
    }
}

/// Which message has which packet id.
#[derive(Default)]
struct Numbers {
    announced: u64,
    by_packet_id: HashMap<u16, u64>,
}

impl Numbers {
    fn translate(&mut self, event: Event) -> Option<Heard> {
        match event {
            Event::Incoming(Packet::ConnAck(connack)) => {
                Some(terms(&connack).map_or_else(Heard::Lost, Heard::Connected))
            }
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                self.by_packet_id.insert(packet_id, self.announced);
                self.announced += 1;
                None
            }
            Event::Incoming(Packet::PubAck(PubAck { pkid, reason, .. })) => {
                let number = self.by_packet_id.remove(&pkid)?;
                Some(match reason {
                    PubAckReason::Success => Heard::Acknowledged { number, nobody_subscribes: false },
                    PubAckReason::NoMatchingSubscribers => {
                        Heard::Acknowledged { number, nobody_subscribes: true }
                    }
                    refusal => Heard::Lost(Lost::Refused(refusal)),
                })
            }
            Event::Outgoing(Outgoing::Disconnect) => Some(Heard::Left),
            Event::Incoming(_) | Event::Outgoing(_) => None,
        }
    }
}

fn terms(connack: &ConnAck) -> Result<Terms, Lost> {
    let says = connack.properties.as_ref();
    let terms = Terms {
        receive_maximum: says.and_then(|says| says.receive_max).unwrap_or(u16::MAX),
        packet_bytes_max: says.and_then(|says| says.max_packet_size),
    };
    if connack.session_present {
        return Err(Lost::Terms("resumes a session that was to start clean"));
    }
    if terms.receive_maximum == 0 {
        return Err(Lost::Terms("allows no message at all (receive maximum 0)"));
    }
    if says.and_then(|says| says.max_qos) == Some(0) {
        return Err(Lost::Terms("allows no acknowledged messages (maximum QoS 0)"));
    }
    if terms.packet_bytes_max.is_some_and(|bytes| bytes < PACKET_BYTES_MIN) {
        return Err(Lost::Terms("allows packets of less than 8 KiB only: raise the broker's limit"));
    }
    Ok(terms)
}

impl From<ConnectionError> for Lost {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Timeout(_) => Self::ConnectTimeout,
            error => Self::Connection(Box::new(error)),
        }
    }
}
