//! After an outage: what goes first, how fast, and in which form.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};
use vitrine_agent::{
    clock::Clock,
    spool::Lane,
    uplink::{Drain, Settings},
};
use vitrine_protocol::{
    envelope::{Capability, Envelope},
    time::Timestamp,
    topic::Stream,
};
use vitrine_tests::{
    mosquitto::Mosquitto,
    mqtt::{Packet, subscribe},
    store::{Store, event, held, numbered},
    uplink::{Broker, GRACE, Uplink, acknowledge, batch, settings, status},
};

fn now_ms() -> u64 {
    Clock::system().now().utc.as_ms().try_into().unwrap()
}

/// A backlog, drained under a cap while facts come in. What counts is how much of the backlog comes between a fact's being durable
/// and its arrival; how long that takes is printed, and counts where `VITRINE_TEST_LONG` makes it a backlog of three days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_facts_stay_quick_while_a_backlog_drains_under_a_cap() {
    let is_long = std::env::var_os("VITRINE_TEST_LONG").is_some();
    let (backlog, rate) = if is_long { (2_000_000, 2_000_000) } else { (30_000, 200_000) };
    let broker = Mosquitto::start("max_inflight_messages 0");
    let mut subscriber = subscribe(broker.port, "sub", "vitrine/#").await.unwrap();
    let store = Store::empty();
    for first in (0..backlog).step_by(10_000) {
        let facts = (first..first + 10_000)
            .map(|n| event(Stream::Stock, format!(r#"{{"n":{n},"text":"a fact of the backlog"}}"#)));
        vitrine_tests::store::append(&store.spool, facts).await;
    }
    let settings =
        Settings { drain: Drain::LiveFirst, bandwidth_bytes_per_s: Some(rate), ..settings(broker.port) };
    let start = Instant::now();
    let uplink = Uplink::start_with(settings, store, Clock::system());
    uplink.until(|now| now.connected).await;
    let spool = uplink.store.spool.clone();
    let come = Arc::<AtomicU64>::default();
    let come_by_then = come.clone();
    let producer = tokio::spawn(async move {
        let mut live = 0_usize;
        while spool.cursor(Lane::Facts) < backlog {
            vitrine_tests::store::append(
                &spool,
                [event(
                    Stream::Stock,
                    format!(r#"{{"at":{},"come":{}}}"#, now_ms(), come_by_then.load(Ordering::Acquire)),
                )],
            )
            .await;
            live += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        live
    });
    let (mut latencies, mut overtaken, mut seen, mut bytes) = (Vec::new(), Vec::new(), BTreeMap::new(), 0);
    while seen.len() < backlog as usize
        || !producer.is_finished()
        || seen.len() < backlog as usize + latencies.len()
    {
        let Ok(message) = timeout(Duration::from_secs(1), subscriber.next_message()).await else { continue };
        let message = message.unwrap();
        bytes += message.payload.len() as u64;
        let Some(batch) = batch(&message) else { continue };
        for (seq, event) in (batch.first_seq..).zip(&batch.events) {
            *seen.entry(seq).or_insert(0) += 1;
            if let Some(at) = event["at"].as_u64() {
                latencies.push(now_ms().saturating_sub(at));
                overtaken.push(seen.len() as u64 - event["come"].as_u64().unwrap());
            } else {
                assert!(batch.replayed, "what waited may have been sent before");
            }
        }
        come.store(seen.len() as u64, Ordering::Release);
    }
    let took = start.elapsed().as_secs_f64();
    let live = producer.await.unwrap();
    uplink.until_events(backlog + live as u64).await;
    uplink.until(|now| now.in_flight_messages == 0).await;
    assert_eq!(uplink.cursor(Lane::Facts), backlog + live as u64, "the cursor has jumped over what was live");
    uplink.stop(GRACE).await;
    assert!(seen.keys().copied().eq(1..=backlog + live as u64) && seen.values().all(|&times| times == 1));
    latencies.sort_unstable();
    let (p50, p99) = (latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100]);
    let per_s = bytes as f64 / took;
    println!(
        "{backlog} events in {took:.1} s, {per_s:.0} B/s of {rate}; {live} live: p50 {p50} ms, p99 {p99} ms"
    );
    overtaken.sort_unstable();
    let overtaken = overtaken[overtaken.len() / 2];
    assert!(overtaken < backlog / 10, "{overtaken} of {backlog} come before what is live");
    assert!(!is_long || p99 < 1000, "p99 {p99} ms");
    assert!(live > 20 && per_s < 1.6 * rate as f64);
}

#[tokio::test]
async fn compressed_batches_come_on_their_own_topics() {
    let broker = Mosquitto::start("");
    let mut subscriber = subscribe(broker.port, "sub", "vitrine/#").await.unwrap();
    let store =
        Store::with((0..512).map(|n| event(Stream::Stock, format!(r#"{{"type":"level","n":{n}}}"#)))).await;
    let uplink =
        Uplink::start_with(Settings { compress: true, ..settings(broker.port) }, store, Clock::system());
    let (mut events, mut bytes, mut plain_bytes) = (0, 0, 0);
    while events < 512 {
        let message = subscriber.next_message().await.unwrap();
        if let Some(status) = status(&message) {
            assert_eq!(status.capabilities, [Capability::Zstd, Capability::Metrics]);
            continue;
        }
        assert_eq!(message.topic, "vitrine/v1/acme/s1/gw-1/evt/stock-zst");
        let plain = zstd::decode_all(&*message.payload).unwrap();
        let batch: Envelope<serde_json::Value> = serde_json::from_slice(&plain).unwrap();
        events += batch.events.len();
        (bytes, plain_bytes) = (bytes + message.payload.len(), plain_bytes + plain.len());
    }
    assert!(bytes * 4 < plain_bytes, "{bytes} of {plain_bytes}");
    uplink.stop(GRACE).await;
}

#[tokio::test]
async fn a_metered_line_carries_the_critical_streams_alone() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 300).chain(numbered(Stream::Flows, 300))).await;
    let uplink = Uplink::start_with(Settings { metered: true, ..settings(port) }, store, Clock::system());
    let mut link = broker.accept(&[]).await;
    assert!(acknowledge(&mut link, 300).await.iter().all(|batch| batch.stream == Stream::Flows));
    uplink.until_events(300).await;
    let stopping = tokio::spawn(uplink.stop(GRACE));
    let offline = link.next_message().await.unwrap();
    link.send(&Packet::puback(offline.packet_id, 0)).await;
    let (_, took) = stopping.await.unwrap();
    assert!(took < GRACE / 2, "what is kept back is not waited for");
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_something_is_in_flight_goes_together() {
    let (broker, port) = Broker::start().await;
    let uplink = Uplink::start(port, Store::empty(), Clock::system());
    let mut link = broker.accept(&[]).await;
    let online = link.next_message().await.unwrap();
    link.send(&Packet::puback(online.packet_id, 0)).await;
    uplink.until(|now| now.connected && now.in_flight_messages == 0).await;
    uplink.append([event(Stream::Stock, "1")]).await;
    let first = link.next_message().await.unwrap();
    assert_eq!(batch(&first).unwrap().events.len(), 1, "at once");
    for n in 2..=20 {
        uplink.append([event(Stream::Stock, format!("{n}"))]).await;
    }
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 19 {
        sizes.push(batch(&link.next_message().await.unwrap()).unwrap().events.len());
    }
    assert!(sizes.len() < 10, "{sizes:?}");
    uplink.kill();
}

/// The wall clock jumps by a day, either way: what is held for a slot is not held for a day, and nothing stops.
#[tokio::test]
async fn a_clock_that_jumps_by_a_day_holds_nothing_up() {
    const DAY_MS: i64 = 86_400_000;
    let start = Timestamp::from_ms(1_772_622_000_000);
    // A turned clock never goes back, so the jump back is the past of what is held.
    for (held_until, jump_ms) in [(start.plus_ms(900_000), DAY_MS), (start.plus_ms(DAY_MS + 900_000), 0)] {
        let (broker, port) = Broker::start().await;
        let (clock, hand) = Clock::turned(start);
        let store = Store::with([held(Stream::Door, held_until, "{}"), event(Stream::Stock, "{}")]).await;
        let uplink = Uplink::start(port, store, clock);
        let mut link = broker.accept(&[]).await;
        hand.turn_to(start.plus_ms(jump_ms));
        acknowledge(&mut link, 2).await;
        uplink.until_events(2).await;
        uplink.kill();
    }
}
