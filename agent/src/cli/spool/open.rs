//! Finds the spool that is meant, and who has it.

use crate::{
    cli::DEFAULT_CONFIG,
    config,
    local::{SPOOL, SPOOL_FILES, socket},
    spool::{Bound, Lane, Live, SpoolError, Stats, View},
};
use anyhow::anyhow;
use serde::de::DeserializeOwned;
use std::{
    io,
    path::{Path, PathBuf},
};

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
    let Place { dir, bounds, sockets } = place(which)?;
    let view = View::open(&dir).map_err(|error| explained(&dir, error))?;
    let id = view.id();
    let view = view.asking({
        let (dir, sockets) = (dir.clone(), sockets.clone());
        move || ask(&dir, &sockets, SPOOL_FILES, |live: &Live| id.is_none_or(|id| id == live.spool_id))
    });
    let stats = view
        .is_running()
        .then(|| ask(&dir, &sockets, SPOOL, |stats: &Stats| id.is_none_or(|id| id == stats.spool_id)).ok());
    Ok(Opened { view, bounds, stats: stats.flatten() })
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

/// What the agent answers whose spool is in `dir`: `is_its` says whether an answer is from it, or from another agent.
fn ask<T: DeserializeOwned>(
    dir: &Path,
    sockets: &[PathBuf],
    path: &str,
    is_its: impl Fn(&T) -> bool,
) -> Result<T, SpoolError> {
    let mut whys = Vec::new();
    for socket in sockets {
        match socket::ask(socket, path) {
            Ok(answer) if is_its(&answer) => return Ok(answer),
            Ok(_) => whys.push(format!("{}: the socket of another spool", socket.display())),
            Err(error) => whys.push(format!("{}: {error}", socket.display())),
        }
    }
    Err(SpoolError::NoAnswer { dir: dir.to_owned(), why: whys.join(", ") })
}

fn explained(dir: &Path, error: SpoolError) -> anyhow::Error {
    let dir = dir.display();
    match error {
        SpoolError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound => {
            anyhow!(
                "{dir}: there is no spool; name its directory with --dir, or the gateway's file with --config"
            )
        }
        SpoolError::Io { path, error } if error.kind() == io::ErrorKind::PermissionDenied => {
            anyhow!("{}: {error}; look at it as root, or as the user that the agent runs as", path.display())
        }
        error => error.into(),
    }
}
