//! Five hundred gateways lose one broker, and come back together.

use std::{collections::BTreeSet, time::Duration};
use tokio::time::timeout;
use vitrine_agent::clock::Clock;
use vitrine_protocol::topic::Stream;
use vitrine_tests::{
    gate::Gate,
    mosquitto::Mosquitto,
    mqtt::subscribe,
    store::{Store, event, numbered},
    uplink::{Uplink, batch, settings},
};

/// Each gateway is the real uplink on a spool of its own; that takes a thread and files each, so there are fewer of them than
/// stores, unless `VITRINE_TEST_LONG` is set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_lost_its_broker_comes_back_and_loses_nothing() {
    let gateways = if std::env::var_os("VITRINE_TEST_LONG").is_some() { 500 } else { 60 };
    let mut broker = Mosquitto::start("max_inflight_messages 0");
    let gate = Gate::before(broker.port).await;
    let mut fleet = Vec::new();
    for n in 0..gateways {
        let store = Store::with(numbered(Stream::Stock, 5)).await;
        fleet.push(Uplink::start_as(&format!("gw-{n}"), settings(gate.port), store, Clock::system()));
    }
    for uplink in &fleet {
        uplink.until_events(5).await;
    }
    broker.kill();
    gate.shut();
    for uplink in &fleet {
        uplink.until(|now| !now.connected).await;
        uplink.append([event(Stream::Stock, "6")]).await;
    }
    broker.restart();
    let mut subscriber = subscribe(broker.port, "sub", "vitrine/#").await.unwrap();
    gate.open();
    let mut heard = BTreeSet::new();
    while heard.len() < gateways {
        let message = timeout(Duration::from_secs(60), subscriber.next_message()).await.unwrap().unwrap();
        if let Some(batch) = batch(&message)
            && (batch.first_seq..).zip(&batch.events).any(|(seq, _)| seq == 6)
        {
            heard.insert(batch.from.gateway.to_string());
        }
    }
    for uplink in &fleet {
        uplink.until_events(6).await;
    }
    let attempts: u64 = fleet.iter().map(|uplink| uplink.stats.snapshot().reconnects).sum();
    println!("{gateways} gateways: {attempts} attempts in all");
}
