//! Minew gateways (G1, G2, MG3, MG4): "JSON-LONG", "JSON-RAW" and "Binary / Long", over MQTT or HTTP.
//!
//! Format: Minew's G1 user guide, and what the MIT-licensed `barnowl-minew` reads of gateways in the field. In JSON, the
//! first item is the gateway itself; the others are advertisements, raw (`rawData`) or, where the gateway knows the
//! format, decoded (`ibeaconUuid`). "Minew-Connect" is not read: its gateway is not named in it.

mod binary;

use super::{
    Heard, Items, Message, Relayed, Unreadable,
    decoded::{self, Numbers},
    json::{self, Kind, Number, Text},
    rssi_dbm,
};
use crate::{capture::source::Content, private::Address};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    gateway: Option<Text<'a>>,
    #[serde(borrow)]
    mac: Option<Text<'a>>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    rssi: Option<Number>,
    #[serde(borrow)]
    raw_data: Option<Text<'a>>,
    #[serde(borrow)]
    ibeacon_uuid: Option<Text<'a>>,
    ibeacon_major: Option<Number>,
    ibeacon_minor: Option<Number>,
    ibeacon_tx_power: Option<Number>,
}

pub(super) fn read(message: &Message<'_>, items: &mut Items<'_>) -> Result<(), Unreadable> {
    if binary::is_binary(message.payload) {
        return binary::read(message.payload, items);
    }
    if json::kind(message.payload) != Kind::Array {
        return Err(Unreadable::OtherFormat { expected: "JSON-LONG, JSON-RAW or Binary / Long of Minew" });
    }
    let mut relay: Option<Cow<'_, str>> = None;
    json::items(message.payload, &mut |item| {
        if items.cut() {
            return;
        }
        let Some(item) = json::item::<Item<'_>>(item) else { return items.bad() };
        let is_gateway = item.kind.as_ref().is_some_and(|Text(kind)| kind == "Gateway");
        match (item.gateway, item.mac) {
            (Some(Text(mac)), _) => relay = Some(mac),
            (None, Some(Text(mac))) if is_gateway => relay = Some(mac),
            (None, mac) => {
                let item = Item { gateway: None, mac: None, ..item };
                read_item(&item, relay.as_deref(), mac.and_then(|Text(mac)| Address::parse(&mac)), items);
            }
        }
    })?;
    Ok(())
}

fn read_item(item: &Item<'_>, relay: Option<&str>, address: Option<Address>, items: &mut Items<'_>) {
    let Some(address) = address else { return items.bad() };
    let raw = match item.raw_data.as_ref().map(|Text(digits)| hex::decode(&**digits)) {
        Some(Err(_)) => return items.bad(),
        raw => raw.and_then(Result::ok),
    };
    let beacon = match (&item.ibeacon_uuid, item.ibeacon_major, item.ibeacon_minor) {
        (Some(Text(uuid)), Some(Number(major)), Some(Number(minor))) => {
            let measured_power_dbm = item.ibeacon_tx_power.map(|Number(power)| power);
            decoded::ibeacon(uuid, Numbers { major, minor, measured_power_dbm })
        }
        _ => None,
    };
    let content = match (&raw, beacon) {
        (Some(octets), _) => Content::Raw(octets),
        (None, Some(beacon)) => Content::Frame(beacon),
        (None, None) => Content::Nothing,
    };
    items.good(Relayed {
        relay,
        address: Some(address),
        rssi_dbm: item.rssi.and_then(|Number(rssi)| rssi_dbm(rssi)),
        content,
        heard: item.timestamp.as_ref().map_or(Heard::Unknown, |Text(time)| Heard::at_rfc_3339(time)),
    });
}

#[cfg(test)]
mod tests {
    use crate::capture::relay::{Format, tests::check};
    use expect_test::expect;

    #[test]
    fn both_forms_of_json_are_read() {
        let json_long = include_bytes!("../../../../tests/data/relays/minew-json-long.json");
        check(
            &Format::Minew,
            "/gw/ac233fc00001/status",
            json_long,
            expect![[r#"
            AC233FC00001: -38 dBm, at 2026-03-04T11:00:00.519Z, addressed, ibeacon
            AC233FC00001: -79 dBm, at 2026-03-04T11:00:00.601Z, addressed, eddystone-uid
            AC233FC00001: -55 dBm, at 2026-03-04T11:00:00.702Z, addressed
        "#]],
        );
        let json_raw = br#"[{"gateway":"AC233FC00002"},{"mac":"C30000000001","no":37,"rssi":-61,"timestamp":"2026-03-04T11:00:00.000Z"}]"#;
        check(
            &Format::Minew,
            "",
            json_raw,
            expect![[r#"
            AC233FC00002: -61 dBm, at 2026-03-04T11:00:00.000Z, addressed
        "#]],
        );
    }

    #[test]
    fn bad_items_hide_no_good_ones() {
        let payload =
            br#"[{"mac":"zz"}, 7, {"mac":"C30000000001","rawData":"0"}, {"mac":"C30000000001"}, {"mac":"#;
        check(
            &Format::Minew,
            "",
            payload,
            expect![[r#"
            ?: no RSSI, now, addressed
            4 bad, 0 cut
        "#]],
        );
        check(
            &Format::Minew,
            "",
            b"{}",
            expect![[r#"
            the message is not of this format: expected JSON-LONG, JSON-RAW or Binary / Long of Minew
        "#]],
        );
        check(
            &Format::Minew,
            "",
            b"[",
            expect![[r#"
            the message is no JSON from line 1, column 1 on
        "#]],
        );
    }
}
