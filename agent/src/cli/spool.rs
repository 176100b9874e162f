//! `vitrine spool`: what waits on this gateway, whether it is whole, what it says, and how to get at what is damaged. One file a
//! subcommand; how a spool is found is `open`'s, how an event is printed `line`'s, how numbers are [`text`](super::text)'s.

mod dump;
mod line;
mod open;
mod salvage;
mod stat;
mod verify;

use clap::Subcommand;

/// Look into the buffer of unsent events, while the agent runs or is stopped
///
/// Nothing here changes the spool, or stands in an agent's way. Of a running one it is asked, through its socket, which files
/// count. docs/spool.md says what to do when.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Stat(stat::Args),
    Verify(verify::Args),
    Dump(dump::Args),
    Salvage(salvage::Args),
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Stat(args) => stat::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Dump(args) => dump::run(args),
        Command::Salvage(args) => salvage::run(args),
    }
}
