//! The brokers that a platform may have, each started from its own files in `deploy/platform`, on free loopback ports, with
//! a directory of its own. A broker of this machine is neither used nor touched.

mod mosquitto;
mod nats;
mod rabbitmq;
mod rumqttd;

use crate::{
    client::{Client, Login, Version},
    wait::wait_for,
};
use std::{
    fs::{self, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The gateway's user in `deploy/platform`: its path.
pub const GATEWAY: &str = "acme/lyon-2/gw-1";
/// The platform's user.
pub const PLATFORM: &str = "platform";
/// The password of both.
pub const PASSWORD: &str = "change-me";

/// RabbitMQ has taken two minutes on a machine with five times more to do than it can.
const START_S: u64 = 300;

/// A broker of one or several nodes; killed when dropped.
pub struct Broker {
    /// Its name in tables.
    pub name: &'static str,
    /// The newest version that it speaks.
    pub newest: Version,
    nodes: Vec<Node>,
    /// What it needs besides.
    helpers: Vec<Child>,
    directory: TempDir,
}

/// One process of a broker.
struct Node {
    /// Where it speaks MQTT 3.1.1, and 5 if it does.
    ports: [u16; 2],
    command: Box<dyn Fn() -> Command + Send + Sync>,
    process: Option<Child>,
}

impl Broker {
    /// The ports of all nodes for a version.
    pub fn ports(&self, version: Version) -> Vec<u16> {
        let index = usize::from(version == Version::V5);
        self.nodes.iter().map(|node| node.ports[index]).collect()
    }

    /// How many nodes it has.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// SIGKILL to a node.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&mut self, node: usize) {
        let mut process = self.nodes[node].process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// SIGTERM to a node, until it has ended.
    ///
    /// # Panics
    /// Where it does not run, or does not end.
    pub fn stop(&mut self, node: usize) {
        let mut process = self.nodes[node].process.take().expect("it runs");
        crate::terminate(&mut process);
        wait_for("the broker ends after SIGTERM", 60, || process.try_wait().unwrap());
    }

    /// Starts a node again, on its ports and with its data; returns when it takes connections.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&mut self, node: usize) {
        self.spawn(node);
        self.wait_ready(node);
    }

    /// One that has not started yet.
    fn new(name: &'static str, newest: Version) -> Self {
        Self { name, newest, nodes: Vec::new(), helpers: Vec::new(), directory: tempfile::tempdir().unwrap() }
    }

    /// Adds a node.
    fn node(&mut self, ports: [u16; 2], command: impl Fn() -> Command + Send + Sync + 'static) {
        self.nodes.push(Node { ports, command: Box::new(command), process: None });
    }

    /// Starts all nodes.
    fn started(mut self) -> Self {
        (0..self.nodes.len()).for_each(|node| self.spawn(node));
        (0..self.nodes.len()).for_each(|node| self.wait_ready(node));
        self
    }

    fn spawn(&mut self, node: usize) {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path(node)).unwrap();
        let mut command = (self.nodes[node].command)();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.nodes[node].process = Some(spawn(&mut command));
    }

    fn wait_ready(&mut self, node: usize) {
        let login = Login { client_id: "platform-probe", credentials: (PLATFORM, PASSWORD), clean: true };
        wait_for("the broker takes connections", START_S, || {
            // A cluster that lacks a node takes none either.
            for (index, other) in self.nodes.iter_mut().enumerate() {
                if let Some(status) = other.process.as_mut().and_then(|process| process.try_wait().unwrap()) {
                    let log = self.directory.path().join(format!("log-{index}"));
                    panic!("a broker ended with {status}:\n{}", fs::read_to_string(log).unwrap());
                }
            }
            Client::connect(self.nodes[node].ports[0], Version::V311, &login).ok()
        });
    }

    fn log_path(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("log-{node}"))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let processes = self.nodes.iter_mut().filter_map(|node| node.process.take());
        for mut process in processes.chain(self.helpers.drain(..)) {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// Starts a program that Debian may have put where only root's `PATH` leads.
fn spawn(command: &mut Command) -> Child {
    let path = std::env::var("PATH").unwrap_or_default();
    match command.env("PATH", format!("{path}:/usr/sbin:/sbin")).spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{command:?} is missing: apt-get install mosquitto nats-server rabbitmq-server")
        }
        started => started.unwrap(),
    }
}

/// Copies a file of `deploy/platform` into a directory, edited: every text to be replaced must be there.
fn configure(file: &str, into: &Path, edits: &[(&str, &str)]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/platform").join(file);
    let mut text = fs::read_to_string(&source).unwrap();
    for (from, to) in edits {
        assert!(text.contains(from), "`{from}` in {}", source.display());
        text = text.replace(from, to);
    }
    let path = into.join(source.file_name().unwrap());
    fs::write(&path, text).unwrap();
    path
}
