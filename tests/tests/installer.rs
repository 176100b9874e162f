//! The installer's tools, `vitrine scan` and `vitrine record`, on a recording in the place of a radio.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use serde_json::{Value, json};
use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt, path::Path};
use tempfile::TempDir;
use vitrine_tests::{agent::STORE_TOML, program::vitrine};

const CART: &str = "1aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010001c5";
const BADGE: &str = "1aff4c000215e2c56db5dffb48d2b060d0f5a71096e000020001c5";
const PHONE: &str = "0bff4c001006671e5cfadbd3";
const PHONE_ADDRESS: &str = "7442c09426bb";

/// A cart and a badge of the reference plan, a basket of it without a payload, and somebody's phone.
struct Floor {
    directory: TempDir,
    plan: String,
    recording: String,
}

impl Floor {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut lines = String::new();
        for tenth in 0..10 {
            let mut line = |address: &str, rssi_dbm: i8, adv_hex: Option<&str>| {
                let time = 1_772_622_000.0 + f64::from(tenth) / 10.0;
                let line = json!({ "time": time, "receiver": "front", "address": address, "rssi_dbm": rssi_dbm, "adv_hex": adv_hex });
                writeln!(lines, "{line}").unwrap();
            };
            line("c0ffee000101", -60, Some(CART));
            line("c0ffee000102", -70, Some(BADGE));
            line("c0ffee000001", -75, None);
            line(PHONE_ADDRESS, -50, Some(PHONE));
        }
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (plan, recording) = (write("store.toml", STORE_TOML), write("floor.jsonl", &lines));
        Self { directory, plan, recording }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Runs a command on the recording.
    fn hear(&self, command: &[&str]) -> (Option<i32>, String, String) {
        vitrine(&[command, &["--replay", &self.recording, "--speed", "1000"]].concat(), "")
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn scan_tells_programs_who_of_the_plan_is_heard() {
    let floor = Floor::new();
    let (code, out, err) = floor.hear(&["scan", "--plan", &floor.plan, "--json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let rows = lines(&out);
    let row = |beacon: &str| {
        let of_beacon = rows.iter().rev().find(|row| row["beacon"] == beacon);
        of_beacon.unwrap_or_else(|| panic!("{beacon}: {out}")).clone()
    };
    let cart = row("cart-1");
    assert_eq!(cart["identity"], "1/1 e2c56db5-dffb-48d2-b060-d0f5a71096e0");
    for (key, value) in [
        ("receiver", json!("front")),
        ("carrier", json!("cart")),
        ("format", json!("ibeacon")),
        ("rssi_dbm", json!(-60)),
        ("advertisements", json!(10)),
    ] {
        assert_eq!(cart[key], value, "{key}: {cart}");
    }
    assert_eq!(row("badge-1")["carrier"], "staff");
    assert_eq!(row("basket-1")["format"], "unknown");
    assert!(rows.iter().all(|row| row["beacon"] != Value::Null), "{out}");
    assert!(!out.contains("26:bb") && !out.contains("c0ffee"), "{out}");
}

#[test]
fn scan_prints_its_table_once_where_there_is_no_terminal() {
    let floor = Floor::new();
    let (code, out, err) = floor.hear(&["scan", "--plan", &floor.plan]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("\ncart-1    cart     ibeacon 1/1 ") && !out.contains('\x1b'), "{out}");
    assert!(out.contains("plan: 3 of 4 beacons heard; missing cart-2\n"), "{out}");
    assert!(out.contains("strangers: 10 advertisements, only counted"), "{out}");
    assert!(!out.contains("26:bb"), "{out}");
    let (_, out, _) = floor.hear(&["scan", "--plan", &floor.plan, "--all"]);
    assert!(out.contains("\n…26:bb ") && out.contains("store nothing") && !out.contains("7442"), "{out}");
}

#[test]
fn in_one_line_is_said_why_nothing_is_heard() {
    let floor = Floor::new();
    let missing = floor.path("missing.jsonl");
    let (code, out, err) = vitrine(&["scan", "--replay", &missing], "");
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{err}");
    assert!(err.starts_with("vitrine: replay: ") && err.contains("missing.jsonl"), "{err}");
    let record = floor.path("record.jsonl");
    let (code, _, err) = vitrine(&["record", &record, "--plan", &floor.plan, "--replay", &missing], "");
    assert_eq!((code, err.lines().count(), Path::new(&record).exists()), (Some(1), 1, false), "{err}");
}

#[test]
fn what_is_recorded_is_replayed() {
    let floor = Floor::new();
    let (plan, record) = (floor.plan.as_str(), floor.path("record.jsonl.gz"));
    let (code, out, err) = floor.hear(&["record", &record, "--plan", plan]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains(": 20 advertisements, 2 beacons of the plan; 20 of others left out"), "{out}");
    assert_eq!(fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);

    let (code, out, err) = vitrine(&["replay", &record, "--plan", plan, "--json"], "");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let summary = lines(&out).pop().unwrap();
    assert_eq!((&summary["advertisements"], &summary["frames"]["ibeacon"]), (&json!(20), &json!(10)));
    assert_eq!((&summary["plan"]["sightings"], &summary["plan"]["staff"]), (&json!(20), &json!(0)));

    let (code, _, err) = floor.hear(&["record", &record, "--plan", plan]);
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.contains("say --force"), "{err}");
}

#[test]
fn everybody_is_recorded_only_on_demand_and_with_a_warning() {
    let floor = Floor::new();
    let record = floor.path("all.jsonl");
    let (code, _, err) = floor.hear(&["record", &record]);
    assert_eq!((code, Path::new(&record).exists()), (Some(1), false));
    assert!(err.contains("--plan store.toml"), "{err}");

    fs::write(&record, "something that was there").unwrap();
    let (code, _, err) = floor.hear(&["record", &record, "--all", "--force"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.starts_with("warning: --all ") && err.contains("GDPR"), "{err}");
    assert_eq!(fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    let recorded = lines(&fs::read_to_string(&record).unwrap());
    assert_eq!(recorded.len(), 40);
    let phone = recorded.iter().find(|line| line["address"] == PHONE_ADDRESS).unwrap();
    assert_eq!((&phone["adv_hex"], &phone["rssi_dbm"]), (&json!(PHONE), &json!(-50)));
}

/// A capture as BlueZ' monitor writes it, of `count` advertisements of the reference plan's first cart.
fn btsnoop(count: u64) -> Vec<u8> {
    let advertisement = hex(CART);
    let length = advertisement.len() as u8;
    let head = [0x3e, 12 + length, 0x02, 1, 0, 1, 1, 1, 0, 0xee, 0xff, 0xc0, length];
    let event = [&head[..], &advertisement, &[0xc4]].concat();
    let mut file = b"btsnoop\0\0\0\0\x01\0\0\x07\xd1".to_vec();
    for n in 0..count {
        let size = event.len() as u32;
        [size, size, 3, 0].iter().for_each(|number| file.extend(number.to_be_bytes()));
        file.extend((0x00dc_ddb3_0f2f_8000 + (1_772_622_000 + n) * 1_000_000).to_be_bytes());
        file.extend(&event);
    }
    file
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_btsnoop_capture_is_replayed_as_a_receiver_of_the_plan() {
    let floor = Floor::new();
    let capture = floor.path("hci.log");
    fs::write(&capture, &btsnoop(5)[..btsnoop(5).len() - 1]).unwrap();
    let arguments = ["replay", &capture, "--plan", &floor.plan, "--receiver", "front", "--json"];
    let (code, out, err) = vitrine(&arguments, "");
    assert_eq!((code, err.lines().count()), (Some(0), 1), "{err}");
    assert!(err.contains("hci.log, record at octet 276: the file ends within it"), "{err}");
    let summary = lines(&out).pop().unwrap();
    assert_eq!((&summary["frames"]["ibeacon"], &summary["bad_lines"]), (&json!(4), &json!(1)));
    assert_eq!((&summary["plan"]["sightings"], &summary["recorded_s"]), (&json!(4), &json!(3)));
}
