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
        let mut key = entry.clone();
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
