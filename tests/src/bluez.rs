//! A fake `org.bluez` on a private bus: one adapter, `hci0`, and devices that advertise when the test says so.
//!
//! It tells of advertisements as BlueZ does: a device's first one by `InterfacesAdded`, later ones by
//! `PropertiesChanged`, with the RSSI only when it changed and a payload that did not change only where the scan
//! asked for duplicates. It forgets no device, and knows no pairing, connection or power switch.

use crate::bus::PrivateBus;
use dbus::{
    Message, Path,
    arg::{PropMap, RefArg, Variant},
    blocking::SyncConnection,
    channel::{Channel, MatchingReceiver, Sender},
    message::MatchRule,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const ADAPTER: &str = "/org/bluez/hci0";

/// Most devices that a test may let advertise.
const MAX_DEVICES: usize = 5000;

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
    connection: Arc<SyncConnection>,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    service: Option<JoinHandle<()>>,
    bus: PrivateBus,
}

impl FakeBluez {
    /// Starts a private bus and the service on it.
    ///
    /// # Panics
    /// Where either does not start.
    pub fn start() -> Self {
        let bus = PrivateBus::start();
        let mut channel = Channel::open_private(bus.address()).expect("the private bus answers");
        channel.register().expect("the private bus lets us in");
        let connection = Arc::new(SyncConnection::from(channel));
        connection.request_name("org.bluez", false, false, true).expect("the name org.bluez is free");

        let state = Arc::<Mutex<State>>::default();
        let answering = state.clone();
        let answer = move |call: Message, connection: &SyncConnection| {
            connection.send(lock(&answering).answer(&call)).expect("the private bus takes an answer");
            true
        };
        connection.start_receive(MatchRule::new_method_call(), Box::new(answer));

        let stop = Arc::<AtomicBool>::default();
        let (stopped, processing) = (stop.clone(), connection.clone());
        let service = thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) && processing.process(Duration::from_millis(5)).is_ok() {}
        });
        Self { connection, state, stop, service: Some(service), bus }
    }

    /// The bus's address, for `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn bus_address(&self) -> &str {
        self.bus.address()
    }

    /// Whether somebody has asked `hci0` to scan.
    pub fn is_scanning(&self) -> bool {
        lock(&self.state).scanning
    }

    /// Waits until somebody scans.
    ///
    /// # Panics
    /// After 10 s.
    pub fn wait_for_scan(&self) {
        let scanning = (0..2000).any(|_| {
            thread::sleep(Duration::from_millis(5));
            self.is_scanning()
        });
        assert!(scanning, "nobody started a scan on hci0 within 10 s");
    }

    /// Lets the device with `address` ("C0:B1:E1:AB:00:01") advertise once, received at `rssi_dbm`.
    ///
    /// # Panics
    /// Where nobody scans, or for too many devices.
    pub fn advertise(&self, address: &str, rssi_dbm: i16, payload: Payload) {
        let signal = lock(&self.state).advertise(Device { address: address.to_owned(), rssi_dbm, payload });
        if let Some(signal) = signal {
            self.connection.send(signal).expect("the private bus takes a signal");
        }
    }
}

impl Drop for FakeBluez {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(service) = self.service.take() {
            // If it panicked, it has said so.
            service.join().ok();
        }
    }
}

#[derive(Default)]
struct State {
    scanning: bool,
    duplicates: bool,
    devices: BTreeMap<String, Device>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nobody panicked with the state in hand")
}

impl State {
    fn answer(&mut self, call: &Message) -> Message {
        let path = call.path().map(|path| path.to_string()).unwrap_or_default();
        let member = call.member().map(|member| member.to_string()).unwrap_or_default();
        match (path.as_str(), member.as_str()) {
            ("/", "GetManagedObjects") => call.method_return().append1(self.objects()),
            (ADAPTER, "GetAll") => call.method_return().append1(self.adapter()),
            (ADAPTER, "Set") => call.method_return(),
            (ADAPTER, "SetDiscoveryFilter") => {
                let filter: PropMap = call.read1().unwrap_or_default();
                self.duplicates = dbus::arg::prop_cast(&filter, "DuplicateData").copied().unwrap_or(false);
                call.method_return()
            }
            (ADAPTER, "StartDiscovery") => {
                self.scanning = true;
                call.method_return()
            }
            (ADAPTER, "StopDiscovery") => {
                self.scanning = false;
                call.method_return()
            }
            (path, "GetAll") if self.devices.contains_key(path) => {
                call.method_return().append1(self.devices[path].properties())
            }
            _ => {
                call.error(&"org.freedesktop.DBus.Error.UnknownMethod".into(), c"the fake does not know this")
            }
        }
    }

    fn objects(&self) -> HashMap<Path<'static>, HashMap<&'static str, PropMap>> {
        let adapter = (ADAPTER.into(), HashMap::from([("org.bluez.Adapter1", self.adapter())]));
        let device = |(path, device): (&String, &Device)| {
            (path.clone().into(), HashMap::from([("org.bluez.Device1", device.properties())]))
        };
        self.devices.iter().map(device).chain([adapter]).collect()
    }

    fn adapter(&self) -> PropMap {
        [
            ("Address", property("02:00:53:5E:00:01".to_owned())),
            ("AddressType", property("public".to_owned())),
            ("Name", property("fake".to_owned())),
            ("Alias", property("fake".to_owned())),
            ("Modalias", property("usb:v1D6Bp0246d0542".to_owned())),
            ("Powered", property(true)),
            ("Discovering", property(self.scanning)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The signal that tells of an advertisement, if one does.
    fn advertise(&mut self, device: Device) -> Option<Message> {
        assert!(self.scanning, "nobody hears this: call wait_for_scan first");
        assert!(self.devices.len() < MAX_DEVICES, "the fake knows {MAX_DEVICES} devices at most");
        let path = format!("{ADAPTER}/dev_{}", device.address.replace(':', "_"));
        let Some(before) = self.devices.insert(path.clone(), device.clone()) else {
            let interfaces = HashMap::from([("org.bluez.Device1", device.properties())]);
            let added = signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded");
            return Some(added.append2(Path::from(path), interfaces));
        };
        let mut changed = PropMap::new();
        if device.rssi_dbm != before.rssi_dbm {
            changed.insert("RSSI".to_owned(), property(device.rssi_dbm));
        }
        if device.payload != before.payload || self.duplicates {
            changed.extend([device.payload()]);
        }
        let changes = signal(&path, "org.freedesktop.DBus.Properties", "PropertiesChanged");
        (!changed.is_empty()).then(|| changes.append3("org.bluez.Device1", changed, Vec::<String>::new()))
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

fn property(value: impl RefArg + 'static) -> Variant<Box<dyn RefArg>> {
    Variant(Box::new(value))
}

fn signal(path: &str, interface: &str, member: &str) -> Message {
    Message::new_signal(path, interface, member).expect("the names are well-formed")
}
