//! Finds the spool that is meant, and who has it.

use crate::{
    cli::DEFAULT_CONFIG,
    config,
    local::{SPOOL, SPOOL_FILES, socket},
    spool::{Bound, Lane, SpoolError, Stats, View},
};
use anyhow::bail;
use std::{
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// An agent that starts or stops has its spool for a moment without answering: how often, and after which pause, it is asked again.
const ATTEMPTS: u32 = 12;
const PAUSE: Duration = Duration::from_millis(250);

/// Which spool is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The gateway's configuration, which names the spool.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The spool's directory, whatever the configuration says.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// The socket of the agent that has the spool, if it is not found.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// A spool that is looked at.
pub(super) struct Opened {
    pub(super) view: View,
    /// What the lanes are bounded to, where a configuration was read.
    pub(super) bounds: Option<[Bound; Lane::ALL.len()]>,
    /// What the agent says that has it.
    pub(super) stats: Option<Stats>,
}

/// Where the spool is, and which agent may have it.
struct Place {
    dir: PathBuf,
    bounds: Option<[Bound; Lane::ALL.len()]>,
    sockets: Vec<PathBuf>,
}

/// Finds the spool, and the agent that has it, if one has.
pub(super) fn open(which: &Which) -> anyhow::Result<Opened> {
    let place = place(which)?;
    let dir = &place.dir;
    for attempt in 1.. {
        match View::open(dir) {
            Ok(view) => return Ok(Opened { view, bounds: place.bounds, stats: None }),
            Err(SpoolError::Locked(_)) => match of_running(dir, &place.sockets)? {
                Ok((view, stats)) => return Ok(Opened { view, bounds: place.bounds, stats: Some(stats) }),
                Err(why) if attempt == ATTEMPTS => bail!(
                    "{}: an agent has this spool and does not answer: {why}; name its socket with --socket, or stop it",
                    dir.display()
                ),
                Err(_) => thread::sleep(PAUSE),
            },
            Err(SpoolError::Io { path, error }) => match error.kind() {
                io::ErrorKind::NotFound => bail!(
                    "{}: there is no spool; name its directory with --dir, or the gateway's file with --config",
                    dir.display()
                ),
                io::ErrorKind::PermissionDenied => {
                    bail!(
                        "{}: {error}; look at it as root, or as the user that the agent runs as",
                        path.display()
                    )
                }
                _ => return Err(SpoolError::Io { path, error }.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the last attempt ends it")
}

fn place(which: &Which) -> anyhow::Result<Place> {
    let Some(dir) = which.dir.clone() else {
        let config = config::load(&which.config)?;
        let named = which.socket.clone().or(config.socket);
        let sockets = named.map_or_else(|| socket::usual_paths(&config.state_dir), |socket| vec![socket]);
        return Ok(Place { dir: config.spool.dir, bounds: Some(config.spool.bounds), sockets });
    };
    let usual = || socket::usual_paths(dir.parent().unwrap_or(&dir));
    let sockets = which.socket.clone().map_or_else(usual, |socket| vec![socket]);
    Ok(Place { dir, bounds: None, sockets })
}

/// The agent that has the spool in `dir`; or why there is none at any of `sockets`.
fn of_running(dir: &Path, sockets: &[PathBuf]) -> Result<Result<(View, Stats), String>, SpoolError> {
    let mut whys = Vec::new();
    for socket in sockets {
        let asked = socket.clone();
        let ask = move || {
            socket::ask(&asked, SPOOL_FILES)
                .map_err(|error| SpoolError::NoAnswer { socket: asked.clone(), error })
        };
        let view = View::of_running(dir, ask)?;
        match socket::ask::<Stats>(socket, SPOOL) {
            Ok(stats) if view.id().is_none_or(|id| id == stats.spool_id) => return Ok(Ok((view, stats))),
            Ok(_) => whys.push(format!("{} is the socket of another spool", socket.display())),
            Err(error) => whys.push(format!("{}: {error}", socket.display())),
        }
    }
    Ok(Err(whys.join(", ")))
}
