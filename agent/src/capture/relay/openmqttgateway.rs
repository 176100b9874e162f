//! OpenMQTTGateway and Theengs Gateway: one advertisement a message, on `home/<gateway>/BTtoMQTT/<id>`.
//!
//! Format: docs.openmqttgateway.com, "BLE gateway", and gateway.theengs.io, "Use". Without `pubadvdata` (OpenMQTTGateway)
//! or `publish_advdata` (Theengs) a message says what the gateway decoded, and not what was on the air: then an iBeacon is
//! known by its numbers and every other sender by its address alone.

use super::{
    Heard, Items, Message, Relayed, Unreadable,
    decoded::{self, Numbers},
    json::{BadJson, Number, Text},
    payloads::Payloads,
    rssi_dbm,
};
use crate::{capture::source::Content, private::Address};
use serde::Deserialize;

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    /// Where `id` is an iBeacon's UUID.
    #[serde(borrow)]
    mac: Option<Text<'a>>,
    rssi: Option<Number>,
    #[serde(borrow)]
    manufacturerdata: Option<Text<'a>>,
    #[serde(borrow)]
    servicedata: Option<Text<'a>>,
    #[serde(borrow)]
    servicedatauuid: Option<Text<'a>>,
    #[serde(borrow)]
    uuid: Option<Text<'a>>,
    #[serde(alias = "mjid")]
    major: Option<Number>,
    #[serde(alias = "mnid")]
    minor: Option<Number>,
    txpower: Option<Number>,
    unixtime: Option<Number>,
}

pub(super) fn read(message: &Message<'_>, items: &mut Items<'_>) -> Result<(), Unreadable> {
    match serde_json::from_slice::<Raw<'_>>(message.payload) {
        // The gateway's own state.
        Ok(Raw { id: None, mac: None, .. }) => {}
        Ok(raw) => put(message.topic, &raw, items),
        Err(error) if error.is_data() => items.bad(),
        Err(error) => return Err(BadJson::from(error).into()),
    }
    Ok(())
}

fn put(topic: &str, raw: &Raw<'_>, items: &mut Items<'_>) {
    let Some(payloads) = payloads(raw) else { return items.bad() };
    let address = |text: &Option<Text<'_>>| text.as_ref().and_then(|Text(text)| Address::parse(text));
    let beacon = match (&raw.uuid, raw.major, raw.minor) {
        (Some(Text(uuid)), Some(Number(major)), Some(Number(minor))) => {
            let measured_power_dbm = raw.txpower.map(|Number(power)| power);
            decoded::ibeacon(uuid, Numbers { major, minor, measured_power_dbm })
        }
        _ => None,
    };
    let relayed = Relayed {
        relay: gateway(topic),
        address: address(&raw.mac).or_else(|| address(&raw.id)),
        rssi_dbm: raw.rssi.and_then(|Number(rssi)| rssi_dbm(rssi)),
        content: beacon.map_or(Content::Nothing, Content::Frame),
        heard: raw.unixtime.map_or(Heard::Unknown, |Number(s)| Heard::at_s(s)),
    };
    if payloads.is_empty() {
        items.good(relayed);
    } else {
        payloads.with(|payloads| items.good(Relayed { content: Content::Payloads(payloads), ..relayed }));
    }
}

/// `None` where one is there that cannot be read.
fn payloads(raw: &Raw<'_>) -> Option<Payloads> {
    let mut payloads = Payloads::default();
    if let Some(Text(digits)) = &raw.manufacturerdata {
        payloads.manufacturer(&hex::decode(&**digits).ok()?).then_some(())?;
    }
    // Without its UUID, service data means nothing.
    if let (Some(Text(uuid)), Some(Text(digits))) = (&raw.servicedatauuid, &raw.servicedata) {
        payloads.service(uuid, hex::decode(&**digits).ok()?).then_some(())?;
    }
    Some(payloads)
}

/// `home/<gateway>/BTtoMQTT/...`; where Theengs is told to publish elsewhere, the level before the sender.
fn gateway(topic: &str) -> Option<&str> {
    match topic.split_once("/BTtoMQTT") {
        Some((before, _)) => before.rsplit('/').next(),
        None => topic.rsplit('/').nth(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::relay::{
        Format,
        tests::{check, check_lines},
    };
    use expect_test::expect;

    #[test]
    fn raw_payloads_are_read() {
        let lines = include_str!("../../../../tests/data/relays/openmqttgateway.txt");
        check_lines(
            &Format::OpenMqttGateway,
            lines,
            expect![[r#"
            door: -72 dBm, now, addressed, ibeacon
            door: -64 dBm, at 2026-03-04T11:00:00.000Z, addressed, eddystone-uid
            door: -78 dBm, now, addressed, ibeacon
            door: -77 dBm, now, addressed, ibeacon
            theengs: -82 dBm, now, addressed
            door: -74 dBm, now, addressed, ibeacon
        "#]],
        );
    }

    #[test]
    fn the_gateway_is_in_the_topic() {
        for topic in [
            "home/door/BTtoMQTT/C30000000001",
            "home/door/BTtoMQTT",
            "home/door/BTtoMQTT/undecoded",
            "home/door/C3",
        ] {
            assert_eq!(gateway(topic), Some("door"), "{topic}");
        }
        assert_eq!(gateway(""), None);
    }

    #[test]
    fn what_is_no_advertisement_is_passed_over_and_what_is_bad_counted() {
        let check = |payload: &str, expected| {
            check(&Format::OpenMqttGateway, "home/door/SYStoMQTT", payload.as_bytes(), expected);
        };
        check(r#"{"uptime":12,"version":"v1.8.1"}"#, expect![[r#""#]]);
        check(
            "online",
            expect![[r#"
            the message is no JSON from line 1, column 1 on
        "#]],
        );
        check(
            r#"{"id":"C3:00:00:00:00:01","manufacturerdata":"4c0"}"#,
            expect![[r#"
            1 bad, 0 cut
        "#]],
        );
        check(
            r#"{"id":["C3:00:00:00:00:01"]}"#,
            expect![[r#"
            1 bad, 0 cut
        "#]],
        );
    }
}
