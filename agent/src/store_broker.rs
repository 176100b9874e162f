//! The store's own MQTT broker: a connection that is made again and again, for relays, satellites and the hub alike.
//!
//! Everything here is at quality of service 0 and kept nowhere: what is heard is only worth something now. The uplink, which
//! must lose nothing, is another matter and another module.
//!
//! Left out: TLS.

use crate::{
    capture::source::{Stop, stopped},
    uplink::backoff::Backoff,
};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{Filter, Packet, SubAck, SubscribeReasonCode},
    },
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

const CONNECT_TIMEOUT_S: u64 = 10;
/// A broker that answers nothing for twice as long is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Requests that wait for the connection; more are refused.
const REQUESTS: usize = 64;
/// The largest packet that is sent or taken: a relay's longest message, or a plan, and its topic.
const PACKET_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// A connection that lasted so long was good: the next failure is the first.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Where the broker is, and as whom to connect. Not `Debug`: it holds a password.
#[derive(Clone)]
pub struct Config {
    /// The client's name: each has its own.
    pub client_id: String,
    /// The broker's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password.
    pub credentials: Option<(String, String)>,
}

/// What is done with a message: topic and payload. It must not block.
pub type Handle = Box<dyn FnMut(&str, &[u8]) + Send>;

/// Publishes while there is a connection.
#[derive(Clone, Default)]
pub struct Publisher(Arc<Mutex<Option<AsyncClient>>>);

impl Publisher {
    /// Hands a message over; `false`, and nothing is kept of it, where there is no connection or it cannot keep up.
    pub fn publish(&self, topic: &str, retain: bool, payload: Vec<u8>) -> bool {
        let client = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        client
            .as_ref()
            .is_some_and(|client| client.try_publish(topic, QoS::AtMostOnce, retain, payload).is_ok())
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn set(&self, client: Option<AsyncClient>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

/// What is done at a broker.
pub struct Connection {
    /// The broker.
    pub config: Config,
    /// What is subscribed to.
    pub filters: Vec<String>,
    /// Published, retained, on every connection: topics and payloads.
    pub retained: Vec<(String, Vec<u8>)>,
    /// Takes what comes.
    pub handle: Handle,
    /// Whether it also takes what the broker has kept from earlier: a plan, but never sightings, which would be heard anew at
    /// each connection.
    pub takes_kept: bool,
    /// Publishes at other times.
    pub publisher: Publisher,
}

impl Connection {
    /// Connects again and again, until `stop`.
    pub async fn run(mut self, stop: Stop) {
        let (mut backoff, mut last_reason) = (Backoff::default(), String::new());
        loop {
            let since = Instant::now();
            let lost = tokio::select! {
                lost = self.connect() => lost,
                () = stopped(stop.clone()) => return,
            };
            let was_connected = self.publisher.is_connected();
            self.publisher.set(None);
            if was_connected && since.elapsed() >= GOOD_AFTER {
                backoff.reset();
            }
            let wait = backoff.next(getrandom::u64().unwrap_or(u64::MAX));
            let (reason, next_attempt_ms) = (lost.to_string(), wait.as_millis());
            if was_connected || reason != last_reason {
                warn!(reason, next_attempt_ms, "the store's broker is not there");
            } else {
                debug!(reason, next_attempt_ms, "the store's broker is still not there");
            }
            last_reason = reason;
            tokio::select! {
                () = sleep(wait) => {}
                () = stopped(stop.clone()) => return,
            }
        }
    }

    /// One connection, from its start to its end: an event loop is never used for a second one, and is dropped with this
    /// future.
    async fn connect(&mut self) -> ConnectionError {
        let (client, mut event_loop) = AsyncClient::new(options(&self.config), REQUESTS);
        loop {
            match event_loop.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    // A server keep alive of zero turns it off; the client would take it for an interval.
                    if event_loop.options.keep_alive().is_zero() {
                        event_loop.options.set_keep_alive(KEEP_ALIVE);
                    }
                    self.greet(&client);
                }
                Ok(Event::Incoming(Packet::SubAck(suback))) => self.check(&suback),
                Ok(Event::Incoming(Packet::Publish(publish))) if publish.retain && !self.takes_kept => {}
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if let Ok(topic) = std::str::from_utf8(&publish.topic) {
                        (self.handle)(topic, &publish.payload);
                    }
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    fn greet(&self, client: &AsyncClient) {
        let Config { host, port, .. } = &self.config;
        info!(host, port, "connected to the store's broker");
        let filters: Vec<_> = self.filters.iter().map(|path| Filter::new(path, QoS::AtMostOnce)).collect();
        if !filters.is_empty() && client.try_subscribe_many(filters).is_err() {
            warn!("the store's broker could not be asked for messages");
        }
        self.publisher.set(Some(client.clone()));
        for (topic, payload) in &self.retained {
            if !self.publisher.publish(topic, true, payload.clone()) {
                warn!(topic, "could not be published");
            }
        }
    }

    fn check(&self, suback: &SubAck) {
        for (filter, code) in self.filters.iter().zip(&suback.return_codes) {
            if !matches!(code, SubscribeReasonCode::Success(_)) {
                warn!(filter, ?code, "the store's broker does not let this agent read: see its access list");
            }
        }
    }
}

fn options(config: &Config) -> MqttOptions {
    let Config { client_id, host, port, credentials } = config;
    // The client joins host and port with a colon.
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
    let mut options = MqttOptions::new(client_id, host, *port);
    options
        .set_clean_start(true)
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(CONNECT_TIMEOUT_S)
        .set_max_packet_size(Some(PACKET_BYTES_MAX));
    if let Some((user, password)) = credentials {
        options.set_credentials(user, password);
    }
    options
}

/// Whether a text is an MQTT topic filter.
pub fn is_filter(text: &str) -> bool {
    let levels: Vec<_> = text.split('/').collect();
    let last = levels.len() - 1;
    let good = |(index, level): (usize, &&str)| match *level {
        "#" => index == last,
        "+" => true,
        level => !level.contains(['#', '+', '\0']),
    };
    (1..=256).contains(&text.len()) && !text.starts_with('$') && levels.iter().enumerate().all(good)
}

/// Whether a topic may match both filters; of a filter and a topic, whether it matches.
pub fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_topics() {
        for (a, b, expected) in [
            ("ruuvi/#", "ruuvi/gw/tag", true),
            ("ruuvi/#", "ruuvi", true),
            ("ruuvi/#", "ruuvis/gw", false),
            ("home/+/BTtoMQTT/+", "home/gw/BTtoMQTT/AA", true),
            ("home/+/BTtoMQTT/+", "home/gw/BTtoMQTT", false),
            ("home/+/BTtoMQTT/+", "home/gw/SYStoMQTT/AA", false),
            ("a/+/c", "+/b/c", true),
            ("a/b", "a/b/c", false),
            ("#", "a", true),
        ] {
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{a} {b}");
        }
        for good in ["a", "/a/b", "+/b", "a/#", "#"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a/#/b", "a+/b", "$SYS/#"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn nothing_is_published_without_a_connection() {
        assert!(!Publisher::default().publish("t", false, Vec::new()));
    }
}
