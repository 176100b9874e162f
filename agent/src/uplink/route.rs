//! Which broker is tried next, and in which version of MQTT. Pure.
//!
//! Brokers are tried in the order in which they are written, one after the other; only after all of them have failed is
//! there a wait. After a connection that stood, the first one comes first again. In `auto`, a broker is spoken to in
//! MQTT 5; where it will not have that, in 3.1.1 at once; what it accepts is remembered.

use super::settings::Protocol;
use vitrine_protocol::envelope::MqttVersion;

/// Where the next attempt goes.
#[derive(Debug)]
pub(super) struct Route {
    protocol: Protocol,
    /// What each broker is known to accept.
    known: Vec<Option<MqttVersion>>,
    server: usize,
    /// The running attempt is the second one at this broker.
    is_second: bool,
}

impl Route {
    pub(super) fn new(servers: usize, protocol: Protocol) -> Self {
        Self { protocol, known: vec![None; servers.max(1)], server: 0, is_second: false }
    }

    /// The broker's index, and the version.
    pub(super) fn next(&self) -> (usize, MqttVersion) {
        let version = match (self.protocol, self.known.get(self.server).copied().flatten()) {
            (Protocol::Only(version), _) | (Protocol::Auto, Some(version)) => version,
            (Protocol::Auto, None) if self.is_second => MqttVersion::V311,
            (Protocol::Auto, None) => MqttVersion::V5,
        };
        (self.server, version)
    }

    /// The broker has accepted the connection.
    pub(super) fn accepted(&mut self) {
        let (server, version) = self.next();
        if let Some(known) = self.known.get_mut(server) {
            *known = Some(version);
        }
        self.is_second = false;
    }

    /// A connection that stood is over.
    pub(super) fn ended(&mut self) {
        (self.server, self.is_second) = (0, false);
    }

    /// The attempt has failed. Returns whether the next one is due at once.
    pub(super) fn failed(&mut self, is_about_the_version: bool) -> bool {
        let was_known = self.known.get_mut(self.server).and_then(Option::take);
        if !is_about_the_version {
            self.known[self.server] = was_known;
        } else if self.protocol == Protocol::Auto && !self.is_second && was_known != Some(MqttVersion::V311) {
            self.is_second = true;
            return true;
        }
        self.is_second = false;
        self.server = (self.server + 1) % self.known.len();
        self.server != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MqttVersion::{V5, V311};

    #[test]
    fn an_old_broker_is_spoken_to_in_its_version_from_then_on() {
        let mut route = Route::new(1, Protocol::Auto);
        assert_eq!(route.next(), (0, V5));
        assert!(route.failed(true), "at once");
        assert_eq!(route.next(), (0, V311));
        route.accepted();
        route.ended();
        assert_eq!(route.next(), (0, V311));
        assert!(!route.failed(false));
        assert_eq!(route.next(), (0, V311), "that it is away says nothing of the version");
        assert!(!route.failed(true), "it was upgraded, or is out of its mind");
        assert_eq!(route.next(), (0, V5));
        assert!(route.failed(true) && !route.failed(true));
        assert_eq!(route.next(), (0, V5));
    }

    #[test]
    fn brokers_are_tried_in_turn_and_then_there_is_a_wait() {
        let mut route = Route::new(3, Protocol::Only(V311));
        let attempts: Vec<_> = (0..4).map(|_| (route.next().0, route.failed(true))).collect();
        assert_eq!(attempts, [(0, true), (1, true), (2, false), (0, true)]);
        assert_eq!(route.next(), (1, V311));
        route.accepted();
        route.ended();
        assert_eq!(route.next(), (0, V311), "the first comes first again");
    }
}
