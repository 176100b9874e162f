//! Programs that run to their end: what they are given, and what they say.

use crate::agent::binary;
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Runs a program on `input`. Exit code, standard output and standard error.
pub fn run(command: &mut Command, input: &str) -> (Option<i32>, String, String) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = piped.spawn().unwrap();
    // One that does not read closes its end.
    process.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The same of the agent's binary.
pub fn vitrine(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    run(Command::new(binary()).args(arguments), input)
}
