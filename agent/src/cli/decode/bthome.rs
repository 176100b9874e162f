//! BTHome as `vitrine decode` prints it, decrypted where there is a key.

use serde::Serialize;
use serde_json::{Number, Value as Json, json};
use std::fmt;
use vitrine_protocol::frame::{
    BtHome,
    bthome::{Encrypted, Value},
};

/// What decryption needs.
#[derive(Clone, Copy, Default, clap::Args)]
pub(super) struct Keys {
    /// The key of a BTHome device, in 32 hexadecimal digits: decrypts what it sent.
    #[arg(long, value_name = "HEX", value_parser = array::<16>)]
    key: Option<[u8; 16]>,
    /// The address that the advertisement came from, for --key. A JSON line may have its own in `address`.
    #[arg(long, value_name = "HEX", value_parser = array::<6>)]
    address: Option<[u8; 6]>,
}

/// Neither key nor address is for a log.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// With the address that a line states, if it states one.
    pub(super) fn at(self, address: Option<&str>) -> Result<Self, String> {
        match address.map(array).transpose() {
            Ok(address) => Ok(Self { address: address.or(self.address), ..self }),
            Err(error) => Err(format!("`address` {error}")),
        }
    }

    /// The frame, and what went wrong with decrypting it.
    pub(super) fn describe(&self, frame: &Encrypted) -> (Described, Option<String>) {
        let Some(key) = self.key else { return (encrypted(frame, None), None) };
        // A payload that carries its sender's address does without ours.
        match (frame.decrypt(&key, &self.address.unwrap_or_default()), self.address) {
            (Ok(content), _) => (encrypted(frame, Some(&content)), None),
            (Err(error), Some(_)) => (encrypted(frame, None), Some(error.to_string())),
            (Err(_), None) => {
                let missing = "decryption needs the sender's address: `address` in the line, or --address";
                (encrypted(frame, None), Some(missing.into()))
            }
        }
    }
}

/// Exactly `N` octets in hexadecimal digits, with colons between them or without.
fn array<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let octets = hex::decode(text.replace(':', "")).unwrap_or_default();
    octets.try_into().map_err(|_| format!("needs {} hexadecimal digits", 2 * N))
}

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

/// A payload in the clear.
pub(super) fn clear(frame: &BtHome) -> Described {
    let measurements = frame.measurements().map(|measurement| Measurement {
        name: measurement.object.name(),
        value: value(measurement.value),
        unit: measurement.object.unit(),
    });
    Described {
        version: frame.version().number(),
        encrypted: frame.encrypted(),
        trigger_based: frame.trigger_based(),
        counter: None,
        packet_id: frame.packet_id(),
        measurements: Some(measurements.collect()),
        unread: frame.unread().map(|unread| unread.to_string()),
    }
}

/// An encrypted payload, and what was in it if it could be decrypted.
fn encrypted(frame: &Encrypted, content: Option<&BtHome>) -> Described {
    let counter = Some(frame.counter());
    match content {
        Some(content) => Described { counter, ..clear(content) },
        None => Described {
            version: frame.version().number(),
            encrypted: true,
            trigger_based: frame.trigger_based(),
            counter,
            packet_id: None,
            measurements: None,
            unread: None,
        },
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

    const KEY: &str = "231d39c1d7cc1ab1aee224cd096db932";
    const ADDRESS: &str = "54:48:e6:8f:80:a5";

    fn check(hex: &str, key: Option<&str>, address: Option<&str>, expected: Expect) {
        let keys =
            Keys { key: key.map(|key| array(key).unwrap()), address: address.map(|a| array(a).unwrap()) };
        let described = match Frame::from_service_data(0xfcd2, &hex::decode(hex).unwrap()) {
            Ok(Some(Frame::BtHome(frame))) => (clear(&frame), None),
            Ok(Some(Frame::BtHomeEncrypted(frame))) => keys.describe(&frame),
            other => panic!("{other:?}"),
        };
        expected.assert_eq(&serde_json::to_string(&described).unwrap());
    }

    #[test]
    fn every_kind_of_value_is_shown() {
        check(
            "440009010002ca0921013a043b0103053c010353024f4b5402ffff",
            None,
            None,
            expect![[
                r#"[{"version":2,"encrypted":false,"trigger_based":true,"counter":null,"packet_id":9,"measurements":[{"name":"battery","value":0,"unit":"%"},{"name":"temperature","value":25.06,"unit":"°C"},{"name":"motion","value":true,"unit":null},{"name":"button","value":"long_press","unit":null},{"name":"command","value":{"arguments":"05","event":"step_up"},"unit":null},{"name":"dimmer","value":{"event":"rotate_left","steps":3},"unit":null},{"name":"text","value":"OK","unit":null},{"name":"raw","value":"ffff","unit":null}],"unread":null},null]"#
            ]],
        );
        check(
            "40000950 5d396164 f100010204".replace(' ', "").as_str(),
            None,
            None,
            expect![[
                r#"[{"version":2,"encrypted":false,"trigger_based":false,"counter":null,"packet_id":9,"measurements":[{"name":"timestamp","value":"2023-05-14T19:41:17Z","unit":null},{"name":"firmware_version","value":"4.2.1.0","unit":null}],"unread":null},null]"#
            ]],
        );
        check(
            "403a003a073c0000660102",
            None,
            None,
            expect![[
                r#"[{"version":2,"encrypted":false,"trigger_based":false,"counter":null,"packet_id":null,"measurements":[{"name":"button","value":null,"unit":null},{"name":"button","value":"0x07","unit":null},{"name":"dimmer","value":{"event":null,"steps":0},"unit":null}],"unread":"object id 0x66 is not known at offset 8"},null]"#
            ]],
        );
    }

    #[test]
    fn what_is_encrypted_is_shown_with_key_and_address() {
        let payload = "41a47266c95f730011223378237214";
        check(
            payload,
            None,
            None,
            expect![[
                r#"[{"version":2,"encrypted":true,"trigger_based":false,"counter":857870592,"packet_id":null,"measurements":null,"unread":null},null]"#
            ]],
        );
        check(
            payload,
            Some(KEY),
            Some(ADDRESS),
            expect![[
                r#"[{"version":2,"encrypted":true,"trigger_based":false,"counter":857870592,"packet_id":null,"measurements":[{"name":"temperature","value":25.06,"unit":"°C"},{"name":"humidity","value":50.55,"unit":"%"}],"unread":null},null]"#
            ]],
        );
        check(
            payload,
            Some(KEY),
            None,
            expect![[
                r#"[{"version":2,"encrypted":true,"trigger_based":false,"counter":857870592,"packet_id":null,"measurements":null,"unread":null},"decryption needs the sender's address: `address` in the line, or --address"]"#
            ]],
        );
        check(
            payload,
            Some(KEY),
            Some("5448e68f80a6"),
            expect![[
                r#"[{"version":2,"encrypted":true,"trigger_based":false,"counter":857870592,"packet_id":null,"measurements":null,"unread":null},"the payload does not match the key and the sender's address"]"#
            ]],
        );
        let with_address = "43a5808fe64854f196c06ffb4900112233f08ecbde";
        check(
            with_address,
            Some(KEY),
            None,
            expect![[
                r#"[{"version":2,"encrypted":true,"trigger_based":false,"counter":857870592,"packet_id":null,"measurements":[{"name":"temperature","value":25.06,"unit":"°C"},{"name":"humidity","value":50.55,"unit":"%"}],"unread":null},null]"#
            ]],
        );
    }
}
