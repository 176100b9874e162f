//! One MQTT connection, from CONNECT to its end: the only module that knows the MQTT client.
//!
//! rumqttc's way of carrying on after a lost connection loses and misattributes messages. So it never carries on
//! here: a [`Session`] is one event loop over one connection; it ends at the first error, and the next one starts
//! with nothing of it. The event loop is polled in a task of its own: to drop a `poll()` half-way is not safe.
//!
//! `publish` does not tell the packet id, and acknowledgements tell nothing else. The loop takes requests in order
//! and announces each with its packet id, so the n-th announcement belongs to the n-th message handed over: that
//! number is what a session's user gets back.
//!
//! | module | what |
//! |---|---|
//! | `v5`, `v311` | the client's two halves, one a version of MQTT, under one trait |
//! | `transport`, `tls` | the way to the broker; certificates |
//! | `lost` | why a connection is over |

mod lost;
mod tls;
mod transport;
mod v311;
mod v5;

pub(super) use lost::Lost;

use super::{refusal::Reason, server::Server, settings::Settings, window};
use rumqttc::{AsyncClient, QoS, v5 as client5};
use std::collections::HashMap;
use tokio::{sync::mpsc, task::JoinHandle};
use transport::Way;
use vitrine_protocol::{envelope::MqttVersion, topic::Gateway};

/// Requests that wait for the event loop: a whole window, statuses, metrics, a subscription and the DISCONNECT.
const CLIENT_REQUESTS: usize = window::MESSAGES_MAX + 8;

/// Whom to connect to.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) gateway: Gateway,
    pub(super) server: &'a Server,
    pub(super) settings: &'a Settings,
    pub(super) version: MqttVersion,
}

impl Target<'_> {
    fn client_id(&self) -> String {
        let Gateway { tenant, store, gateway } = self.gateway;
        format!("{tenant}:{store}:{gateway}")
    }
}

/// What a session heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The broker accepted the connection: always the first, unless it is [`Heard::Lost`].
    Connected(Terms),
    /// The broker has answered message `number`, counted from 0.
    Answered { number: u64, answer: Answer },
    /// The broker has answered the subscription.
    Subscribed { is_granted: bool },
    /// A message came.
    Message { topic: String, payload: Vec<u8> },
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

/// What the broker says to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has it.
    Taken,
    /// It had it, and nobody wanted it.
    NobodySubscribes,
    /// It will not have it.
    Refused(Reason),
}

/// A connection; dropped, it is closed at once.
pub(super) struct Session {
    client: Client,
    heard: mpsc::Receiver<Heard>,
    polling: JoinHandle<()>,
}

enum Client {
    V5(client5::AsyncClient),
    V311(AsyncClient),
}

/// What comes out of the client, whatever the version.
enum Raw {
    Connected(Result<Terms, Lost>),
    /// The next message goes out, under this packet id.
    Announced(u16),
    Answered(u16, Answer),
    Subscribed {
        is_granted: bool,
    },
    Message {
        topic: String,
        payload: Vec<u8>,
    },
    Left,
}

/// The client's event loop.
trait EventLoop: Send + 'static {
    /// Polls it once.
    fn next(&mut self) -> impl Future<Output = Result<Option<Raw>, Lost>> + Send;

    /// What came in together with the connection's end, and waits behind the error.
    fn rest(&mut self) -> Vec<Raw>;
}

impl Drop for Session {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

impl Session {
    /// Starts to connect. `will` is what the broker publishes on the status topic should the connection break.
    ///
    /// # Errors
    /// [`Lost`] if a file cannot be read.
    pub(super) fn open(target: Target<'_>, will: Vec<u8>) -> Result<Self, Lost> {
        let login = match &target.settings.login {
            Some(login) => Some((login.user.clone(), login.password.read()?)),
            None => None,
        };
        let way = Way::to(&target)?;
        let (hearing, heard) = mpsc::channel(window::MESSAGES_MAX);
        let (client, polling) = match target.version {
            MqttVersion::V5 => {
                let (client, event_loop) = v5::open(&target, way, login, will);
                (client, tokio::spawn(poll(event_loop, hearing)))
            }
            MqttVersion::V311 => {
                let (client, event_loop) = v311::open(&target, way, login, will);
                (client, tokio::spawn(poll(event_loop, hearing)))
            }
        };
        Ok(Self { client, heard, polling })
    }

    /// What the session hears next. Safe to drop half-way.
    pub(super) async fn heard(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or(Heard::Lost(Lost::Unknown))
    }

    /// What the session has heard by now, for the time after its end: the last is [`Heard::Lost`].
    pub(super) fn heard_already(&mut self) -> Heard {
        self.heard.try_recv().unwrap_or(Heard::Lost(Lost::Unknown))
    }

    /// Hands a message over, with quality of service 1. Never waits: there is room for a whole window. `false` if
    /// the connection is over: [`Session::heard_already`] says why.
    pub(super) fn publish(&self, topic: String, retain: bool, payload: Vec<u8>) -> bool {
        match &self.client {
            Client::V5(client) => {
                client.try_publish(topic, client5::mqttbytes::QoS::AtLeastOnce, retain, payload).is_ok()
            }
            Client::V311(client) => client.try_publish(topic, QoS::AtLeastOnce, retain, payload).is_ok(),
        }
    }

    /// Subscribes at quality of service 1. [`Heard::Subscribed`] follows, or the connection's end.
    pub(super) fn subscribe(&self, filter: String) {
        let is_asked = match &self.client {
            Client::V5(client) => client.try_subscribe(filter, client5::mqttbytes::QoS::AtLeastOnce).is_ok(),
            Client::V311(client) => client.try_subscribe(filter, QoS::AtLeastOnce).is_ok(),
        };
        if !is_asked {
            self.polling.abort();
        }
    }

    /// Asks for a DISCONNECT after what was handed over. [`Heard::Left`] or [`Heard::Lost`] follows.
    pub(super) fn disconnect(&self) {
        let is_asked = match &self.client {
            Client::V5(client) => client.try_disconnect().is_ok(),
            Client::V311(client) => client.try_disconnect().is_ok(),
        };
        if !is_asked {
            self.polling.abort();
        }
    }
}

/// Polls until the connection is over, or nobody listens.
async fn poll(mut event_loop: impl EventLoop, hearing: mpsc::Sender<Heard>) {
    let mut numbers = Numbers::default();
    let mut is_connected = false;
    loop {
        let heard = match event_loop.next().await {
            Ok(Some(raw)) => numbers.translate(raw),
            Ok(None) => None,
            Err(lost) => {
                for raw in event_loop.rest() {
                    if let Some(heard @ Heard::Answered { .. }) = numbers.translate(raw)
                        && hearing.send(heard).await.is_err()
                    {
                        return;
                    }
                }
                Some(Heard::Lost(if is_connected { lost } else { lost.before_connack() }))
            }
        };
        let Some(heard) = heard else { continue };
        is_connected |= matches!(heard, Heard::Connected(_));
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
    fn translate(&mut self, raw: Raw) -> Option<Heard> {
        Some(match raw {
            Raw::Connected(terms) => terms.map_or_else(Heard::Lost, Heard::Connected),
            Raw::Announced(packet_id) => {
                self.by_packet_id.insert(packet_id, self.announced);
                self.announced += 1;
                return None;
            }
            Raw::Answered(packet_id, answer) => {
                Heard::Answered { number: self.by_packet_id.remove(&packet_id)?, answer }
            }
            Raw::Subscribed { is_granted } => Heard::Subscribed { is_granted },
            Raw::Message { topic, payload } => Heard::Message { topic, payload },
            Raw::Left => Heard::Left,
        })
    }
}
