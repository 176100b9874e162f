//! Fuzzing of every parser in `vitrine-protocol`.
//!
//! A target is a function that takes any octets, has a parser read them and asserts what must hold whatever they
//! are. [`TARGETS`] lists them. Two drivers run the same functions: libFuzzer (`fuzz_targets/`, coverage-guided), and
//! the plain harness in `tests/plain.rs`, which mutates seeds on stable Rust and is part of every test run.

pub mod seeds;
mod targets;

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
    Target { name: "advertisement", run: targets::advertisement, seeds: seeds::advertisements },
    Target { name: "manufacturer_data", run: targets::manufacturer_data, seeds: seeds::manufacturer_data },
    Target { name: "service_data", run: targets::service_data, seeds: seeds::service_data },
    Target { name: "ibeacon", run: |data| targets::manufacturer(0x004c, &[0x02, 0x15], data), seeds: || seeds::hex("ibeacon") },
    Target { name: "eddystone", run: |data| targets::service(0xfeaa, &[], data), seeds: || seeds::hex("eddystone") },
    Target { name: "shelf", run: targets::shelf, seeds: || seeds::hex("shelf") },
    Target { name: "envelope", run: targets::envelope, seeds: || seeds::text("envelope") },
    Target { name: "status", run: targets::status, seeds: || seeds::text("status") },
    Target { name: "id", run: targets::id, seeds: || seeds::text("id") },
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
