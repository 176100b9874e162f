//! The form in protocol buffers. Fields by number, from `aruba-iot-nb.proto` and the files that it imports.

use super::{Reported, Rssi};
use crate::{
    capture::{
        relay::{
            Heard, Items, Relayed, Unreadable,
            decoded::{self, Numbers},
            protobuf::{Broken, Value, fields},
            rssi_dbm,
        },
        source::Content,
    },
    private::Address,
};
use vitrine_protocol::frame::Frame;

const EXPECTED: Unreadable = Unreadable::OtherFormat { expected: "IoT telemetry of Aruba" };

#[derive(Default)]
struct Reporter {
    mac: Option<String>,
    time_s: Option<f64>,
}

/// `Telemetry`: reporter 2, reported 3, BLE data 6.
pub(super) fn read(message: &[u8], items: &mut Items<'_>) -> Result<(), Unreadable> {
    // The reporter is required, and may stand behind what it reports.
    let reporter = fields(message).flatten().find_map(|field| match field {
        (2, Value::Octets(reporter)) => Some(read_reporter(reporter)),
        _ => None,
    });
    let reporter = reporter.ok_or(EXPECTED)?.map_err(|Broken| EXPECTED)?;
    for field in fields(message) {
        let (number, value) = field.map_err(|Broken| EXPECTED)?;
        match (number, value) {
            (3 | 6, _) if items.cut() => {}
            (3, Value::Octets(reported)) => match read_reported(reported) {
                Ok(reported) => reported.put(reporter.mac.as_deref(), items),
                Err(Broken) => items.bad(),
            },
            (6, Value::Octets(data)) => {
                items.put(read_ble_data(data, &reporter).ok());
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_reporter(message: &[u8]) -> Result<Reporter, Broken> {
    let mut reporter = Reporter::default();
    for field in fields(message) {
        match field? {
            (2, mac) => reporter.mac = mac.octets().map(hex::encode),
            (8, time) => reporter.time_s = time.number().map(|s| s as f64),
            _ => {}
        }
    }
    Ok(reporter)
}

/// `BleData`: an advertisement as it was on the air.
fn read_ble_data<'a>(message: &'a [u8], reporter: &'a Reporter) -> Result<Relayed<'a>, Broken> {
    let mut relayed = Relayed {
        relay: reporter.mac.as_deref(),
        address: None,
        rssi_dbm: None,
        content: Content::Nothing,
        heard: reporter.time_s.map_or(Heard::Unknown, Heard::at_s),
    };
    for field in fields(message) {
        match field? {
            (1, mac) => relayed.address = Some(address(mac)?),
            (3, Value::Octets(data)) => relayed.content = Content::Raw(data),
            (4, rssi) => relayed.rssi_dbm = rssi.zigzag().and_then(|rssi| rssi_dbm(rssi as f64)),
            _ => {}
        }
    }
    if relayed.address.is_none() { Err(Broken) } else { Ok(relayed) }
}

fn read_reported(message: &[u8]) -> Result<Reported, Broken> {
    let mut reported = Reported::default();
    for field in fields(message) {
        match field? {
            (1, mac) => reported.address = Some(address(mac)?),
            (7, time) => reported.last_seen_s = time.number().map(|s| s as f64),
            (10, Value::Octets(rssi)) => reported.rssi = read_rssi(rssi)?,
            (12, Value::Octets(beacons)) => read_beacons(beacons, &mut reported.beacons)?,
            _ => {}
        }
    }
    Ok(reported)
}

fn read_rssi(message: &[u8]) -> Result<Rssi, Broken> {
    let mut rssi = Rssi::default();
    for field in fields(message) {
        match field? {
            (1 | 2 | 3 | 5, value) => rssi.one = rssi.one.or(value.zigzag().map(|rssi| rssi as f64)),
            (4, Value::Octets(history)) => {
                let (mut time_s, mut reading) = (0, None);
                for field in fields(history) {
                    match field? {
                        (1, time) => time_s = time.number().unwrap_or(0),
                        (2, value) => reading = value.zigzag(),
                        _ => {}
                    }
                }
                rssi.history.extend(reading.map(|rssi| (time_s as f64, rssi as f64)));
            }
            _ => {}
        }
    }
    Ok(rssi)
}

/// `Beacons`: iBeacon 1 (uuid 1, major 2, minor 3, power 4), Eddystone 2 (power 1, UID 2).
fn read_beacons(message: &[u8], beacons: &mut Vec<Frame>) -> Result<(), Broken> {
    for field in fields(message) {
        match field? {
            (1, Value::Octets(ibeacon)) => {
                let (mut uuid, mut numbers) = (String::new(), [None; 3]);
                for field in fields(ibeacon) {
                    match field? {
                        (1, value) => uuid = value.octets().map(hex::encode).unwrap_or_default(),
                        (at @ (2 | 3), value) => numbers[at as usize - 2] = value.number().map(|n| n as f64),
                        (4, value) => numbers[2] = value.zigzag().map(|power| power as f64),
                        _ => {}
                    }
                }
                if let [Some(major), Some(minor), measured_power_dbm] = numbers {
                    beacons.extend(decoded::ibeacon(&uuid, Numbers { major, minor, measured_power_dbm }));
                }
            }
            (2, Value::Octets(eddystone)) => {
                let (mut power, mut uid) = (None, None);
                for field in fields(eddystone) {
                    match field? {
                        (1, value) => power = value.zigzag().map(|power| power as f64),
                        (2, Value::Octets(message)) => uid = Some(message),
                        _ => {}
                    }
                }
                let (mut namespace, mut instance) = (&[][..], &[][..]);
                for field in fields(uid.unwrap_or_default()) {
                    match field? {
                        (1, Value::Octets(octets)) => namespace = octets,
                        (2, Value::Octets(octets)) => instance = octets,
                        _ => {}
                    }
                }
                beacons.extend(decoded::eddystone_uid(namespace, instance, power));
            }
            _ => {}
        }
    }
    Ok(())
}

fn address(value: Value<'_>) -> Result<Address, Broken> {
    value.octets().and_then(|mac| mac.try_into().ok()).map(Address::new).ok_or(Broken)
}

#[cfg(test)]
mod tests {
    use crate::capture::relay::{
        Format,
        protobuf::write::{number, octets, zigzag},
        tests::check,
    };
    use expect_test::expect;

    const MAC: &[u8] = &[0xc3, 0, 0, 0, 0, 1];

    /// `meta` and `reporter`, as every message has them.
    fn head() -> Vec<u8> {
        let meta = [number(1, 1), octets(2, b"secret"), number(3, 3)].concat();
        let reporter =
            [octets(1, b"door"), octets(2, &[0x20, 0x4c, 3, 0, 0, 1]), number(8, 1_772_622_010)].concat();
        [octets(1, &meta), octets(2, &reporter)].concat()
    }

    #[test]
    fn advertisements_are_read() {
        let ibeacon = hex::decode("0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5").unwrap();
        let data = [octets(1, MAC), number(2, 2), octets(3, &ibeacon), zigzag(4, -71), number(5, 1)].concat();
        let message = [head(), octets(6, &data), octets(6, &octets(3, &ibeacon))].concat();
        check(
            &Format::Aruba,
            "",
            &message,
            expect![[r#"
            204c03000001: -71 dBm, at 2026-03-04T11:00:10.000Z, addressed, ibeacon
            1 bad, 0 cut
        "#]],
        );
        check(
            &Format::Aruba,
            "",
            &message[..message.len() - 3],
            expect![[r#"
            204c03000001: -71 dBm, at 2026-03-04T11:00:10.000Z, addressed, ibeacon
            1 bad, 0 cut
        "#]],
        );
    }

    #[test]
    fn reports_are_read() {
        let uuid = hex::decode("e2c56db5dffb48d2b060d0f5a71096e0").unwrap();
        let ibeacon = [octets(1, &uuid), number(2, 1), number(3, 2), zigzag(4, -59)].concat();
        let uid = [octets(1, &[1; 10]), octets(2, &[2; 6])].concat();
        let eddystone = [zigzag(1, -25), octets(2, &uid)].concat();
        let reading = |time, rssi| octets(4, &[number(1, time), zigzag(2, rssi)].concat());
        let history = [reading(1_772_622_001, -60), reading(1_772_622_002, -61)].concat();
        let last_seen = number(7, 1_772_622_005);
        let reports = [
            [
                octets(1, MAC),
                last_seen.clone(),
                octets(10, &zigzag(2, -70)),
                octets(12, &octets(1, &ibeacon)),
            ]
            .concat(),
            [octets(1, MAC), octets(10, &history), octets(12, &octets(2, &eddystone))].concat(),
            [octets(1, MAC), last_seen].concat(),
            octets(1, &MAC[1..]),
        ];
        let message = [head(), reports.iter().flat_map(|report| octets(3, report)).collect()].concat();
        check(
            &Format::Aruba,
            "",
            &message,
            expect![[r#"
            204c03000001: -70 dBm, at 2026-03-04T11:00:05.000Z, addressed, ibeacon
            204c03000001: -60 dBm, at 2026-03-04T11:00:01.000Z, addressed, eddystone-uid
            204c03000001: -61 dBm, at 2026-03-04T11:00:02.000Z, addressed, eddystone-uid
            204c03000001: no RSSI, at 2026-03-04T11:00:05.000Z, addressed
            1 bad, 0 cut
        "#]],
        );
    }

    #[test]
    fn what_is_no_telemetry_is_told() {
        check(&Format::Aruba, "", &head(), expect![[r#""#]]);
        check(
            &Format::Aruba,
            "",
            b"",
            expect![[r#"
            the message is not of this format: expected IoT telemetry of Aruba
        "#]],
        );
        check(
            &Format::Aruba,
            "",
            &head()[..20],
            expect![[r#"
            the message is not of this format: expected IoT telemetry of Aruba
        "#]],
        );
    }
}
