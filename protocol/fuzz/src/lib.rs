//! Fuzzing of every parser in `vitrine-protocol`.
//!
//! A target is a function that takes any octets, has a parser read them and asserts what must hold whatever they
//! are. [`TARGETS`] lists them. Two drivers run the same functions: libFuzzer (`fuzz_targets/`, coverage-guided), and
//! the plain harness in `tests/plain.rs`, which mutates seeds on stable Rust and is part of every test run.

pub mod seeds;
mod targets;

use targets::{bthome, layout, line, radio, text};

/// One parser, and what its inputs look like.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: the libFuzzer program's too.
    pub name: &'static str,
    /// Panics when an invariant does not hold.
    pub run: fn(&[u8]),
    /// Inputs to start from: what is met in the field, and what once failed.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target. A new parser is a line here and a program in `fuzz_targets/`, which a test asks for.
#[rustfmt::skip]
pub const TARGETS: &[Target] = &[
    Target { name: "advertisement", run: radio::advertisement, seeds: seeds::advertisements },
    Target { name: "manufacturer_data", run: radio::manufacturer_data, seeds: seeds::manufacturer_data },
    Target { name: "service_data", run: radio::service_data, seeds: seeds::service_data },
    Target { name: "ibeacon", run: |data| radio::manufacturer(0x004c, &[0x02, 0x15], data), seeds: || seeds::hex("ibeacon") },
    Target { name: "altbeacon", run: |data| radio::manufacturer(0x0118, &[0xbe, 0xac], data), seeds: || seeds::hex("altbeacon") },
    Target { name: "ruuvi", run: |data| radio::manufacturer(0x0499, &[], data), seeds: || seeds::hex("ruuvi") },
    Target { name: "minew_info", run: |data| radio::manufacturer(0x0639, &[], data), seeds: || seeds::hex("minew_info") },
    Target { name: "secure", run: radio::secure, seeds: || seeds::hex("secure") },
    Target { name: "eddystone", run: |data| radio::service(0xfeaa, &[], data), seeds: || seeds::hex("eddystone") },
    Target { name: "kontakt", run: |data| radio::service(0xfe6a, &[], data), seeds: || seeds::hex("kontakt") },
    Target { name: "minew", run: |data| radio::service(0xffe1, &[], data), seeds: || seeds::hex("minew") },
    Target { name: "bthome", run: |data| radio::service(0xfcd2, &[], data), seeds: || seeds::service_data_of(0xfcd2) },
    Target { name: "bthome_v1", run: bthome::version_1, seeds: || seeds::service_data_of(0x181c) },
    Target { name: "bthome_encrypted", run: bthome::encrypted, seeds: seeds::bthome_encrypted },
    Target { name: "layout", run: layout::layout, seeds: seeds::layouts },
    Target { name: "shelf", run: line::shelf, seeds: || seeds::hex("shelf") },
    Target { name: "envelope", run: text::envelope, seeds: || seeds::text("envelope") },
    Target { name: "status", run: text::status, seeds: || seeds::text("status") },
    Target { name: "id", run: text::id, seeds: || seeds::text("id") },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The libFuzzer program of the target that has the program's name.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! libfuzzer {
    () => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            let name = env!("CARGO_BIN_NAME");
            ($crate::target(name).expect("a target has the program's name").run)(data);
        });
    };
}
