//! The broker, the line and the platform together, with the client that the uplink uses.

use super::*;
use crate::demo::{broker::Broker, line::Line};
use rumqttc::v5::{
    AsyncClient, Event as MqttEvent, EventLoop, Incoming, MqttOptions,
    mqttbytes::{QoS, v5::LastWill},
};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use vitrine_protocol::{
    Id,
    envelope::{State, VERSION},
    event::{self, Event, GapReason, TillCount},
    time::Timestamp,
    topic::Gateway,
};

const SPOOL: EventId = EventId([7; 16]);
const PATIENCE: Duration = Duration::from_secs(20);

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn gateway() -> Gateway {
    Gateway { tenant: id("acme"), store: id("s1"), gateway: id("gw-1") }
}

fn event(seq: u64, body: Body) -> Event {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    id[8] = body.stream().unwrap().code();
    Event { id: EventId(id), time: Timestamp::from_ms(0), clock: event::Clock::Synced, body }
}

fn batch(stream: Stream, first_seq: u64, bodies: Vec<Body>) -> Message {
    let envelope = Envelope {
        v: VERSION,
        event_v: event::VERSION,
        from: gateway(),
        stream,
        spool_id: SPOOL,
        first_seq,
        count: bodies.len() as u32,
        sent_at: Timestamp::from_ms(0),
        replayed: false,
        plan: id("1"),
        business_date: jiff::civil::date(2026, 3, 4),
        events: (first_seq..).zip(bodies).map(|(seq, body)| event(seq, body)).collect(),
    };
    let payload = serde_json::to_vec(&envelope).unwrap();
    Message { topic: gateway().events(stream).to_string(), payload }
}

fn tills(first_seq: u64, count: usize) -> Message {
    let body = Body::TillCount(TillCount { counter: id("t1"), transactions: 3 });
    batch(Stream::Till, first_seq, vec![body; count])
}

fn status(state: State) -> Status {
    Status {
        v: VERSION,
        from: gateway(),
        state,
        session: EventId([1; 16]),
        spool_id: SPOOL,
        version: "0".into(),
        plan: id("1"),
        clock: event::Clock::Synced,
        capabilities: Vec::new(),
        mqtt: None,
    }
}

#[test]
fn repeats_holes_and_stated_losses_are_told_apart() {
    let mut received = Received::default();
    for message in [tills(1, 3), tills(2, 4), tills(9, 2), tills(13, 1)] {
        received.take(&message);
    }
    let numbers = |received: &Received| {
        let till = &received.streams[&(SPOOL, Stream::Till)];
        (till.events(), till.repeats(), till.holes(), till.lost())
    };
    assert_eq!(numbers(&received), (8, 2, 5, 0)); // 6 7 8, 11 12
    let gap =
        Gap { stream: Stream::Till, first_seq: 5, last_seq: 8, reason: GapReason::Corrupt, exact: true };
    received.take(&batch(Stream::Gaps, 1, vec![Body::Gap(gap)]));
    assert_eq!(numbers(&received), (8, 2, 2, 3));
    assert_eq!((received.events(), received.event_ids.len()), (9, 9));
    received.take(&Message { topic: "vitrine/v1/x".into(), payload: b"{}".to_vec() });
    assert_eq!((received.batches, received.unreadable), (5, 1));
}

/// Connects through the line; the session ends with the returned loop.
fn connect(port: u16) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new("gw-1", "127.0.0.1", port);
    let will = serde_json::to_vec(&status(State::Lost)).unwrap();
    options
        .set_clean_start(true)
        .set_keep_alive(Duration::from_secs(5))
        .set_outgoing_inflight_upper_limit(128)
        .set_last_will(LastWill::new(gateway().status().to_string(), will, QoS::AtLeastOnce, true, None));
    AsyncClient::new(options, 256)
}

async fn publish(client: &AsyncClient, message: &Message, retain: bool) {
    client.publish(&message.topic, QoS::AtLeastOnce, retain, message.payload.clone()).await.unwrap();
}

/// Polls until `count` publishes are acknowledged, or the connection fails.
async fn acknowledged(eventloop: &mut EventLoop, count: usize) -> usize {
    let mut acks = 0;
    while acks < count {
        match timeout(PATIENCE, eventloop.poll()).await.unwrap() {
            Ok(MqttEvent::Incoming(Incoming::PubAck(_))) => acks += 1,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    acks
}

async fn eventually(platform: &Platform, holds: impl Fn(&Received) -> bool) {
    let wait = async {
        while !platform.look(&holds) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(PATIENCE, wait).await.is_err() {
        panic!("{:#?}", platform.look(Received::clone));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_arrives_and_a_cut_is_survived() {
    let (broker, subscription) = Broker::start().unwrap();
    let line = Line::start(broker.address()).await.unwrap();
    let platform = Platform::start(subscription);

    let (client, mut eventloop) = connect(line.port());
    let birth = serde_json::to_vec(&status(State::Online)).unwrap();
    publish(&client, &Message { topic: gateway().status().to_string(), payload: birth }, true).await;
    for batch in 0..200 {
        publish(&client, &tills(1 + batch * 100, 100), false).await;
    }
    assert_eq!(acknowledged(&mut eventloop, 201).await, 201);
    eventually(&platform, |received| received.events() == 20_000 && received.statuses.len() == 1).await;

    line.cut();
    assert_eq!(acknowledged(&mut eventloop, 1).await, 0);
    assert!(
        timeout(PATIENCE, eventloop.poll()).await.unwrap().is_err(),
        "no connection while the line is cut"
    );
    eventually(&platform, |received| {
        received.statuses.last().map(|status| status.state) == Some(State::Lost)
    })
    .await;

    line.mend();
    let (client, mut eventloop) = connect(line.port());
    for message in [tills(19_001, 1000), tills(20_001, 100)] {
        publish(&client, &message, false).await;
    }
    assert_eq!(acknowledged(&mut eventloop, 2).await, 2);
    eventually(&platform, |received| (received.events(), received.repeats()) == (20_100, 1000)).await;
    platform.look(|received| {
        assert_eq!((received.holes(), received.unreadable), (0, 0));
        assert_eq!(received.event_ids.len(), 20_100);
    });

    client.disconnect().await.unwrap();
    while timeout(PATIENCE, eventloop.poll()).await.unwrap().is_ok() {}
    sleep(Duration::from_millis(100)).await;
    assert_eq!(platform.look(|received| received.statuses.len()), 2, "no will after an orderly end");
    assert_eq!(retained_status(broker).await.state, State::Lost);
}

/// What a newcomer is told.
async fn retained_status(broker: Broker) -> Status {
    let options = MqttOptions::new("newcomer", "127.0.0.1", broker.address().port());
    let (client, mut eventloop) = AsyncClient::new(options, 8);
    client.subscribe(gateway().status().to_string(), QoS::AtLeastOnce).await.unwrap();
    loop {
        if let MqttEvent::Incoming(Incoming::Publish(publish)) =
            timeout(PATIENCE, eventloop.poll()).await.unwrap().unwrap()
        {
            assert!(publish.retain);
            return serde_json::from_slice(&publish.payload).unwrap();
        }
    }
}
