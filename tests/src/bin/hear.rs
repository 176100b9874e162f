//! Hears BLE advertisements and prints them, for the tests: `hear [--silence-ms N] [--connections N] hci0=door`.
//!
//! One line for each of the plan's beacons: receiver, RSSI, format; the plan is [`hear::PLAN`]. One line for each notice. The
//! end of standard input ends it, with a line of counters. An error goes to standard error. It never prints an address.

use std::{
    error::Error,
    io::{self, Write},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use vitrine_agent::{
    capture::{
        Radio,
        ble::{Adapter, Bluez, Limits},
        desk::Desk,
        source::{AdvertSource, Notice},
    },
    clock::Clock,
};
use vitrine_protocol::event::RadioState;
use vitrine_tests::hear;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    const USAGE: &str = "usage: hear [--silence-ms N] [--connections N] ADAPTER=RECEIVER...";
    let (mut adapters, mut limits) = (Vec::new(), Limits::default());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--silence-ms" => {
                limits.silence = Duration::from_millis(arguments.next().ok_or(USAGE)?.parse()?);
            }
            "--connections" => limits.connections = arguments.next().ok_or(USAGE)?.parse()?,
            adapter => {
                let (name, receiver) = adapter.split_once('=').ok_or(USAGE)?;
                adapters.push(Adapter { name: name.to_owned(), receiver: receiver.parse()? });
            }
        }
    }
    let plan = vitrine_agent::plan::parse(hear::PLAN)?;
    let (radio, mut heard) = Radio::channel(4096);
    let (notices, mut noticed) = mpsc::channel(64);
    let counters = radio.counters().clone();
    let listener = Arc::new(Desk::new(Arc::new(plan), radio, Arc::default(), notices));
    let (stop, stopping) = watch::channel(false);
    thread::spawn(move || {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        stop.send_replace(true);
    });
    let source = Box::new(Bluez::new(adapters, limits));
    let capture = tokio::spawn(source.run(listener, Clock::system(), stopping));

    // The channels end with the capture.
    let mut out = io::stdout();
    loop {
        tokio::select! {
            heard = heard.recv() => {
                let Some(heard) = heard else { break };
                let format = heard.frame.map_or("unknown", |frame| frame.format());
                writeln!(out, "{} {} {format}", heard.receiver, heard.rssi_dbm)?;
            }
            Some((notice, _)) = noticed.recv() => writeln!(out, "notice {}", text(&notice))?,
        }
    }
    if let Err(error) = capture.await? {
        writeln!(io::stderr(), "{error}")?;
        std::process::exit(1);
    }
    let [advertisements, malformed, not_in_plan, dropped, no_rssi] = [
        &counters.advertisements,
        &counters.malformed,
        &counters.not_in_plan,
        &counters.dropped,
        &counters.no_rssi,
    ]
    .map(|counter| counter.load(Ordering::Relaxed));
    writeln!(
        out,
        "advertisements {advertisements} malformed {malformed} not_in_plan {not_in_plan} dropped {dropped} no_rssi {no_rssi}"
    )?;
    Ok(())
}

fn text(notice: &Notice) -> String {
    match notice {
        Notice::Radio { receiver, state } => {
            let state = match state {
                RadioState::Scanning => "scanning",
                RadioState::Off => "off",
                RadioState::Absent => "absent",
                _ => "failing",
            };
            format!("{receiver} {state}")
        }
        Notice::Recovered { receiver, cause } => format!("{receiver} recovered: {cause}"),
        Notice::Duplicates { receiver, filtered: true } => format!("{receiver} filtered"),
        Notice::Duplicates { receiver, filtered: false } => format!("{receiver} unfiltered"),
        Notice::Silent { device, .. } => format!("{device} silent"),
        Notice::Back { device, .. } => format!("{device} back"),
    }
}
