//! What relays' messages cost: Mosquitto to the agent's pipeline, as fast as one publisher is.
//!
//! `cargo build --release -p vitrine-agent && cargo run --release -p vitrine-tests --bin relay_cost -- 100000`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for who measures")]

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    thread,
    time::Duration,
};
use tokio::time::Instant;
use vitrine_agent::clock::Clock;
use vitrine_tests::{
    agent::{Agent, STORE_TOML},
    mosquitto::{Mosquitto, free_port},
    wait::wait_for,
};

/// A beacon of the reference plan.
const CART: &str = "0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010001c5";
/// A phone's.
const PHONE: &str = "02011a0aff4c0010050b1c2d3e4f";

fn main() {
    let count: u64 = std::env::args().nth(1).map_or(100_000, |count| count.parse().unwrap());
    let store = Mosquitto::start("max_queued_bytes 0");
    let tables = format!(
        "[store_broker]\nurl = \"mqtt://127.0.0.1:{}\"\n[[relays]]\nid = \"r\"\nformat = \"ruuvi\"\nreceiver = \"front\"\nlate_s = 120\n",
        store.port
    );
    let mut agent = Agent::new(free_port(), STORE_TOML).with_tables(&tables);
    agent.start();
    let connected = || agent.log().contains("connected to the store's broker").then_some(());
    wait_for("the agent is at the store's broker", 30, connected);
    thread::sleep(Duration::from_secs(1));
    let (cpu_before_ms, rss_before_kib) = cost(agent.pid());

    let ts = Clock::system().now().utc.as_ms() / 1000;
    // One of a cart in ten.
    let lines: String = (0..count).fold(String::new(), |lines, n| {
        let (data, sender) = if n % 10 == 0 { (CART, 1) } else { (PHONE, n % 50_000) };
        lines + &format!("{{\"gw_mac\":\"AA:BB:CC:DD:EE:FF\",\"rssi\":-70,\"aoa\":[],\"gwts\":{ts},\"ts\":{ts},\"data\":\"{data}\",\"coords\":\"\",\"n\":{sender}}}\n")
    });
    let started = Instant::now();
    let mut publisher = Command::new("mosquitto_pub");
    publisher.args(["-p", &store.port.to_string(), "-t", "ruuvi/AA:BB:CC:DD:EE:FF/C0:00:00:00:00:01", "-l"]);
    let mut publisher = publisher.stdin(Stdio::piped()).spawn().unwrap();
    publisher.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(publisher.wait().unwrap().success());
    let heard = || {
        ["in_plan", "not_in_plan"]
            .map(|fate| agent.metric(&format!("vitrine_advertisements_total{{fate=\"{fate}\"}}")))
            .iter()
            .sum::<u64>()
    };
    wait_for("all messages", 120, || (heard() >= count).then_some(()));
    let seconds = started.elapsed().as_secs_f64();
    let (cpu_ms, rss_kib) = cost(agent.pid());
    let dropped = agent.metric("vitrine_advertisements_dropped_total");
    println!(
        "{count} messages in {seconds:.2} s: {:.0} a second, {:.1} us of CPU each; {dropped} sightings dropped; resident {rss_before_kib} KiB before, {rss_kib} KiB after",
        count as f64 / seconds,
        (cpu_ms - cpu_before_ms) as f64 * 1000.0 / count as f64,
    );
}

/// CPU time in milliseconds and resident memory in KiB.
fn cost(pid: u32) -> (u64, u64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // 100 clock ticks a second.
    let cpu_ms = (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (cpu_ms, rss.trim().trim_end_matches(" kB").parse().unwrap())
}
