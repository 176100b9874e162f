//! Beacons that a relay has decoded itself: from its words back to frames.

use super::rssi_dbm;
use vitrine_protocol::frame::{EddystoneUid, Frame, IBeacon};

/// Numbers of an iBeacon as a relay writes them. `None` where one is out of range, or not whole.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    pub(super) major: f64,
    pub(super) minor: f64,
    /// `None` where the relay does not tell it; what identifies a beacon does without.
    pub(super) measured_power_dbm: Option<f64>,
}

/// An iBeacon; `uuid` with or without hyphens.
pub(super) fn ibeacon(uuid: &str, numbers: Numbers) -> Option<Frame> {
    let mut octets = [0; 16];
    hex::decode_to_slice(uuid.replace('-', ""), &mut octets).ok()?;
    let Numbers { major, minor, measured_power_dbm } = numbers;
    let measured_power_dbm = measured_power_dbm.and_then(rssi_dbm).unwrap_or(0);
    Some(Frame::IBeacon(IBeacon {
        uuid: octets,
        major: short(major)?,
        minor: short(minor)?,
        measured_power_dbm,
    }))
}

/// An Eddystone-UID.
pub(super) fn eddystone_uid(namespace: &[u8], instance: &[u8], tx_power_dbm: Option<f64>) -> Option<Frame> {
    let (namespace, instance) = (namespace.try_into().ok()?, instance.try_into().ok()?);
    let tx_power_dbm = tx_power_dbm.and_then(rssi_dbm).unwrap_or(0);
    Some(Frame::EddystoneUid(EddystoneUid { tx_power_dbm, namespace, instance }))
}

fn short(number: f64) -> Option<u16> {
    let short = number as u16;
    (f64::from(short) == number).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_no_beacon() {
        let numbers = Numbers { major: 1.0, minor: 65_535.0, measured_power_dbm: Some(-59.0) };
        let uuid = "E2C56DB5-DFFB-48D2-B060-D0F5A71096E0";
        let Some(Frame::IBeacon(beacon)) = ibeacon(uuid, numbers) else { panic!() };
        assert_eq!((beacon.uuid[0], beacon.minor, beacon.measured_power_dbm), (0xe2, 0xffff, -59));
        for bad in [-1.0, 65_536.0, 1.5, f64::NAN] {
            assert_eq!(ibeacon(uuid, Numbers { major: bad, ..numbers }), None);
        }
        assert_eq!(ibeacon("E2C56DB5", numbers), None);
        assert_eq!(eddystone_uid(&[0; 10], &[0; 5], None), None);
    }
}
