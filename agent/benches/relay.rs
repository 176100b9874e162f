//! How fast messages of relays are read: `cargo bench -p vitrine-agent --bench relay`.
//!
//! One message of each format, over and over on one core; a figure is the median of the rounds.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reads the clock, prints, and fails where it stands"
)]

use std::{hint::black_box, time::Instant};
use vitrine_agent::capture::relay::{Format, Message, mapping::Mapping};

const ROUNDS: usize = 21;
/// Messages of a round.
const ROUND: u32 = 5_000;

macro_rules! sample {
    ($file:literal) => {
        include_str!(concat!("../../tests/data/relays/", $file))
    };
}

fn main() {
    let binary: String = sample!("minew-binary-long.hex").split_whitespace().collect();
    let binary = hex::decode(binary).unwrap();
    let first = |lines: &'static str| lines.lines().next().unwrap().split_once(' ').unwrap();
    let (omg_topic, omg) = first(sample!("openmqttgateway.txt"));
    let (espresense_topic, espresense) = first(sample!("espresense.txt"));
    let mapping = Mapping {
        relay: "gw_mac".parse().ok(),
        rssi: "rssi".parse().ok(),
        raw: "data".parse().ok(),
        ..Mapping::default()
    };
    let samples: [(&str, Format, &str, &[u8]); 8] = [
        ("minew, binary", Format::Minew, "", &binary),
        ("minew, JSON", Format::Minew, "", sample!("minew-json-long.json").as_bytes()),
        ("ruuvi, MQTT", Format::Ruuvi, "ruuvi/gw/AA:BB:CC:01:02:03", sample!("ruuvi-mqtt.json").as_bytes()),
        ("ruuvi, HTTP", Format::Ruuvi, "", sample!("ruuvi-http.json").as_bytes()),
        ("openmqttgateway", Format::OpenMqttGateway, omg_topic, omg.as_bytes()),
        ("espresense", Format::Espresense, espresense_topic, espresense.as_bytes()),
        ("aruba, JSON", Format::Aruba, "", sample!("aruba-telemetry.json").as_bytes()),
        ("mapping of ruuvi's", Format::Mapping(mapping), "", sample!("ruuvi-mqtt.json").as_bytes()),
    ];
    for (name, format, topic, payload) in samples {
        let read =
            || format.read(black_box(&Message { topic, payload }), &mut |relayed| _ = black_box(relayed));
        let advertisements = read().unwrap().read;
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let started = Instant::now();
                (0..ROUND).for_each(|_| _ = black_box(read()));
                started.elapsed().as_secs_f64()
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        let per_s = f64::from(ROUND) / rounds[ROUNDS / 2];
        println!(
            "{name}: {:.0} k messages/s of {} octets, {:.0} k advertisements/s",
            per_s / 1e3,
            payload.len(),
            per_s * advertisements as f64 / 1e3,
        );
    }
}
