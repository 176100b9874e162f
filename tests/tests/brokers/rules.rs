//! What the files of `deploy/platform` promise, without an agent: a gateway reaches its own branch alone, a consumer's
//! session outlives every node, and a mark reaches the gateway whoever comes first.

use serde_json::json;
use std::{io, time::Duration};
use vitrine_tests::{
    brokers::{Broker, GATEWAY, PASSWORD},
    client::{Client, Login, Version},
    mqtt::kind,
    sink::{Options, Sink},
    wait::wait_for,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const OTHER: &str = "acme/lyon-2/gw-2";
/// rumqttd has no rules.
const LAWLESS: &str = "rumqttd";

/// A gateway, by hand.
struct Gateway {
    ports: Vec<u16>,
    version: Version,
}

/// Kills and restarts every node once.
pub(super) fn check(mut broker: Broker) {
    let directory = tempfile::tempdir().unwrap();
    let version = broker.newest;
    let options = Options { ports: broker.ports(version), version, marks: true };
    let sink = Sink::start(&directory.path().join("ledger"), options);
    let gateway = Gateway { ports: broker.ports(version), version };

    gateway.publish_surely(GATEWAY, 1);
    for node in 0..broker.nodes() {
        broker.kill(node);
        broker.restart(node);
        gateway.publish_surely(GATEWAY, 2 + node as u64);
    }
    let last = 1 + broker.nodes() as u64;
    // Were it let through, it would come before the last one.
    gateway.publish(OTHER, 1).ok();
    gateway.publish_surely(GATEWAY, last + 1);
    wait_for("the last event", 60, || {
        gateway.publish_surely(GATEWAY, last + 1);
        sink.ledger().of_stream("till").any(|event| event["n"] == last + 1).then_some(())
    });
    let strange = sink.ledger().of_stream("till").filter(|event| event["from"] == OTHER).count();
    assert_eq!(strange, usize::from(broker.name == LAWLESS), "a gateway wrote in another one's name");

    // What a broker that forgets everything has lost is sent again, as an agent would that knows the mark.
    (1..=last).for_each(|seq| gateway.publish_surely(GATEWAY, seq));
    wait_for("the mark", 90, || gateway.mark().ok().filter(|&mark| mark == last + 1));
    assert_eq!(sink.ledger().faults, Vec::<String>::new());
}

impl Gateway {
    fn connect(&self) -> io::Result<Client> {
        let login = Login { client_id: "acme:lyon-2:gw-1", credentials: (GATEWAY, PASSWORD), clean: true };
        let mut failed = io::ErrorKind::NotFound.into();
        for &port in &self.ports {
            match Client::connect(port, self.version, &login) {
                Ok(client) => return Ok(client),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Publishes an event in the name of `from` until the broker has it.
    fn publish_surely(&self, from: &str, seq: u64) {
        wait_for("the broker takes an event", 60, || self.publish(from, seq).ok());
    }

    fn publish(&self, from: &str, seq: u64) -> io::Result<()> {
        let mut client = self.connect()?;
        let batch = json!({
            "stream": "till", "spool_id": "s", "first_seq": seq, "replayed": true,
            "events": [{ "type": "till_count", "n": seq, "from": from }],
        });
        client.publish(1, &format!("vitrine/v1/{from}/evt/till"), batch.to_string().as_bytes(), false)?;
        match client.next(ANSWER_WITHIN)? {
            Some(packet) if packet.kind == kind::PUBACK => Ok(()),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The retained mark, as a gateway gets it that comes now.
    fn mark(&self) -> io::Result<u64> {
        let mut client = self.connect()?;
        let mut early = client.subscribe(&[&format!("vitrine/v1/{GATEWAY}/ack/till")])?.into_iter();
        let packet = early.next().map_or_else(|| client.next(ANSWER_WITHIN), |packet| Ok(Some(packet)))?;
        let delivery = packet.and_then(|packet| client.delivery(&packet)).ok_or(io::ErrorKind::TimedOut)?;
        let mark: serde_json::Value = serde_json::from_slice(&delivery.payload)?;
        mark["seq"].as_u64().ok_or(io::ErrorKind::InvalidData.into())
    }
}
