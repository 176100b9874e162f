//! `vitrine spool`, as store IT uses it in front of a gateway whose line is down: while the agent runs, after it was killed, when it is stopped, and
//! when the disk has rotted.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use vitrine_agent::spool::{Found, Scan};
use vitrine_tests::{
    agent::{Agent, STORE_TOML, binary},
    http,
    mosquitto::free_port,
    program::vitrine,
    spool::disk,
};

/// Product views, so many that printing them takes more than a pipe holds.
const VIEWS: u64 = 400;
const VIEWS_A_REQUEST: u64 = 40;

fn uuid(n: u64) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// An agent without a broker, with [`VIEWS`] in its spool.
fn offline_agent() -> Agent {
    let mut agent = Agent::new(free_port(), STORE_TOML);
    agent.start();
    for first in (1..=VIEWS).step_by(VIEWS_A_REQUEST as usize) {
        let view =
            |n| json!({ "id": uuid(n), "kiosk": "kiosk-1", "kind": "product_view", "sku": format!("p-{n}") });
        let views: Vec<_> = (first..first + VIEWS_A_REQUEST).map(view).collect();
        assert_eq!(agent.post("/v1/kiosk/interactions", &Value::from(views)).unwrap(), 202);
    }
    agent
}

/// `vitrine spool`, on this agent's spool.
fn spool(agent: &Agent, arguments: &[&str]) -> (Option<i32>, String, String) {
    let config = agent.directory().join("gateway.toml").display().to_string();
    vitrine(&[&["spool"], arguments, &["--config", &config]].concat(), "")
}

/// What it prints, where all is well.
fn printed(agent: &Agent, arguments: &[&str]) -> String {
    let (code, out, err) = spool(agent, arguments);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}: {out}");
    out
}

fn events(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn seqs(events: &[Value], stream: &str) -> Vec<u64> {
    events
        .iter()
        .filter(|event| event["stream"] == stream)
        .map(|event| event["seq"].as_u64().unwrap())
        .collect()
}

/// Everything that can be asked of a spool that is whole.
fn check(agent: &Agent, is_running: bool) {
    let stat: Value = serde_json::from_str(&printed(agent, &["stat", "--json"])).unwrap();
    assert_eq!(stat["is_running"], is_running);
    assert_eq!(stat["since_start"].is_object(), is_running);
    let slots = stat["lanes"].as_array().unwrap().iter().find(|lane| lane["lane"] == "slots").unwrap();
    assert_eq!((&slots["cursor"], &slots["bytes_max"]), (&0.into(), &(1u64 << 30).into()));
    let kiosk =
        slots["streams"].as_array().unwrap().iter().find(|stream| stream["stream"] == "kiosk").unwrap();
    assert_eq!(kiosk["first_seq"], 1);
    assert!(kiosk["next_seq"].as_u64() > Some(VIEWS) && slots["waiting_events"].as_u64() >= Some(VIEWS));
    assert!(slots["oldest_at"].is_string() && slots["disk_bytes"].as_u64() > Some(4096), "{slots}");

    let text = printed(agent, &["stat"]);
    let agent_is = if is_running { ", the agent runs\n" } else { ", no agent runs\n" };
    assert!(text.contains(agent_is) && text.contains("\nslots ") && text.contains("\nkiosk "), "{text}");

    let text = printed(agent, &["verify"]);
    assert!(text.lines().count() == 1 && text.ends_with("All is whole.\n"), "{text}");
    let verified: Value = serde_json::from_str(&printed(agent, &["verify", "--json"])).unwrap();
    assert_eq!((&verified["findings"], &verified["aside"]), (&json!([]), &json!([])));

    let all = printed(agent, &["dump"]);
    assert!(!all.contains(&uuid(7)), "a note of the agent was printed");
    let views = events(&printed(agent, &["dump", "--stream", "kiosk", "--waiting", "--json"]));
    assert_eq!(seqs(&views, "kiosk")[..VIEWS as usize], (1..=VIEWS).collect::<Vec<_>>());
    let seventh = &views[6];
    assert_eq!(
        (&seventh["event"]["sku"], &seventh["plan"], &seventh["lane"]),
        (&"p-7".into(), &"1".into(), &"slots".into())
    );
    assert_eq!(seventh["spool_id"], stat["spool_id"]);
    assert!(seventh["held_until"].is_string() && seventh["written_at"].is_string());

    assert_eq!(
        seqs(&events(&printed(agent, &["dump", "--stream", "kiosk", "--seq", "5..7"])), "kiosk"),
        [5, 6, 7]
    );
    let written_at = seventh["written_at"].as_str().unwrap();
    let at_once = events(&printed(agent, &["dump", "--since", written_at, "--until", written_at]));
    assert!(at_once.contains(seventh) && at_once.len() < VIEWS as usize);
    let (code, out, err) = spool(agent, &["dump", "--stream", "kiosk", "--seq", "5000"]);
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(err.starts_with("vitrine: kiosk: no event has this number yet; the next one gets 4"), "{err}");
}

/// Makes a block in the middle unreadable, in every copy.
fn rot(segment: &Path) -> Found {
    let blocks = Scan::of(segment).unwrap().blocks().to_vec();
    let found = blocks[blocks.len() / 2];
    disk::rot(segment, &found);
    found
}

fn segment(agent: &Agent) -> PathBuf {
    let slots =
        fs::read_dir(agent.state_dir().join("spool/slots")).unwrap().map(|entry| entry.unwrap().path());
    slots.filter(|path| path.join("db").exists()).min().unwrap()
}

#[test]
fn a_spool_is_looked_into_while_its_agent_runs_and_when_it_does_not() {
    let mut agent = offline_agent();
    check(&agent, true);
    let socket = agent.state_dir().join("agent.sock");
    // A power cut.
    agent.kill();
    assert!(socket.exists());
    check(&agent, false);
    agent.start();
    check(&agent, true);
    for path in ["/v1/spool", "/v1/spool/files"] {
        assert_eq!(http::request(agent.port, "GET", path, b"").unwrap().status, 404, "not for the network");
    }
    let before = printed(&agent, &["dump", "--stream", "kiosk", "--seq", "1..400"]);
    assert!(agent.terminate().success());
    assert!(!socket.exists());
    check(&agent, false);
    assert_eq!(printed(&agent, &["dump", "--stream", "kiosk", "--seq", "1..400"]), before);
}

#[test]
fn an_agent_that_cannot_be_asked_is_named_with_what_to_do() {
    let agent = offline_agent();
    fs::remove_file(agent.state_dir().join("agent.sock")).unwrap();
    let dir = agent.state_dir().join("spool");
    let (code, out, err) = spool(&agent, &["verify"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{err}");
    let expected = format!("vitrine: {}: an agent has this spool and does not answer: ", dir.display());
    assert!(err.starts_with(&expected) && err.contains("name its socket with --socket"), "{err}");
}

#[test]
fn who_reads_no_further_ends_the_dump_quietly() {
    let agent = offline_agent();
    let mut dump = Command::new(binary());
    dump.args(["spool", "dump", "--dir"]).arg(agent.state_dir().join("spool"));
    let mut dump = dump.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(64, dump.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(events(&line).len(), 1);
    let output = dump.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn damage_is_found_and_the_rest_recovered() {
    let mut agent = offline_agent();
    assert!(agent.terminate().success());
    let all = seqs(&events(&printed(&agent, &["dump"])), "kiosk");
    let lost = rot(&segment(&agent));
    let positions = format!("positions {} to {}, which held kiosk ", lost.pos, lost.end_pos() - 1);

    let says_what_is_lost = |agent: &Agent| {
        let (code, out, err) = spool(agent, &["verify"]);
        assert_eq!((code, out.lines().count()), (Some(1), 2), "{out}{err}");
        let expected = format!("{}: slots: blocks cannot be read, {positions}", segment(agent).display());
        assert!(out.starts_with(&expected) && out.contains(": lost, which a gap will tell"), "{out}");
        assert!(err.starts_with("vitrine: 1 damaged place: look at the disk"), "{err}");
        let (code, out, _) = spool(agent, &["verify", "--json"]);
        let verified: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &verified["findings"][0]["damage"]), (Some(1), &"blocks".into()));
    };
    says_what_is_lost(&agent);
    let (code, out, err) = spool(&agent, &["dump"]);
    let left = seqs(&events(&out), "kiosk");
    assert!(code == Some(0) && left.len() < all.len() && left.iter().all(|seq| all.contains(seq)));
    assert!(err.contains("records cannot be read: vitrine spool verify tells which"), "{err}");

    let (dir, file) = (agent.state_dir().display().to_string(), agent.directory().join("salvaged.jsonl"));
    let salvage = ["spool", "salvage", &dir, "--output", file.to_str().unwrap()];
    let (code, out, err) = vitrine(&salvage, "");
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert_eq!(seqs(&events(&fs::read_to_string(&file).unwrap()), "kiosk"), left);
    assert!(err.contains("events recovered from") && err.contains(", which held kiosk "), "{err}");
    let (code, _, err) = vitrine(&salvage, "");
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.contains("name a new file with --output"), "{err}");

    agent.start();
    says_what_is_lost(&agent);
}
