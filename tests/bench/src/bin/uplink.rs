//! What the uplink costs, towards one Mosquitto: from the spool beside from memory, in batches beside one by one, the client
//! beside a socket written by hand, encrypted beside plain, compressed beside not.
//!
//! In a round every contender sends the same events, one contender after the other, each round beginning with another one. The
//! table tells medians over the rounds; ratios are medians of those within a round.
//!
//! `cargo run --release --manifest-path tests/bench/Cargo.toml --bin uplink -- [ROUNDS]`

use anyhow::{Context, ensure};
use rumqttc::v5::{AsyncClient, Event, MqttOptions, mqttbytes::QoS, mqttbytes::v5::Packet};
use std::{
    fs,
    net::{Ipv4Addr, TcpStream as StdStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::sleep,
};
use vitrine_agent::{
    clock::Clock,
    spool::{self, Commit, Context as EventContext, Draft, Spool},
    uplink::{self, Protocol, Server, Settings, Stats},
};
use vitrine_protocol::{
    Id,
    envelope::MqttVersion,
    topic::{Gateway, Stream},
};

const EVENTS: usize = 60_000;
/// One by one is slow.
const SINGLES: usize = 6_000;
const BATCH: usize = 128;
const WINDOW: usize = 128;
const PORT: u16 = 18_831;
const TLS_PORT: u16 = 18_832;

fn json(n: usize) -> String {
    format!(
        r#"{{"id":"{n:032x}","time":"2026-03-04T11:00:00.000Z","clock":"synced","type":"interaction","kiosk":"k1","session":"{:032x}","kind":"product_view","sku":"4711-{}"}}"#,
        n / 7 * 7919,
        n % 500
    )
}

/// The payloads of batches, as the uplink would write them, about.
fn payloads(events: usize, size: usize) -> Vec<Vec<u8>> {
    let batch = |first: usize| {
        let events: Vec<_> = (first..(first + size).min(events)).map(json).collect();
        format!(
            r#"{{"v":1,"tenant":"acme","store":"s1","gateway":"gw-1","stream":"stock","spool_id":"28f3a4ee4c678dc839e538c77daf5fe2","first_seq":{first},"count":{},"sent_at":"2026-11-22T05:28:41.880Z","replayed":false,"plan":"1","business_date":"2026-11-22","events":[{}]}}"#,
            events.len(),
            events.join(",")
        )
        .into_bytes()
    };
    (0..events).step_by(size).map(batch).collect()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(5), |word| word.parse())?;
    let dir = tempfile::tempdir()?;
    let _broker = broker(dir.path())?;
    let batches = payloads(EVENTS, BATCH);
    let singles = payloads(SINGLES, 1);
    let mut rates = vec![[f64::NAN; 6]; rounds];
    let mut bytes = [0.0; 2];
    for (round, rates) in rates.iter_mut().enumerate() {
        for turn in 0..6 {
            let contender = (turn + round) % 6;
            rates[contender] = match contender {
                0 => publish(plain(), None).await?,
                1 => client(&batches, EVENTS).await?,
                2 => client(&singles, SINGLES).await?,
                3 => socket(&batches, EVENTS).await?,
                4 => publish(encrypted(dir.path())?, None).await?,
                _ => {
                    let mut settings = plain();
                    settings.compress = true;
                    publish(settings, Some(&mut bytes)).await?
                }
            };
        }
        eprintln!("round {}: {rates:.0?}", round + 1);
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let of = |index: usize| median(rates.iter().map(|round| round[index]).collect());
    let ratio = |a: usize, b: usize| median(rates.iter().map(|round| round[a] / round[b]).collect());
    println!("| what | events/s | beside | ratio |\n|---|---|---|---|");
    println!("| the uplink, from the spool | {:.0} | | |", of(0));
    println!(
        "| its client alone, batches from memory | {:.0} | the uplink / this | {:.2} |",
        of(1),
        ratio(0, 1)
    );
    println!("| the client, one event a message | {:.0} | the uplink / this | {:.0} |", of(2), ratio(0, 2));
    println!(
        "| a socket by hand, batches from memory | {:.0} | the client / this | {:.2} |",
        of(3),
        ratio(1, 3)
    );
    println!("| the uplink, mTLS | {:.0} | this / plain | {:.2} |", of(4), ratio(4, 0));
    println!("| the uplink, zstd | {:.0} | this / plain | {:.2} |", of(5), ratio(5, 0));
    println!("bytes an event: {:.1} plain, {:.1} with zstd", bytes[0], bytes[1]);
    live().await
}

fn plain() -> Settings {
    let mut settings = Settings::new(Server::tcp("127.0.0.1", PORT));
    settings.protocol = Protocol::Only(MqttVersion::V5);
    settings.metrics_every = None;
    settings
}

fn encrypted(dir: &Path) -> anyhow::Result<Settings> {
    let mut settings = plain();
    settings.servers = vec![format!("mqtts://localhost:{TLS_PORT}").parse().map_err(anyhow::Error::msg)?];
    settings.tls.ca = Some(dir.join("ca.pem"));
    settings.tls.client = Some((dir.join("cert.pem"), dir.join("key.pem")));
    Ok(settings)
}

/// A broker with a plain and an encrypted listener; killed when dropped.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn broker(dir: &Path) -> anyhow::Result<Broker> {
    let (ca_key, key) = (rcgen::KeyPair::generate()?, rcgen::KeyPair::generate()?);
    let mut ca = rcgen::CertificateParams::new(vec!["ca".into()])?;
    // Named apart from what it signs, which would pass for its own issuer otherwise.
    ca.distinguished_name.push(rcgen::DnType::CommonName, "the benchmark's CA");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(ca, ca_key)?;
    let cert = rcgen::CertificateParams::new(vec!["localhost".into()])?.signed_by(&key, &issuer)?;
    fs::write(dir.join("ca.pem"), issuer.pem())?;
    fs::write(dir.join("cert.pem"), cert.pem())?;
    fs::write(dir.join("key.pem"), key.serialize_pem())?;
    let at = dir.display();
    let config = format!(
        "user root\npersistence false\nmax_inflight_messages 0\nmax_queued_messages 0\nallow_anonymous true\n\
         listener {PORT} 127.0.0.1\nlistener {TLS_PORT} 127.0.0.1\ncafile {at}/ca.pem\ncertfile {at}/cert.pem\n\
         keyfile {at}/key.pem\nrequire_certificate true\n"
    );
    fs::write(dir.join("mosquitto.conf"), config)?;
    let start = |program| {
        Command::new(program).arg("-c").arg(dir.join("mosquitto.conf")).stderr(Stdio::null()).spawn()
    };
    let broker = Broker(start("mosquitto").or_else(|_| start("/usr/sbin/mosquitto"))?);
    for _ in 0..500 {
        if StdStream::connect((Ipv4Addr::LOCALHOST, TLS_PORT)).is_ok() {
            return Ok(broker);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("mosquitto does not listen")
}

fn id(text: &str) -> Id {
    Id::new(text).expect("a name")
}

fn open(dir: &Path) -> anyhow::Result<Spool> {
    let context = EventContext { plan: id("1"), business_date: jiff::civil::date(2026, 3, 4) };
    let (spool, _) = Spool::open::<()>(&spool::Config::new(dir), context, Clock::system())?;
    Ok(spool)
}

async fn append(spool: &Spool, events: impl Iterator<Item = usize>) -> anyhow::Result<()> {
    let context = EventContext { plan: id("1"), business_date: jiff::civil::date(2026, 3, 4) };
    let draft = |n| Draft::Event { stream: Stream::Stock, hold_until: None, json: json(n).into() };
    let (reply, durable) = oneshot::channel();
    spool.commit(Commit { context, drafts: events.map(draft).collect(), reply: Some(reply) }).await?;
    Ok(durable.await?)
}

fn start(
    settings: Settings,
    spool: &Spool,
) -> (Arc<Stats>, oneshot::Sender<Duration>, tokio::task::JoinHandle<()>) {
    let gateway = Gateway { tenant: id("acme"), store: id("s1"), gateway: id("gw-1") };
    let config = uplink::Config { gateway, plan: id("1"), settings };
    let stats = Arc::new(Stats::default());
    let (stop, asked) = oneshot::channel();
    let asked = async { asked.await.unwrap_or(Duration::ZERO) };
    let running =
        tokio::spawn(uplink::run(config, spool.clone(), Clock::system(), stats.clone(), None, asked));
    (stats, stop, running)
}

/// The uplink, from connected to all acknowledged: events a second.
async fn publish(settings: Settings, bytes: Option<&mut [f64; 2]>) -> anyhow::Result<f64> {
    let dir = tempfile::tempdir()?;
    let spool = open(dir.path())?;
    for first in (0..EVENTS).step_by(2000) {
        append(&spool, first..first + 2000).await?;
    }
    if let Some(bytes) = bytes {
        let all = payloads(EVENTS, BATCH);
        let plain: usize = all.iter().map(Vec::len).sum();
        let packed = all.iter().map(|payload| zstd::bulk::compress(payload, 3).map(|packed| packed.len()));
        let packed: usize = packed.sum::<Result<_, _>>()?;
        *bytes = [plain, packed].map(|bytes| bytes as f64 / EVENTS as f64);
    }
    let (stats, stop, running) = start(settings, &spool);
    let begun = Instant::now();
    while !stats.snapshot().connected {
        ensure!(begun.elapsed() < Duration::from_secs(20), "{:?}", stats.snapshot());
        sleep(Duration::from_micros(200)).await;
    }
    let begun = Instant::now();
    while stats.snapshot().published.get(&Stream::Stock).is_none_or(|stock| stock.events < EVENTS as u64) {
        ensure!(begun.elapsed() < Duration::from_secs(60), "{:?}", stats.snapshot());
        sleep(Duration::from_micros(200)).await;
    }
    let rate = EVENTS as f64 / begun.elapsed().as_secs_f64();
    stop.send(Duration::from_secs(5)).ok().context("the uplink has ended")?;
    running.await?;
    spool.close().await?;
    Ok(rate)
}

/// The client alone.
async fn client(payloads: &[Vec<u8>], events: usize) -> anyhow::Result<f64> {
    let mut options = MqttOptions::new("client", "127.0.0.1", PORT);
    options.set_outgoing_inflight_upper_limit(WINDOW as u16);
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    let (client, mut event_loop) = AsyncClient::new(options, WINDOW);
    while !matches!(event_loop.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
    let begun = Instant::now();
    let to_send = payloads.to_vec();
    let sending = tokio::spawn(async move {
        for payload in to_send {
            client.publish("vitrine/bench", QoS::AtLeastOnce, false, payload).await?;
        }
        Ok::<_, rumqttc::v5::ClientError>(client)
    });
    let mut acknowledged = 0;
    while acknowledged < payloads.len() {
        acknowledged += usize::from(matches!(event_loop.poll().await?, Event::Incoming(Packet::PubAck(_))));
    }
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    sending.await??;
    Ok(rate)
}

/// A socket, and packets put together by hand.
async fn socket(payloads: &[Vec<u8>], events: usize) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).await?;
    stream.set_nodelay(true)?;
    stream
        .write_all(&[0x10, 17, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 4, b'h', b'a', b'n', b'd'])
        .await?;
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest).await?;
    ensure!(head[0] == 0x20 && rest[1] == 0, "refused: {rest:?}");
    let begun = Instant::now();
    let (mut from, mut to) = stream.into_split();
    let window = Arc::new(tokio::sync::Semaphore::new(WINDOW));
    let (to_send, room) = (payloads.to_vec(), window.clone());
    let sending = tokio::spawn(async move {
        for (n, payload) in to_send.iter().enumerate() {
            room.acquire().await?.forget();
            let topic = b"vitrine/bench";
            let mut length = 2 + topic.len() + 2 + 1 + payload.len();
            let mut packet = vec![0x32];
            while length > 0 {
                packet.push((length % 128) as u8 | if length > 127 { 128 } else { 0 });
                length /= 128;
            }
            packet.extend([0, topic.len() as u8]);
            packet.extend(topic);
            packet.extend(((n % 60_000) as u16 + 1).to_be_bytes());
            packet.push(0);
            packet.extend(payload);
            to.write_all(&packet).await?;
        }
        Ok::<_, anyhow::Error>(to)
    });
    let (mut unread, mut acknowledged) = (Vec::new(), 0);
    while acknowledged < payloads.len() {
        ensure!(from.read_buf(&mut unread).await? > 0, "closed");
        while unread.len() >= 2 && unread.len() >= 2 + usize::from(unread[1]) {
            acknowledged += usize::from(unread[0] == 0x40);
            unread.drain(..2 + usize::from(unread[1]));
            window.add_permits(1);
        }
    }
    sending.await??;
    Ok(events as f64 / begun.elapsed().as_secs_f64())
}

/// From durable to a subscriber, with nothing else going on.
async fn live() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let spool = open(dir.path())?;
    let (stats, stop, running) = start(plain(), &spool);
    let mut options = MqttOptions::new("subscriber", "127.0.0.1", PORT);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut event_loop) = AsyncClient::new(options, 10);
    client.subscribe("vitrine/v1/+/+/+/evt/#", QoS::AtMostOnce).await?;
    while !matches!(event_loop.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    while !stats.snapshot().connected {
        sleep(Duration::from_millis(1)).await;
    }
    let mut latencies_ms = Vec::new();
    for n in 0..500 {
        append(&spool, n..n + 1).await?;
        let durable = Instant::now();
        while !matches!(event_loop.poll().await?, Event::Incoming(Packet::Publish(_))) {}
        latencies_ms.push(durable.elapsed().as_secs_f64() * 1000.0);
    }
    latencies_ms.sort_by(f64::total_cmp);
    println!(
        "live, from durable to a subscriber: p50 {:.1} ms, p99 {:.1} ms",
        latencies_ms[250], latencies_ms[495]
    );
    stop.send(Duration::from_secs(5)).ok().context("the uplink has ended")?;
    running.await?;
    spool.close().await?;
    Ok(())
}
