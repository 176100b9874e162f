//! The line, end to end: the binary `vitrine`, a real Mosquitto, and `mosquitto_sub` as the platform.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod acceptance;
mod beacons;
mod devices;
mod faults;
mod radio;
mod slots;
mod traffic;

use serde_json::{Value, json};
use vitrine_protocol::time::Timestamp;
use vitrine_tests::agent::{STORE_TOML, edit};

const READINGS: &str = "/v1/shelf/readings";
const INTERACTIONS: &str = "/v1/kiosk/interactions";
const COUNTERS: &str = "/v1/counters";

/// The reference plan with short slots.
fn plan(slot_s: u32) -> String {
    edit(STORE_TOML, &[("slot_s = 900 ", &format!("slot_s = {slot_s} "))])
}

/// The `n`-th name that a device gives to an input.
fn uuid(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// A product's page is opened on `kiosk-1`; the product tells which view it was.
fn view(n: usize) -> Value {
    json!([{ "id": uuid(n), "kiosk": "kiosk-1", "kind": "product_view", "sku": format!("p-{n:04}") }])
}

/// When an event happened, as it says.
fn time_ms(event: &Value) -> u64 {
    let time: Timestamp = serde_json::from_value(event["time"].clone()).unwrap();
    time.as_ms().try_into().unwrap()
}
