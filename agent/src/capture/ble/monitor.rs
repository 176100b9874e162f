//! Our advertisement monitor: an object that BlueZ is told of, so that the kernel lets every advertisement through.
//!
//! In an active scan the controller filters out what repeats itself, whatever the scan asks for: a static iBeacon is heard
//! once. While any monitor is in force the kernel switches that filter off (`hci_active_scan_sync` in its `hci_sync.c`), for
//! all advertisements and not only for those that the monitor's patterns match. The patterns name what we read, so that
//! BlueZ reports just that to the monitor: it costs one call for each such device, which is not answered.
//!
//! bluetoothd offers monitors when it is started with `--experimental`. It asks for our objects at `/`, and takes those
//! below the root that was registered.

use arrayvec::ArrayVec;
use dbus::{
    Message, Path,
    arg::{PropMap, Variant},
    channel::Sender,
    nonblock::SyncConnection,
};
use std::collections::HashMap;
use vitrine_protocol::{
    advertisement::{MANUFACTURER_DATA, SERVICE_DATA_16},
    frame::{
        APPLE_COMPANY, DEVELOPMENT_COMPANY, EDDYSTONE_UUID16, MINEW_UUID16, RUUVI_COMPANY,
        bthome::BTHOME_UUID16,
    },
};

/// BlueZ's interface to register monitors at.
pub(super) const MANAGER: &str = "org.bluez.AdvertisementMonitorManager1";
/// The interface of a monitor.
const MONITOR: &str = "org.bluez.AdvertisementMonitor1";
/// Where ours are. An adapter's name follows.
const ROOT: &str = "/org/vitrine/";

/// Octets that an AD structure of some type has at some place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Where, from the first octet after the type.
    start: u8,
    ad_type: u8,
    octets: ArrayVec<u8, 4>,
}

/// Most patterns of a monitor: bluetoothd 5.66 (Debian 12) counts the octets that it needs for them in one octet, 34 for
/// each, and with an eighth it overwrites its memory and dies. The kernel takes 16.
const PATTERNS_MAX: usize = 7;

/// The more usual of the formats that are read. Which they are only counts for controllers that match by themselves.
pub(super) fn patterns() -> Vec<Pattern> {
    // Not only the company: every telephone of its make sends that.
    let [low, high] = APPLE_COMPANY.to_le_bytes();
    let ibeacon = [low, high, 0x02, 0x15];
    let altbeacon = [0xbe, 0xac];
    let companies = [RUUVI_COMPANY, DEVELOPMENT_COMPANY];
    let services = [EDDYSTONE_UUID16, BTHOME_UUID16, MINEW_UUID16];
    [pattern(0, MANUFACTURER_DATA, &ibeacon), pattern(2, MANUFACTURER_DATA, &altbeacon)]
        .into_iter()
        .chain(companies.map(|company| pattern(0, MANUFACTURER_DATA, &company.to_le_bytes())))
        .chain(services.map(|uuid| pattern(0, SERVICE_DATA_16, &uuid.to_le_bytes())))
        .take(PATTERNS_MAX)
        .collect()
}

fn pattern(start: u8, ad_type: u8, octets: &[u8]) -> Pattern {
    Pattern { start, ad_type, octets: octets.iter().copied().collect() }
}

/// The root to register for an adapter.
pub(super) fn root(adapter: &str) -> String {
    format!("{ROOT}{adapter}/monitors")
}

fn monitor(adapter: &str) -> Path<'static> {
    format!("{ROOT}{adapter}/monitors/beacons").into()
}

/// Answers a call of BlueZ; `set` is told which adapter's monitor came into force, or is not any more.
pub(super) fn answer<'a>(
    call: &Message,
    adapters: impl Iterator<Item = &'a str>,
    patterns: &[Pattern],
    set: impl Fn(&str, bool),
    connection: &SyncConnection,
) {
    let path = call.path();
    let ours = || path.as_deref()?.strip_prefix(ROOT)?.split('/').next();
    match call.member().as_deref() {
        Some("Activate") => ours().into_iter().for_each(|adapter| set(adapter, true)),
        Some("Release") => ours().into_iter().for_each(|adapter| set(adapter, false)),
        Some("GetManagedObjects") => {
            let objects: HashMap<_, _> = adapters
                .map(|adapter| (monitor(adapter), HashMap::from([(MONITOR, properties(patterns))])))
                .collect();
            // If it cannot be sent there is no bus, which is seen elsewhere.
            connection.send(call.method_return().append1(objects)).ok();
            return;
        }
        // Devices found and lost: their advertisements are heard anyway.
        _ => {}
    }
    if !call.get_no_reply() {
        connection.send(call.method_return()).ok();
    }
}

fn properties(patterns: &[Pattern]) -> PropMap {
    let patterns: Vec<_> =
        patterns.iter().map(|pattern| (pattern.start, pattern.ad_type, pattern.octets.to_vec())).collect();
    PropMap::from([
        ("Type".to_owned(), Variant(Box::new("or_patterns".to_owned()) as Box<_>)),
        ("Patterns".to_owned(), Variant(Box::new(patterns) as Box<_>)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_protocol::frame::IBeacon;

    #[test]
    fn bluetoothd_survives_the_patterns_and_they_match_what_is_read() {
        let patterns = patterns();
        assert_eq!(patterns.len(), PATTERNS_MAX);
        let frame = IBeacon { uuid: [1; 16], major: 1, minor: 2, measured_power_dbm: -59 }.encode();
        // Flags, then length and type of the manufacturer data.
        let (ad_type, data) = (frame[4], &frame[5..]);
        let matches = |pattern: &&Pattern| {
            pattern.ad_type == ad_type && data[usize::from(pattern.start)..].starts_with(&pattern.octets)
        };
        assert_eq!(patterns.iter().filter(matches).count(), 1);
    }

    #[test]
    fn no_adapters_monitors_are_below_the_root_of_another() {
        assert!(monitor("hci1").starts_with(&root("hci1")));
        assert!(!monitor("hci10").starts_with(&root("hci1")));
    }

    #[test]
    fn a_monitor_is_of_the_type_that_bluez_reads() {
        let properties = properties(&patterns());
        assert_eq!(dbus::arg::prop_cast::<String>(&properties, "Type").unwrap(), "or_patterns");
        assert_eq!(&*properties["Patterns"].0.signature(), "a(yyay)");
    }
}
