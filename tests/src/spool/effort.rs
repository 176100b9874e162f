//! How much a test does, and what decides about its chances.
//!
//! A test that breaks the spool on purpose has a bounded form, for every change, and a long one, for `tests/run soak`.
//! Its seed is printed, and another one can be given.

/// The long form is asked for in this variable, by `1`.
const LONG_VARIABLE: &str = "VITRINE_TEST_LONG";
/// A seed can be given in this variable.
const SEED_VARIABLE: &str = "VITRINE_TEST_SEED";

/// Whether the long form was asked for.
pub fn is_long() -> bool {
    std::env::var(LONG_VARIABLE).is_ok_and(|value| value == "1")
}

/// How many rounds: `bounded`, or `long` if that was asked for.
pub fn rounds(bounded: u64, long: u64) -> u64 {
    if is_long() { long } else { bounded }
}

/// The seed of this run, printed so that the run can be had again.
#[allow(clippy::print_stdout, reason = "shown where the test fails")]
pub fn seed(test: &str) -> u64 {
    let seed =
        std::env::var(SEED_VARIABLE).map_or_else(|_| fastrand::u64(..1 << 32), |seed| seed.parse().unwrap());
    println!("{test}: {SEED_VARIABLE}={seed}");
    seed
}
