//! A fake `org.bluez` on a private bus: adapters, devices that advertise when the test says so, and every fault.
//!
//! It tells of advertisements as BlueZ does: a device's first one by `InterfacesAdded`, later ones by
//! `PropertiesChanged`, with the RSSI only when it changed. It filters as the kernel does: what a device repeats comes
//! through once a scan, unless an advertisement monitor is registered. It forgets no device, and knows no pairing and no
//! connection.

mod daemon;
mod state;

use crate::{bus::PrivateBus, wait::wait_for};
use daemon::Daemon;
use state::{State, lock};
use std::sync::{Arc, Mutex};

/// The content of an advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Manufacturer data of a company.
    Manufacturer(u16, Vec<u8>),
    /// Service data of a 16-bit UUID.
    Service(u16, Vec<u8>),
}

/// BlueZ, as far as a scanner sees it. Stopped when dropped, with its bus.
pub struct FakeBluez {
    state: Arc<Mutex<State>>,
    daemon: Option<Daemon>,
    bus: PrivateBus,
}

impl FakeBluez {
    /// Starts a private bus and the service on it, as `bluetoothd --experimental` with one adapter, `hci0`.
    ///
    /// # Panics
    /// Where either does not start.
    pub fn start() -> Self {
        Self::start_with(&["hci0"], true)
    }

    /// The same with these adapters, and with advertisement monitors or without.
    ///
    /// # Panics
    /// Where either does not start.
    pub fn start_with(adapters: &[&str], monitors: bool) -> Self {
        let bus = PrivateBus::start();
        let state = Arc::new(Mutex::new(State::new(adapters, monitors)));
        let daemon = Some(Daemon::start(bus.address(), &state));
        Self { state, daemon, bus }
    }

    /// The bus's address, for `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn bus_address(&self) -> &str {
        self.bus.address()
    }

    /// bluetoothd is killed: scans, monitors and devices are forgotten.
    pub fn kill(&mut self) {
        self.daemon = None;
        lock(&self.state).forget();
    }

    /// bluetoothd is started again.
    pub fn restart(&mut self) {
        self.daemon = Some(Daemon::start(self.bus.address(), &self.state));
    }

    /// dbus-daemon is killed, and bluetoothd with it.
    pub fn kill_bus(&mut self) {
        self.bus.kill();
        self.kill();
    }

    /// dbus-daemon is started again, and bluetoothd.
    pub fn restart_bus(&mut self) {
        self.bus.restart();
        self.restart();
    }

    /// Switches an adapter on or off, as an operator does.
    pub fn set_powered(&self, adapter: &str, powered: bool) {
        let signal = lock(&self.state).set_powered(adapter, powered);
        self.send(signal);
    }

    /// Whether an adapter is on.
    pub fn is_powered(&self, adapter: &str) -> bool {
        lock(&self.state).adapters[adapter].powered
    }

    /// Pulls an adapter out.
    pub fn unplug(&self, adapter: &str) {
        let signal = lock(&self.state).remove(adapter);
        self.send(signal);
    }

    /// Plugs an adapter in, switched on.
    pub fn plug(&self, adapter: &str) {
        let signal = lock(&self.state).add(adapter);
        self.send(signal);
    }

    /// Lets the next attempts to scan on an adapter fail with `InProgress`.
    pub fn be_busy(&self, adapter: &str, attempts: u32) {
        lock(&self.state).adapter(adapter).busy = attempts;
    }

    /// Leaves calls of these methods unanswered; none: all are answered again.
    pub fn ignore(&self, methods: &[&'static str]) {
        lock(&self.state).ignored = methods.to_vec();
    }

    /// Lets an adapter hear nothing, until a scan is started on it.
    pub fn deafen(&self, adapter: &str) {
        lock(&self.state).adapter(adapter).deaf = true;
    }

    /// How many calls of a method have come.
    pub fn calls(&self, method: &str) -> u64 {
        lock(&self.state).calls.get(method).copied().unwrap_or(0)
    }

    /// How often somebody asked about a device.
    pub fn asked(&self) -> u64 {
        lock(&self.state).asked
    }

    /// Whether `hci0` scans.
    pub fn is_scanning(&self) -> bool {
        lock(&self.state).is_scanning("hci0")
    }

    /// Waits until `hci0` scans.
    ///
    /// # Panics
    /// After 20 s.
    pub fn wait_for_scan(&self) {
        self.wait_for_scan_on("hci0");
    }

    /// Waits until an adapter scans.
    ///
    /// # Panics
    /// After 20 s.
    pub fn wait_for_scan_on(&self, adapter: &str) {
        wait_for("a scan", 20, || lock(&self.state).is_scanning(adapter).then_some(()));
    }

    /// Lets the device with `address` ("C0:B1:E1:AB:00:01") advertise once, received by `hci0` at `rssi_dbm`. Where
    /// nobody scans nobody hears it.
    pub fn advertise(&self, address: &str, rssi_dbm: i16, payload: Payload) {
        self.advertise_on("hci0", address, rssi_dbm, payload);
    }

    /// The same, received by another adapter.
    pub fn advertise_on(&self, adapter: &str, address: &str, rssi_dbm: i16, payload: Payload) {
        let signal = lock(&self.state).advertise(adapter, address, rssi_dbm, payload);
        self.send(signal);
    }

    /// The same of a device that BlueZ has forgotten the moment after.
    pub fn advertise_in_passing(&self, address: &str, rssi_dbm: i16, payload: Payload) {
        let signal = {
            let mut state = lock(&self.state);
            let signal = state.advertise("hci0", address, rssi_dbm, payload);
            state.forget_device("hci0", address);
            signal
        };
        self.send(signal);
    }

    fn send(&self, signal: Option<dbus::Message>) {
        if let (Some(daemon), Some(signal)) = (&self.daemon, signal) {
            daemon.send(signal);
        }
    }
}

/// A fault: how it comes, how it goes, and what is said of it.
pub struct Fault {
    /// Its name.
    pub name: &'static str,
    /// Brings it about.
    pub comes: fn(&mut FakeBluez),
    /// Ends it.
    pub goes: fn(&mut FakeBluez),
    /// The radio's state meanwhile, as `hear` prints it.
    pub state: &'static str,
    /// What had been wrong.
    pub cause: &'static str,
}

/// All that `hci0` recovers from.
pub const FAULTS: [Fault; 5] = [
    Fault {
        name: "bluetoothd killed",
        comes: FakeBluez::kill,
        goes: FakeBluez::restart,
        state: "failing",
        cause: "bluetoothd was gone",
    },
    Fault {
        name: "dbus-daemon killed",
        comes: FakeBluez::kill_bus,
        goes: FakeBluez::restart_bus,
        state: "failing",
        cause: "the system bus was gone",
    },
    Fault {
        name: "switched off",
        comes: |bluez| bluez.set_powered("hci0", false),
        goes: |bluez| bluez.set_powered("hci0", true),
        state: "off",
        cause: "the adapter was switched off",
    },
    Fault {
        name: "unplugged",
        comes: |bluez| bluez.unplug("hci0"),
        goes: |bluez| bluez.plug("hci0"),
        state: "absent",
        cause: "the adapter was unplugged",
    },
    Fault {
        name: "bluetoothd hangs",
        comes: |bluez| bluez.ignore(&["GetAll"]),
        goes: |bluez| bluez.ignore(&[]),
        state: "failing",
        cause: "bluetoothd did not answer",
    },
];
