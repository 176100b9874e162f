//! Runs cases inside the virtual machine of `tests/vm/run`: `vm_guest ci|all|CASE...`. One line a check; fails where one does.

use std::process::ExitCode;

fn main() -> ExitCode {
    let names: Vec<_> = std::env::args().skip(1).collect();
    if vitrine_tests::vm::cases::run(&names) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
