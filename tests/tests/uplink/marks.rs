//! `delivery = "end_to_end"`: the platform's own word frees an event.

use std::time::Duration;
use tokio::time::{Instant, timeout};
use vitrine_agent::{
    clock::Clock,
    spool::Lane,
    uplink::{Delivery, Settings},
};
use vitrine_protocol::{
    envelope::{Ack, VERSION},
    event::EventId,
    topic::Stream,
};
use vitrine_tests::{
    mqtt::{Link, Message, Packet, field, kind},
    store::{Store, numbered},
    uplink::{Broker, Uplink, acknowledge, batch, settings},
};

fn end_to_end(port: u16) -> Settings {
    Settings { delivery: Delivery::EndToEnd, ..settings(port) }
}

/// Accepts a connection, its status, and its subscription to marks.
async fn accept(broker: &Broker) -> Link {
    let mut link = broker.accept(&[]).await;
    let mut is_subscribed = false;
    let mut is_online = false;
    while !(is_subscribed && is_online) {
        let packet = link.next().await.unwrap();
        if packet.kind == kind::SUBSCRIBE {
            assert!(String::from_utf8_lossy(&packet.body).contains("vitrine/v1/acme/s1/gw-1/ack/+"));
            link.send(&Packet::new(kind::SUBACK, [packet.body[0], packet.body[1], 0, 1])).await;
            is_subscribed = true;
        } else if let Some(message) = packet.message() {
            assert!(batch(&message).is_none(), "a batch before the subscription stands");
            link.send(&Packet::puback(message.packet_id, 0)).await;
            is_online = true;
        }
    }
    link
}

async fn mark(link: &mut Link, stream: Stream, spool_id: EventId, seq: u64) {
    let ack = serde_json::to_vec(&Ack { v: VERSION, spool_id, seq }).unwrap();
    let body = [field(format!("vitrine/v1/acme/s1/gw-1/ack/{stream}")), vec![0, 7], vec![0], ack].concat();
    link.send(&Packet { flags: 0b0011, ..Packet::new(kind::PUBLISH, body) }).await;
    loop {
        let packet = link.next().await.unwrap();
        if packet.kind == kind::PUBACK {
            return;
        }
    }
}

#[tokio::test]
async fn what_the_broker_has_is_kept_until_the_platform_says_so() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 300).chain(numbered(Stream::Door, 100))).await;
    let spool_id = store.spool.id();
    let uplink = Uplink::start_with(end_to_end(port), store, Clock::system());
    let mut link = accept(&broker).await;
    acknowledge(&mut link, 400).await;
    uplink.until_events(400).await;
    assert_eq!((uplink.cursor(Lane::Facts), uplink.cursor(Lane::Slots)), (0, 0));

    mark(&mut link, Stream::Stock, spool_id, 200).await;
    // Of the batch 129 to 256, a part is not committed.
    while uplink.cursor(Lane::Facts) != 128 {
        tokio::task::yield_now().await;
    }
    mark(&mut link, Stream::Stock, EventId([9; 16]), 300).await;
    mark(&mut link, Stream::Stock, spool_id, 301).await;
    mark(&mut link, Stream::Door, spool_id, 9_000).await;
    uplink.until(|now| now.ignored_marks == 3).await;
    assert_eq!((uplink.cursor(Lane::Facts), uplink.cursor(Lane::Slots)), (128, 0));

    // After a break, what the platform has is not sent again, and what it has not is.
    drop(link);
    let mut link = accept(&broker).await;
    let batches = acknowledge(&mut link, 300 - 128 + 100).await;
    assert!(
        batches.iter().all(|batch| batch.replayed && (batch.stream == Stream::Door || batch.first_seq > 128))
    );
    mark(&mut link, Stream::Stock, spool_id, 300).await;
    mark(&mut link, Stream::Door, spool_id, 100).await;
    while (uplink.cursor(Lane::Facts), uplink.cursor(Lane::Slots)) != (300, 100) {
        tokio::task::yield_now().await;
    }
    uplink.kill();
}

#[tokio::test(start_paused = true)]
async fn what_the_platform_does_not_get_is_sent_again_ever_more_rarely() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 10)).await;
    let uplink = Uplink::start_with(end_to_end(port), store, Clock::system());
    let mut waits = Vec::new();
    for _ in 0..4 {
        let mut link = accept(&broker).await;
        acknowledge(&mut link, 10).await;
        let had = Instant::now();
        let next: Option<Message> = loop {
            match timeout(Duration::from_secs(20), link.next_message()).await {
                Ok(next) => break next,
                Err(_) => continue,
            }
        };
        assert_eq!(next, None);
        waits.push(had.elapsed().as_secs());
    }
    assert_eq!(waits, [60, 120, 240, 480]);
    uplink.kill();
}

#[tokio::test]
async fn a_broker_that_refuses_the_subscription_is_no_end_to_end() {
    let (broker, port) = Broker::start().await;
    let uplink = Uplink::start_with(end_to_end(port), Store::empty(), Clock::system());
    let mut link = broker.accept(&[]).await;
    loop {
        let packet = link.next().await.unwrap();
        if packet.kind == kind::SUBSCRIBE {
            link.send(&Packet::new(kind::SUBACK, [packet.body[0], packet.body[1], 0, 0x87])).await;
            break;
        }
    }
    uplink.until(|now| now.last_error.as_ref().is_some_and(|error| error.contains("ack/+: allow it"))).await;
    uplink.kill();
}
