//! Ruuvi Gateway: its MQTT messages (one advertisement each) and its HTTP posts (the last one of each sender).
//!
//! Format: docs.ruuvi.com, *Gateway data formats*: "MQTT: Time-stamped data from Bluetooth-sensors" and "HTTP: Time-stamped
//! data from Bluetooth-sensors", and the two without timestamps. The sender's address is in the topic, or the key.

use super::{
    Heard, Items, Message, Relayed, Unreadable,
    json::{self, Number, Text},
    rssi_dbm,
};
use crate::{capture::source::Content, private::Address};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An MQTT message, and the outside of an HTTP post.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    gw_mac: Option<Text<'a>>,
    rssi: Option<Number>,
    ts: Option<Number>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What is inside of a post.
#[derive(Deserialize)]
struct Post<'a> {
    #[serde(borrow)]
    gw_mac: Option<Text<'a>>,
    #[serde(borrow)]
    tags: &'a RawValue,
}

/// One sender of a post.
#[derive(Deserialize)]
struct Tag<'a> {
    rssi: Option<Number>,
    timestamp: Option<Number>,
    #[serde(borrow)]
    data: Text<'a>,
}

pub(super) fn read(message: &Message<'_>, items: &mut Items<'_>) -> Result<(), Unreadable> {
    let outer: Outer<'_> = json::parse(message.payload)?;
    match outer.data {
        Some(data) if json::kind(data.get().as_bytes()) == json::Kind::Object => {
            let post =
                json::item(data).ok_or(Unreadable::OtherFormat { expected: "`data` with `tags` in it" })?;
            read_post(post, items)
        }
        data => {
            let mut levels = message.topic.rsplit('/');
            let (address, gateway) = (levels.next().and_then(Address::parse), levels.next());
            let Some(address) = address else {
                // The gateway's own state: ruuvi/<gateway>/gw_status.
                return if message.topic.is_empty() {
                    Err(Unreadable::OtherFormat { expected: "`data` with `tags` in it" })
                } else {
                    Ok(())
                };
            };
            // Set up to send what it decoded alone, it sends no `data`.
            let octets = match data.map(|data| json::item(data).map(|Text(digits)| hex::decode(&*digits))) {
                None => None,
                Some(Some(Ok(octets))) => Some(octets),
                Some(_) => {
                    items.bad();
                    return Ok(());
                }
            };
            items.good(Relayed {
                relay: outer.gw_mac.as_ref().map(|Text(mac)| &**mac).or(gateway),
                address: Some(address),
                rssi_dbm: outer.rssi.and_then(|Number(rssi)| rssi_dbm(rssi)),
                content: octets.as_deref().map_or(Content::Nothing, Content::Raw),
                heard: outer.ts.map_or(Heard::Unknown, |Number(s)| Heard::at_s(s)),
            });
            Ok(())
        }
    }
}

fn read_post(post: Post<'_>, items: &mut Items<'_>) -> Result<(), Unreadable> {
    let relay = post.gw_mac.as_ref().map(|Text(mac)| &**mac);
    json::entries(post.tags.get().as_bytes(), &mut |address, tag| {
        if items.cut() {
            return;
        }
        let (Some(address), Some(tag)) = (Address::parse(address), json::item::<Tag<'_>>(tag)) else {
            return items.bad();
        };
        let octets = hex::decode(&*tag.data.0).ok();
        items.put(octets.as_deref().map(|octets| Relayed {
            relay,
            address: Some(address),
            rssi_dbm: tag.rssi.and_then(|Number(rssi)| rssi_dbm(rssi)),
            content: Content::Raw(octets),
            heard: tag.timestamp.map_or(Heard::Unknown, |Number(s)| Heard::at_s(s)),
        }));
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::capture::relay::{Format, tests::check};
    use expect_test::expect;

    #[test]
    fn the_documented_messages_are_read() {
        check(
            &Format::Ruuvi,
            "ruuvi/C8:25:2D:8E:9C:2C/F4:1F:0C:28:CB:D6",
            include_bytes!("../../../../tests/data/relays/ruuvi-mqtt.json"),
            expect![[r#"
                AA:CC:EE:00:11:22: -70 dBm, at 2021-02-03T13:28:49.000Z, addressed, ruuvi
            "#]],
        );
        check(
            &Format::Ruuvi,
            "",
            include_bytes!("../../../../tests/data/relays/ruuvi-http.json"),
            expect![[r#"
                AA:CC:EE:00:11:22: -70 dBm, at 2021-02-03T13:28:49.000Z, addressed, malformed
                AA:CC:EE:00:11:22: -71 dBm, at 2021-02-03T13:28:50.000Z, addressed, malformed
            "#]],
        );
    }

    #[test]
    fn what_is_missing_or_bad_is_counted_or_left_out() {
        let topic = "ruuvi/gw/F41F0C28CBD6";
        check(
            &Format::Ruuvi,
            topic,
            br#"{"data":"020106"}"#,
            expect![[r#"
                gw: no RSSI, now, addressed
            "#]],
        );
        check(
            &Format::Ruuvi,
            topic,
            br#"{"data":"02010"}"#,
            expect![[r#"
            1 bad, 0 cut
        "#]],
        );
        check(
            &Format::Ruuvi,
            topic,
            br#"{"rssi":-3"#,
            expect![[r#"
            the message is no JSON from line 1, column 10 on
        "#]],
        );
        check(&Format::Ruuvi, "ruuvi/gw/gw_status", br#"{"state":"online"}"#, expect![[r#""#]]);
        check(
            &Format::Ruuvi,
            "",
            br#"{"state":"online"}"#,
            expect![[r#"
            the message is not of this format: expected `data` with `tags` in it
        "#]],
        );
        check(
            &Format::Ruuvi,
            "",
            br#"{"data":{"tags":{"me":{"data":""},"C6:A5:B9:E0:AD:06":7,"C6:A5:B9:E0:AD:07":{"rssi":127,"data":"","timestamp":"12"}}}}"#,
            expect![[r#"
                ?: no RSSI, now, addressed
                2 bad, 0 cut
            "#]],
        );
    }
}
