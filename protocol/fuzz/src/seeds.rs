//! Inputs to start from: recordings in `tests/data`, and lines in `seeds/`.
//!
//! A file in `seeds/` is named after its target and holds one input a line: `.hex` for octets, `.txt` for text. Empty
//! lines and lines that begin with `#` say something to the reader. An input that once failed is added there.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
};
use vitrine_protocol::advertisement::{MANUFACTURER_DATA, SERVICE_DATA_16, structures};

/// The inputs of `seeds/{name}.hex`.
pub fn hex(name: &str) -> Vec<Vec<u8>> {
    lines(&format!("{name}.hex"), |line| hex::decode(line).expect("an even number of hexadecimal digits"))
}

/// The inputs of `seeds/{name}.txt`.
pub fn text(name: &str) -> Vec<Vec<u8>> {
    lines(&format!("{name}.txt"), |line| line.as_bytes().to_vec())
}

/// Whole advertisements: recorded ones, and those in `seeds/`.
pub fn advertisements() -> Vec<Vec<u8>> {
    let mut seeds = hex("advertisement");
    seeds.extend(recorded());
    seeds
}

/// Company and manufacturer data of the same advertisements.
pub fn manufacturer_data() -> Vec<Vec<u8>> {
    structures_of_type(MANUFACTURER_DATA)
}

/// UUID and service data of the same advertisements.
pub fn service_data() -> Vec<Vec<u8>> {
    structures_of_type(SERVICE_DATA_16)
}

fn structures_of_type(ad_type: u8) -> Vec<Vec<u8>> {
    let advertisements = advertisements();
    let all = advertisements.iter().flat_map(|advertisement| structures(advertisement).flatten());
    let distinct: BTreeSet<_> = all
        .filter(|structure| structure.ad_type == ad_type)
        .map(|structure| structure.data.to_vec())
        .collect();
    distinct.into_iter().collect()
}

/// Most of what was recorded is repeated many times.
fn recorded() -> BTreeSet<Vec<u8>> {
    let path = root().join("../../tests/data/mitll-1-may-anechoic-chamber.jsonl.gz");
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    let advertisement = |line: std::io::Result<String>| {
        let line: serde_json::Value = serde_json::from_str(&line.expect("gzip")).expect("JSON lines");
        let advertisement = line["adv_hex"].as_str().expect("adv_hex is a text");
        hex::decode(advertisement).expect("adv_hex is hexadecimal")
    };
    lines.map(advertisement).collect()
}

fn lines(file: &str, read: fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
    let path = root().join("seeds").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(read).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
