//! A satellite and a hub, from the satellite's radio to the platform.

use crate::{
    CARTS, address, cart, carts, check_release, hex, now_ms, plan, publish, store_broker,
    wait_for_store_broker,
};
use serde_json::json;
use std::{
    fmt::Write,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use vitrine_tests::{
    agent::{Agent, binary},
    mosquitto::Mosquitto,
    subscriber::Subscriber,
    wait::wait_for,
};

/// A satellite as a process, whose radio is a recording; killed when dropped.
struct Satellite {
    directory: TempDir,
    process: Child,
}

impl Satellite {
    fn start(store: &Mosquitto, receiver: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("heard.jsonl"), recording(receiver)).unwrap();
        let radio =
            format!("[[radios]]\nbackend = \"replay\"\nfile = \"heard.jsonl\"\nreceiver = \"{receiver}\"\n");
        let head = "version = 1\nrole = \"satellite\"\ngateway = \"gw-2\"\nstate_dir = \"state\"\n";
        let config = head.to_owned() + &store_broker(store) + &radio;
        fs::write(directory.path().join("gateway.toml"), config).unwrap();
        let process = spawn(directory.path());
        Self { directory, process }
    }

    fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(self.directory.path());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Satellite {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn spawn(directory: &Path) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let mut command = Command::new(binary());
    command.arg("run").arg("--config").arg(directory.join("gateway.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Three seconds of all carts near a receiver, and of a stranger.
fn recording(receiver: &str) -> String {
    (0..6).fold(String::new(), |mut text, round| {
        let time = f64::from(round) * 0.5;
        for number in 0..CARTS {
            let (address, payload) = (address(number), hex(&cart(number).encode()));
            let line = json!({ "time": time, "receiver": receiver, "address": address, "rssi_dbm": -50, "adv_hex": payload });
            writeln!(text, "{line}").unwrap();
        }
        let stranger =
            json!({ "time": time, "receiver": receiver, "address": "4C1122334455", "rssi_dbm": -40, "adv_hex": "05ff4c001005" });
        writeln!(text, "{stranger}").unwrap();
        text
    })
}

#[test]
fn what_a_satellite_hears_is_the_hubs_and_a_cart_heard_twice_is_one() {
    let (broker, store) = (Mosquitto::start(""), Mosquitto::start(""));
    let platform = Subscriber::start(&broker);
    // It starts first, and knows no plan.
    let mut satellite = Satellite::start(&store, "back");
    wait_for("the satellite is at the broker", 30, || {
        satellite.log().contains("connected to the store's broker").then_some(())
    });
    let tables = store_broker(&store)
        + "[[satellites]]\nid = \"gw-2\"\nsilent_after_s = 3\n[[relays]]\nid = \"hall\"\nformat = \"ruuvi\"\nreceiver = \"front\"\n";
    let mut hub = Agent::new(broker.port, &plan(&carts())).with_tables(&tables);
    hub.start();
    wait_for_store_broker(&hub, 1);
    let of_satellite = u64::from(CARTS) * 6;
    wait_for("its sightings", 40, || (hub.metric("vitrine_sightings_total") >= of_satellite).then_some(()));
    // Another receiver hears them too, from farther away.
    for number in 0..CARTS {
        let (data, ts) = (hex(&cart(number).encode()), now_ms() / 1000);
        let message = json!({ "gw_mac": "AA:BB:CC:DD:EE:FF", "rssi": -90, "aoa": [], "gwts": ts, "ts": ts, "data": data });
        publish(&store, &format!("ruuvi/AA:BB:CC:DD:EE:FF/{}", address(number)), &message.to_string());
    }
    let expected = u64::from(CARTS) * 7;
    wait_for("the sightings", 40, || (hub.metric("vitrine_sightings_total") >= expected).then_some(()));
    assert_eq!(hub.metric("vitrine_sightings_total"), expected);
    assert_eq!(hub.metric("vitrine_advertisements_total{fate=\"not_in_plan\"}"), 0, "strangers stay out");

    // With the broker gone, it hears at once by the plan that it kept.
    satellite.restart();
    wait_for("the kept plan", 30, || (satellite.log().matches("\"hearing\"").count() >= 2).then_some(()));
    satellite.process.kill().unwrap();
    let silent = wait_for("the silence", 30, || {
        platform.feed().of_type("device_silent").iter().find(|e| e["device"] == "gw-2").map(|e| (*e).clone())
    });
    assert_eq!(silent["kind"], "relay");
    for text in [satellite.log(), hub.log()] {
        assert!(!text.to_lowercase().contains(&address(1).to_lowercase()), "an address is in a log");
    }
    drop(check_release(&mut hub, &platform, "tills"));
}
