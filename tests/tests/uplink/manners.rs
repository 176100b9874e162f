//! The uplink's manners: what it publishes, in which order, and how it leaves.
use std::time::Duration;
use tokio::time::timeout;
use vitrine_agent::{
    clock::Clock,
    spool::{Lane, MAX_RECORD},
};
use vitrine_protocol::{envelope::State, time::Timestamp, topic::Stream};
use vitrine_tests::{
    mosquitto::{Mosquitto, free_port},
    mqtt::{Packet, kind, subscribe},
    store::{Store, event, held, numbered, plan},
    uplink::{Broker, GRACE, Uplink, acknowledge, acknowledged, batch, status},
};

#[tokio::test]
async fn the_status_is_retained_and_a_killed_agent_leaves_its_will() {
    let broker = Mosquitto::start("");
    let mut states = Vec::new();
    for orderly in [false, true] {
        let uplink = Uplink::start(broker.port, Store::empty(), Clock::system());
        let spool_id = uplink.store.spool.id();
        uplink.until(|now| now.connected).await;
        let mut subscriber = subscribe(broker.port, "sub", "vitrine/v1/acme/s1/gw-1/status").await.unwrap();
        let mut message = subscriber.next_message().await.unwrap();
        if status(&message).unwrap().state != State::Online {
            message = subscriber.next_message().await.unwrap();
        }
        let online = status(&message).unwrap();
        if orderly {
            uplink.stop(GRACE).await;
        } else {
            uplink.kill();
        }
        let end = status(&subscriber.next_message().await.unwrap()).unwrap();
        assert_eq!((end.session, end.spool_id, end.plan), (online.session, spool_id, plan()));
        drop(subscriber);
        let mut late = subscribe(broker.port, "late", "vitrine/#").await.unwrap();
        let retained = late.next_message().await.unwrap();
        assert!(retained.retain);
        assert_eq!(status(&retained).unwrap(), end);
        states.push((online.state, end.state));
    }
    assert_eq!(states, [(State::Online, State::Lost), (State::Online, State::Offline)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_event_is_acknowledged_at_once() {
    let broker = Mosquitto::start("");
    let _subscriber = subscribe(broker.port, "sub", "vitrine/#").await.unwrap();
    let uplink = Uplink::start(broker.port, Store::empty(), Clock::system());
    uplink.until(|now| now.connected && now.in_flight_messages == 0).await;
    for n in 1..=200 {
        uplink.append([event(Stream::Stock, r#"{"live":true}"#)]).await;
        uplink.until_events(n).await;
    }
    let (stats, _) = uplink.stop(GRACE).await;
    println!("live latency: {} ms at most", stats.live_latency_max_ms);
    assert!(stats.live_latency_max_ms <= 250, "{stats:?}");
}

#[tokio::test]
async fn urgent_lanes_go_first_and_slots_wait_for_their_end() {
    let (broker, port) = Broker::start().await;
    let start = Timestamp::from_ms(1_772_622_000_000);
    let (clock, hand) = Clock::turned(start);
    let slot_end = start.plus_ms(900_000);
    let store = Store::with([
        held(Stream::Door, start, "{}"),
        held(Stream::Door, slot_end, "{}"),
        event(Stream::Stock, "{}"),
        event(Stream::Gaps, "{}"),
    ])
    .await;
    let uplink = Uplink::start(port, store, clock);
    let mut link = broker.accept(&[]).await;
    let order: Vec<_> = acknowledge(&mut link, 3).await.iter().map(|batch| batch.stream).collect();
    assert_eq!(order, [Stream::Gaps, Stream::Stock, Stream::Door]);
    hand.turn_to(slot_end.plus_ms(-1));
    assert!(timeout(Duration::from_millis(100), link.next_message()).await.is_err(), "too early");
    hand.turn_to(slot_end);
    let last = acknowledge(&mut link, 1).await;
    assert_eq!((last[0].first_seq, last[0].sent_at, last[0].replayed), (2, slot_end, false));
    uplink.until_events(4).await;
}

#[tokio::test]
async fn the_brokers_maximum_packet_size_is_kept_and_what_is_refused_does_not_block() {
    const PACKET_MAX: usize = 8192;
    let (broker, port) = Broker::start().await;
    let of_bytes = |bytes: usize| event(Stream::Stock, format!("\"{}\"", "x".repeat(bytes - 2)));
    let drafts = (0..50).map(|n| of_bytes(if n % 10 == 0 { MAX_RECORD } else { 1000 }));
    let store = Store::with(drafts.chain([event(Stream::Stock, "not JSON"), of_bytes(1000)])).await;
    let uplink = Uplink::start(port, store, Clock::system());
    let mut link = broker.accept(&[39, 0, 0, 0x20, 0]).await;
    let mut seqs = Vec::new();
    while seqs.len() < 51 {
        let packet = link.next().await.unwrap();
        assert!(packet.body.len() + 3 <= PACKET_MAX);
        let message = packet.message().unwrap();
        link.send(&Packet::puback(message.packet_id, 0)).await;
        if let Some(batch) = batch(&message).filter(|batch| batch.stream == Stream::Stock) {
            seqs.extend((batch.first_seq..).take(batch.events.len()));
        }
    }
    assert_eq!(seqs, (1..=50).chain([52]).collect::<Vec<_>>());
    uplink.until_events(51).await;
    assert_eq!(uplink.cursor(Lane::Facts), 52, "what is refused does not block the lane");
    assert_eq!(uplink.stats.snapshot().refused_events, 1);
    let gap = loop {
        let message = link.next_message().await.unwrap();
        link.send(&Packet::puback(message.packet_id, 0)).await;
        if let Some(batch) = batch(&message).filter(|batch| batch.stream == Stream::Gaps) {
            break batch.events[0].clone();
        }
    };
    assert_eq!((&gap["stream"], &gap["reason"]), (&"stock".into(), &"refused".into()));
    assert_eq!((&gap["first_seq"], &gap["last_seq"]), (&51.into(), &51.into()));
}

#[tokio::test]
async fn batches_that_nobody_subscribes_to_are_acknowledged_and_counted() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 256)).await;
    let uplink = Uplink::start(port, store, Clock::system());
    let mut link = broker.accept(&[]).await;
    for _ in 0..3 {
        let message = link.next_message().await.unwrap();
        link.send(&Packet::puback(message.packet_id, 0x10)).await;
    }
    uplink.until_events(256).await;
    assert_eq!(uplink.stats.snapshot().no_subscribers_batches, 2, "the status does not count");
    assert_eq!(uplink.cursor(Lane::Facts), 256);
}

#[tokio::test]
async fn a_keep_alive_turned_off_by_the_broker_is_no_reason_to_ping_for_ever() {
    let (broker, port) = Broker::start().await;
    let uplink = Uplink::start(port, Store::empty(), Clock::system());
    let mut link = broker.accept(&[19, 0, 0]).await;
    let mut pings = 0;
    for _ in 0..2 {
        let packet = link.next().await.unwrap();
        match packet.message() {
            Some(message) => link.send(&Packet::puback(message.packet_id, 0)).await,
            None => pings += u8::from(packet.kind == kind::PINGREQ),
        }
    }
    assert_eq!(pings, 1);
    assert!(timeout(Duration::from_millis(200), link.next()).await.is_err());
    assert_eq!(uplink.stats.snapshot().reconnects, 0);
}

#[tokio::test]
async fn at_the_end_everything_readable_is_sent_then_the_status_then_disconnect() {
    let (broker, port) = Broker::start().await;
    let uplink = Uplink::start(port, Store::empty(), Clock::system());
    let (mut link, connect) = broker.accept_with(&Packet::connack(false, 0, &[])).await;
    let text = String::from_utf8_lossy(&connect.body).into_owned();
    assert!(text.contains("acme:s1:gw-1") && text.contains(r#""state":"lost""#), "{text}");
    let online = link.next_message().await.unwrap();
    assert!(online.retain && status(&online).unwrap().state == State::Online);
    link.send(&Packet::puback(online.packet_id, 0)).await;
    uplink.append(numbered(Stream::Stock, 5000)).await;
    let stopping = tokio::spawn(uplink.stop(GRACE));
    let events: usize = acknowledge(&mut link, 5000).await.iter().map(|batch| batch.events.len()).sum();
    assert_eq!(events, 5000);
    let offline = link.next_message().await.unwrap();
    assert!(offline.retain && status(&offline).unwrap().state == State::Offline);
    link.send(&Packet::puback(offline.packet_id, 0)).await;
    assert_eq!(link.next().await.unwrap().kind, kind::DISCONNECT);
    let (stats, took) = stopping.await.unwrap();
    assert_eq!((stats.connected, acknowledged(&stats)), (false, 5000));
    assert!(took < GRACE / 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_with_the_grace_whatever_the_broker_does() {
    for answers in [None, Some(Packet::connack(false, 0, &[]))] {
        let (broker, port) = Broker::start().await;
        let store = Store::with(numbered(Stream::Stock, 10)).await;
        let uplink = Uplink::start(port, store, Clock::system());
        let mut link = broker.connection().await;
        if let Some(connack) = &answers {
            link.send(connack).await;
            uplink.until(|now| now.connected).await;
        }
        let (stats, took) = uplink.stop(GRACE).await;
        assert!((4900..5100).contains(&took.as_millis()), "{took:?}");
        assert!(!stats.connected);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_broker_and_without_events_the_end_comes_at_once() {
    let uplink = Uplink::start(free_port(), Store::empty(), Clock::system());
    uplink.until(|now| now.reconnects > 3).await;
    let (stats, took) = uplink.stop(GRACE).await;
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert!(stats.last_error.unwrap().contains("refused"));
}
