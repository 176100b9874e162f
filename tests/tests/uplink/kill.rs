//! Broker and agent are killed at random moments, while a small platform commits and acknowledges: nothing is lost, whatever the
//! broker had promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};
use vitrine_agent::{
    clock::Clock,
    spool::Lane,
    uplink::{Delivery, Settings},
};
use vitrine_protocol::{
    envelope::{Ack, Envelope, VERSION},
    topic::Stream,
};
use vitrine_tests::{
    gate::Gate,
    mosquitto::Mosquitto,
    mqtt::{Packet, field, kind, subscribe},
    store::{self, Store, event},
    uplink::{GRACE, Uplink, batch, settings},
};

const STREAMS: [Stream; 3] = [Stream::Flows, Stream::Stock, Stream::Door];

/// What the platform has committed.
#[derive(Clone, Default)]
struct Platform {
    numbers: Arc<Mutex<BTreeMap<Stream, BTreeSet<u64>>>>,
}

impl Platform {
    /// Commits a batch; returns the mark, which is said again for a batch that repeats what was committed: the one before may
    /// have been lost with its broker.
    fn commit(&self, batch: &Envelope<serde_json::Value>) -> Option<Ack> {
        let mut numbers = self.numbers.lock().unwrap();
        let numbers = numbers.entry(batch.stream).or_default();
        for (number, event) in (batch.first_seq..).zip(&batch.events) {
            assert_eq!(event["n"], number, "an event under another's number");
            assert!(numbers.insert(number) || batch.replayed, "{} {number} repeated unsaid", batch.stream);
        }
        // Contiguous from 1, as long as there is no hole.
        let seq = numbers.len() as u64;
        let has_no_hole = numbers.last() == Some(&seq);
        has_no_hole.then_some(Ack { v: VERSION, spool_id: batch.spool_id, seq })
    }

    fn count(&self) -> usize {
        self.numbers.lock().unwrap().values().map(BTreeSet::len).sum()
    }

    /// Listens and acknowledges, wherever its broker is gone; tells how often it has subscribed.
    async fn run(self, port: u16, subscriptions: watch::Sender<u64>) {
        loop {
            let Ok(mut link) = subscribe(port, "platform", "vitrine/#").await else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            subscriptions.send_modify(|count| *count += 1);
            while let Some(packet) = link.next().await {
                let message = packet.message().filter(|_| packet.kind == kind::PUBLISH);
                let Some(batch) = message.as_ref().and_then(batch) else { continue };
                if let Some(ack) = self.commit(&batch) {
                    let payload = serde_json::to_vec(&ack).unwrap();
                    let topic = batch.from.ack(batch.stream).to_string();
                    let body = [field(topic), vec![0, 1], vec![0], payload].concat();
                    link.send(&Packet { flags: 0b0011, ..Packet::new(kind::PUBLISH, body) }).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_to_end_nothing_is_lost_when_broker_and_agent_are_killed() {
    let rounds = if std::env::var_os("VITRINE_TEST_LONG").is_some() { 200 } else { 20 };
    let each = rounds * 400;
    let mut broker = Mosquitto::start("max_inflight_messages 0");
    let gate = Gate::before(broker.port).await;
    let platform = Platform::default();
    let (subscriptions, mut subscribed) = watch::channel(0);
    let platform_runs = tokio::spawn(platform.clone().run(broker.port, subscriptions));
    subscribed.wait_for(|&count| count >= 1).await.unwrap();
    let store = Store::empty();
    let producer = tokio::spawn({
        let spool = store.spool.clone();
        async move {
            for first in (1..=each).step_by(40) {
                let numbers = first..=(first + 39).min(each);
                let drafts =
                    numbers.flat_map(|n| STREAMS.map(|stream| event(stream, format!(r#"{{"n":{n}}}"#))));
                store::append(&spool, drafts).await;
            }
        }
    });
    let settings = Settings { delivery: Delivery::EndToEnd, ..settings(gate.port) };
    let mut uplink = Uplink::start_with(settings.clone(), store, Clock::system());
    let (mut brokers, mut agents) = (0, 0);
    for round in 0..rounds {
        // Somewhere in the next part of it, a random time after its first event has come.
        let wanted = platform.count() + 1;
        while platform.count() < wanted && platform.count() < STREAMS.len() * each {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(fastrand::u64(0..60))).await;
        if round % 2 == 0 {
            brokers += 1;
            let before = *subscribed.borrow_and_update();
            broker.kill();
            gate.shut();
            broker.restart();
            subscribed.wait_for(|&count| count > before).await.unwrap();
            gate.open();
        } else {
            agents += 1;
            uplink = uplink.start_again(settings.clone());
        }
    }
    producer.await.unwrap();
    let all = STREAMS.len() * each;
    for waits in 0.. {
        if platform.count() == all {
            break;
        }
        assert!(waits < 9_000, "{} of {all} came: {:?}", platform.count(), uplink.stats.snapshot());
        sleep(Duration::from_millis(10)).await;
    }
    // What the platform has committed is freed, and nothing is left.
    for (lane, waits) in Lane::ALL.into_iter().flat_map(|lane| (0..1000).map(move |waits| (lane, waits))) {
        if uplink.cursor(lane) == each as u64 {
            continue;
        }
        assert!(waits < 999, "{lane:?}: {} of {each}", uplink.cursor(lane));
        sleep(Duration::from_millis(10)).await;
    }
    println!("{all} events, {brokers} brokers and {agents} agents killed");
    uplink.stop(GRACE).await;
    platform_runs.abort();
}
