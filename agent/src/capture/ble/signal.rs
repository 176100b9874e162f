//! What a signal of BlueZ says, read in place: an advertisement, or a change that is worth a look.
//!
//! A device's first advertisement comes as `InterfacesAdded`, the later ones as `PropertiesChanged`, each with its content
//! in it: nothing has to be asked, and nothing is copied or allocated for a sender that turns out to be a passer-by.
//! The RSSI is in it only where it changed; remembering the last one is the [`Ear`](super::ear::Ear)'s.
//!
//! Left out: services, names and connections. Other kinds of signals are not asked for.

use crate::private::Address;
use arrayvec::{ArrayString, ArrayVec};
use dbus::{
    Message,
    arg::{ArgType, Iter},
};
use std::str::FromStr;
use vitrine_protocol::layout::Payload;

/// BlueZ's interface of adapters.
pub(super) const ADAPTER: &str = "org.bluez.Adapter1";
/// BlueZ's interface of devices.
pub(super) const DEVICE: &str = "org.bluez.Device1";
/// Where BlueZ keeps its adapters.
pub(super) const ROOT: &str = "/org/bluez/";

/// Most payloads taken of one advertisement: more do not fit a legacy one, and are passed over.
const PAYLOADS_MAX: usize = 8;

/// An adapter's name, such as `hci0`. No adapter has a longer one.
pub(super) type AdapterName = ArrayString<16>;

/// What a signal says.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it lives for a moment, and a box for each passer-by would be an allocation"
)]
pub(super) enum Signal<'a> {
    /// A device is heard.
    Advertisement(Report<'a>),
    /// An adapter or BlueZ itself has come, gone or changed.
    Change,
    /// Nothing of interest.
    Other,
}

/// What BlueZ says of one device at once.
#[derive(Debug)]
pub(super) struct Report<'a> {
    /// The adapter that heard it.
    pub(super) adapter: AdapterName,
    /// The sender.
    pub(super) address: Address,
    /// In dBm; `None` where it has not changed, or is not available.
    pub(super) rssi_dbm: Option<i8>,
    /// What was sent.
    pub(super) payloads: ArrayVec<Payload<'a>, PAYLOADS_MAX>,
}

/// Reads a signal; what is not as BlueZ writes it is of no interest.
pub(super) fn read(message: &Message) -> Signal<'_> {
    let read = match message.member().as_deref() {
        Some("PropertiesChanged") => properties_changed(message),
        Some("InterfacesAdded") => interfaces_added(message),
        Some("NameOwnerChanged") => Some(Signal::Change),
        _ => None,
    };
    read.unwrap_or(Signal::Other)
}

/// `s a{sv} as`: interface, what changed, what is not valid any more.
fn properties_changed(message: &Message) -> Option<Signal<'_>> {
    let mut arguments = message.iter_init();
    match arguments.get::<&str>()? {
        ADAPTER => return Some(Signal::Change),
        DEVICE => {}
        _ => return None,
    }
    arguments.next();
    let (adapter, address) = device(&message.path()?)?;
    let report = properties(arguments.recurse(ArgType::Array)?, adapter, address);
    let says_something = report.rssi_dbm.is_some() || !report.payloads.is_empty();
    says_something.then_some(Signal::Advertisement(report))
}

/// `o a{sa{sv}}`: object, and the properties of each of its interfaces.
fn interfaces_added(message: &Message) -> Option<Signal<'_>> {
    let mut arguments = message.iter_init();
    let path = arguments.get::<dbus::Path<'_>>()?;
    arguments.next();
    let mut interfaces = arguments.recurse(ArgType::Array)?;
    while let Some(mut interface) = interfaces.recurse(ArgType::DictEntry) {
        match interface.get::<&str>()? {
            ADAPTER => return Some(Signal::Change),
            DEVICE => {
                interface.next();
                let (adapter, address) = device(&path)?;
                let report = properties(interface.recurse(ArgType::Array)?, adapter, address);
                // Without an RSSI it is BlueZ's memory of an earlier day: nothing was heard.
                return report.rssi_dbm.is_some().then_some(Signal::Advertisement(report));
            }
            _ => {}
        }
        interfaces.next();
    }
    None
}

/// The adapter and the address in a device's path: `/org/bluez/hci0/dev_C0_B1_E1_AB_00_01`.
fn device(path: &str) -> Option<(AdapterName, Address)> {
    let (adapter, device) = path.strip_prefix(ROOT)?.split_once("/dev_")?;
    let mut octets = [0; 6];
    let mut digits = device.split('_');
    for octet in &mut octets {
        let pair = digits.next().filter(|pair| pair.len() == 2)?;
        *octet = u8::from_str_radix(pair, 16).ok()?;
    }
    let name = AdapterName::from_str(adapter).ok()?;
    digits.next().is_none().then_some((name, Address::new(octets)))
}

fn properties<'a>(mut properties: Iter<'a>, adapter: AdapterName, address: Address) -> Report<'a> {
    let mut report = Report { adapter, address, rssi_dbm: None, payloads: ArrayVec::new() };
    entries(&mut properties, |key, value| match key.get::<&str>() {
        Some("RSSI") => report.rssi_dbm = value.get().and_then(rssi_dbm),
        Some("ManufacturerData") => {
            if let Some(mut companies) = value.recurse(ArgType::Array) {
                entries(&mut companies, |company, data| {
                    let payload = company.get().zip(data.get());
                    let payload = payload.map(|(company, data)| Payload::Manufacturer { company, data });
                    report.payloads.extend(payload.filter(|_| !report.payloads.is_full()));
                });
            }
        }
        Some("ServiceData") => {
            if let Some(mut services) = value.recurse(ArgType::Array) {
                entries(&mut services, |uuid, data| {
                    let payload = uuid.get().zip(data.get()).and_then(|(uuid, data)| service(uuid, data));
                    report.payloads.extend(payload.filter(|_| !report.payloads.is_full()));
                });
            }
        }
        _ => {}
    });
    report
}

/// Each entry of a dictionary of variants: its key, and what is in the variant.
fn entries<'a>(dictionary: &mut Iter<'a>, mut each: impl FnMut(&mut Iter<'a>, &mut Iter<'a>)) {
    while let Some(mut entry) = dictionary.recurse(ArgType::DictEntry) {
        let mut key = entry;
        entry.next();
        if let Some(mut value) = entry.recurse(ArgType::Variant) {
            each(&mut key, &mut value);
        }
        dictionary.next();
    }
}

/// Bluetooth Core 5.4, vol. 4 part E 7.7.65.2, has -127 to 20 dBm, and 127 for "not available".
pub(super) fn rssi_dbm(rssi: i16) -> Option<i8> {
    i8::try_from(rssi).ok().filter(|rssi| (-127..=20).contains(rssi))
}

/// Service data under a UUID in text form.
fn service<'a>(uuid: &str, data: &'a [u8]) -> Option<Payload<'a>> {
    /// What a 16-bit UUID is short for: `0000xxxx-0000-1000-8000-00805f9b34fb`.
    const BASE: [u8; 16] = [0, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0x80, 0x5f, 0x9b, 0x34, 0xfb];
    let (mut digits, mut written) = ([0; 32], uuid.bytes().filter(|&octet| octet != b'-'));
    for digit in &mut digits {
        *digit = written.next()?;
    }
    let mut octets = [0; 16];
    hex::decode_to_slice(digits, &mut octets).ok()?;
    let short = u16::from_be_bytes([octets[2], octets[3]]);
    let mut base = octets;
    (base[2], base[3]) = (0, 0);
    Some(if base == BASE {
        Payload::Service16 { uuid: short, data }
    } else {
        Payload::Service128 { uuid: octets, data }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbus::{
        Path,
        arg::{PropMap, RefArg, Variant},
    };
    use std::collections::HashMap;

    const PATH: &str = "/org/bluez/hci0/dev_C0_B1_E1_AB_00_01";

    fn property(value: impl RefArg + 'static) -> Variant<Box<dyn RefArg>> {
        Variant(Box::new(value))
    }

    fn properties(properties: impl IntoIterator<Item = (&'static str, Variant<Box<dyn RefArg>>)>) -> PropMap {
        properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn manufacturer(company: u16, data: &[u8]) -> (&'static str, Variant<Box<dyn RefArg>>) {
        ("ManufacturerData", property(HashMap::from([(company, property(data.to_vec()))])))
    }

    fn service(uuid: &str, data: &[u8]) -> (&'static str, Variant<Box<dyn RefArg>>) {
        ("ServiceData", property(HashMap::from([(uuid.to_owned(), property(data.to_vec()))])))
    }

    fn changed(path: &str, interface: &str, changed: PropMap) -> Message {
        let signal =
            Message::new_signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged").unwrap();
        signal.append3(interface, changed, vec!["RSSI"])
    }

    fn added(path: &str, interfaces: HashMap<&str, PropMap>) -> Message {
        let signal =
            Message::new_signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded").unwrap();
        signal.append2(Path::from(path.to_owned()), interfaces)
    }

    /// RSSI and payloads of an advertisement of the device at [`PATH`].
    fn check(message: &Message, rssi_dbm: Option<i8>, payloads: &[Payload<'_>]) {
        let Signal::Advertisement(report) = read(message) else { panic!("it is no advertisement") };
        assert_eq!(report.adapter.as_str(), "hci0");
        assert!(report.address == Address::new([0xc0, 0xb1, 0xe1, 0xab, 0, 1]));
        assert_eq!((report.rssi_dbm, report.payloads.as_slice()), (rssi_dbm, payloads));
    }

    #[test]
    fn advertisements_are_read_whole() {
        let content = properties([
            ("RSSI", property(-71_i16)),
            manufacturer(0x4c, &[2, 0x15]),
            ("Name", property(1_u32)),
        ]);
        check(
            &changed(PATH, DEVICE, content),
            Some(-71),
            &[Payload::Manufacturer { company: 0x4c, data: &[2, 0x15] }],
        );
        let content = properties([service("0000feaa-0000-1000-8000-00805f9b34fb", &[])]);
        check(&changed(PATH, DEVICE, content), None, &[Payload::Service16 { uuid: 0xfeaa, data: &[] }]);
        let content = properties([service("12345678-9abc-def0-1234-56789abcdef0", &[7])]);
        let uuid =
            [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0];
        check(&changed(PATH, DEVICE, content), None, &[Payload::Service128 { uuid, data: &[7] }]);
        let content = properties([("RSSI", property(-90_i16))]);
        check(&changed(PATH, DEVICE, content), Some(-90), &[]);
        let content = properties([("RSSI", property(-50_i16)), manufacturer(1, &[1])]);
        let message = added(
            PATH,
            HashMap::from([("org.freedesktop.DBus.Introspectable", PropMap::new()), (DEVICE, content)]),
        );
        check(&message, Some(-50), &[Payload::Manufacturer { company: 1, data: &[1] }]);
    }

    #[test]
    fn more_payloads_than_fit_an_advertisement_are_passed_over() {
        let many: HashMap<u16, _> = (0..100).map(|company| (company, property(vec![1_u8]))).collect();
        let message = changed(PATH, DEVICE, properties([("ManufacturerData", property(many))]));
        let Signal::Advertisement(report) = read(&message) else { panic!("it is no advertisement") };
        assert!(report.payloads.is_full());
    }

    #[test]
    fn changes_of_adapters_and_of_bluez_are_worth_a_look() {
        let on = || properties([("Powered", property(true))]);
        let owner = Message::new_signal("/", "org.freedesktop.DBus", "NameOwnerChanged").unwrap();
        for message in [
            changed("/org/bluez/hci0", ADAPTER, on()),
            added("/org/bluez/hci1", HashMap::from([(ADAPTER, on())])),
            owner.append3("org.bluez", ":1.1", ""),
        ] {
            assert!(matches!(read(&message), Signal::Change));
        }
    }

    #[test]
    fn what_is_no_advertisement_is_passed_over() {
        let heard = || properties([("RSSI", property(-50_i16))]);
        for message in [
            // What BlueZ remembers, and what is not heard.
            added(PATH, HashMap::from([(DEVICE, properties([manufacturer(1, &[1])]))])),
            changed(PATH, DEVICE, properties([("Connected", property(true))])),
            changed(PATH, DEVICE, properties([("RSSI", property(127_i16))])),
            changed(PATH, DEVICE, properties([("RSSI", property("-50".to_owned()))])),
            changed(PATH, "org.bluez.Battery1", heard()),
            // No addresses.
            changed("/org/bluez/hci0", DEVICE, heard()),
            changed("/org/bluez/hci0/dev_C0_B1_E1_AB_00", DEVICE, heard()),
            changed("/org/bluez/hci0/dev_C0_B1_E1_AB_00_01_02", DEVICE, heard()),
            changed("/org/bluez/hci0/dev_C0_B1_E1_AB_00_0G", DEVICE, heard()),
            changed("/org/bluez/hci0/dev_C0_B1_E1_AB_000_1", DEVICE, heard()),
            changed("/org/bluez/an_adapter_of_such_a_name/dev_C0_B1_E1_AB_00_01", DEVICE, heard()),
            // Other signals, other types, nothing.
            Message::new_signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded").unwrap(),
            Message::new_signal(PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged")
                .unwrap()
                .append1(1_u32),
            Message::new_signal(PATH, "org.freedesktop.DBus.Properties", "Other").unwrap(),
        ] {
            assert!(matches!(read(&message), Signal::Other), "{:?}", message.iter_init());
        }
    }
}
