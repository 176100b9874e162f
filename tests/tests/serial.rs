//! Shelves on serial lines, through the agent as it is installed, to a broker: what happens at them comes out exactly once,
//! whether the agent is killed or a plug is pulled.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vitrine_protocol::shelf::Fault;
use vitrine_tests::{
    agent::{Agent, STORE_TOML, edit},
    mosquitto::Mosquitto,
    program,
    pty::{Device, Plugged},
    shelf_controller::ShelfController,
    subscriber::Subscriber,
    wait::{poll, wait_for},
};

/// Of a facing of each of `shelf-1` (left and right) and `shelf-2` in the reference plan.
const LEFT_G: i32 = 350;
const RIGHT_G: i32 = 360;
const COAT_G: i32 = 900;

/// A directory of ports, as udev keeps one.
struct Ports(TempDir);

impl Ports {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn vitrine(&self, name: &str) -> String {
        format!("[[serial]]\nport = {:?}\nprotocol = \"vitrine\"\n", self.path(name))
    }
}

fn controller(serial: &str, shelf: &str, facings: &str) -> String {
    format!(
        "[[shelf_controllers]]\nserial_number = {serial:?}\nshelf = {shelf:?}\nfacings = {facings}\n\
         settings = {{ sample_ms = 50, step = 100 }}\n"
    )
}

/// `type level` of each step at a facing, in the order of their numbers.
fn steps(subscriber: &Subscriber, shelf: &str, facing: &str) -> Vec<String> {
    let feed = subscriber.feed();
    let of_facing = |event: &&Value| event["shelf"] == shelf && event["facing"] == facing;
    let steps = feed.events.values().filter(of_facing).filter(|event| event["quantity"].is_u64());
    steps.map(|event| format!("{} {}", event["type"].as_str().unwrap(), event["level"])).collect()
}

/// The levels 9, 8, .. 0, 1, .. 10, 9, ..
fn level(n: usize) -> i32 {
    (10 - (n as i32 + 1) % 20).abs()
}

fn expected(count: usize) -> Vec<String> {
    let step = |n| {
        let (before, after) = (if n == 0 { 10 } else { level(n - 1) }, level(n));
        format!("{} {after}", if after < before { "pick_up" } else { "put_back" })
    };
    (0..count).map(step).collect()
}

fn start(ports: &Ports, broker: &Mosquitto, toml: &str) -> Agent {
    let store = edit(STORE_TOML, &[("slot_s = 900 ", "slot_s = 1 "), ("capacity = 6", "capacity = 12")]);
    let agent = Agent::new(broker.port, &store).with(toml);
    assert!(ports.0.path().exists());
    agent
}

#[test]
fn every_step_comes_out_once_over_kills_of_the_agent_and_pulled_plugs() {
    const STEPS: usize = 30;
    let (broker, ports) = (Mosquitto::start_persistent(), Ports(tempfile::tempdir().unwrap()));
    let subscriber = Subscriber::start(&broker);
    let toml = [
        ports.vitrine("a"),
        ports.vitrine("b"),
        // Never plugged in, and one that babbles: no harm to the others.
        ports.vitrine("absent"),
        ports.vitrine("babbler"),
        controller("VS-1", "shelf-1", "[\"-\", \"left\"]"),
        controller("VS-2", "shelf-2", "[\"only\"]"),
    ];
    let mut agent = start(&ports, &broker, &toml.concat());
    let shelf = Plugged::plug(ShelfController::new("VS-1", 0, &[0, 10 * LEFT_G]), &ports.path("a"));
    let coats = Plugged::plug(ShelfController::new("VS-2", 77, &[10 * COAT_G]), &ports.path("b"));
    let _babbler = Plugged::plug(Babbler, &ports.path("babbler"));
    agent.start();
    let settled = |shelf: &mut ShelfController, _| shelf.configuration.is_some().then_some(());
    wait_for("the settings are in force", 30, || shelf.with(settled).and_then(|()| coats.with(settled)));

    for n in 0..STEPS {
        match n % 10 {
            // At any moment of a step's way: the later ones wait in the controller.
            2 | 5 => agent.kill(),
            3 => shelf.unplug(b"\x00\x05cut"),
            7 => coats.unplug(&[]),
            8 => shelf.with(|shelf, _| shelf.restart()),
            _ => {}
        }
        shelf.with(|shelf, now_ms| shelf.put(1, level(n) * LEFT_G, now_ms));
        coats.with(|coats, now_ms| coats.put(0, level(n) * COAT_G, now_ms));
        match n % 10 {
            2 | 6 => agent.start(),
            5 => shelf.with(|shelf, now_ms| shelf.fail(None, Fault::Supply, now_ms)),
            4 => shelf.replug(),
            9 => {
                coats.replug();
                let is_done = |shelf: &mut ShelfController, _| shelf.is_done().then_some(());
                wait_for("all is acknowledged", 60, || {
                    shelf.with(is_done).and_then(|()| coats.with(is_done))
                });
            }
            _ => {}
        }
    }
    let both = || [steps(&subscriber, "shelf-1", "left"), steps(&subscriber, "shelf-2", "only")];
    let all = || both().iter().all(|steps| steps.len() >= STEPS).then_some(());
    poll(60, all).unwrap_or_else(|| panic!("{:#?}", both()));
    assert!(agent.terminate().success());
    wait_for("the agent leaves", 30, || {
        let messages = subscriber.messages();
        messages.last().is_some_and(|last| last.payload["state"] == "offline").then_some(())
    });
    assert_eq!(both(), [expected(STEPS), expected(STEPS)]);
    let feed = subscriber.feed();
    feed.check_numbers();
    assert_eq!(feed.of_type("shelf_fault").len(), STEPS / 10);
    assert_eq!((feed.of_type("out_of_stock").len(), feed.of_type("restock").len()), (4, 2));
    shelf.with(|shelf, _| assert_eq!(shelf.acknowledged.len(), STEPS + STEPS / 10));
    let log = agent.log();
    assert!(log.contains("/absent") && log.contains("is it plugged in?"), "{log}");
    assert!(log.contains("are `baud` and the cable right?"), "{log}");
    assert!(log.lines().count() < 300, "it says the same again and again");
}

#[test]
fn a_scale_that_prints_lines_is_a_shelf() {
    let (broker, ports) = (Mosquitto::start(""), Ports(tempfile::tempdir().unwrap()));
    let subscriber = Subscriber::start(&broker);
    let scale = |name: &str, rest: &str| {
        let path = ports.path(name);
        format!("[[serial]]\nport = {path:?}\nprotocol = \"scale\"\nbaud = 9600\nframing = \"7E1\"\n{rest}")
    };
    let toml = [
        scale(
            "printing",
            "shelf = 'shelf-1'\nfacing = 'right'\npattern = '{stable},{any},{weight} {unit}'\nstable = 'ST'\n",
        ),
        scale(
            "asked",
            "shelf = 'shelf-2'\nfacing = 'only'\npattern = '{weight}'\npoll = \"W\\r\\n\"\npoll_ms = 100\nsettle_ms = 300\n",
        ),
    ];
    let mut agent = start(&ports, &broker, &toml.concat());
    let printing = Plugged::plug(PrintingScale::new(10 * RIGHT_G), &ports.path("printing"));
    let asked = Plugged::plug(AskedScale { grams: 5 * COAT_G, asked: Vec::new() }, &ports.path("asked"));
    agent.start();
    wait_for("both scales are heard", 30, || {
        (agent.log().matches("the scale is heard").count() == 2).then_some(())
    });
    let expect_steps = |shelf: &str, facing: &str, expected: &[&str]| {
        wait_for("the steps", 30, || {
            let steps = steps(&subscriber, shelf, facing);
            assert!(steps.len() <= expected.len(), "{steps:?}");
            (steps == expected).then_some(())
        });
    };
    // The first weight is a level, no step.
    wait_for("a level", 30, || printing.with(|scale, _| (scale.stable_lines > 3).then_some(())));
    printing.with(|scale, _| scale.put(8 * RIGHT_G));
    expect_steps("shelf-1", "right", &["pick_up 8"]);
    asked.with(|scale, _| scale.grams = 4 * COAT_G);
    expect_steps("shelf-2", "only", &["pick_up 4"]);

    printing.unplug(b"ST,GS,+00001");
    printing.with(|scale, _| scale.put(0));
    printing.replug();
    expect_steps("shelf-1", "right", &["pick_up 8", "pick_up 0"]);
    wait_for("the fact", 30, || (subscriber.feed().of_type("out_of_stock").len() == 1).then_some(()));
    agent.kill();
    asked.with(|scale, _| scale.grams = 6 * COAT_G);
    agent.start();
    expect_steps("shelf-2", "only", &["pick_up 4", "put_back 6"]);
    assert!(agent.terminate().success());
    subscriber.feed().check_numbers();
}

#[test]
fn what_the_plan_does_not_have_is_told_before_anything_starts() {
    let ports = Ports(tempfile::tempdir().unwrap());
    let toml = ports.vitrine("a") + &controller("VS-1", "shelf-1", "[\"left\", \"middle\"]");
    let agent = Agent::new(1, STORE_TOML).with(&toml);
    let gateway = agent.directory().join("gateway.toml");
    let (code, _, err) = program::vitrine(&["check", "--config", &path(&gateway)], "");
    assert_eq!((code, err.lines().count()), (Some(64), 1), "{err}");
    let expected = "[[shelves]] lacks facing `middle` of `shelf-1`, which gateway.toml names for controller VS-1: add it";
    assert!(err.trim_end().ends_with(expected), "{err}");
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// Never makes sense, and never stops.
struct Babbler;

impl Device for Babbler {
    fn turn(&mut self, _heard: &[u8], now_ms: u64) -> Vec<u8> {
        (0..200u8).map(|n| n.wrapping_mul(31).wrapping_add(now_ms as u8)).collect()
    }
}

/// Prints all the time, and wild figures while its load changes.
struct PrintingScale {
    grams: i32,
    moving_lines: u32,
    stable_lines: u32,
    next_ms: u64,
}

impl PrintingScale {
    fn new(grams: i32) -> Self {
        Self { grams, moving_lines: 0, stable_lines: 0, next_ms: 0 }
    }

    fn put(&mut self, grams: i32) {
        (self.grams, self.moving_lines) = (grams, 5);
    }
}

impl Device for PrintingScale {
    fn turn(&mut self, _heard: &[u8], now_ms: u64) -> Vec<u8> {
        if now_ms < self.next_ms {
            return Vec::new();
        }
        self.next_ms = now_ms + 50;
        let line = |state: &str, grams: i32| format!("{state},GS,+{:06.3}kg\r\n", f64::from(grams) / 1000.0);
        if let Some(left) = self.moving_lines.checked_sub(1) {
            self.moving_lines = left;
            return line("US", 9 * RIGHT_G).into();
        }
        self.stable_lines += 1;
        line("ST", self.grams).into()
    }
}

/// Says its weight when it is asked.
struct AskedScale {
    grams: i32,
    asked: Vec<u8>,
}

impl Device for AskedScale {
    fn turn(&mut self, heard: &[u8], _now_ms: u64) -> Vec<u8> {
        self.asked.extend(heard);
        if !self.asked.ends_with(b"W\r\n") {
            return Vec::new();
        }
        self.asked.clear();
        format!("  {}\r", self.grams).into()
    }
}
