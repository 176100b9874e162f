//! The agent as the daemon, and a kiosk that is touched all the time, whatever happens to the radio.

use super::stack::{BUS, Backend};
use crate::{
    agent::{Agent, STORE_TOML, edit},
    http,
    mosquitto::Mosquitto,
    subscriber::{Feed, Subscriber},
    wait::poll,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// From one touch to the next.
const TOUCH_EVERY: Duration = Duration::from_millis(250);

/// A store: the agent, its broker, the platform and a kiosk.
pub struct Shop {
    /// The daemon.
    pub agent: Agent,
    platform: Subscriber,
    _broker: Mosquitto,
    is_over: Arc<AtomicBool>,
    kiosk: Option<JoinHandle<Touches>>,
}

/// What the kiosk was answered.
#[derive(Debug, Default)]
pub struct Touches {
    /// Products whose view was answered with 202.
    pub taken: BTreeSet<String>,
    /// Other answers, and none.
    pub refused: Vec<String>,
}

impl Shop {
    /// Opens it, with `carts` iBeacons of the major 1, from minor 1 on, in its plan.
    pub fn open(backend: Backend, carts: u16) -> Self {
        let broker = Mosquitto::start("user root");
        let platform = Subscriber::start(&broker);
        let mut agent =
            Agent::new(broker.port, &plan(carts)).with_radio(&format!("unix:path={BUS}"), "front");
        let path = agent.directory().join("gateway.toml");
        let settings = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{settings}backend = \"{}\"\n", backend.name())).unwrap();
        agent.start();
        let is_over = Arc::<AtomicBool>::default();
        let (port, over) = (agent.port, is_over.clone());
        let kiosk = Some(thread::spawn(move || touch(port, &over)));
        Self { agent, platform, _broker: broker, is_over, kiosk }
    }

    /// How often the agent has said this.
    pub fn logged(&self, text: &str) -> usize {
        self.agent.log().matches(text).count()
    }

    /// A value of the agent's process, in KiB, such as `VmHWM`.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = self.agent_file("status");
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// Processor time of the agent's, in ms.
    pub fn cpu_ms(&self) -> u64 {
        let stat = self.agent_file("stat");
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        (ticks(11) + ticks(12)) * 10
    }

    fn agent_file(&self, name: &str) -> String {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            if comm.trim() == "vitrine" {
                return fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            }
        }
        String::new()
    }

    /// Closes it: the agent ends in good order, and everything has come out that will.
    pub fn close(mut self) -> (Touches, Feed, String) {
        self.is_over.store(true, Ordering::Release);
        let touches = self.kiosk.take().expect("it is open").join().unwrap();
        let ended = self.agent.terminate();
        assert!(ended.success(), "{ended}");
        // The slots of the last touches may still be open: who starts again publishes them when they are over.
        self.agent.start();
        let whole = poll(30, || {
            let feed = self.platform.feed();
            (views(&feed).keys().filter(|view| touches.taken.contains(*view)).count() == touches.taken.len())
                .then_some(feed)
        });
        let feed = whole.unwrap_or_else(|| self.platform.feed());
        (touches, feed, self.agent.log())
    }
}

/// How often each product's view came out.
pub fn views(feed: &Feed) -> BTreeMap<String, usize> {
    let mut views = BTreeMap::new();
    for event in feed.of_type("interaction") {
        if let Some(sku) = event["sku"].as_str() {
            *views.entry(sku.to_owned()).or_default() += 1;
        }
    }
    views
}

fn touch(port: u16, is_over: &AtomicBool) -> Touches {
    let mut touches = Touches::default();
    for number in 1u64.. {
        if is_over.load(Ordering::Acquire) {
            break;
        }
        let sku = format!("p-{number:05}");
        let body = format!(
            r#"[{{"id":"00000000-0000-4000-8000-{number:012x}","kiosk":"kiosk-1","kind":"product_view","sku":"{sku}"}}]"#
        );
        match http::request(port, "POST", "/v1/kiosk/interactions", body.as_bytes()) {
            Ok(answer) if answer.status == 202 => {
                touches.taken.insert(sku);
            }
            Ok(answer) => touches.refused.push(format!("{sku}: {}", answer.status)),
            Err(error) => touches.refused.push(format!("{sku}: {error}")),
        }
        thread::sleep(TOUCH_EVERY);
    }
    touches
}

/// The reference plan with short slots and visits, and carts.
fn plan(carts: u16) -> String {
    let uuid: String = super::beacons::UUID.iter().map(|octet| format!("{octet:02x}")).collect();
    let tables = (1..=carts).fold(String::new(), |mut text, minor| {
        write!(text, "[[beacons]]\nid = \"test-{minor}\"\ncarrier = \"cart\"\nibeacon = {{ uuid = \"{uuid}\", major = 1, minor = {minor} }}\n").unwrap();
        text
    });
    let hour = vitrine_agent::clock::Clock::system().now().utc.as_ms() / 3_600_000 % 24;
    let closes = format!("closes = \"{:02}:30\"", (hour + 12) % 24);
    edit(
        STORE_TOML,
        &[
            ("slot_s = 900 ", "slot_s = 1 "),
            ("time_zone = \"Europe/Paris\"", "time_zone = \"UTC\""),
            ("closes = \"20:00\"", &closes),
            ("least_s = 30 ", "least_s = 1 "),
            ("[[shelves]]\nid = \"shelf-1\"", &format!("{tables}[[shelves]]\nid = \"shelf-1\"")),
        ],
    )
}
