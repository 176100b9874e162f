//! The plain harness: every target on mutated seeds, for a time, on stable Rust.
//!
//! | variable | meaning |
//! |---|---|
//! | `VITRINE_FUZZ_SECONDS` | seconds for each target; 1 if not set |
//! | `VITRINE_FUZZ_SEED` | what the mutations follow from; drawn and printed if not set |
//! | `VITRINE_FUZZ_TARGET` | this target alone |
//!
//! An input that fails is printed and left in `artifacts/`, where libFuzzer's are too.

mod mutate;

use fastrand::Rng;
use mutate::Mutator;
use std::{
    env, fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use vitrine_fuzz::{TARGETS, Target, target};

/// Inputs between two looks at the clock.
const BURST: u64 = 256;

#[test]
fn every_target_holds() {
    let seconds: f64 = variable("VITRINE_FUZZ_SECONDS").unwrap_or(1.0);
    let seed = variable("VITRINE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let targets: Vec<_> = match variable::<String>("VITRINE_FUZZ_TARGET") {
        Some(name) => vec![target(&name).unwrap_or_else(|| panic!("no target is called {name:?}"))],
        None => TARGETS.iter().collect(),
    };
    let mut failed = Vec::new();
    for target in targets {
        match fuzz(target, seed, Duration::from_secs_f64(seconds)) {
            Ok(inputs) => eprintln!("{:<18} {inputs:>9} inputs, seed {seed}", target.name),
            Err(input) => {
                let path = keep(target, &input);
                eprintln!("{}: FAILED, seed {seed}, input {}", target.name, hex::encode(&input));
                eprintln!("  it is in {}; once mended, add it to seeds/", path.display());
                failed.push(target.name);
            }
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

/// How many inputs were well, or the first one that was not.
#[expect(clippy::disallowed_methods, reason = "how long to try is the only thing that depends on it")]
fn fuzz(target: &Target, seed: u64, time: Duration) -> Result<u64, Vec<u8>> {
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    for input in &seeds {
        check(target, input)?;
    }
    let mut inputs = seeds.len() as u64;
    let mut mutator = Mutator::new(Rng::with_seed(seed), seeds);
    let started = Instant::now();
    while started.elapsed() < time {
        for _ in 0..BURST {
            check(target, mutator.next_input())?;
        }
        inputs += BURST;
    }
    Ok(inputs)
}

fn check(target: &Target, input: &[u8]) -> Result<(), Vec<u8>> {
    catch_unwind(|| (target.run)(input)).map_err(|_| input.to_vec())
}

fn keep(target: &Target, input: &[u8]) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target.name);
    fs::create_dir_all(&directory).expect("artifacts/ can be made");
    let path = directory.join("plain");
    fs::write(&path, input).expect("artifacts/ can be written");
    path
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text:?} cannot be read")))
}

#[test]
fn every_target_has_its_libfuzzer_program() {
    let manifest = include_str!("../../Cargo.toml");
    let programs = manifest.split("[[bin]]").skip(1).count();
    assert_eq!(programs, TARGETS.len());
    for target in TARGETS {
        let name = target.name;
        let lines = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&lines), "Cargo.toml has no program {name}");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz_targets/{name}.rs"));
        assert!(program.is_file(), "there is no {}", program.display());
    }
}

/// A harness that finds nothing is to be told from one that cannot find.
#[test]
fn a_planted_fault_is_found() {
    fn planted(data: &[u8]) {
        assert!(!matches!(data, [0xff, .., 0x80]), "planted");
    }
    let target = Target { name: "planted", run: planted, seeds: || vec![vec![1, 2, 3, 4, 5]] };
    let input = fuzz(&target, 1, Duration::from_secs(60)).expect_err("it was not found");
    assert!(matches!(input[..], [0xff, .., 0x80]));
}
