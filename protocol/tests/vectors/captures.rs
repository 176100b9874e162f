//! Recordings: what was in the air, with nobody's expectations. Nothing in them surprises the decoders, and what is
//! malformed is named.

use super::{Agreement, Vector, read};
use expect_test::{Expect, expect};
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs::File,
    io::{BufRead, BufReader},
};
use vitrine_protocol::{advertisement::structures, frame::Frame};

/// ruuvitag-sensor's recordings: nothing in them is malformed.
pub(crate) fn compare(vector: &Vector) -> Agreement {
    match read(&vector.advertisement()) {
        (_, Some(malformed)) => Err(malformed.to_string()),
        (_, None) => Ok(()),
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    adv_hex: &'a str,
}

/// Reads a recording of `tests/data` and compares what is in it: advertisements, frames by format, faults by offset.
fn check(name: &str, expected: Expect) {
    let path = format!("{}/../tests/data/mitll-{name}.jsonl.gz", env!("CARGO_MANIFEST_DIR"));
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    let (mut advertisements, mut all_structures, mut counts) = (0, 0, BTreeMap::<String, u32>::new());
    for line in lines {
        let line = line.unwrap();
        let advertisement = hex::decode(serde_json::from_str::<Line<'_>>(&line).unwrap().adv_hex).unwrap();
        let (frames, malformed) = read(&advertisement);
        advertisements += 1;
        all_structures += structures(&advertisement).flatten().count();
        for frame in &frames {
            *counts.entry(frame.format().to_owned()).or_default() += 1;
        }
        if let Some(malformed) = malformed {
            assert!(malformed.offset <= advertisement.len(), "{advertisement:02x?}");
            *counts.entry(format!("malformed: {malformed}")).or_default() += 1;
        }
        // A structure alone says the same as the whole.
        let apart =
            structures(&advertisement).flatten().filter_map(|one| Frame::from_structure(one).ok().flatten());
        assert!(apart.eq(frames));
    }
    let mut text = format!("{advertisements} advertisements, {all_structures} structures\n");
    counts.iter().for_each(|(what, count)| writeln!(text, "{count} {what}").unwrap());
    expected.assert_eq(&text);
}

#[test]
fn the_anechoic_chamber() {
    check(
        "1-may-anechoic-chamber",
        expect![[r#"
            64007 advertisements, 251789 structures
        "#]],
    );
}

#[test]
fn the_screen_room() {
    check(
        "1-may-screen-room",
        expect![[r#"
            79097 advertisements, 190029 structures
        "#]],
    );
}

#[test]
fn the_conference_room() {
    check(
        "5-may-conference-room",
        expect![[r#"
            95808 advertisements, 255002 structures
        "#]],
    );
}
