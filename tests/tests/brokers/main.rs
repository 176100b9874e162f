//! Every broker that a platform may have, as `deploy/platform` sets it up. `VITRINE_TEST_LONG=1` kills more often, and also
//! measures what is lost when a gateway takes the broker's word.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod kill;
mod rules;

use kill::{Delivery, play};
use vitrine_tests::brokers::Broker;

#[test]
fn mosquitto() {
    check(Broker::mosquitto);
}

#[test]
fn nats() {
    check(Broker::nats);
}

#[test]
fn three_nats() {
    check(Broker::nats_cluster);
}

#[test]
fn rabbitmq() {
    check(Broker::rabbitmq);
}

#[test]
fn rumqttd() {
    check(Broker::rumqttd);
}

fn check(start: fn() -> Broker) {
    rules::check(start());
    play(start(), Delivery::EndToEnd);
    if is_long() {
        play(start(), Delivery::Broker);
    }
}

fn is_long() -> bool {
    std::env::var_os("VITRINE_TEST_LONG").is_some()
}
