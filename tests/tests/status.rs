//! How an agent says how it is: `vitrine status`, and `/metrics` as an independent reader sees it.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use serde_json::Value;
use std::{
    io::Write,
    process::{Command, Stdio},
};
use vitrine_tests::{
    agent::{Agent, STORE_TOML},
    http,
    mosquitto::Mosquitto,
    program::vitrine,
    tools,
    wait::wait_for,
};

/// Prints each sample as a JSON line; fails where the text is not OpenMetrics.
const READER: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(json.dumps([sample.name, sample.labels, sample.value]))
";

const COUNT: &[u8] =
    br#"[{"id":"0190b6a5-7c4e-7cc5-8f3e-2f1f0a9d8e11","counter":"till-1","transactions":4}]"#;

#[test]
fn an_agent_says_how_it_is() {
    let broker = Mosquitto::start("");
    let mut agent = Agent::new(broker.port, STORE_TOML);
    agent.start();
    assert_eq!(http::request(agent.port, "POST", "/v1/counters", COUNT).unwrap().status, 202);
    let socket = agent.state_dir().join("agent.sock").display().to_string();
    let status = |more: &[&str]| vitrine(&[&["status", "--socket", &socket], more].concat(), "");
    let json = wait_for("the uplink is connected", 30, || {
        let (code, out, err) = status(&["--json"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let json: Value = serde_json::from_str(&out).unwrap();
        (json["uplink"]["connected"] == true).then_some(json)
    });
    assert_eq!((&json["plan"], &json["version"]), (&"1".into(), &env!("CARGO_PKG_VERSION").into()));
    assert!(json["spool"]["events"].as_u64().unwrap() >= 1, "{json}");

    let (code, out, err) = status(&[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with(&format!("vitrine {}, plan 1, up ", env!("CARGO_PKG_VERSION"))), "{out}");
    assert!(out.contains("\nuplink: connected, "), "{out}");

    let answer = http::request(agent.port, "GET", "/metrics", b"").unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.headers.contains("content-type: application/openmetrics-text; version=1.0.0"));
    let samples = samples(&answer.body).unwrap();
    assert!(samples.contains(&r#"["vitrine_uplink_connected", {}, 1]"#.into()), "{samples:?}");
    assert!(
        samples.iter().any(|sample| sample.starts_with(r#"["vitrine_spool_backlog_records", {"lane": "#))
    );
    assert!(samples_of_broken(&answer.body).is_none(), "the reader accepts anything");
}

#[test]
fn without_an_agent_status_says_what_to_do() {
    let (code, out, err) = vitrine(&["status", "--socket", "/nonexistent/agent.sock"], "");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("vitrine: no agent answers (/nonexistent/agent.sock: "), "{err}");
    assert!(err.contains("start it with `vitrine run`") && err.lines().count() == 1, "{err}");
}

fn samples(text: &str) -> Option<Vec<String>> {
    let mut reader: Command = tools::python("python");
    reader.args(["-c", READER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reader = reader.spawn().unwrap();
    reader.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    output.status.success().then_some(lines)
}

fn samples_of_broken(text: &str) -> Option<Vec<String>> {
    samples(text.strip_suffix("# EOF\n").unwrap())
}
