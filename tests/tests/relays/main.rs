//! What others hear for a hub: scanners of other makes, satellites, receivers that move; over a real Mosquitto and HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod access;
mod formats;
mod mobile;
mod satellites;
mod times;

use std::{fmt::Write, process::Command};
use vitrine_agent::clock::Clock;
use vitrine_protocol::frame::IBeacon;
use vitrine_tests::{
    agent::{Agent, STORE_TOML, edit},
    mosquitto::Mosquitto,
    subscriber::{Feed, Subscriber},
    wait::wait_for,
};

/// Carts: more than the smallest count that is released.
const CARTS: u16 = 12;
const UUID: [u8; 16] = 0x5a1d_77e0_93c4_4b2f_8e61_0d3b_c7a9_f254_u128.to_be_bytes();
const MAJOR: u16 = 48_611;
/// In the entrance, as the receiver `front` hears it.
const RSSI_DBM: i8 = -76;

/// A cart's beacon.
fn cart(number: u16) -> IBeacon {
    IBeacon { uuid: UUID, major: MAJOR, minor: 700 + number, measured_power_dbm: -59 }
}

/// The address that a cart's beacon has; the plan does not know it.
fn address(number: u16) -> String {
    format!("C30000000A{number:02X}")
}

/// The plan's tables of the carts.
fn carts() -> String {
    (0..CARTS).fold(String::new(), |mut text, number| {
        let (uuid, minor) = (hex(&UUID), cart(number).minor);
        let beacon = format!("ibeacon = {{ uuid = \"{uuid}\", major = {MAJOR}, minor = {minor} }}");
        write!(text, "[[beacons]]\nid = \"test-{number}\"\ncarrier = \"cart\"\n{beacon}\n").unwrap();
        text
    })
}

/// The reference plan with `tables`, far from its closing time, where a second is a visit.
fn plan(tables: &str) -> String {
    let hour = now_ms() / 3_600_000 % 24;
    let closes = format!("closes = \"{:02}:30\"", (hour + 12) % 24);
    edit(
        STORE_TOML,
        &[
            ("time_zone = \"Europe/Paris\"", "time_zone = \"UTC\""),
            ("closes = \"20:00\"", &closes),
            ("least_s = 30 ", "least_s = 1 "),
            ("[[shelves]]\nid = \"shelf-1\"", &format!("{tables}[[shelves]]\nid = \"shelf-1\"")),
        ],
    )
}

/// The table `[store_broker]` for a broker without passwords.
fn store_broker(broker: &Mosquitto) -> String {
    format!("[store_broker]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port)
}

fn publish(broker: &Mosquitto, topic: &str, payload: &str) {
    let port = broker.port.to_string();
    let sent = Command::new("mosquitto_pub").args(["-p", &port, "-t", topic, "-m", payload]).status();
    assert!(sent.expect("this test needs mosquitto_pub: apt-get install mosquitto-clients").success());
}

/// Waits until the agent has connected to the store's broker `times` times.
fn wait_for_store_broker(agent: &Agent, times: usize) {
    wait_for("the agent is at the store's broker", 30, || {
        (agent.log().matches("connected to the store's broker").count() >= times).then_some(())
    });
}

/// Ends the agent, and waits for its release of visits of the carts: all of them in the entrance alone.
fn check_release(agent: &mut Agent, platform: &Subscriber, zone: &str) -> Feed {
    assert!(agent.terminate().success());
    let feed = wait_for("the window's release", 30, || {
        let feed = platform.feed();
        (!feed.of_type("coverage").is_empty()).then_some(feed)
    });
    assert_eq!(feed.of_type("coverage")[0]["carriers"], CARTS);
    let carriers = feed.of_type("carriers");
    assert_eq!(carriers.len(), 1, "{carriers:?}");
    assert_eq!((&carriers[0]["zone"], &carriers[0]["visits"]), (&zone.into(), &CARTS.into()));
    feed
}

fn now_ms() -> i64 {
    Clock::system().now().utc.as_ms()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
