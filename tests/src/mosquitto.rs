//! A Mosquitto broker of one's own, on a free port.

use std::{
    io::{ErrorKind, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::{NamedTempFile, TempDir};

/// A broker; killed when dropped.
pub struct Mosquitto {
    /// Where it listens, on the loopback address.
    pub port: u16,
    config: NamedTempFile,
    /// Where it keeps sessions and messages, if it does.
    _store: Option<TempDir>,
    process: Child,
}

impl Mosquitto {
    /// Starts a broker with unbounded queues that keeps nothing on disk, and `settings` (lines of mosquitto.conf)
    /// besides.
    pub fn start(settings: &str) -> Self {
        Self::start_with(&format!("persistence false\n{settings}"), None)
    }

    /// Starts a broker with unbounded queues that keeps sessions and messages when it is told to end.
    pub fn start_persistent() -> Self {
        let store = tempfile::tempdir().unwrap();
        // Started by root, it would go on as another user, who may not write there.
        let settings = format!(
            "persistence true\npersistence_location {}/\nautosave_interval 1\nuser root",
            store.path().display()
        );
        Self::start_with(&settings, Some(store))
    }

    /// Starts a broker with the configuration `settings` alone, which makes it listen on `port` of the loopback address.
    pub fn start_as(settings: &str, port: u16) -> Self {
        let mut config = NamedTempFile::new().unwrap();
        config.write_all(settings.as_bytes()).unwrap();
        let process = spawn(&config, port);
        Self { port, config, _store: None, process }
    }

    fn start_with(settings: &str, store: Option<TempDir>) -> Self {
        let port = free_port();
        let mut config = NamedTempFile::new().unwrap();
        write!(
            config,
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n{settings}\n"
        )
        .unwrap();
        let process = spawn(&config, port);
        Self { port, config, _store: store, process }
    }

    /// Kills it (SIGKILL): it has no time to say anything.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Ends it (SIGTERM): it writes down what it keeps.
    pub fn terminate(&mut self) {
        crate::terminate(&mut self.process);
        self.process.wait().unwrap();
    }

    /// Starts it again, at the same port.
    pub fn restart(&mut self) {
        self.process = spawn(&self.config, self.port);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if self.process.kill().is_ok() {
            self.process.wait().ok();
        }
    }
}

fn spawn(config: &NamedTempFile, port: u16) -> Child {
    // Debian installs it where only root's PATH leads.
    let start = |program| {
        Command::new(program).arg("-c").arg(config.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    let mut process = match start("mosquitto").or_else(|_| start("/usr/sbin/mosquitto")) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("this test needs Mosquitto: apt-get install mosquitto")
        }
        started => started.unwrap(),
    };
    for _ in 0..500 {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return process;
        }
        if let Some(status) = process.try_wait().unwrap() {
            panic!("mosquitto did not start: {status}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    process.kill().ok();
    panic!("mosquitto does not listen on port {port} after 5 s");
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
