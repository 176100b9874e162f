//! The command line: one file a subcommand. Raw flags in, exit code out.
//!
//! Exit codes: 0 well, 1 failed, 2 bad usage, 64 invalid configuration. Errors go to stderr, in one line each that
//! says what to do; results go to stdout.

mod check;
mod decode;
#[cfg(feature = "demo")]
mod demo;
mod installer;
mod replay;
mod run;
mod spool;
mod status;
mod text;

pub(crate) use installer::Leave;

use crate::document::Problems;
use clap::{Parser, Subcommand};
use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};
use tracing_subscriber::EnvFilter;

/// Invalid configuration, as `sysexits.h` has EX_USAGE.
const EXIT_INVALID_CONFIGURATION: u8 = 64;
const DEFAULT_CONFIG: &str = "/etc/vitrine/gateway.toml";

/// Opens the black box of the store, without spying on anyone.
///
/// A daemon for store gateways: it hears BLE beacons, smart shelves and kiosks, keeps what they say safe while the line
/// is down, and publishes anonymous in-store traces over MQTT.
///
/// New here? `vitrine demo` runs the whole line against a simulated store. To install: write gateway.toml and
/// store.toml (examples are in deploy/config), say `vitrine check`, then `vitrine run`.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Decode(decode::Args),
    Scan(installer::scan::Args),
    Record(installer::record::Args),
    Replay(replay::Args),
    Spool(spool::Args),
    Status(status::Args),
    #[cfg(feature = "demo")]
    Demo(demo::Args),
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// The gateway's configuration. The tagging plan is `store.toml` beside it, unless it names another.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Runs the command and says how it went.
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Decode(args) => decode::run(args),
        Command::Scan(args) => installer::scan::run(args),
        Command::Record(args) => installer::record::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Spool(args) => spool::run(args),
        Command::Status(args) => status::run(args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has had enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let invalid = error.is::<Problems>();
            writeln!(io::stderr(), "{}{error:#}", if invalid { "" } else { "vitrine: " }).ok();
            if invalid { ExitCode::from(EXIT_INVALID_CONFIGURATION) } else { ExitCode::FAILURE }
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Logs to stderr: for people on a terminal, as JSON otherwise. `VITRINE_LOG` says what, as `RUST_LOG` would.
fn start_logging(default: &str) {
    let filter = EnvFilter::try_from_env("VITRINE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|speed: &f64| speed.is_finite() && *speed > 0.0)
        .ok_or("write a number above 0".into())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
