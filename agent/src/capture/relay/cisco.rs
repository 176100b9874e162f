//! Cisco IoT Orchestrator: what its access points hear, in protocol buffers over its own MQTT broker.
//!
//! Format: `data_app.proto` of Cisco's *Spaces Connect for IoT Services* (that of IETF's NIPC): a `DataBatch` of
//! advertisements. The BLE firehose of Cisco Spaces is another thing: it leaves the store, by gRPC, and is not read.

use super::{
    Heard, Items, Message, Relayed, Unreadable,
    protobuf::{Broken, Value, fields},
    rssi_dbm,
};
use crate::{capture::source::Content, private::Address};

const EXPECTED: Unreadable = Unreadable::OtherFormat { expected: "a batch of Cisco's IoT Orchestrator" };

/// `DataBatch`: messages 1.
pub(super) fn read(message: &Message<'_>, items: &mut Items<'_>) -> Result<(), Unreadable> {
    for field in fields(message.payload) {
        match field.map_err(|Broken| EXPECTED)? {
            (1, _) if items.cut() => {}
            (1, Value::Octets(one)) => match read_one(one) {
                Ok(Some(relayed)) => items.good(relayed),
                // What was read from a connected device, and the like.
                Ok(None) => {}
                Err(Broken) => items.bad(),
            },
            _ => return Err(EXPECTED),
        }
    }
    Ok(())
}

/// `DataSubscription`: data 2, timestamp 3, access point 4, advertisement 12 (address 1, RSSI 2).
fn read_one(message: &[u8]) -> Result<Option<Relayed<'_>>, Broken> {
    let (mut advertisement, mut relayed) = (
        None,
        Relayed {
            relay: None,
            address: None,
            rssi_dbm: None,
            content: Content::Nothing,
            heard: Heard::Unknown,
        },
    );
    for field in fields(message) {
        match field? {
            (2, Value::Octets(data)) => relayed.content = Content::Raw(data),
            (3, Value::Octets(timestamp)) => relayed.heard = read_timestamp(timestamp)?,
            (4, mac) => relayed.relay = mac.text(),
            (12, Value::Octets(message)) => advertisement = Some(message),
            _ => {}
        }
    }
    let Some(advertisement) = advertisement else { return Ok(None) };
    for field in fields(advertisement) {
        match field? {
            (1, mac) => relayed.address = mac.text().and_then(Address::parse),
            (2, rssi) => relayed.rssi_dbm = rssi.signed().and_then(|rssi| rssi_dbm(rssi as f64)),
            _ => {}
        }
    }
    if relayed.address.is_none() { Err(Broken) } else { Ok(Some(relayed)) }
}

/// `google.protobuf.Timestamp`.
fn read_timestamp(message: &[u8]) -> Result<Heard, Broken> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in fields(message) {
        match field? {
            (1, value) => seconds = value.signed().unwrap_or(0),
            (2, value) => nanos = value.signed().unwrap_or(0),
            _ => {}
        }
    }
    Ok(Heard::at_ms(seconds as f64 * 1e3 + (nanos / 1_000_000) as f64))
}

#[cfg(test)]
mod tests {
    use crate::capture::relay::{
        Format,
        protobuf::write::{number, octets},
        tests::check,
    };
    use expect_test::expect;

    #[test]
    fn a_batch_is_read() {
        let ibeacon = hex::decode("0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5").unwrap();
        let time = [number(1, 1_772_622_000), number(2, 250_000_000)].concat();
        let advertisement = [octets(1, b"C3:00:00:00:00:01"), number(2, -71i64 as u64)].concat();
        let heard = [
            octets(2, &ibeacon),
            octets(3, &time),
            octets(4, b"FC:58:9A:00:00:01"),
            octets(12, &advertisement),
        ];
        let (connected, nobody) = (octets(15, &number(2, 1)), octets(12, b""));
        let batch: Vec<u8> =
            [&heard.concat(), &connected, &nobody].into_iter().flat_map(|one| octets(1, one)).collect();
        check(
            &Format::Cisco,
            "",
            &batch,
            expect![[r#"
            FC:58:9A:00:00:01: -71 dBm, at 2026-03-04T11:00:00.250Z, addressed, ibeacon
            1 bad, 0 cut
        "#]],
        );
        check(
            &Format::Cisco,
            "",
            &batch[..batch.len() - 1],
            expect![[r#"
            FC:58:9A:00:00:01: -71 dBm, at 2026-03-04T11:00:00.250Z, addressed, ibeacon
            1 bad, 0 cut
        "#]],
        );
        check(
            &Format::Cisco,
            "",
            b"{}",
            expect![[r#"
            the message is not of this format: expected a batch of Cisco's IoT Orchestrator
        "#]],
        );
    }
}
