//! The binary's other commands, and how `run` refuses to start: output and exit codes.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use serde_json::{Value, json};
use std::{fmt::Write as _, fs, net::TcpListener, path::Path};
use tempfile::TempDir;
use vitrine_tests::{
    agent::{Agent, GATEWAY_TOML, STORE_TOML, edit},
    http,
    mosquitto::free_port,
    program::{run, vitrine},
};

const IBEACON: &str = "0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5";

fn check(gateway_toml: &str, store_toml: &str) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, "gateway.toml", gateway_toml);
    write(&directory, "store.toml", store_toml);
    let (code, out, err) = vitrine(&["check", "--config", &path], "");
    (code, out, err.replace(&format!("{}/", directory.path().display()), ""))
}

fn write(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The place, `line:column`, of `part`, which follows `before` in `text`.
fn place(text: &str, before: &str, part: &str) -> String {
    let at = text.find(&format!("{before}{part}")).unwrap() + before.len();
    let (line, column) = (text[..at].matches('\n').count() + 1, at - text[..at].rfind('\n').unwrap());
    format!("{line}:{column}")
}

#[test]
fn check_finds_the_reference_files_well() {
    let (code, out, err) = check(GATEWAY_TOML, STORE_TOML);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("acme/lyon-2/gw-1: plan 1: ") && out.ends_with("All is well.\n"), "{out}");
}

#[test]
fn check_tells_the_problems_of_both_files_with_their_places() {
    let gateway = edit(GATEWAY_TOML, &[("\nrole =", "\nrolle ="), ("127.0.0.1:1883", "127.0.0.1:x")]);
    let store = edit(STORE_TOML, &[("k = 10 ", "k = 3 "), ("hold_s =", "hold_seconds =")]);
    let (code, out, err) = check(&gateway, &store);
    assert_eq!((code, out.as_str()), (Some(64), ""));
    let expected = [
        format!("gateway.toml:{}: unknown key `rolle`: did you mean `role`?", place(&gateway, "", "rolle")),
        format!("gateway.toml:{}: `url`: `x` is no port", place(&gateway, "url = ", "\"mqtt")),
        format!("store.toml:{}: `k` must be at least 10", place(&store, "k = ", "3 ")),
        format!("store.toml:{}: unknown key `hold_seconds`", place(&store, "", "hold_seconds")),
    ];
    assert_eq!(err.lines().count(), expected.len(), "{err}");
    for (line, expected) in err.lines().zip(expected) {
        assert!(line.starts_with(&expected), "`{line}` does not start with `{expected}`");
    }
}

#[test]
fn bad_usage_and_missing_files_have_their_exit_codes() {
    assert_eq!(vitrine(&["run", "--bogus"], "").0, Some(2));
    assert_eq!(vitrine(&[], "").0, Some(2));
    let (code, _, err) = vitrine(&["run", "--config", "/nonexistent/gateway.toml"], "");
    assert_eq!(code, Some(64));
    assert!(err.starts_with("/nonexistent/gateway.toml: cannot be read: "), "{err}");
    let (code, _, err) = vitrine(&["replay", "/nonexistent.jsonl"], "");
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
}

#[test]
fn run_says_in_one_line_that_its_port_is_taken() {
    let agent = Agent::new(free_port(), STORE_TOML);
    let _taken = TcpListener::bind(("127.0.0.1", agent.port)).unwrap();
    let (code, out, err) = run(&mut agent.command(), "");
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{err}");
    let expected = format!("vitrine: cannot listen on 127.0.0.1:{}: ", agent.port);
    assert!(err.starts_with(&expected) && err.contains("`listen` under [http] in gateway.toml"), "{err}");
}

#[test]
fn a_second_agent_does_not_touch_the_firsts_state() {
    let mut agent = Agent::new(free_port(), STORE_TOML);
    agent.start();
    let gateway = fs::read_to_string(agent.directory().join("gateway.toml")).unwrap();
    let other_port = format!("127.0.0.1:{}", free_port());
    let gateway = edit(
        &gateway,
        &[(&format!("127.0.0.1:{}\"\n\n# BLE", agent.port), &format!("{other_port}\"\n\n# BLE"))],
    );
    let second = agent.directory().join("second.toml");
    fs::write(&second, gateway).unwrap();
    let (code, out, err) = vitrine(&["run", "--config", &second.display().to_string()], "");
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    let last = err.lines().last().unwrap();
    assert!(last.starts_with("vitrine: ") && last.contains("another vitrine uses this spool"), "{err}");
    assert_eq!(http::request(agent.port, "GET", "/healthz", b"").unwrap().status, 200);
}

#[test]
fn decode_reads_an_argument_or_lines() {
    let decoded = json!({
        "frames": [{
            "format": "ibeacon",
            "uuid": "e2c56db5-dffb-48d2-b060-d0f5a71096e0",
            "major": 1,
            "minor": 2,
            "measured_power_dbm": -59,
        }],
        "error": null,
    });
    let (code, out, err) = vitrine(&["decode", IBEACON], "");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), decoded);

    let lines = format!("{IBEACON}\n{{\"adv_hex\":\"{IBEACON}\"}}\n02zz\n");
    let (code, out, err) = vitrine(&["decode", "-"], &lines);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[..2], [decoded.clone(), decoded]);
    assert_eq!(lines[2], json!({ "frames": [], "error": "`z` is no hexadecimal digit, at digit 2" }));
    assert_eq!(lines.len(), 3);
}

#[test]
fn decode_decrypts_with_the_key_of_a_device() {
    let payload = "41a47266c95f730011223378237214";
    let line = format!(r#"{{"svc_uuid":"fcd2","svc_hex":"{payload}","address":"54:48:E6:8F:80:A5"}}"#);
    let measurements = |arguments: &[&str]| {
        let (code, out, err) = vitrine(&[&["decode"], arguments].concat(), &line);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        serde_json::from_str::<Value>(&out).unwrap()["frames"][0]["measurements"].take()
    };
    assert_eq!(measurements(&[]), Value::Null);
    let read = json!([
        { "name": "temperature", "value": 25.06, "unit": "°C" },
        { "name": "humidity", "value": 50.55, "unit": "%" },
    ]);
    assert_eq!(measurements(&["--key", "231d39c1d7cc1ab1aee224cd096db932"]), read);

    let (code, out, err) = vitrine(&["decode", "--key", "231d"], "");
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("needs 32 hexadecimal digits") && !err.contains("231d39"), "{err}");
}

#[test]
fn decode_reads_a_file_or_says_that_there_is_none() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mitll-1-may-anechoic-chamber.jsonl.gz");
    let (code, out, err) = vitrine(&["decode", &file.display().to_string()], "");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out.lines().count(), 64_007);
    assert!(out.lines().all(|line| line == r#"{"frames":[],"error":null}"#));

    let (code, out, err) = vitrine(&["decode", "heard.jsonl"], "");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        err.starts_with("vitrine: heard.jsonl: no file that can be read, and no hexadecimal digits"),
        "{err}"
    );
}

#[test]
fn replay_counts_what_is_in_a_recording() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mitll-1-may-anechoic-chamber.jsonl.gz");
    let file = file.display().to_string();
    let (code, out, err) = vitrine(&["replay", &file], "");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let count = |name: &str| -> u64 {
        let line = out
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {out}"));
        line.split_whitespace().last().unwrap().parse().unwrap()
    };
    assert_eq!((count("advertisements"), count("bad lines")), (64_007, 0));
    assert!(out.trim_end().ends_with(" advertisements/s"), "{out}");

    let (code, out, _) = vitrine(&["replay", &file, "--json"], "");
    assert_eq!(code, Some(0));
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&summary["advertisements"], &summary["bad_lines"]), (&64_007.into(), &0.into()));
    let formats =
        summary["frames"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>();
    assert_eq!(formats + count("no known format") + count("malformed"), 64_007);
    assert!(summary["advertisements_per_s"].as_u64().unwrap() > 0);
}

#[test]
fn replay_with_a_plan_prints_what_would_leave_the_store() {
    const BASKETS: u64 = 12;
    let mut plan =
        "version = 1\nplan = '1'\nzones = [{ id = 'hall' }, { id = 'tills', kind = 'checkout' }]\n"
            .to_owned();
    plan += "receivers = [{ id = 'a', zone = 'hall' }, { id = 'b', zone = 'tills' }]\n";
    let address = |basket: u64| format!("c0:ff:ee:00:01:{basket:02x}");
    for basket in 0..BASKETS {
        let address = address(basket);
        writeln!(plan, "[[beacons]]\nid = 'basket-{basket}'\ncarrier = 'basket'\naddress = '{address}'")
            .unwrap();
    }
    let mut recording = String::new();
    for second in 0..180 {
        for basket in 0..BASKETS {
            // A minute in the hall, then a minute at the tills; a stranger is in the hall all the time.
            let here = if second < 60 + basket { "a" } else { "b" };
            let time = 1_772_622_000 + second;
            for (receiver, rssi_dbm) in [(here, -55), (if here == "a" { "b" } else { "a" }, -85)] {
                let line = json!({ "time": time, "receiver": receiver, "address": address(basket), "rssi_dbm": rssi_dbm });
                writeln!(recording, "{line}").unwrap();
            }
            let stranger =
                json!({ "time": time, "receiver": "a", "address": "c0:ff:ee:00:02:00", "rssi_dbm": -50 });
            writeln!(recording, "{stranger}").unwrap();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let (plan, file) = (write(&directory, "store.toml", &plan), write(&directory, "lines.jsonl", &recording));
    let (code, out, err) = vitrine(&["replay", &file, "--plan", &plan, "--json"], "");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(!out.contains("c0ffee") && !out.contains("c0:ff:ee"), "{out}");

    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, events) = lines.split_last().unwrap();
    assert_eq!(summary["plan"]["visits"], BASKETS);
    assert_eq!(summary["plan"]["not_in_plan"], 180 * BASKETS);
    assert!(events.iter().all(|event| event["clock"] == "file"), "{out}");
    let event = |kind: &str, field: &str, value: Value| {
        events
            .iter()
            .find(|event| event["type"] == kind && event[field] == value)
            .unwrap_or_else(|| panic!("{kind}: {out}"))
    };
    assert_eq!(event("carriers", "zone", "hall".into())["visits"], BASKETS);
    assert_eq!(event("carriers", "zone", "tills".into())["visits"], BASKETS);
    assert_eq!(event("flow", "from", "hall".into())["n"], BASKETS);
    assert_eq!(event("trace", "path", json!(["hall", "tills"]))["n"], BASKETS);
    let coverage = event("coverage", "carriers", BASKETS.into());
    assert_eq!(coverage["released"], BASKETS);
}
