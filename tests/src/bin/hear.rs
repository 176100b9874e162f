//! Hears BLE advertisements and prints them, for the tests: `hear hci0=door`.
//!
//! One line for each: receiver, RSSI, format. The end of standard input ends it, with a line of counters. An error
//! goes to standard error, first as it is and then in words. It never prints an address.

use std::{
    error::Error,
    io::{self, Write},
    sync::atomic::Ordering,
    thread,
};
use tokio::sync::oneshot;
use vitrine_agent::{
    capture::{
        Radio,
        ble::{self, Adapter},
    },
    clock::Clock,
    plan::Layouts,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut adapters = Vec::new();
    for argument in std::env::args().skip(1) {
        let (name, receiver) = argument.split_once('=').ok_or("usage: hear ADAPTER=RECEIVER...")?;
        adapters.push(Adapter { name: name.to_owned(), receiver: receiver.parse()? });
    }
    let (radio, mut heard) = Radio::channel(64);
    let counters = radio.counters().clone();
    let (stop, stopped) = oneshot::channel();
    thread::spawn(move || {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        stop.send(()).ok();
    });
    let shutdown = async { stopped.await.unwrap_or_default() };
    let capture = tokio::spawn(async move {
        ble::run(&adapters, &Layouts::default(), radio, Clock::system(), shutdown).await
    });

    // The channel ends with the capture.
    while let Some(heard) = heard.recv().await {
        let format = heard.frame.map_or("unknown", |frame| frame.format());
        writeln!(io::stdout(), "{} {} {format}", heard.receiver, heard.rssi_dbm)?;
    }
    if let Err(error) = capture.await? {
        writeln!(io::stderr(), "{error:?}\n{error}")?;
        std::process::exit(1);
    }
    let [advertisements, malformed, dropped, no_rssi] =
        [&counters.advertisements, &counters.malformed, &counters.dropped, &counters.no_rssi]
            .map(|counter| counter.load(Ordering::Relaxed));
    writeln!(
        io::stdout(),
        "advertisements {advertisements} malformed {malformed} dropped {dropped} no_rssi {no_rssi}"
    )?;
    Ok(())
}
