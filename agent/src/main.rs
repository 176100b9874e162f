//! The binary `vitrine`: flags, logging, exit code. The work is in the library.

use clap::Parser;
use std::process::ExitCode;
use vitrine_agent::{cli::Cli, memory};

fn main() -> ExitCode {
    memory::keep_small();
    vitrine_agent::cli::run(Cli::parse())
}
