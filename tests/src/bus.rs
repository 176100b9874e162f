//! A private D-Bus, for tests that must not touch the system's.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// A dbus-daemon of the test's own, with its socket in a temporary directory. Stopped when dropped.
pub struct PrivateBus {
    daemon: Child,
    address: String,
    _directory: TempDir,
}

impl PrivateBus {
    /// Starts the daemon and waits until it listens.
    ///
    /// # Panics
    /// Where dbus-daemon is missing or does not start.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = directory.path().join("bus.conf");
        let listen = format!("unix:path={}/bus", directory.path().display());
        fs::write(&config, CONFIG.replace("ADDRESS", &listen)).expect("the bus's configuration is written");
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("dbus-daemon does not start ({error}): apt-get install dbus"));
        let mut address = String::new();
        let stdout = daemon.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut address).expect("dbus-daemon prints its address");
        assert!(!address.is_empty(), "dbus-daemon ended at once: {:?}", daemon.wait());
        Self { daemon, address: address.trim().to_owned(), _directory: directory }
    }

    /// The bus's address, for `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// Everybody may own and say everything.
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>ADDRESS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"#;
