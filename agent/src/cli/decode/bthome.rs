//! BTHome as `vitrine decode` prints it.

use serde::Serialize;
use serde_json::{Number, Value as Json, json};
use vitrine_protocol::frame::{
    BtHome,
    bthome::{Encrypted, Value},
};

/// A payload; what cannot be known before decryption is null.
#[derive(Serialize)]
pub(super) struct Described {
    version: u8,
    encrypted: bool,
    trigger_based: bool,
    /// Of an encrypted payload.
    counter: Option<u32>,
    packet_id: Option<u8>,
    measurements: Option<Vec<Measurement>>,
    /// Where reading stopped before the end, and why.
    unread: Option<String>,
}

#[derive(Serialize)]
struct Measurement {
    name: &'static str,
    value: Json,
    unit: Option<&'static str>,
}

/// A payload that can be read.
pub(super) fn readable(frame: &BtHome) -> Described {
    let measurements = frame.measurements().map(|measurement| Measurement {
        name: measurement.object.name(),
        value: value(measurement.value),
        unit: measurement.object.unit(),
    });
    Described {
        version: frame.version().number(),
        encrypted: frame.encrypted(),
        trigger_based: frame.trigger_based(),
        counter: frame.counter(),
        packet_id: frame.packet_id(),
        measurements: Some(measurements.collect()),
        unread: frame.unread().map(|unread| unread.to_string()),
    }
}

/// A payload that was not decrypted.
pub(super) fn encrypted(frame: &Encrypted) -> Described {
    Described {
        version: frame.version().number(),
        encrypted: true,
        trigger_based: frame.trigger_based(),
        counter: Some(frame.counter()),
        packet_id: None,
        measurements: None,
        unread: None,
    }
}

fn value(value: Value<'_>) -> Json {
    match value {
        Value::Number(decimal) => decimal.to_string().parse().map_or(Json::Null, |n: Number| Json::Number(n)),
        Value::Flag(flag) => flag.into(),
        Value::Button(button) => event(button.name(), button.code()),
        Value::Dimmer(dimmer) => json!({ "event": event(dimmer.name(), dimmer.code), "steps": dimmer.steps }),
        Value::Command(command) => {
            let name = command.name().map_or_else(|| code(command.code), Json::from);
            json!({ "event": name, "arguments": hex::encode(command.arguments) })
        }
        Value::Text(text) => text.into(),
        Value::Raw(octets) => hex::encode(octets).into(),
        Value::Time { unix_s } => {
            let time = i64::try_from(unix_s).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
            time.map_or(Json::Null, |time| time.to_string().into())
        }
        Value::Version(parts) => parts.iter().rev().map(u8::to_string).collect::<Vec<_>>().join(".").into(),
        _ => Json::Null,
    }
}

/// Code 0 is no event, of a button or dimmer beside one that has.
fn event(name: Option<&str>, of: u8) -> Json {
    match (name, of) {
        (Some(name), _) => name.into(),
        (None, 0) => Json::Null,
        (None, of) => code(of),
    }
}

fn code(code: u8) -> Json {
    format!("0x{code:02x}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use vitrine_protocol::frame::Frame;

    fn check(hex: &str, expected: Expect) {
        let described = match Frame::from_service_data(0xfcd2, &hex::decode(hex).unwrap()) {
            Ok(Some(Frame::BtHome(frame))) => readable(&frame),
            Ok(Some(Frame::BtHomeEncrypted(frame))) => encrypted(&frame),
            other => panic!("{other:?}"),
        };
        expected.assert_eq(&serde_json::to_string(&described).unwrap());
    }

    #[test]
    fn every_kind_of_value_is_shown() {
        check(
            "440009010002ca0921013a043b0103053c010353024f4b5402ffff",
            expect![[
                r#"{"version":2,"encrypted":false,"trigger_based":true,"counter":null,"packet_id":9,"measurements":[{"name":"battery","value":0,"unit":"%"},{"name":"temperature","value":25.06,"unit":"°C"},{"name":"motion","value":true,"unit":null},{"name":"button","value":"long_press","unit":null},{"name":"command","value":{"arguments":"05","event":"step_up"},"unit":null},{"name":"dimmer","value":{"event":"rotate_left","steps":3},"unit":null},{"name":"text","value":"OK","unit":null},{"name":"raw","value":"ffff","unit":null}],"unread":null}"#
            ]],
        );
        check(
            "400009505d396164f100010204",
            expect![[
                r#"{"version":2,"encrypted":false,"trigger_based":false,"counter":null,"packet_id":9,"measurements":[{"name":"timestamp","value":"2023-05-14T19:41:17Z","unit":null},{"name":"firmware_version","value":"4.2.1.0","unit":null}],"unread":null}"#
            ]],
        );
        check(
            "403a003a073c0000660102",
            expect![[
                r#"{"version":2,"encrypted":false,"trigger_based":false,"counter":null,"packet_id":null,"measurements":[{"name":"button","value":null,"unit":null},{"name":"button","value":"0x07","unit":null},{"name":"dimmer","value":{"event":null,"steps":0},"unit":null}],"unread":"object id 0x66 is not known at offset 8"}"#
            ]],
        );
    }

    #[test]
    fn what_is_encrypted_is_null() {
        check(
            "41a47266c95f730011223378237214",
            expect![[
                r#"{"version":2,"encrypted":true,"trigger_based":false,"counter":857870592,"packet_id":null,"measurements":null,"unread":null}"#
            ]],
        );
    }
}
