//! The agent as a process: the binary `vitrine` with files of its own, started, stopped and killed.

use crate::{http, mosquitto::free_port, wait::wait_for};
use std::{
    fs::{self, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};
use tempfile::TempDir;

/// The reference files, which every test starts from.
pub const GATEWAY_TOML: &str = include_str!("../../deploy/config/gateway.toml");
/// See [`GATEWAY_TOML`].
pub const STORE_TOML: &str = include_str!("../../deploy/config/store.toml");

/// The binary that Cargo has built beside this test or program.
///
/// # Panics
/// Where it was not built.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // A test is one directory further down than a program.
    let mut paths = test.ancestors().skip(1).take(2).map(|directory| directory.join("vitrine"));
    paths.find(|path| path.exists()).expect("`vitrine` is missing: cargo build -p vitrine-agent")
}

/// Replaces each of `edits`.
///
/// # Panics
/// Where one is not in `text` exactly once: the reference files have changed.
pub fn edit(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "`{from}` in\n{text}");
        text.replace(from, to)
    })
}

/// An agent with its directory; killed when dropped.
pub struct Agent {
    directory: TempDir,
    /// Where devices post to.
    pub port: u16,
    environment: Vec<(String, String)>,
    process: Option<Child>,
}

impl Agent {
    /// Writes the files of an agent that publishes to a broker at `broker_port` under the plan `store_toml`.
    pub fn new(broker_port: u16, store_toml: &str) -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let gateway_toml = edit(
            GATEWAY_TOML,
            &[
                ("127.0.0.1:1883", &format!("127.0.0.1:{broker_port}")),
                ("127.0.0.1:7400", &format!("127.0.0.1:{port}")),
                ("/var/lib/vitrine", "state"),
            ],
        );
        fs::write(directory.path().join("gateway.toml"), gateway_toml).unwrap();
        fs::write(directory.path().join("store.toml"), store_toml).unwrap();
        Self { directory, port, environment: Vec::new(), process: None }
    }

    /// Gives the agent the adapter `hci0` of the BlueZ on `bus_address`, as a receiver of its plan.
    pub fn with_radio(mut self, bus_address: &str, receiver: &str) -> Self {
        self.environment.push(("DBUS_SYSTEM_BUS_ADDRESS".into(), bus_address.into()));
        self.with(&format!("[[radios]]\nadapter = \"hci0\"\nreceiver = \"{receiver}\"\n"))
    }

    /// Adds `toml` at the end of its gateway.toml.
    #[must_use]
    pub fn with(self, toml: &str) -> Self {
        let path = self.directory.path().join("gateway.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + toml).unwrap();
        self
    }

    /// Adds `tables` to the end of its gateway.toml.
    #[must_use]
    pub fn with_tables(self, tables: &str) -> Self {
        let path = self.directory.path().join("gateway.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + tables).unwrap();
        self
    }

    /// What a metric without labels says now.
    ///
    /// # Panics
    /// Where the agent does not answer, or has no such metric.
    pub fn metric(&self, name: &str) -> u64 {
        let page = http::request(self.port, "GET", "/metrics", b"").unwrap().body;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {page}")).parse().unwrap()
    }

    /// Its process.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// `vitrine run`, with this agent's files.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("run").arg("--config").arg(self.directory.path().join("gateway.toml"));
        command.envs(self.environment.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// Where it runs already, or ends at once.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        self.process = Some(self.command().stdout(Stdio::null()).stderr(log).spawn().unwrap());
        wait_for("the agent answers", 60, || {
            if let Some(status) = self.process.as_mut().and_then(|process| process.try_wait().unwrap()) {
                panic!("the agent ended with {status}:\n{}", self.log());
            }
            let answer = http::request(self.port, "GET", "/healthz", b"").ok()?;
            (answer.status == 200).then_some(())
        });
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// SIGTERM, until it has ended.
    ///
    /// # Panics
    /// Where it does not end within its grace and some seconds.
    pub fn terminate(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("it runs");
        crate::terminate(process);
        let status = wait_for("the agent ends after SIGTERM", 30, || process.try_wait().unwrap());
        self.process = None;
        status
    }

    /// Posts `body` once; the status.
    ///
    /// # Errors
    /// See [`http::request`].
    pub fn post(&self, path: &str, body: &serde_json::Value) -> std::io::Result<u16> {
        Ok(http::request(self.port, "POST", path, body.to_string().as_bytes())?.status)
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the spool and its state are.
    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// What it has logged, over all its starts: JSON lines.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
        if std::thread::panicking() {
            let log = self.log();
            #[allow(clippy::print_stdout, reason = "captured, and shown where the test has failed")]
            {
                println!("---- the agent's log ----\n{log}");
            }
        }
    }
}

/// Every file below `directory`, with its content; the agent's socket is none.
pub fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            match fs::read(&path) {
                Ok(content) => found.push((path, content)),
                // An agent that runs removes what it does not need any more.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
    found
}
