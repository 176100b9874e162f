//! A Bluetooth controller without a radio: the kernel's `/dev/vhci` on one side, advertisers of a test's choice on the other.
//!
//! It answers the commands that Linux and BlueZ send (`hci`), and reports what its advertisers send while a scan is on, as a
//! real controller does: without what the host asked it to filter out. It counts both what was sent and what was passed on,
//! so that a loss is known to be the host's. Left out: connections, and the time that a scan leaves between its windows.

mod hci;

use self::hci::Command;
use std::{
    collections::{BTreeMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tokio::{
    io::unix::AsyncFd,
    runtime::Builder,
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Advertisers that are due are sent in one go, up to so many.
const BURST: usize = 256;
/// Between two looks while nobody is due.
const IDLE: Duration = Duration::from_millis(200);

/// What kind of controller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// It speaks Bluetooth Classic too, as dongles do.
    pub is_dual: bool,
    /// It reports extended advertisements.
    pub is_extended: bool,
    /// It filters out what repeats, when it is told to.
    pub filters: bool,
}

/// One advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// In the order of its text.
    pub address: [u8; 6],
    /// Signal strength.
    pub rssi_dbm: i8,
    /// AD structures.
    pub data: Vec<u8>,
    /// What it answers to a scan request; with one, it can be scanned.
    pub response: Option<Vec<u8>>,
}

/// Who advertises.
pub struct Advertiser {
    /// By which it is counted.
    pub name: &'static str,
    /// From one advertisement to the next.
    pub period: Duration,
    /// How many; without a number, until it is told to end.
    pub times: Option<u64>,
    /// The `n`-th, from 0.
    pub make: Box<dyn FnMut(u64) -> Report + Send>,
}

/// What became of an advertiser's advertisements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Sent.
    pub sent: u64,
    /// Of these, while no scan was on.
    pub unheard: u64,
    /// Of these, filtered out by the controller.
    pub filtered: u64,
    /// Of these, passed on to the host.
    pub passed: u64,
}

/// What the controller has seen.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// By the names of advertisers.
    pub counts: BTreeMap<&'static str, Count>,
    /// The scan that is on: whether it filters duplicates, and whether it is active.
    pub scan: Option<Scan>,
    /// Scans begun.
    pub scans: u64,
    /// Time spent with inquiries, in which nothing else is heard.
    pub inquiry_ms: u64,
}

/// A scan, as the host wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Duplicates are to be filtered out.
    pub filters: bool,
    /// Scan requests are sent.
    pub is_active: bool,
}

enum Order {
    Plug,
    Unplug,
    Start(Advertiser),
    End(&'static str),
}

/// A controller; unplugged when dropped.
pub struct Controller {
    orders: mpsc::UnboundedSender<Order>,
    stats: Arc<Mutex<Stats>>,
}

impl Controller {
    /// Plugs one in.
    ///
    /// # Panics
    /// Where the kernel has no `/dev/vhci`.
    pub fn plug(options: Options) -> Self {
        let (orders, ordered) = mpsc::unbounded_channel();
        let stats = Arc::<Mutex<Stats>>::default();
        let mut air = Air {
            options,
            stats: stats.clone(),
            device: None,
            seen: HashSet::new(),
            advertisers: Vec::new(),
            inquiry: None,
            is_active: false,
        };
        thread::Builder::new()
            .name("controller".to_owned())
            .spawn(move || {
                Builder::new_current_thread().enable_all().build().unwrap().block_on(air.run(ordered));
            })
            .unwrap();
        let controller = Self { orders, stats };
        controller.replug();
        controller
    }

    /// Unplugs it: for the host, it is gone.
    pub fn unplug(&self) {
        self.order(Order::Unplug);
    }

    /// Plugs it in again.
    pub fn replug(&self) {
        self.order(Order::Plug);
    }

    /// Lets somebody advertise.
    pub fn advertise(&self, advertiser: Advertiser) {
        self.order(Order::Start(advertiser));
    }

    /// Ends whoever has this name.
    pub fn end(&self, name: &'static str) {
        self.order(Order::End(name));
    }

    /// What it has seen so far.
    pub fn stats(&self) -> Stats {
        self.stats.lock().unwrap().clone()
    }

    /// What became of somebody's advertisements so far.
    pub fn count(&self, name: &str) -> Count {
        self.stats().counts.get(name).copied().unwrap_or_default()
    }

    fn order(&self, order: Order) {
        // It ends with the last sender alone, or with a panic that says why.
        self.orders.send(order).ok();
    }
}

struct Advertising {
    advertiser: Advertiser,
    next: Instant,
    number: u64,
}

/// The controller's thread.
struct Air {
    options: Options,
    stats: Arc<Mutex<Stats>>,
    device: Option<AsyncFd<File>>,
    /// What the current scan has reported.
    seen: HashSet<([u8; 6], u8)>,
    advertisers: Vec<Advertising>,
    /// Since when, and until when.
    inquiry: Option<(Instant, Instant)>,
    /// Of the scan to come.
    is_active: bool,
}

impl Air {
    async fn run(&mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let due =
                self.advertisers.iter().map(|one| one.next).chain(self.inquiry.map(|(_, end)| end)).min();
            let due = due.unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(order) => self.obey(order),
                },
                () = readable(self.device.as_ref()) => self.serve(),
                () = sleep_until(due) => {
                    self.end_inquiry();
                    self.send_due();
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Plug => {
                let device =
                    OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open("/dev/vhci");
                let mut device = device.expect("/dev/vhci, of the kernel's module hci_vhci");
                device.write_all(&hci::CREATE).unwrap();
                self.device = Some(register(device).unwrap());
            }
            Order::Unplug => {
                self.device = None;
                self.scan(None);
            }
            Order::Start(advertiser) => {
                self.advertisers.push(Advertising { advertiser, next: Instant::now(), number: 0 });
            }
            Order::End(name) => self.advertisers.retain(|one| one.advertiser.name != name),
        }
    }

    /// Answers the host's commands.
    fn serve(&mut self) {
        let mut buffer = [0; 1100];
        while let Some(device) = &self.device {
            match device.try_io(tokio::io::Interest::READABLE, |mut file| file.read(&mut buffer)) {
                Ok(length) => {
                    let Some((opcode, parameters)) = hci::command(&buffer[..length]) else { continue };
                    let (answers, command) = hci::answer(opcode, parameters, self.options);
                    answers.iter().for_each(|answer| self.put(answer));
                    self.execute(command);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("/dev/vhci: {error}"),
            }
        }
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Nothing => {}
            Command::Reset => self.scan(None),
            Command::ScanParameters { is_active } => self.is_active = is_active,
            Command::Scan { is_on, filters } => {
                self.scan(is_on.then_some(Scan { filters, is_active: self.is_active }));
            }
            Command::Inquire(length) => {
                let now = Instant::now();
                self.inquiry = Some((now, now + length));
            }
            Command::CancelInquiry => self.account_inquiry(),
        }
    }

    fn scan(&mut self, scan: Option<Scan>) {
        self.seen.clear();
        let mut stats = self.stats.lock().unwrap();
        stats.scan = scan;
        stats.scans += u64::from(scan.is_some());
    }

    fn account_inquiry(&mut self) {
        if let Some((since, _)) = self.inquiry.take() {
            self.stats.lock().unwrap().inquiry_ms += since.elapsed().as_millis() as u64;
        }
    }

    fn end_inquiry(&mut self) {
        if self.inquiry.is_some_and(|(_, end)| end <= Instant::now()) {
            self.account_inquiry();
            self.put(&hci::INQUIRY_COMPLETE);
        }
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        let mut advertisers = std::mem::take(&mut self.advertisers);
        for Advertising { advertiser, next, number } in &mut advertisers {
            for _ in 0..BURST {
                if *next > now || advertiser.times.is_some_and(|times| *number >= times) {
                    break;
                }
                let report = (advertiser.make)(*number);
                self.report(advertiser.name, &report);
                *number += 1;
                *next += advertiser.period;
            }
        }
        advertisers.retain(|one| one.advertiser.times.is_none_or(|times| one.number < times));
        self.advertisers = advertisers;
    }

    fn report(&mut self, name: &'static str, report: &Report) {
        let (kind, scan) = (hci::Kind::of(report), self.stats.lock().unwrap().scan);
        let is_heard = scan.is_some() && self.device.is_some() && self.inquiry.is_none();
        let filters = self.options.filters && scan.is_some_and(|scan| scan.filters);
        let is_new = !is_heard || !filters || self.seen.insert((report.address, kind.octet()));
        {
            let mut stats = self.stats.lock().unwrap();
            let count = stats.counts.entry(name).or_default();
            count.sent += 1;
            count.unheard += u64::from(!is_heard);
            count.filtered += u64::from(!is_new);
            count.passed += u64::from(is_heard && is_new);
        }
        if is_heard && is_new {
            self.put(&hci::report(kind, report, &report.data, self.options));
            if let (Some(response), true) = (&report.response, scan.is_some_and(|scan| scan.is_active)) {
                self.put(&hci::report(hci::Kind::Response, report, response, self.options));
            }
        }
    }

    fn put(&self, packet: &[u8]) {
        if let Some(device) = &self.device {
            // A controller that is just closed takes nothing.
            device.get_ref().write_all(packet).ok();
        }
    }
}

const O_NONBLOCK: i32 = 0o4000;

/// Resolves when the host has something to say; never while there is no device.
async fn readable(device: Option<&AsyncFd<File>>) {
    match device {
        Some(device) => device.readable().await.unwrap().retain_ready(),
        None => std::future::pending().await,
    }
}

#[allow(unsafe_code, reason = "the registration's only form")]
fn register(device: File) -> io::Result<AsyncFd<File>> {
    // SAFETY: a `File` keeps its descriptor until it is dropped, and the registration goes first.
    unsafe { AsyncFd::register(device) }.map_err(Into::into)
}
