//! What the fake knows, and what it says of it.

use super::Payload;
use dbus::{
    Message, Path,
    arg::{PropMap, RefArg, Variant},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard},
};

/// Most devices that a test may let advertise.
const MAX_DEVICES: usize = 5000;

pub(super) struct State {
    pub(super) adapters: BTreeMap<String, Adapter>,
    /// Whether it offers advertisement monitors.
    pub(super) monitors: bool,
    pub(super) ignored: Vec<&'static str>,
    pub(super) calls: HashMap<String, u64>,
    pub(super) asked: u64,
}

#[derive(Default)]
pub(super) struct Adapter {
    pub(super) powered: bool,
    pub(super) busy: u32,
    pub(super) deaf: bool,
    /// Who scans.
    scanners: HashSet<String>,
    duplicates: bool,
    /// Whether a monitor is in force.
    pub(super) monitored: bool,
    /// What the controller has passed on since the scan began.
    passed: HashSet<String>,
    devices: BTreeMap<String, Device>,
}

/// What to do with a call.
pub(super) enum Answer {
    Reply(Message),
    /// Read the monitors of whoever asks, and then answer.
    Monitor(Message),
    Nothing,
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nobody panicked with the state in hand")
}

impl State {
    pub(super) fn new(adapters: &[&str], monitors: bool) -> Self {
        let adapters =
            adapters.iter().map(|&name| (name.to_owned(), Adapter { powered: true, ..Adapter::default() }));
        Self { adapters: adapters.collect(), monitors, ignored: Vec::new(), calls: HashMap::new(), asked: 0 }
    }

    pub(super) fn adapter(&mut self, name: &str) -> &mut Adapter {
        self.adapters.get_mut(name).expect("there is such an adapter")
    }

    pub(super) fn is_scanning(&self, adapter: &str) -> bool {
        self.adapters.get(adapter).is_some_and(Adapter::is_scanning)
    }

    pub(super) fn forget(&mut self) {
        for adapter in self.adapters.values_mut() {
            *adapter = Adapter { powered: adapter.powered, ..Adapter::default() };
        }
    }

    pub(super) fn forget_device(&mut self, adapter: &str, address: &str) {
        let path = device_path(adapter, address);
        let adapter = self.adapter(adapter);
        adapter.devices.remove(&path);
        adapter.passed.clear();
    }

    pub(super) fn set_powered(&mut self, name: &str, powered: bool) -> Option<Message> {
        let adapter = self.adapter(name);
        adapter.powered = powered;
        adapter.scanners.clear();
        Some(adapter.changed(name))
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Message> {
        self.adapters.remove(name);
        let removed = signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved");
        Some(removed.append2(Path::from(path(name)), vec!["org.bluez.Adapter1"]))
    }

    pub(super) fn add(&mut self, name: &str) -> Option<Message> {
        let adapter = Adapter { powered: true, ..Adapter::default() };
        let interfaces = HashMap::from([("org.bluez.Adapter1", adapter.properties())]);
        self.adapters.insert(name.to_owned(), adapter);
        let added = signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded");
        Some(added.append2(Path::from(path(name)), interfaces))
    }

    pub(super) fn answer(&mut self, call: &Message) -> Answer {
        let path = call.path().map(|path| path.to_string()).unwrap_or_default();
        let member = call.member().map(|member| member.to_string()).unwrap_or_default();
        *self.calls.entry(member.clone()).or_default() += 1;
        if self.ignored.contains(&member.as_str()) {
            return Answer::Nothing;
        }
        if path == "/" && member == "GetManagedObjects" {
            return Answer::Reply(call.method_return().append1(self.objects()));
        }
        let adapter =
            path.strip_prefix("/org/bluez/").and_then(|name| name.split('/').next()).unwrap_or_default();
        let unknown =
            || Answer::Reply(error(call, "org.freedesktop.DBus.Error.UnknownObject", c"no such object"));
        let monitors = self.monitors;
        let Some(adapter) = self.adapters.get_mut(adapter) else { return unknown() };
        if let Some(device) = adapter.devices.get(&path) {
            self.asked += 1;
            return Answer::Reply(call.method_return().append1(device.properties()));
        }
        if path.contains("/dev_") {
            return unknown();
        }
        match member.as_str() {
            "RegisterMonitor" if monitors => Answer::Monitor(call.method_return()),
            _ => Answer::Reply(adapter.answer(call, &member, monitors)),
        }
    }

    fn objects(&self) -> HashMap<Path<'static>, HashMap<&'static str, PropMap>> {
        let mut objects = HashMap::new();
        for (name, adapter) in &self.adapters {
            objects.insert(path(name).into(), HashMap::from([("org.bluez.Adapter1", adapter.properties())]));
            for (path, device) in &adapter.devices {
                objects
                    .insert(path.clone().into(), HashMap::from([("org.bluez.Device1", device.properties())]));
            }
        }
        objects
    }

    /// The signal that tells of an advertisement, if one does.
    pub(super) fn advertise(
        &mut self,
        name: &str,
        address: &str,
        rssi_dbm: i16,
        payload: Payload,
    ) -> Option<Message> {
        let adapter = self.adapters.get_mut(name).filter(|adapter| adapter.is_scanning() && !adapter.deaf)?;
        assert!(adapter.devices.len() < MAX_DEVICES, "the fake knows {MAX_DEVICES} devices at most");
        let is_new = adapter.passed.insert(format!("{address} {payload:?}"));
        if !is_new && !adapter.monitored {
            return None;
        }
        let path = device_path(name, address);
        let device = Device { address: address.to_owned(), rssi_dbm, payload };
        let Some(before) = adapter.devices.insert(path.clone(), device.clone()) else {
            let interfaces = HashMap::from([("org.bluez.Device1", device.properties())]);
            let added = signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded");
            return Some(added.append2(Path::from(path), interfaces));
        };
        let mut changed = PropMap::new();
        if device.rssi_dbm != before.rssi_dbm {
            changed.insert("RSSI".to_owned(), property(device.rssi_dbm));
        }
        if device.payload != before.payload || adapter.duplicates {
            changed.extend([device.payload()]);
        }
        let changes = signal(&path, "org.freedesktop.DBus.Properties", "PropertiesChanged");
        (!changed.is_empty()).then(|| changes.append3("org.bluez.Device1", changed, Vec::<String>::new()))
    }
}

impl Adapter {
    fn is_scanning(&self) -> bool {
        !self.scanners.is_empty()
    }

    fn answer(&mut self, call: &Message, member: &str, monitors: bool) -> Message {
        let sender = call.sender().map(|sender| sender.to_string()).unwrap_or_default();
        let failed = |name, why| error(call, name, why);
        match member {
            "GetAll" => return call.method_return().append1(self.properties()),
            "Set" => self.powered = true,
            "SetDiscoveryFilter" => {
                let filter: PropMap = call.read1().unwrap_or_default();
                self.duplicates = dbus::arg::prop_cast(&filter, "DuplicateData").copied().unwrap_or(false);
            }
            "StartDiscovery" => {
                if self.busy > 0 {
                    self.busy -= 1;
                    return failed("org.bluez.Error.InProgress", c"Operation already in progress");
                }
                if !self.powered {
                    return failed("org.bluez.Error.NotReady", c"Resource Not Ready");
                }
                if !self.scanners.insert(sender) {
                    return failed("org.bluez.Error.InProgress", c"Operation already in progress");
                }
                self.deaf = false;
                self.passed.clear();
            }
            "StopDiscovery" => {
                if !self.scanners.remove(&sender) {
                    return failed("org.bluez.Error.Failed", c"No discovery started");
                }
            }
            "UnregisterMonitor" if monitors => self.monitored = false,
            _ => return failed("org.freedesktop.DBus.Error.UnknownMethod", c"the fake does not know this"),
        }
        call.method_return()
    }

    fn properties(&self) -> PropMap {
        [
            ("Address", property("02:00:53:5E:00:01".to_owned())),
            ("AddressType", property("public".to_owned())),
            ("Name", property("fake".to_owned())),
            ("Alias", property("fake".to_owned())),
            ("Modalias", property("usb:v1D6Bp0246d0542".to_owned())),
            ("Powered", property(self.powered)),
            ("Discovering", property(self.is_scanning())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn changed(&self, name: &str) -> Message {
        let changes = signal(&path(name), "org.freedesktop.DBus.Properties", "PropertiesChanged");
        let mut changed = self.properties();
        changed.retain(|name, _| name == "Powered" || name == "Discovering");
        changes.append3("org.bluez.Adapter1", changed, Vec::<String>::new())
    }
}

#[derive(Clone)]
struct Device {
    address: String,
    rssi_dbm: i16,
    payload: Payload,
}

impl Device {
    /// All that btleplug insists on.
    fn properties(&self) -> PropMap {
        let flags = ["Paired", "Trusted", "Blocked", "LegacyPairing", "Connected", "ServicesResolved"];
        let mut properties: PropMap = flags.map(|flag| (flag.to_owned(), property(false))).into();
        properties.insert("Address".to_owned(), property(self.address.clone()));
        properties.insert("AddressType".to_owned(), property("random".to_owned()));
        properties.insert("RSSI".to_owned(), property(self.rssi_dbm));
        properties.extend([self.payload()]);
        properties
    }

    fn payload(&self) -> (String, Variant<Box<dyn RefArg>>) {
        match &self.payload {
            Payload::Manufacturer(company, data) => {
                ("ManufacturerData".to_owned(), property(HashMap::from([(*company, property(data.clone()))])))
            }
            Payload::Service(uuid, data) => {
                let uuid = format!("0000{uuid:04x}-0000-1000-8000-00805f9b34fb");
                ("ServiceData".to_owned(), property(HashMap::from([(uuid, property(data.clone()))])))
            }
        }
    }
}

fn path(adapter: &str) -> String {
    format!("/org/bluez/{adapter}")
}

fn device_path(adapter: &str, address: &str) -> String {
    format!("{}/dev_{}", path(adapter), address.replace(':', "_"))
}

fn error(call: &Message, name: &'static str, why: &std::ffi::CStr) -> Message {
    call.error(&name.into(), why)
}

fn property(value: impl RefArg + 'static) -> Variant<Box<dyn RefArg>> {
    Variant(Box::new(value))
}

fn signal(path: &str, interface: &str, member: &str) -> Message {
    Message::new_signal(path, interface, member).expect("the names are well-formed")
}
