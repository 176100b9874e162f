//! The form in JSON: the same names, octets in digits, large numbers in quotes.

use super::{Reported, Rssi};
use crate::{
    capture::relay::{
        Items, Unreadable,
        decoded::{self, Numbers},
        json::{self, Number, Text},
    },
    private::Address,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use vitrine_protocol::frame::Frame;

#[derive(Deserialize)]
struct Telemetry<'a> {
    #[serde(borrow)]
    reporter: Option<Reporter<'a>>,
    #[serde(borrow)]
    reported: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reporter<'a> {
    #[serde(borrow)]
    mac: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReported<'a> {
    #[serde(borrow)]
    mac: Text<'a>,
    last_seen: Option<Number>,
    rssi: Option<RawRssi>,
    #[serde(borrow, default)]
    beacons: Vec<Beacon<'a>>,
}

#[derive(Default, Deserialize)]
struct RawRssi {
    last: Option<Number>,
    avg: Option<Number>,
    smooth: Option<Number>,
    max: Option<Number>,
    #[serde(default)]
    history: Vec<Reading>,
}

#[derive(Deserialize)]
struct Reading {
    time: Number,
    rssi: Number,
}

#[derive(Deserialize)]
struct Beacon<'a> {
    #[serde(borrow)]
    ibeacon: Option<IBeacon<'a>>,
    #[serde(borrow)]
    eddystone: Option<Eddystone<'a>>,
}

#[derive(Deserialize)]
struct IBeacon<'a> {
    #[serde(borrow)]
    uuid: Text<'a>,
    major: Number,
    minor: Number,
    power: Option<Number>,
}

#[derive(Deserialize)]
struct Eddystone<'a> {
    power: Option<Number>,
    #[serde(borrow)]
    uid: Option<Uid<'a>>,
}

#[derive(Deserialize)]
struct Uid<'a> {
    #[serde(borrow)]
    nid: Text<'a>,
    #[serde(borrow)]
    bid: Text<'a>,
}

pub(super) fn read(payload: &[u8], items: &mut Items<'_>) -> Result<(), Unreadable> {
    let telemetry: Telemetry<'_> = json::parse(payload)?;
    let Some(reporter) = telemetry.reporter else {
        return Err(Unreadable::OtherFormat { expected: "IoT telemetry of Aruba" });
    };
    let relay = reporter.mac.as_ref().map(|Text(mac)| &**mac);
    // Health, WiFi and other reports have no `reported`.
    let Some(reported) = telemetry.reported else { return Ok(()) };
    json::items(reported.get().as_bytes(), &mut |item| {
        if !items.cut() {
            match json::item::<RawReported<'_>>(item) {
                Some(raw) => reported_of(&raw).put(relay, items),
                None => items.bad(),
            }
        }
    })?;
    Ok(())
}

fn reported_of(raw: &RawReported<'_>) -> Reported {
    let rssi = raw.rssi.as_ref().map(|rssi| Rssi {
        one: rssi.last.or(rssi.avg).or(rssi.smooth).or(rssi.max).map(|Number(rssi)| rssi),
        history: rssi.history.iter().map(|reading| (reading.time.0, reading.rssi.0)).collect(),
    });
    Reported {
        address: Address::parse(&raw.mac.0),
        last_seen_s: raw.last_seen.map(|Number(s)| s),
        rssi: rssi.unwrap_or_default(),
        beacons: raw
            .beacons
            .iter()
            .flat_map(|beacon| [ibeacon(beacon), eddystone(beacon)])
            .flatten()
            .collect(),
    }
}

fn ibeacon(beacon: &Beacon<'_>) -> Option<Frame> {
    let IBeacon { uuid: Text(uuid), major: Number(major), minor: Number(minor), power } =
        beacon.ibeacon.as_ref()?;
    let measured_power_dbm = power.map(|Number(power)| power);
    decoded::ibeacon(uuid, Numbers { major: *major, minor: *minor, measured_power_dbm })
}

fn eddystone(beacon: &Beacon<'_>) -> Option<Frame> {
    let Eddystone { power, uid } = beacon.eddystone.as_ref()?;
    let Uid { nid: Text(namespace), bid: Text(instance) } = uid.as_ref()?;
    let (namespace, instance) = (hex::decode(&**namespace).ok()?, hex::decode(&**instance).ok()?);
    decoded::eddystone_uid(&namespace, &instance, power.map(|Number(power)| power))
}

#[cfg(test)]
mod tests {
    use crate::capture::relay::{Format, tests::check};
    use expect_test::expect;

    #[test]
    fn a_report_is_read() {
        let report = include_bytes!("../../../../../tests/data/relays/aruba-telemetry.json");
        check(
            &Format::Aruba,
            "",
            report,
            expect![[r#"
            204c03000001: -77 dBm, at 2026-03-04T11:00:05.000Z, addressed, ibeacon
            204c03000001: -70 dBm, at 2026-03-04T11:00:06.000Z, addressed, eddystone-uid
            204c03000001: -61 dBm, at 2026-03-04T11:00:04.000Z, addressed
            204c03000001: -62 dBm, at 2026-03-04T11:00:07.000Z, addressed
            204c03000001: no RSSI, at 2026-03-04T10:43:20.000Z, addressed
        "#]],
        );
    }

    #[test]
    fn what_is_bad_is_counted() {
        let check = |payload: &str, expected| check(&Format::Aruba, "", payload.as_bytes(), expected);
        check(
            r#"{"reporter":{"mac":"204c03000001"},"reported":[{"rssi":{}}, {"mac":"x"}, {"mac":"c30000000001","beacons":[{"ibeacon":{}}]}, {"mac":"c30000000001"}]}"#,
            expect![[r#"
                204c03000001: no RSSI, now, addressed
                3 bad, 0 cut
            "#]],
        );
        check(r#"{"reporter":{"mac":"204c03000001"},"apHealth":{}}"#, expect![[r#""#]]);
        check(
            "{}",
            expect![[r#"
            the message is not of this format: expected IoT telemetry of Aruba
        "#]],
        );
    }
}
