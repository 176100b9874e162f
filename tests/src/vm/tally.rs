//! Counts advertisements, by what they say: a source's listener that wants every frame.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tokio::{runtime::Builder, sync::watch};
use vitrine_agent::{
    capture::source::{AdvertSource, Advertisement, Content, Listener, Notice},
    clock::{Clock, Now},
};
use vitrine_protocol::{Id, frame::Frame, layout::Payload};

/// Most different iBeacons, and other frames, that are counted.
const MOST: usize = 100_000;

/// What was heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// iBeacons, by major and minor.
    pub ibeacons: BTreeMap<(u16, u16), u64>,
    /// All frames by their text.
    pub frames: BTreeMap<String, u64>,
    /// Lost before they were read.
    pub lost: u64,
    /// What happened to the radio.
    pub notices: Vec<Notice>,
}

#[derive(Default)]
struct Tally(Mutex<Heard>);

impl Listener for Tally {
    fn wants(&self, advertisement: &Advertisement<'_>) -> bool {
        !frames(advertisement).is_empty()
    }

    fn hear(&self, advertisement: &Advertisement<'_>) {
        let mut heard = self.0.lock().unwrap();
        for frame in frames(advertisement) {
            if heard.ibeacons.len() + heard.frames.len() >= MOST {
                heard.lost += 1;
            }
            match frame {
                Frame::IBeacon(beacon) if beacon.uuid == super::beacons::UUID => {
                    *heard.ibeacons.entry((beacon.major, beacon.minor)).or_default() += 1;
                }
                other => *heard.frames.entry(format!("{} {other:?}", other.format())).or_default() += 1,
            }
        }
    }

    fn lost(&self, _: Id, count: u64) {
        self.0.lock().unwrap().lost += count;
    }

    fn notice(&self, notice: Notice, _: Now) {
        self.0.lock().unwrap().notices.push(notice);
    }
}

fn frames(advertisement: &Advertisement<'_>) -> Vec<Frame> {
    match advertisement.content {
        Content::Raw(octets) => Frame::decode(octets).flatten().collect(),
        Content::Payloads(payloads) => payloads.iter().filter_map(|&payload| frame(payload)).collect(),
        Content::Frame(frame) => vec![frame],
        Content::Nothing => Vec::new(),
    }
}

fn frame(payload: Payload<'_>) -> Option<Frame> {
    let frame = match payload {
        Payload::Manufacturer { company, data } => Frame::from_manufacturer_data(company, data),
        Payload::Service16 { uuid, data } => Frame::from_service_data(uuid, data),
        Payload::Service128 { .. } => Ok(None),
    };
    frame.ok().flatten()
}

/// A source that runs until it is dropped.
pub struct Listening {
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<Result<(), String>>>,
}

impl Listening {
    /// Starts the source that `make` makes.
    pub fn to(source: Box<dyn AdvertSource>) -> Self {
        let (tally, (stop, stopping)) = (Arc::<Tally>::default(), watch::channel(false));
        let listener = tally.clone();
        let run = move || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let ended = runtime.block_on(source.run(listener, Clock::system(), stopping));
            runtime.shutdown_timeout(Duration::from_secs(1));
            ended.map_err(|error| error.to_string())
        };
        Self { tally, stop, thread: Some(thread::spawn(run)) }
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        self.tally.0.lock().unwrap().clone()
    }

    /// Forgets it.
    pub fn forget(&self) {
        let mut heard = self.tally.0.lock().unwrap();
        let notices = std::mem::take(&mut heard.notices);
        *heard = Heard { notices, ..Heard::default() };
    }

    /// Ends the source; its error if it had one.
    pub fn end(mut self) -> Result<(), String> {
        self.stop.send_replace(true);
        self.thread.take().expect("it runs").join().unwrap()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            thread.join().ok();
        }
    }
}
