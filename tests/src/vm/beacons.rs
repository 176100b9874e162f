//! Advertisers of the cases.

use crate::vhci::{Advertiser, Report};
use std::time::Duration;
use vitrine_protocol::frame::IBeacon;

/// The UUID of all iBeacons here.
pub const UUID: [u8; 16] = 0x5a1d_77e0_93c4_4b2f_8e61_0d3b_c7a9_f254_u128.to_be_bytes();

/// AD structures of every format, as the makers' documents have them, with the format's name.
pub const FORMATS: [(&str, &str); 10] = [
    ("ibeacon", "020106 1aff4c000215f7826da64fa24e988024bc5b71e0893e00010002c5"),
    ("eddystone-uid", "020106 0303aafe 1516aafe00ee001122334455667788990a0b0c0d0e0f"),
    ("eddystone-url", "020106 0303aafe 0e16aafe10ee036578616d706c6507"),
    ("eddystone-tlm", "020106 0303aafe 1116aafe20000bb816800000000100000002"),
    ("eddystone-eid", "020106 0303aafe 0d16aafe30ee0102030405060708"),
    ("altbeacon", "1bff1801beac00112233445566778899aabbccddeeff00010002c500"),
    ("ruuvi", "020106 1bff99040512fc5394c37c0004fffc040cac364200cdcbb8334c884f"),
    ("kontakt", "020106 0d166afe0206010264f461626364"),
    ("minew", "020106 1016e1ffa101641900 3a80 080000c0b1e1"),
    ("bthome", "020106 0a16d2fc4002ca0903bf13"),
];

/// One of [`FORMATS`], a second apart, from an address of its own.
pub fn format(index: usize) -> Advertiser {
    let (name, text) = FORMATS[index];
    let report =
        Report { address: address(1, index as u32), rssi_dbm: -55, data: octets(text), response: None };
    Advertiser {
        name,
        period: Duration::from_millis(1000),
        times: None,
        make: Box::new(move |_| report.clone()),
    }
}

/// An iBeacon that always says the same.
pub fn ibeacon(name: &'static str, minor: u16, period_ms: u64, times: Option<u64>) -> Advertiser {
    let report = report(address(2, minor.into()), 1, minor);
    Advertiser {
        name,
        period: Duration::from_millis(period_ms),
        times,
        make: Box::new(move |_| report.clone()),
    }
}

/// `times` advertisements of `senders` iBeacons, each with the next number as its major and minor.
pub fn flood(name: &'static str, senders: u32, per_second: u32, times: u32) -> Advertiser {
    Advertiser {
        name,
        period: Duration::from_secs(1) / per_second,
        times: Some(times.into()),
        make: Box::new(move |number| {
            let number = number as u32;
            report(address(3, number % senders), (number >> 16) as u16 + 100, number as u16)
        }),
    }
}

/// `times` strangers, each from an address that is never met again.
pub fn strangers(name: &'static str, per_second: u32, times: u32) -> Advertiser {
    Advertiser {
        name,
        period: Duration::from_secs(1) / per_second,
        times: Some(times.into()),
        make: Box::new(|number| {
            let [_, _, _, _, a, b, c, d] = number.to_be_bytes();
            // Resolvable private addresses, and what telephones say.
            Report {
                address: [0x4a, 0x11, a, b, c, d],
                rssi_dbm: -70,
                data: vec![2, 1, 6, 10, 0xff, 0x4c, 0, 0x10, 5, a, b, c, d],
                response: None,
            }
        }),
    }
}

fn report(address: [u8; 6], major: u16, minor: u16) -> Report {
    let beacon = IBeacon { uuid: UUID, major, minor, measured_power_dbm: -59 };
    Report { address, rssi_dbm: -75, data: beacon.encode().to_vec(), response: None }
}

/// A random static address.
fn address(group: u8, number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [0xc0 | group, a, b, c, d, 0xe1]
}

/// The octets of a text of hexadecimal digits.
pub fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_protocol::frame::Frame;

    #[test]
    fn every_format_is_what_it_is_named() {
        for (name, text) in FORMATS {
            let octets = octets(text);
            assert!(octets.len() <= 31, "{name}: {}", octets.len());
            let formats: Vec<_> =
                Frame::decode(&octets).map(|frame| frame.map(|frame| frame.format())).collect();
            assert_eq!(formats, [Ok(name)], "{text}");
        }
    }
}
