//! Frames against what other projects captured or wrote down, and decoded.
//!
//! `../data/advertisement-vectors.jsonl` has a line for each: payload, source, licence, and what the source expects in
//! its own words. A module for each family of formats puts those words into ours; where we differ, the vector stands in
//! [`EXCEPTIONS`] with the reason by the format's specification, or the test fails.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod android_beacon;
mod captures;
mod eddystone;
mod ibeacon;
mod minew;
mod ruuvi;
mod structures;

use expect_test::expect;
use serde::Deserialize;
use serde_json::Value as Json;
use std::{collections::BTreeMap, fmt::Debug};
use vitrine_protocol::{advertisement::Malformed, frame::Frame};

const VECTORS: &str = include_str!("../data/advertisement-vectors.jsonl");

/// By id: where the source's expectation is its own policy, or the vector is none, and why.
const EXCEPTIONS: [(&str, &str); 5] = [
    (
        "f8b82b7c5812",
        "Core 5.4, Vol 3 Part C 11: a length of zero ends the data; the source reads on, for BlueZ joins advertisement and scan response",
    ),
    ("26d66b2367e1", "as above: the source reads on after a length of zero"),
    (
        "334507e2c020",
        "the source builds the rest of the advertisement when it runs: what is here is its first four octets",
    ),
    (
        "376272ace93c",
        "the structure's length points past the end of the advertisement, which the source allows",
    ),
    (
        "a834fc4c7546",
        "eddystone-url: an encoded URL has at most 17 octets after its scheme, and this one has 21",
    ),
];

/// A line of the file.
#[derive(Deserialize)]
struct Vector {
    id: String,
    source: String,
    test: String,
    format: String,
    adv_hex: Option<String>,
    adv_parts_hex: Option<Vec<String>>,
    svc_uuid: Option<String>,
    svc_hex: Option<String>,
    url_bytes_hex: Option<String>,
    mfr_company: Option<u16>,
    mfr_hex: Option<String>,
    raw_hex: Option<String>,
    args: Option<Json>,
    #[serde(default)]
    layout: Vec<String>,
    expected: Json,
}

fn vectors() -> impl Iterator<Item = Vector> {
    VECTORS.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// What was read: the frames, and what was malformed first.
type Read = (Vec<Frame>, Option<Malformed>);
/// How a vector compares; the error says what differs.
type Agreement = Result<(), String>;

impl Vector {
    fn advertisement(&self) -> Vec<u8> {
        octets(self.adv_hex.as_ref().unwrap())
    }

    fn has_payload(&self) -> bool {
        // Format C5's documentation prints another format's octet.
        let is_misprinted = self.source.ends_with("data-format-c5-rawv2.md");
        let is_there = self.adv_hex.is_some() || self.svc_uuid.is_some() || self.mfr_company.is_some();
        is_there && !is_misprinted
    }

    /// The frames in the vector's advertisement, service data or manufacturer data.
    fn read(&self) -> Read {
        if self.adv_hex.is_some() {
            return read(&self.advertisement());
        }
        let one = match (&self.svc_uuid, &self.svc_hex, self.mfr_company, &self.mfr_hex) {
            (Some(uuid), Some(data), ..) => {
                Frame::from_service_data(u16::from_str_radix(uuid, 16).unwrap(), &octets(data))
            }
            (.., Some(company), Some(data)) => Frame::from_manufacturer_data(company, &octets(data)),
            _ => panic!("{} has no payload", self.id),
        };
        match one {
            Ok(frame) => (frame.into_iter().collect(), None),
            Err(malformed) => (vec![], Some(malformed)),
        }
    }

    fn frame(&self) -> Result<Frame, String> {
        match self.read() {
            (frames, None) if frames.len() == 1 => Ok(frames[0]),
            other => Err(format!("one frame, not {other:?}")),
        }
    }
}

fn read(advertisement: &[u8]) -> Read {
    let (mut frames, mut malformed) = (Vec::new(), None);
    for frame in Frame::decode(advertisement) {
        match frame {
            Ok(frame) => frames.push(frame),
            Err(error) => malformed = malformed.or(Some(error)),
        }
    }
    (frames, malformed)
}

/// `X` is a reserved digit, which may have any value.
fn octets(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace('X', "f")).unwrap()
}

fn same<T: PartialEq + Debug>(what: &str, ours: T, theirs: T) -> Agreement {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: ours is {ours:?}, theirs {theirs:?}")) }
}

/// Compares a vector by the module that speaks its source's words.
fn compare(vector: &Vector) -> Agreement {
    let project = vector.source.split(':').next().unwrap();
    match (project, vector.format.as_str()) {
        (_, "ad_structures") => structures::compare(vector),
        ("AltBeacon/android-beacon-library", _) if vector.url_bytes_hex.is_none() => {
            android_beacon::compare(vector)
        }
        (_, "eddystone" | "advlibbleservices" | "ll_packet") => eddystone::compare(vector),
        (_, "ibeacon" | "ibeacon/apple" | "advlibblemanufacturers") => ibeacon::compare(vector),
        (_, "ruuvi" | "ruuvitag") => ruuvi::compare(vector),
        (_, "minew") => minew::compare(vector),
        (_, "raw_capture_hci") => captures::compare(vector),
        other => panic!("no module speaks the words of {other:?}"),
    }
}

#[test]
fn every_vector_is_decoded_as_expected_or_excepted_with_a_reason() {
    let vectors: Vec<Vector> = vectors().collect();
    let (mut differing, mut compared) = (Vec::new(), BTreeMap::<_, u32>::new());
    for vector in &vectors {
        *compared.entry(vector.format.as_str()).or_default() += 1;
        let excepted = EXCEPTIONS.iter().any(|(id, _)| *id == vector.id);
        match compare(vector) {
            Err(difference) if !excepted => {
                differing.push(format!("{} {}: {difference}", vector.id, vector.test));
            }
            Ok(()) if excepted => differing.push(format!("{} agrees: it is no exception", vector.id)),
            _ => {}
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(EXCEPTIONS.iter().all(|(id, _)| vectors.iter().any(|vector| vector.id == *id)));
    assert!(EXCEPTIONS.len() * 100 < vectors.len() * 3, "less than 3 % are exceptions");
    expect![[r#"
        {
            "ad_structures": 47,
            "advlibblemanufacturers": 1,
            "advlibbleservices": 1,
            "altbeacon": 10,
            "eddystone": 42,
            "ibeacon": 3,
            "ibeacon/apple": 2,
            "ll_packet": 1,
            "minew": 17,
            "other_layout": 7,
            "raw_capture_hci": 131,
            "ruuvi": 21,
            "ruuvitag": 3,
        }
    "#]]
    .assert_debug_eq(&compared);
}

#[test]
fn what_is_malformed_is_named_by_offset() {
    let mut lines = String::new();
    for vector in vectors().filter(Vector::has_payload) {
        if let (frames, Some(malformed)) = vector.read() {
            lines += &format!("{}: {malformed}, {} frames\n", vector.test, frames.len());
        }
    }
    expect![[r#"
        test_parse_advertisement_data_flags_only: a structure's length points past the end at offset 2, 0 frames
        test_parse_advertisement_data_ignores_invalid: a structure's length points past the end at offset 17, 0 frames
        test_parse_advertisement_data_ignores_zero_type: a structure's length points past the end at offset 17, 0 frames
        test_parse_advertisement_data_recovers_from_corrupt_data: a structure's length points past the end at offset 30, 0 frames
        test_parse_advertisement_data_recovers_from_corrupt_data_2: a structure's length points past the end at offset 30, 0 frames
        test_parse_advertisement_data_recovers_from_corrupt_data_43: a structure's length points past the end at offset 30, 0 frames
        test_invalid_ad_debug_log_renders_without_error: a structure's length points past the end at offset 0, 0 frames
        test_manufacturer_data_short_by_one: the frame is cut short at offset 2, 0 frames
        test_manufacturer_data_short_by_two: the frame is cut short at offset 2, 0 frames
        testParseWrongFormatReturnsNothing: a structure's length points past the end at offset 30, 0 frames
        testReEncodesBeaconForEddystoneTelemetry: a structure's length points past the end at offset 7, 0 frames
        testParseManufacturerIdentifierThatRunsOverPduLength: the frame is cut short at offset 26, 0 frames
        testCanParseLongDataTypeOfDifferentSize: a structure's length points past the end at offset 0, 0 frames
        doesNotCrashOnMalformedEddystoneBeacon: the frame is cut short at offset 12, 0 frames
        testCompressEntireURLInCapsWithPath: the frame is longer than its format allows at offset 20, 0 frames
        undecodable invalid: an octet has a value that the format does not allow at offset 2, 0 frames
        undecodable invalid: an octet has a value that the format does not allow at offset 3, 0 frames
        undecodable invalid: an octet has a value that the format does not allow at offset 2, 0 frames
    "#]].assert_eq(&lines);
}

#[test]
fn a_recording_of_tags_has_their_readings() {
    let mut formats = BTreeMap::new();
    let recorded = vectors().filter(|vector| vector.format == "raw_capture_hci");
    for frame in recorded.flat_map(|vector| vector.read().0) {
        *formats.entry(frame.format()).or_insert(0) += 1;
    }
    expect![[r#"
        {
            "ruuvi": 36,
        }
    "#]]
    .assert_debug_eq(&formats);
}
