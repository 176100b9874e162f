//! The cases of `tests/vm/run`.
//!
//! What is heard is measured against what the controller says it sent, by the machine's own clock: it is emulated, and slow.

mod daemon;
mod ear;

use super::Judge;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// A case: its name, whether it is for every run, and what it does.
type Case = (&'static str, bool, fn(&mut Judge));

const CASES: [Case; 12] = [
    ("formats", true, ear::formats),
    ("one_shot", true, ear::one_shot),
    ("duplicates", true, ear::duplicates),
    ("duplicates_mgmt", true, ear::duplicates_mgmt),
    ("flood_mgmt", true, ear::flood_mgmt),
    ("faults", true, daemon::faults),
    ("faults_mgmt", true, daemon::faults_mgmt),
    ("churn", true, daemon::churn),
    ("dual_mode", false, ear::dual_mode),
    ("extended", false, ear::extended),
    ("flood_bluez", false, ear::flood_bluez),
    ("churn_bluez", false, daemon::churn_bluez),
];

/// Runs the cases of these names, `ci` or `all`; whether all is well.
pub fn run(names: &[String]) -> bool {
    let (mut failures, mut ran) = (0, 0);
    for name in names {
        let chosen = CASES.iter().filter(|(case, for_every_run, _)| match name.as_str() {
            "all" => true,
            "ci" => *for_every_run,
            name => name == *case,
        });
        for &(case, _, body) in chosen {
            let mut judge = Judge::of(case);
            let started = tokio::time::Instant::now();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&mut judge))) {
                judge.check(false, text(panic.as_ref()));
            }
            judge.note(format!("took {} s", started.elapsed().as_secs()));
            failures += judge.failures();
            ran += 1;
        }
    }
    if ran == 0 {
        let names: Vec<_> = CASES.iter().map(|(name, ..)| *name).collect();
        Judge::of("cases").check(false, format!("no such case: choose ci, all or of {}", names.join(", ")));
    }
    ran > 0 && failures == 0
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked")
}
