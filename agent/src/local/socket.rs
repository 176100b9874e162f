//! The agent's unix socket: for who may write to it, and nobody on the network. The agent listens, tools ask.
//!
//! A tool is another process of the same version or a later one, so what it asks is not frozen as the ingest API is.

use serde::de::DeserializeOwned;
use std::{
    env, fs,
    io::{self, Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::UnixListener;

const NAME: &str = "agent.sock";
/// Where systemd puts it, as our unit asks it to.
const SYSTEM_DIR: &str = "/run/vitrine";
/// The owner and the group.
const MODE: u32 = 0o660;
/// An agent answers at once, or is in trouble.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// No answer is longer: a segment of a lane takes about 200 octets in it.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A socket that is listened on; its file goes when this does.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
}

/// Where an agent listens that is told nothing else: in the directory that systemd gives it, or beside its state.
pub fn default_path(state_dir: &Path) -> PathBuf {
    runtime_dir().unwrap_or_else(|| state_dir.to_owned()).join(NAME)
}

/// Where such an agent may be found by who does not know how it was started.
pub fn usual_paths(state_dir: &Path) -> Vec<PathBuf> {
    let dirs = [runtime_dir(), Some(state_dir.to_owned()), Some(SYSTEM_DIR.into())];
    dirs.into_iter().flatten().map(|dir| dir.join(NAME)).collect()
}

fn runtime_dir() -> Option<PathBuf> {
    let dirs = env::var_os("RUNTIME_DIRECTORY")?;
    // There may be several.
    env::split_paths(&dirs).next().filter(|dir| dir.is_absolute())
}

impl Socket {
    /// Listens at `path`. What an agent has left there that was killed is replaced.
    ///
    /// # Errors
    /// `AddrInUse` if an agent listens there, and whatever else the system says.
    pub fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let is_left = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        if is_left && UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let socket = Self { path: path.to_owned() };
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        Ok((listener, socket))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Where it cannot be removed, the next agent will.
        fs::remove_file(&self.path).ok();
    }
}

/// Asks the agent at `socket` for the JSON at `path`.
///
/// # Errors
/// If nobody listens there, or the answer is not what was asked for.
pub fn ask<T: DeserializeOwned>(socket: &Path, path: &str) -> io::Result<T> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    // In this version an answer is the rest of the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| Some((head.lines().next()?, body)));
    let Some((status, body)) = parsed else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("it answers `{status}`; is it of another version?")));
    }
    Ok(serde_json::from_str(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, Router, routing::get};
    use tokio::sync::oneshot;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_tool_is_answered_and_only_what_nobody_listens_on_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = default_path(dir.path());
        // As a process leaves it that was killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (listener, socket) = Socket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/n", get(|| async { Json(7) }));
        let served = tokio::spawn(crate::local::run(listener, router, async { drop(stopped.await) }));
        let of_tool = path.clone();
        tokio::task::spawn_blocking(move || {
            assert_eq!(ask::<u32>(&of_tool, "/n").unwrap(), 7);
            let error = ask::<u32>(&of_tool, "/m").unwrap_err().to_string();
            assert_eq!(error, "it answers `HTTP/1.0 404 Not Found`; is it of another version?");
            assert_eq!(Socket::bind(&of_tool).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        })
        .await
        .unwrap();
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        fs::write(&path, "mine").unwrap();
        assert_eq!(Socket::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
