//! The platform's side of `delivery = "end_to_end"`: a small consumer that acknowledges what it has committed.
//!
//! It does what any platform has to do, in this order: take what has come, write it down, sync it, acknowledge it to the
//! broker, and then tell the gateway its mark on `ack/{stream}`, retained. A mark is told again at every new connection,
//! and whenever a duplicate shows that the gateway does not know it. It knows the documented form alone, not the agent's
//! types; and it leaves out what a database would do better than a file.

mod ledger;

pub use ledger::Ledger;

use crate::{
    brokers::{PASSWORD, PLATFORM},
    client::{Client, Login, Version},
    mqtt::kind,
};
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What is subscribed to.
const FILTERS: [&str; 2] = ["vitrine/v1/+/+/+/evt/+", "vitrine/v1/+/+/+/status"];
/// At most so many messages are committed at once.
const COMMIT_MAX: usize = 256;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const RECONNECT_AFTER: Duration = Duration::from_millis(50);

/// A consumer at work; it stops when dropped.
pub struct Sink {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
}

/// Where the consumer finds its broker, and how it deals with it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The ports of the broker's nodes: the next one is tried when one fails.
    pub ports: Vec<u16>,
    /// The version that is spoken.
    pub version: Version,
    /// Whether marks are told.
    pub marks: bool,
}

/// Marks on their way to the gateways: at most one of each topic at a time.
#[derive(Default)]
struct Marks {
    due: BTreeMap<String, String>,
    sent: BTreeMap<u16, String>,
    last_id: u16,
}

impl Sink {
    /// Goes on with what is in `file`, or starts it. Returns when it is subscribed.
    ///
    /// # Panics
    /// Where the broker does not let it subscribe within a minute.
    pub fn start(file: &Path, options: Options) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::open(file)));
        let (stop, subscribed) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let running = {
            let (ledger, stop, subscribed) = (ledger.clone(), stop.clone(), subscribed.clone());
            thread::spawn(move || run(&ledger, &options, &stop, &subscribed))
        };
        let sink = Self { ledger, stop, running: Some(running) };
        crate::wait::wait_for("the sink subscribes", 60, || subscribed.load(Ordering::Acquire).then_some(()));
        sink
    }

    /// What it has.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// Where nothing more is needed: what it has, on the disk too.
    pub fn stop(mut self) -> PathBuf {
        self.end();
        self.ledger().path().to_owned()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(running) = self.running.take() {
            // If it panicked, it has said so.
            running.join().ok();
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(ledger: &Mutex<Ledger>, options: &Options, stop: &AtomicBool, subscribed: &AtomicBool) {
    for &port in options.ports.iter().cycle() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        // Whatever it is, the next connection begins anew.
        if serve(ledger, options, port, stop, subscribed).is_err() {
            thread::sleep(RECONNECT_AFTER);
        }
    }
}

fn serve(
    ledger: &Mutex<Ledger>,
    options: &Options,
    port: u16,
    stop: &AtomicBool,
    subscribed: &AtomicBool,
) -> io::Result<()> {
    let login = Login { client_id: "platform", credentials: (PLATFORM, PASSWORD), clean: false };
    let mut client = Client::connect(port, options.version, &login)?;
    let mut early = client.subscribe(&FILTERS)?.into_iter();
    subscribed.store(true, Ordering::Release);
    let mut marks = Marks::default();
    ledger.lock().unwrap().connected(&mut marks.due);
    while !stop.load(Ordering::Acquire) {
        let mut taken = Vec::new();
        let mut next = match early.next() {
            Some(packet) => Some(packet),
            None => client.next(LOOK_EVERY)?,
        };
        let mut ledger = ledger.lock().unwrap();
        while let Some(packet) = next {
            match packet.kind {
                kind::PUBLISH => {
                    let delivery = client.delivery(&packet).ok_or(ErrorKind::InvalidData)?;
                    ledger.take(&delivery);
                    taken.push(delivery.packet_id);
                }
                kind::PUBACK => marks.arrived(&packet.body),
                kind::DISCONNECT => return Err(ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
            next = if taken.len() < COMMIT_MAX { early.next().or_else(|| client.ready()) } else { None };
        }
        ledger.commit(&mut marks.due);
        drop(ledger);
        for packet_id in taken.into_iter().filter(|&id| id != 0) {
            client.acknowledge(packet_id)?;
        }
        if options.marks {
            marks.send(&mut client)?;
        }
    }
    Ok(())
}

impl Marks {
    fn send(&mut self, client: &mut Client) -> io::Result<()> {
        let is_free = |topic: &String| !self.sent.values().any(|sent| sent == topic);
        let (free, wait) = std::mem::take(&mut self.due).into_iter().partition(|(topic, _)| is_free(topic));
        self.due = wait;
        let free: BTreeMap<String, String> = free;
        for (topic, mark) in free {
            self.last_id = self.last_id % u16::MAX + 1;
            client.publish(self.last_id, &topic, mark.as_bytes(), true)?;
            self.sent.insert(self.last_id, topic);
        }
        Ok(())
    }

    fn arrived(&mut self, puback: &[u8]) {
        if let Some(&[high, low]) = puback.first_chunk() {
            self.sent.remove(&u16::from_be_bytes([high, low]));
        }
    }
}
