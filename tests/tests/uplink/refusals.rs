//! Brokers that will not have a message: with a reason, or by closing the connection.

use std::time::Duration;
use tokio::time::Instant;
use vitrine_agent::{
    clock::Clock,
    spool::Lane,
    uplink::{Protocol, Settings},
};
use vitrine_protocol::{envelope::MqttVersion, topic::Stream};
use vitrine_tests::{
    mqtt::{Link, Message, Packet, kind},
    store::{Store, event, numbered},
    uplink::{Broker, Uplink, acknowledged, batch, settings},
};

/// Answers the message with what `judge` makes of it: `None` closes the connection.
async fn answer(link: &mut Link, message: &Message, judge: &impl Fn(&Message) -> Option<u8>) -> bool {
    match judge(message) {
        Some(reason) => link.send(&Packet::puback(message.packet_id, reason)).await,
        None => return false,
    }
    true
}

/// A broker that judges every message, for ever; heard events are told.
async fn serve(broker: Broker, is_v5: bool, judge: impl Fn(&Message) -> Option<u8>) {
    loop {
        let connack = if is_v5 { Packet::connack(false, 0, &[]) } else { Packet::new(kind::CONNACK, [0, 0]) };
        let (mut link, _) = broker.accept_with(&connack).await;
        while let Some(packet) = link.next().await {
            if packet.kind == kind::PINGREQ {
                link.send(&Packet::new(kind::PINGRESP, [])).await;
            }
            let message = if is_v5 { packet.message() } else { packet.message_v311() };
            match message.filter(|_| packet.kind == kind::PUBLISH) {
                Some(message) if !answer(&mut link, &message, &judge).await => break,
                Some(_) | None => {}
            }
        }
    }
}

/// Not a word that an id in hexadecimal digits may have.
fn has_bad(message: &Message) -> bool {
    String::from_utf8_lossy(&message.payload).contains("wrong")
}

/// 300 events of stock, of which one is bad, and 300 counts of flows.
async fn store_with_one_bad() -> Store {
    let stock =
        (1..=300).map(|n| event(Stream::Stock, if n == 150 { r#""wrong""#.into() } else { format!("{n}") }));
    Store::with(numbered(Stream::Flows, 300).chain(stock)).await
}

/// Waits until the bad event is in a gap, and everything else is acknowledged.
async fn one_is_given_up(uplink: &Uplink) {
    // 600 events, less the bad one, and the gap. The broker's time is the test's: minutes may pass in no time.
    let start = Instant::now();
    while acknowledged(&uplink.stats.snapshot()) < 600 || !uplink.stats.snapshot().refused_streams.is_empty()
    {
        assert!(start.elapsed() < Duration::from_secs(1800), "{:?}", uplink.stats.snapshot());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stats = uplink.stats.snapshot();
    assert_eq!(stats.refused_events, 1, "{stats:?}");
    assert_eq!((stats.published[&Stream::Stock].events, stats.published[&Stream::Gaps].events), (299, 1));
    assert_eq!(uplink.cursor(Lane::Facts), 300);
}

#[tokio::test(start_paused = true)]
async fn a_format_that_is_refused_again_and_again_costs_one_event_and_a_gap_says_so() {
    let (broker, port) = Broker::start().await;
    let uplink = Uplink::start(port, store_with_one_bad().await, Clock::system());
    let broker = tokio::spawn(serve(broker, true, |message| Some(if has_bad(message) { 0x99 } else { 0 })));
    one_is_given_up(&uplink).await;
    assert!(uplink.stats.snapshot().reconnects <= 1, "{:?}", uplink.stats.snapshot());
    broker.abort();
}

#[tokio::test(start_paused = true)]
async fn a_code_that_no_puback_should_have_is_understood_as_well() {
    let (broker, port) = Broker::start().await;
    let uplink = Uplink::start(port, store_with_one_bad().await, Clock::system());
    let broker = tokio::spawn(serve(broker, true, |message| Some(if has_bad(message) { 0x95 } else { 0 })));
    one_is_given_up(&uplink).await;
    broker.abort();
}

#[tokio::test(start_paused = true)]
async fn under_3_1_1_a_broker_that_closes_the_connection_over_a_message_is_understood() {
    let (broker, port) = Broker::start().await;
    let settings = Settings { protocol: Protocol::Only(MqttVersion::V311), ..settings(port) };
    let uplink = Uplink::start_with(settings, store_with_one_bad().await, Clock::system());
    let broker = tokio::spawn(serve(broker, false, |message| (!has_bad(message)).then_some(0)));
    one_is_given_up(&uplink).await;
    let stats = uplink.stats.snapshot();
    assert!((10..30).contains(&stats.reconnects), "{stats:?}");
    broker.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_permission_or_room_rests_alone_and_loses_nothing() {
    for (reason, words) in [(0x87, "not authorized"), (0x97, "quota")] {
        let (broker, port) = Broker::start().await;
        let store = Store::with(numbered(Stream::Flows, 300).chain(numbered(Stream::Stock, 300))).await;
        let uplink = Uplink::start(port, store, Clock::system());
        let start = Instant::now();
        let is_over = move || start.elapsed() > Duration::from_secs(100);
        let judge = move |message: &Message| {
            Some(if message.topic.ends_with("/stock") && !is_over() { reason } else { 0 })
        };
        let broker = tokio::spawn(serve(broker, true, judge));
        uplink.until_events(300).await;
        uplink.until(|now| !now.refused_streams.is_empty()).await;
        let stats = uplink.stats.snapshot();
        assert!(stats.refused_streams[&Stream::Stock].contains(words), "{stats:?}");
        assert_eq!((uplink.cursor(Lane::Critical), uplink.cursor(Lane::Facts)), (300, 0));
        uplink.append([event(Stream::Flows, "1")]).await;
        uplink.until_events(301).await;
        while !is_over() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        uplink.until_events(601).await;
        let stats = uplink.stats.snapshot();
        assert_eq!((acknowledged(&stats), stats.refused_events, stats.refused_streams.len()), (601, 0, 0));
        assert!(stats.connections <= 2, "once refused, it is asked about one batch at a time: {stats:?}");
        broker.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn gaps_are_never_given_up() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Gaps, 10).chain(numbered(Stream::Stock, 10))).await;
    let uplink = Uplink::start(port, store, Clock::system());
    let judge = |message: &Message| {
        let is_gaps = batch(message).is_some_and(|batch| batch.stream == Stream::Gaps);
        Some(if is_gaps { 0x99 } else { 0 })
    };
    let broker = tokio::spawn(serve(broker, true, judge));
    uplink.until_events(10).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(300) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let stats = uplink.stats.snapshot();
    assert_eq!((stats.refused_events, uplink.cursor(Lane::Critical), uplink.cursor(Lane::Facts)), (0, 0, 10));
    broker.abort();
}
