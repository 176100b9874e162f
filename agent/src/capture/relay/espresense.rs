//! ESPresense: one device a message, on `espresense/devices/<id>/<room>`.
//!
//! Format: espresense.com, "MQTT", and the firmware's `BleFingerprint` (its names of devices). A node tells no payloads:
//! an iBeacon and an Eddystone-UID are in the device's name, every other sender is known by its address alone. The RSSI
//! is the median of what the node heard since its last message, corrected by the node's own calibration.

use super::{
    Heard, Items, Message, Relayed, Unreadable,
    decoded::{self, Numbers},
    json::{self, Number, Text},
    rssi_dbm,
};
use crate::{capture::source::Content, private::Address};
use serde::Deserialize;
use vitrine_protocol::frame::Frame;

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    mac: Option<Text<'a>>,
    rssi: Option<Number>,
    #[serde(rename = "rssi@1m")]
    measured_power: Option<Number>,
}

pub(super) fn read(message: &Message<'_>, items: &mut Items<'_>) -> Result<(), Unreadable> {
    let mut levels = message.topic.split('/').skip(1);
    let room = match (levels.next(), levels.next(), levels.next(), levels.next()) {
        (Some("devices"), Some(_), room, None) => room,
        // A room's settings and telemetry, and reports of a device's sensors.
        _ => return Ok(()),
    };
    let raw: Raw<'_> = json::parse(message.payload)?;
    let measured_power_dbm = raw.measured_power.map(|Number(power)| power);
    let beacon = raw.id.as_ref().and_then(|Text(id)| beacon(id, measured_power_dbm));
    let address = raw.mac.as_ref().and_then(|Text(mac)| Address::parse(mac));
    items.put((address.is_some() || beacon.is_some()).then_some(Relayed {
        relay: room,
        address,
        rssi_dbm: raw.rssi.and_then(|Number(rssi)| rssi_dbm(rssi)),
        content: beacon.map_or(Content::Nothing, Content::Frame),
        heard: Heard::Unknown,
    }));
    Ok(())
}

/// `iBeacon:<uuid>-<major>-<minor>`, `eddy:<namespace>-<instance>`.
fn beacon(id: &str, measured_power_dbm: Option<f64>) -> Option<Frame> {
    let (kind, name) = id.split_once(':')?;
    let (rest, last) = name.rsplit_once('-')?;
    match kind {
        "iBeacon" => {
            let (uuid, major) = rest.rsplit_once('-')?;
            let number = |digits: &str| digits.parse::<u16>().map(f64::from).ok();
            let (major, minor) = (number(major)?, number(last)?);
            decoded::ibeacon(uuid, Numbers { major, minor, measured_power_dbm })
        }
        "eddy" => {
            let mut namespace = hex::decode(rest).ok()?;
            // The firmware writes the fifth octet twice.
            if let [_, _, _, _, fifth, again, ..] = namespace[..]
                && namespace.len() == 11
                && fifth == again
            {
                namespace.remove(4);
            }
            // What it has is the power at 1 m; the frame's is at 0 m, 41 dB more.
            let tx_power_dbm = measured_power_dbm.map(|power| power + 41.0);
            decoded::eddystone_uid(&namespace, &hex::decode(last).ok()?, tx_power_dbm)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::capture::relay::{
        Format,
        tests::{check, check_lines},
    };
    use expect_test::expect;

    #[test]
    fn devices_are_read() {
        let lines = include_str!("../../../../tests/data/relays/espresense.txt");
        check_lines(
            &Format::Espresense,
            lines,
            expect![[r#"
            door: -72 dBm, now, addressed, ibeacon
            door: -80 dBm, now, addressed, eddystone-uid
            door: -55 dBm, now, addressed
        "#]],
        );
    }

    #[test]
    fn what_is_bad_is_counted_and_what_is_no_device_passed_over() {
        let topic = "espresense/devices/iBeacon:1-2-3/door";
        check(
            &Format::Espresense,
            topic,
            br#"{"id":"iBeacon:1-2-3"}"#,
            expect![[r#"
            1 bad, 0 cut
        "#]],
        );
        check(
            &Format::Espresense,
            topic,
            br#"{"id":"eddy:-","mac":"c30000000001"}"#,
            expect![[r#"
            door: no RSSI, now, addressed
        "#]],
        );
        check(
            &Format::Espresense,
            topic,
            b"on",
            expect![[r#"
            the message is no JSON from line 1, column 1 on
        "#]],
        );
        check(&Format::Espresense, "espresense/rooms/door/telemetry", br#"{"uptime":1}"#, expect![[r#""#]]);
        check(&Format::Espresense, "espresense/rooms/door/status", b"online", expect![[r#""#]]);
    }
}
