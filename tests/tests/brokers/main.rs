//! Every broker that a platform may have, as `deploy/platform` sets it up.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod kill;
mod rules;

use kill::{Delivery, play};
use vitrine_tests::brokers::Broker;

#[test]
fn mosquitto() {
    rules::check(Broker::mosquitto());
    play(Broker::mosquitto(), Delivery::Broker);
}

#[test]
fn rumqttd() {
    rules::check(Broker::rumqttd());
    play(Broker::rumqttd(), Delivery::Broker);
}

#[test]
fn nats() {
    rules::check(Broker::nats());
}

#[test]
fn nats_cluster() {
    rules::check(Broker::nats_cluster());
}

#[test]
fn rabbitmq() {
    rules::check(Broker::rabbitmq());
}
