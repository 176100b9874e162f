//! dbus-daemon, bluetoothd and a controller, started and broken on purpose.

use crate::{
    vhci::{Controller, Options},
    wait::{poll, wait_for},
};
use dbus::{
    blocking::{SyncConnection, stdintf::org_freedesktop_dbus::Properties},
    channel::Channel,
};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use vitrine_agent::capture::{
    ble::{Adapter, Bluez, Limits, mgmt::Mgmt},
    source::AdvertSource,
};
use vitrine_protocol::Id;

/// Where D-Bus listens.
pub const BUS: &str = "/run/dbus/system_bus_socket";
/// Where the kernel shows the adapter.
const ADAPTER: &str = "/sys/class/bluetooth/hci0";
/// Longest wait for something to start: the machine is emulated.
const START_S: u64 = 60;
/// Longest wait for BlueZ' answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How BlueZ is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The controller.
    pub options: Options,
    /// `bluetoothd --experimental`: it takes advertisement monitors.
    pub is_experimental: bool,
    /// `ControllerMode=le`.
    pub is_le_only: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let options = Options { filters: true, ..Options::default() };
        Self { options, is_experimental: true, is_le_only: true }
    }
}

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// BlueZ.
    Bluez,
    /// The kernel.
    Mgmt,
}

impl Backend {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bluez => "bluez",
            Self::Mgmt => "mgmt",
        }
    }

    /// A source of it on `hci0`.
    pub fn source(self) -> Box<dyn AdvertSource> {
        let receiver: Id = "front".parse().unwrap();
        match self {
            Self::Bluez => {
                Box::new(Bluez::new(vec![Adapter { name: "hci0".into(), receiver }], Limits::default()))
            }
            Self::Mgmt => Box::new(Mgmt::new("hci0", receiver).unwrap()),
        }
    }
}

/// All of it; ended when dropped.
pub struct Stack {
    /// The controller.
    pub controller: Controller,
    setup: Setup,
    bus: Option<Child>,
    bluetoothd: Option<Child>,
}

impl Stack {
    /// Starts everything and waits until the adapter is on.
    pub fn start(setup: Setup) -> Self {
        let mode = if setup.is_le_only { "le" } else { "dual" };
        let settings = format!("[General]\nControllerMode = {mode}\n[Policy]\nAutoEnable = true\n");
        fs::write("/etc/bluetooth/main.conf", settings).unwrap();
        let mut stack =
            Self { controller: Controller::plug(setup.options), setup, bus: None, bluetoothd: None };
        stack.start_bus();
        stack.start_bluetoothd();
        stack.wait_until_powered();
        stack
    }

    /// Starts dbus-daemon, until it listens.
    pub fn start_bus(&mut self) {
        fs::remove_file(BUS).ok();
        let mut command = Command::new("dbus-daemon");
        command.args(["--config-file=/etc/dbus-1/system.conf", "--nofork", "--nopidfile"]);
        self.bus = Some(command.stdin(Stdio::null()).spawn().unwrap());
        wait_for("dbus-daemon listens", START_S, || Path::new(BUS).exists().then_some(()));
    }

    /// Starts bluetoothd.
    pub fn start_bluetoothd(&mut self) {
        let mut command = Command::new("bluetoothd");
        command.args(["--nodetach", "--configfile=/etc/bluetooth/main.conf"]);
        if self.setup.is_experimental {
            command.arg("--experimental");
        }
        self.bluetoothd = Some(command.stdin(Stdio::null()).spawn().unwrap());
    }

    /// Waits until BlueZ has the adapter, and it is on.
    pub fn wait_until_powered(&self) {
        wait_for("the adapter is on", START_S, || is_powered().unwrap_or_default().then_some(()));
    }

    /// Pulls the adapter, until the kernel has noticed: the next one would get another name.
    pub fn unplug(&mut self) {
        self.controller.unplug();
        poll(START_S, || (!Path::new(ADAPTER).exists()).then_some(()));
    }

    /// SIGKILL.
    pub fn kill_bluetoothd(&mut self) {
        end(&mut self.bluetoothd);
    }

    /// SIGKILL.
    pub fn kill_bus(&mut self) {
        end(&mut self.bus);
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.kill_bluetoothd();
        self.kill_bus();
        self.unplug();
    }
}

fn end(process: &mut Option<Child>) {
    if let Some(mut process) = process.take() {
        process.kill().ok();
        process.wait().ok();
    }
}

/// Whether the adapter is on, as BlueZ says. Not asked through `bluetoothctl`, which registers for advertisement monitors each
/// time, and would be a second program beside ours.
///
/// # Errors
/// Where there is no bus, no BlueZ or no adapter.
pub fn is_powered() -> Result<bool, dbus::Error> {
    let connection = connect()?;
    connection.with_proxy("org.bluez", "/org/bluez/hci0", ANSWER).get("org.bluez.Adapter1", "Powered")
}

/// An operator's switch.
///
/// # Errors
/// As for [`is_powered`].
pub fn power(is_on: bool) -> Result<(), dbus::Error> {
    let connection = connect()?;
    connection.with_proxy("org.bluez", "/org/bluez/hci0", ANSWER).set("org.bluez.Adapter1", "Powered", is_on)
}

fn connect() -> Result<SyncConnection, dbus::Error> {
    let mut channel = Channel::open_private(&format!("unix:path={BUS}"))?;
    channel.register()?;
    Ok(SyncConnection::from(channel))
}
