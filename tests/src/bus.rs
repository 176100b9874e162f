//! A private D-Bus, for tests that must not touch the system's.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// A dbus-daemon of the test's own, with its socket in a temporary directory. Stopped when dropped.
pub struct PrivateBus {
    daemon: Child,
    address: String,
    directory: TempDir,
}

impl PrivateBus {
    /// Starts the daemon and waits until it listens.
    ///
    /// # Panics
    /// Where dbus-daemon is missing or does not start.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let listen = format!("unix:path={}/bus", directory.path().display());
        let config = CONFIG.replace("ADDRESS", &listen);
        fs::write(directory.path().join("bus.conf"), config).expect("the bus's configuration is written");
        let (daemon, address) = daemon(directory.path());
        Self { daemon, address, directory }
    }

    /// The bus's address, for `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }

    /// Starts it again after [`PrivateBus::kill`], at the same address.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&mut self) {
        fs::remove_file(self.directory.path().join("bus")).ok();
        (self.daemon, self.address) = daemon(self.directory.path());
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        self.kill();
    }
}

fn daemon(directory: &Path) -> (Child, String) {
    let mut daemon = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", directory.join("bus.conf").display()))
        .args(["--nofork", "--nopidfile", "--print-address=1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("dbus-daemon does not start ({error}): apt-get install dbus"));
    let mut address = String::new();
    let stdout = daemon.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut address).expect("dbus-daemon prints its address");
    assert!(!address.is_empty(), "dbus-daemon ended at once: {:?}", daemon.wait());
    // Without the guid, which changes: a client that keeps the address must find the next daemon too.
    let address = address.trim().split(",guid=").next().unwrap_or_default().to_owned();
    (daemon, address)
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
