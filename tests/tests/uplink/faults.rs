//! The uplink against brokers that are killed, that fall silent, that refuse.
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use vitrine_agent::{clock::Clock, spool::Lane};
use vitrine_protocol::{envelope::State, topic::Stream};
use vitrine_tests::{
    gate::Gate,
    mosquitto::Mosquitto,
    mqtt::{Message, Packet, kind, subscribe},
    store::{self, Store, event, numbered},
    uplink::{Broker, GRACE, Uplink, acknowledge, acknowledged, batch, status},
};

/// What a subscriber saw, checked as it comes.
#[derive(Default)]
struct Seen {
    /// Numbers seen, by stream.
    numbers: BTreeMap<Stream, BTreeSet<u64>>,
    /// The last number of each stream in the running session.
    last: BTreeMap<Stream, u64>,
    sessions: usize,
    last_status: Option<State>,
}

impl Seen {
    fn take(&mut self, message: &Message) {
        if let Some(status) = status(message) {
            self.last_status = Some(status.state);
            if status.state == State::Online {
                self.sessions += 1;
                self.last.clear();
            }
        }
        let Some(batch) = batch(message) else { return };
        assert_eq!(batch.count as usize, batch.events.len());
        let numbers = self.numbers.entry(batch.stream).or_default();
        for (number, event) in (batch.first_seq..).zip(&batch.events) {
            assert_eq!(event["n"], number, "an event under another's number");
            assert!(numbers.insert(number) || batch.replayed, "{} {number} repeated unsaid", batch.stream);
            let last = self.last.insert(batch.stream, number).unwrap_or(0);
            assert!(last < number, "{} {number} after {last} in one connection", batch.stream);
        }
    }
}

const STREAMS: [Stream; 5] = [Stream::Flows, Stream::Stock, Stream::Door, Stream::Kiosk, Stream::Shelf];

/// Subscribes to everything, and takes it out of the broker's hands as fast as it comes.
async fn listen(port: u16, client_id: &str) -> mpsc::UnboundedReceiver<Message> {
    let mut link = subscribe(port, client_id, "vitrine/#").await.unwrap();
    let (heard, hearing) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = link.next_message().await {
            heard.send(message).unwrap();
        }
    });
    hearing
}

/// A broker that is killed and loses everything it had not handed on: its subscriber is always there before the
/// uplink, and reads what a dead broker left in its socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_reordered_when_the_broker_is_killed_again_and_again() {
    const EACH: u64 = 12_000;
    const KILLS: u64 = 6;
    let mut broker = Mosquitto::start("max_inflight_messages 0");
    let gate = Gate::before(broker.port).await;
    let mut subscriber = listen(broker.port, "sub").await;
    // Half of it is a backlog, so that the broker dies over a full window, the other half comes live.
    let drafts = |numbers: RangeInclusive<u64>| {
        let each = |n| STREAMS.map(|stream| event(stream, format!(r#"{{"n":{n}}}"#)));
        numbers.flat_map(each)
    };
    let store = Store::with(drafts(1..=EACH / 2)).await;
    let uplink = Uplink::start(gate.port, store, Clock::system());
    let producer = tokio::spawn({
        let spool = uplink.store.spool.clone();
        async move {
            for first in (EACH / 2 + 1..=EACH).step_by(50) {
                store::append(&spool, drafts(first..=first + 49)).await;
            }
        }
    });
    let mut seen = Seen::default();
    for kill in 1..=KILLS {
        let enough = kill * EACH * STREAMS.len() as u64 / (KILLS + 1);
        uplink.until(|now| now.connections == kill && acknowledged(now) >= enough).await;
        broker.kill();
        gate.shut();
        while let Some(message) = subscriber.recv().await {
            seen.take(&message);
        }
        broker.restart();
        subscriber = listen(broker.port, &format!("sub{kill}")).await;
        gate.open();
    }
    let all = (1..=EACH).collect::<BTreeSet<_>>();
    while !STREAMS.iter().all(|stream| seen.numbers.get(stream) == Some(&all)) {
        let Ok(message) = timeout(Duration::from_secs(5), subscriber.recv()).await else {
            let missing = |stream| all.difference(&seen.numbers[&stream]).copied().collect::<Vec<_>>();
            panic!("missing: {:?}", STREAMS.map(|stream| (stream, missing(stream))));
        };
        seen.take(&message.unwrap());
    }
    producer.await.unwrap();
    uplink.until(|now| now.connected && acknowledged(now) == EACH * STREAMS.len() as u64).await;
    let (stats, _) = uplink.stop(GRACE).await;
    while seen.last_status != Some(State::Offline) {
        let message = timeout(GRACE, subscriber.recv()).await.expect("it does not say that it leaves");
        seen.take(&message.unwrap());
    }
    assert_eq!(stats.published.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from(STREAMS));
    assert!(stats.published.values().all(|published| published.events == EACH), "{stats:?}");
    assert_eq!((stats.refused_events, stats.no_subscribers_batches, stats.in_flight_messages), (0, 0, 0));
    assert!(stats.connections > KILLS && stats.reconnects >= KILLS, "{stats:?}");
    assert!(seen.sessions as u64 <= stats.connections);
    println!("{stats:#?}");
}

#[tokio::test]
async fn reversed_acknowledgements_move_the_cursor_only_over_what_is_whole() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 128 * 10)).await;
    let uplink = Uplink::start(port, store, Clock::system());
    let mut link = broker.accept(&[]).await;
    let online = link.next_message().await.unwrap();
    let (mut batches, mut events) = (Vec::new(), 0);
    while events < 1280 {
        let message = link.next_message().await.unwrap();
        events += batch(&message).unwrap().events.len() as u64;
        batches.push(message.packet_id);
    }
    assert!(batches.len() >= 10);
    let mut answered = 0;
    while let Some(packet_id) = batches.pop() {
        assert_eq!(uplink.cursor(Lane::Facts), 0);
        link.send(&Packet::puback(packet_id, 0)).await;
        answered += 1;
        uplink.until(|now| now.published.values().map(|p| p.batches).sum::<u64>() == answered).await;
    }
    assert_eq!(uplink.cursor(Lane::Facts), 1280);
    link.send(&Packet::puback(online.packet_id, 0)).await;
    let stopping = tokio::spawn(uplink.stop(GRACE));
    let offline = link.next_message().await.unwrap();
    link.send(&Packet::puback(offline.packet_id, 0)).await;
    assert_eq!(link.next_message().await, None);
    let (stats, _) = stopping.await.unwrap();
    assert_eq!((acknowledged(&stats), stats.resent_events, stats.connections), (1280, 0, 1));
}

#[tokio::test]
async fn reversed_acknowledgements_within_a_receive_maximum_of_three() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 128 * 30)).await;
    let uplink = Uplink::start(port, store, Clock::system());
    let mut link = broker.accept(&[33, 0, 3]).await;
    let (mut held, mut seqs) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + Duration::from_secs(60);
    while seqs.len() < 128 * 30 {
        assert!(Instant::now() < deadline, "only {} events came", seqs.len());
        // Whatever comes until nothing more does, then acknowledged the last first.
        match timeout(Duration::from_millis(50), link.next_message()).await {
            Ok(message) => {
                let message = message.expect("the uplink is gone");
                seqs.extend(
                    batch(&message).iter().flat_map(|batch| (batch.first_seq..).take(batch.events.len())),
                );
                held.push(message.packet_id);
                assert!(held.len() <= 3, "more than the broker allows");
            }
            Err(_) => {
                for packet_id in held.drain(..).rev() {
                    link.send(&Packet::puback(packet_id, 0)).await;
                }
            }
        }
    }
    for packet_id in held {
        link.send(&Packet::puback(packet_id, 0)).await;
    }
    assert!(seqs.into_iter().eq(1..=128 * 30), "out of order");
    uplink.until_events(128 * 30).await;
    assert_eq!(uplink.cursor(Lane::Facts), 128 * 30);
    assert_eq!(uplink.stats.snapshot().connections, 1);
}

#[tokio::test]
async fn acknowledgements_that_come_with_the_end_of_the_connection_count() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 256)).await;
    let uplink = Uplink::start(port, store, Clock::system());
    let mut link = broker.accept(&[]).await;
    let mut packets = Vec::new();
    for _ in 0..3 {
        packets.push(link.next_message().await.unwrap().packet_id);
    }
    for packet_id in packets {
        link.send(&Packet::puback(packet_id, 0)).await;
    }
    drop(link);
    uplink.until_events(256).await;
    assert_eq!(uplink.stats.snapshot().resent_events, 0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_acknowledges_is_left_after_15_s_and_events_are_sent_again() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 300)).await;
    let uplink = Uplink::start(port, store, Clock::system());
    for _ in 0..2 {
        let mut link = broker.accept(&[]).await;
        let connected = Instant::now();
        let mut events = 0;
        while let Some(message) = link.next_message().await {
            events += batch(&message).map_or(0, |batch| batch.events.len());
        }
        let silent = connected.elapsed();
        assert!((15_000..15_100).contains(&silent.as_millis()), "{silent:?}");
        assert_eq!(events, 300);
    }
    let mut link = broker.accept(&[]).await;
    let batches = acknowledge(&mut link, 300).await;
    assert!(batches.iter().all(|batch| batch.replayed));
    uplink.until_events(300).await;
    let stats = uplink.stats.snapshot();
    assert_eq!((acknowledged(&stats), stats.resent_events), (300, 600));
    assert_eq!(stats.last_error.unwrap(), "the broker acknowledged nothing for 15 s");
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_tried_again_ever_more_slowly() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 10)).await;
    let started = Instant::now();
    let uplink = Uplink::start(port, store, Clock::system());
    let unacceptable = [
        (Packet::connack(false, 0x87, &[]), "NotAuthorized"),
        (Packet::connack(true, 0, &[]), "resumes a session"),
        (Packet::connack(false, 0, &[33, 0, 0]), "receive maximum 0"),
        (Packet::connack(false, 0, &[36, 0]), "maximum QoS 0"),
        (Packet::connack(false, 0, &[39, 0, 0, 4, 0]), "less than 8 KiB"),
        (Packet::new(kind::PINGRESP, []), "Expected ConnAck"),
    ];
    for round in 0..5 {
        for (connack, reason) in &unacceptable {
            let (mut link, _) = broker.accept_with(connack).await;
            assert_eq!(link.next_message().await, None, "{reason}");
            uplink.until(|now| now.last_error.as_ref().is_some_and(|error| error.contains(reason))).await;
            assert_eq!(uplink.stats.snapshot().connections, 0, "{round} {reason}");
        }
    }
    // 30 waits, of which 24 are uniform up to 30 s: less than a tenth of their mean is as good as impossible.
    assert!(started.elapsed() > Duration::from_secs(36), "{:?}", started.elapsed());
    let mut link = broker.accept(&[]).await;
    acknowledge(&mut link, 10).await;
    uplink.until_events(10).await;
    assert_eq!(uplink.stats.snapshot().resent_events, 0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_says_nothing_is_left_after_10_s() {
    let (broker, port) = Broker::start().await;
    let uplink = Uplink::start(port, Store::empty(), Clock::system());
    let mut link = broker.connection().await;
    let accepted = Instant::now();
    assert_eq!(link.next().await.unwrap().kind, kind::CONNECT);
    assert_eq!(link.next().await, None);
    let waited = accepted.elapsed();
    assert!((9_900..10_100).contains(&waited.as_millis()), "{waited:?}");
    uplink.until(|now| now.reconnects == 1).await;
    assert_eq!(uplink.stats.snapshot().last_error.unwrap(), "the broker did not answer within 10 s");
}

/// A connection that is open and carries nothing: what was acknowledged on it before stays so, the rest is sent again.
#[tokio::test]
async fn a_half_open_connection_is_left_and_a_new_one_goes_on() {
    let broker = Mosquitto::start("");
    let gate = Gate::before(broker.port).await;
    let mut subscriber = listen(broker.port, "sub").await;
    let uplink = Uplink::start(gate.port, Store::with(numbered(Stream::Stock, 300)).await, Clock::system());
    uplink.until_events(300).await;
    gate.stall();
    let stalled = Instant::now();
    uplink.append(numbered(Stream::Stock, 300)).await;
    uplink.until_events(600).await;
    assert!(stalled.elapsed() >= Duration::from_secs(15), "{:?}", stalled.elapsed());
    assert!(uplink.stats.snapshot().last_error.unwrap().contains("nothing for 15 s"));
    let mut numbers = BTreeSet::new();
    while numbers.len() < 600 {
        let message = timeout(Duration::from_secs(10), subscriber.recv()).await.unwrap().unwrap();
        if let Some(batch) = batch(&message) {
            numbers.extend((batch.first_seq..).take(batch.events.len()));
        }
    }
    uplink.stop(GRACE).await;
}
