//! Inputs to start from: recordings and vectors of the tests, and lines in `seeds/`.
//!
//! A file in `seeds/` is named after its target and holds one input a line: `.hex` for octets, `.txt` for text. Empty
//! lines and lines that begin with `#` say something to the reader. An input that once failed is added there.

use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::LazyLock,
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

/// Whole advertisements: recorded ones, those of the vectors, and those in `seeds/`.
pub fn advertisements() -> Vec<Vec<u8>> {
    let mut seeds = hex("advertisement");
    seeds.extend(RECORDED.iter().cloned());
    seeds.extend(vectors().filter_map(|vector| octets(&vector, "adv_hex")));
    seeds
}

/// Company and manufacturer data of the same advertisements.
pub fn manufacturer_data() -> Vec<Vec<u8>> {
    structures_of_type(MANUFACTURER_DATA)
}

/// UUID and service data of the same advertisements, and of vectors that have no more than that.
pub fn service_data() -> Vec<Vec<u8>> {
    let mut seeds = structures_of_type(SERVICE_DATA_16);
    seeds.extend(vectors().filter_map(|vector| {
        let uuid = vector["svc_uuid"].as_str()?;
        // `fcd2`, `0000fcd2-0000-1000-8000-00805f9b34fb`, or `181c/181e` for one of them.
        let short = uuid.split(['-', '/']).next()?.trim_start_matches("0000");
        let uuid = u16::from_str_radix(short, 16).expect("a 16-bit UUID");
        Some([uuid.to_le_bytes().to_vec(), octets(&vector, "svc_hex")?].concat())
    }));
    seeds
}

/// The service data of one UUID.
pub fn service_data_of(uuid: u16) -> Vec<Vec<u8>> {
    let all = service_data().into_iter();
    all.filter_map(|data| data.strip_prefix(&uuid.to_le_bytes()).map(<[u8]>::to_vec)).collect()
}

/// Key, address and service data of BTHome's vectors; a key of our own for those that need none.
pub fn bthome_encrypted() -> Vec<Vec<u8>> {
    let with_key = |vector: Value| {
        let key = octets(&vector, "key").unwrap_or_else(|| vec![7; 16]);
        let address = octets(&vector, "address").unwrap_or_else(|| vec![1; 6]);
        (vector["format"] == "bthome_v2").then_some(())?;
        Some([key, address, octets(&vector, "svc_hex")?].concat())
    };
    vectors().filter_map(with_key).collect()
}

/// Layouts, each before advertisements.
pub fn layouts() -> Vec<Vec<u8>> {
    let advertisements = hex("advertisement");
    let before = |layout: Vec<u8>| {
        advertisements
            .iter()
            .map(move |advertisement| [&layout, &b"\n"[..], advertisement].concat())
            .collect::<Vec<_>>()
    };
    text("layout").into_iter().flat_map(before).collect()
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
static RECORDED: LazyLock<BTreeSet<Vec<u8>>> = LazyLock::new(|| {
    let file = open(&root().join("../../tests/data/mitll-1-may-anechoic-chamber.jsonl.gz"));
    json_lines(flate2::read::GzDecoder::new(file)).filter_map(|line| octets(&line, "adv_hex")).collect()
});

/// Every line of every `*-vectors.jsonl` of the tests.
fn vectors() -> impl Iterator<Item = Value> {
    let directory = root().join("../tests/data");
    let entries = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a directory's entry").path()).collect();
    files.sort();
    files.retain(|file| file.to_string_lossy().ends_with("-vectors.jsonl"));
    files.into_iter().flat_map(|file| json_lines(open(&file)))
}

fn json_lines(file: impl Read) -> impl Iterator<Item = Value> {
    BufReader::new(file).lines().map(|line| serde_json::from_str(&line.expect("text")).expect("JSON lines"))
}

fn octets(line: &Value, field: &str) -> Option<Vec<u8>> {
    line[field].as_str().map(|text| hex::decode(text).unwrap_or_else(|e| panic!("{field}: {text}: {e}")))
}

fn open(path: &Path) -> File {
    File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn lines(file: &str, read: fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
    let path = root().join("seeds").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(read).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
