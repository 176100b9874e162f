//! How fast advertisements are decoded: `cargo bench -p vitrine-protocol --bench decode`.
//!
//! Two loads: the vectors of `tests/data` (nearly each is of a known format) and a recording (none is). Each is walked
//! structure by structure, decoded, and read by four layouts, in turns; a figure is the median of the rounds.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reads the clock, prints, and fails where it stands"
)]

use flate2::read::GzDecoder;
use serde_json::Value as Json;
use std::{
    fs::File,
    hint::black_box,
    io::{BufRead, BufReader},
    time::Instant,
};
use vitrine_protocol::{advertisement::structures, frame::Frame, layout::Layout};

/// What the project promises.
const TARGET_PER_S: f64 = 5e6;
const ROUNDS: usize = 31;
/// Advertisements of a load, or more, are decoded in a round.
const ROUND: usize = 100_000;

const LAYOUTS: [&str; 4] = [
    "m:2-3=beac,i:4-19,i:20-21,i:22-23,p:24-24,d:25-25",
    "m:2-3=0215,i:4-19,i:20-21,i:22-23,p:24-24",
    "s:0-1=feaa,m:2-2=00,p:3-3:-41,i:4-13,i:14-19",
    "s:0-1=fd6f,p:-:-59,i:2-17",
];

type Advertisements = Vec<Vec<u8>>;

fn main() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/mitll-5-may-conference-room.jsonl.gz");
    let recording = BufReader::new(GzDecoder::new(File::open(data).unwrap())).lines();
    let recording: Advertisements = recording.filter_map(|line| advertisement(&line.unwrap())).collect();
    let vectors = include_str!("../tests/data/advertisement-vectors.jsonl");
    let vectors: Advertisements = vectors.lines().filter_map(advertisement).collect();
    let layouts = LAYOUTS.map(|text| text.parse::<Layout>().unwrap());
    let mut slowest = f64::MAX;
    for (name, load) in [("vectors", vectors), ("recording", recording)] {
        let known = load.iter().filter(|octets| Frame::decode(octets).any(|frame| frame.is_ok())).count();
        let walk = |octets: &[u8]| structures(octets).map(black_box).count();
        let decode = |octets: &[u8]| Frame::decode(octets).map(black_box).count();
        let read = |octets: &[u8]| -> usize {
            let readings = layouts.iter().filter_map(|layout| layout.read_advertisement(octets));
            readings
                .map(|reading| reading.identifiers().map(|octets| black_box(octets).len()).sum::<usize>())
                .sum()
        };
        let mut took = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            took[0].push(time(&load, walk));
            took[1].push(time(&load, decode));
            took[2].push(time(&load, read));
        }
        let [walked, decoded, read] = took.map(|mut rounds| {
            rounds.sort_by(f64::total_cmp);
            1.0 / rounds[ROUNDS / 2]
        });
        println!(
            "{name} ({}, {known} of known formats): {:.1} M/s decoded, {:.2} of structures alone; {:.1} M/s read by {} layouts",
            load.len(),
            decoded / 1e6,
            decoded / walked,
            read / 1e6,
            LAYOUTS.len(),
        );
        slowest = slowest.min(decoded);
    }
    println!(
        "target {:.1} M/s: {}",
        TARGET_PER_S / 1e6,
        if slowest >= TARGET_PER_S { "met" } else { "missed" }
    );
}

/// How long one advertisement takes, in seconds.
fn time(load: &Advertisements, mut work: impl FnMut(&[u8]) -> usize) -> f64 {
    let times = ROUND.div_ceil(load.len());
    let started = Instant::now();
    for _ in 0..times {
        for octets in black_box(load) {
            black_box(work(octets));
        }
    }
    started.elapsed().as_secs_f64() / (times * load.len()) as f64
}

/// The AD structures of a line; those that hold service or manufacturer data where it has that alone.
fn advertisement(line: &str) -> Option<Vec<u8>> {
    let line: Json = serde_json::from_str(line).unwrap();
    let octets = |key: &str| line[key].as_str().and_then(|digits| hex::decode(digits).ok());
    let structure = |ad_type, key: u16, data: Vec<u8>| {
        [&[data.len() as u8 + 3, ad_type], key.to_le_bytes().as_slice(), &data].concat()
    };
    let uuid = line["svc_uuid"].as_str().and_then(|uuid| u16::from_str_radix(uuid, 16).ok());
    let company = line["mfr_company"].as_u64().map(|company| company as u16);
    octets("adv_hex")
        .or_else(|| Some(structure(0x16, uuid?, octets("svc_hex")?)))
        .or_else(|| Some(structure(0xff, company?, octets("mfr_hex")?)))
}
