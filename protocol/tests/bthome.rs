//! BTHome against what others captured and decoded, and against itself.
//!
//! `data/bthome-vectors.jsonl` holds payloads from the tests of ble_monitor, bleparser, bthome-ble and advlib (each
//! line with source, commit and licence) with what those projects read in them. Each names things its own way:
//! the tables below translate names and units, never values.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use proptest::prelude::*;
use serde_json::Value as Json;
use vitrine_protocol::frame::{
    Frame,
    bthome::{Builder, CAPACITY, Measurement, Object, Value},
};

const VECTORS: &str = include_str!("data/bthome-vectors.jsonl");

/// Where another project's expectation is its policy and not the format's, and why.
const EXCEPTIONS: [(&str, &str); 4] = [
    (
        "ble_monitor test_bthome_v2_double_temperature",
        "it keeps the last of two temperatures, where the format numbers them",
    ),
    (
        "bthome-ble test_encryption_downgrade_fails",
        "it refuses clear data of a device that has a key: the receiver's choice, not the decoder's",
    ),
    (
        "bthome-ble test_too_short_encryption_advertisement",
        "it calls the device supported by its UUID, although nothing of the payload can be read",
    ),
    (
        "advlib-ble-services should handle valid acceleration (0x63) data as input",
        "it converts object 0x51 to g, but not 0x63",
    ),
];

/// Said of the packet around the payload, or of the project's own pages.
const NOT_IN_THE_PAYLOAD: [&str; 5] = ["mac", "rssi", "type", "data", "uri"];

/// Their name, our names, and what our value is multiplied by to get theirs.
const ALIASES: [(&str, &[&str], f64); 25] = [
    ("dew_point", &["dewpoint"], 1.0),
    ("weight", &["mass"], 1.0),
    ("binary", &["generic_boolean"], 1.0),
    ("binary_generic", &["generic_boolean"], 1.0),
    ("binary_power", &["power_on"], 1.0),
    ("binary_motion", &["motion"], 1.0),
    ("binary_window", &["window"], 1.0),
    ("smoke_detector", &["smoke"], 1.0),
    ("batterypercentage", &["battery"], 1.0),
    ("carbondioxideconcentration", &["co2"], 1.0),
    ("isgasdetected", &["gas_detected"], 1.0),
    ("islightdetected", &["light"], 1.0),
    ("isliquiddetected", &["moisture_detected"], 1.0),
    ("ismotiondetected", &["moving"], 1.0),
    ("isoccupancydetected", &["occupancy", "presence"], 1.0),
    ("issmokedetected", &["smoke"], 1.0),
    ("istamperdetected", &["tamper"], 1.0),
    ("iscontactdetected", &["window"], -1.0),
    ("angleofrotation", &["rotation"], 1.0),
    ("heading", &["direction"], 1.0),
    ("angularvelocity", &["rotational_speed"], 6.0), // degrees a second
    ("firmwareversion", &["firmware_version"], 1.0),
    ("distance/advlib-ble-services", &["distance"], 1e-3), // m
    ("duration/advlib-ble-services", &["duration"], 1e3),  // ms
    ("acceleration/advlib-ble-services", &["acceleration"], 1.0 / 9.80665), // g
];

const INSTANTS: [(&str, u64); 2] = [
    ("2023-05-14T19:41:17+00:00", 1_684_093_277),
    ("datetime(2023, 5, 14, 19, 41, 17, tzinfo=timezone.utc)", 1_684_093_277),
];

/// A vector, and what became of it here.
struct Case {
    name: String,
    project: String,
    expected: serde_json::Map<String, Json>,
    /// `None` if the payload was refused or passed over.
    frame: Option<Frame>,
    /// Decrypted where there is a key; `None` if it could not be read.
    readable: Option<vitrine_protocol::frame::BtHome>,
}

fn cases() -> Vec<Case> {
    VECTORS.lines().map(|line| case(&serde_json::from_str(line).unwrap())).collect()
}

fn case(vector: &Json) -> Case {
    let octets = |key: &str| vector[key].as_str().map(|text| hex::decode(text).unwrap());
    let frame = match octets("adv_hex") {
        Some(advertisement) => Frame::decode(&advertisement).next(),
        None => {
            let uuid = u16::from_str_radix(vector["svc_uuid"].as_str().unwrap(), 16).unwrap();
            Frame::from_service_data(uuid, &octets("svc_hex").unwrap()).transpose()
        }
    };
    let frame = frame.and_then(Result::ok);
    let readable = match frame {
        Some(Frame::BtHome(readable)) => Some(readable),
        Some(Frame::BtHomeEncrypted(encrypted)) => octets("key").and_then(|key| {
            let address = octets("address").unwrap().try_into().unwrap();
            encrypted.decrypt(&key.try_into().ok()?, &address).ok()
        }),
        _ => None,
    };
    let project = vector["source"].as_str().unwrap().split(['/', ':']).nth(1).unwrap().to_owned();
    Case {
        name: format!("{project} {}", vector["test"].as_str().unwrap()),
        project,
        expected: vector["expected"].as_object().unwrap().clone(),
        frame,
        readable,
    }
}

#[test]
fn others_captures_hold_what_others_read_in_them() {
    let mut compared = 0;
    let mut failed = Vec::new();
    for case in cases() {
        let problems: Vec<_> = case
            .expected
            .iter()
            .filter(|(key, _)| !NOT_IN_THE_PAYLOAD.contains(&key.as_str()))
            .filter_map(|(key, expected)| {
                compared += 1;
                check(&case, key, expected).err()
            })
            .collect();
        if !problems.is_empty() {
            failed.push((case.name, problems));
        }
    }
    let unexplained: Vec<_> =
        failed.iter().filter(|(name, _)| !EXCEPTIONS.iter().any(|(known, _)| known == name)).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert_eq!(failed.len(), EXCEPTIONS.len(), "an exception that is none: {failed:#?}");
    assert_eq!(VECTORS.lines().count(), 155);
    assert_eq!(compared, 302);
}

fn check(case: &Case, key: &str, expected: &Json) -> Result<(), String> {
    let same = match (key, expected) {
        ("_flags", Json::Object(flags)) => {
            return flags.iter().try_for_each(|(flag, on)| state(case, flag, on));
        }
        ("firmware", Json::String(text)) => Some(text.clone()) == case.frame.as_ref().map(firmware),
        ("packet" | "packet_id", expected) => packet(case, expected),
        ("steps", steps) => matches(&measurements(case, "dimmer", 0), 1.0, steps),
        ("encrypted", Json::Object(parts)) => sealed(case, parts),
        _ => {
            let (key, nth) = plain(key);
            let with_project = format!("{key}/{}", case.project);
            let alias = ALIASES.iter().find(|row| row.0 == with_project || row.0 == key);
            let same_name = [key.as_str()];
            let (names, factor) = alias.map_or((&same_name[..], 1.0), |row| (row.1, row.2));
            names.iter().any(|name| matches(&measurements(case, name, nth), factor, expected))
        }
    };
    same.then_some(()).ok_or_else(|| format!("{key}: expected {expected}, got {:?}", case.readable))
}

/// Without bthome-ble's wrapping, `devicekey(key='button_2', device_id=none)`, and the number of several (else 0).
fn plain(key: &str) -> (String, usize) {
    let key = key.to_lowercase().replace(' ', "_");
    let key = key.strip_prefix("devicekey(key='").and_then(|rest| rest.split('\'').next()).unwrap_or(&key);
    match key.rsplit_once('_').map(|(name, nth)| (name, nth.parse())) {
        Some((name, Ok(nth))) => (name.to_owned(), nth),
        _ => (key.to_owned(), 0),
    }
}

/// Those called `name`; of several, the `nth` from 1, or all for 0.
fn measurements<'a>(case: &'a Case, name: &str, nth: usize) -> Vec<Measurement<'a>> {
    let named =
        case.readable.iter().flat_map(|frame| frame.measurements()).filter(|m| m.object.name() == name);
    named.skip(nth.saturating_sub(1)).take(if nth == 0 { usize::MAX } else { 1 }).collect()
}

fn matches(ours: &[Measurement<'_>], factor: f64, expected: &Json) -> bool {
    let expected = match expected {
        Json::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    ours.len() == expected.len() && ours.iter().zip(expected).all(|(m, expected)| value(m, factor, expected))
}

fn value(ours: &Measurement<'_>, factor: f64, expected: &Json) -> bool {
    match (ours.value, expected) {
        (Value::Number(number), Json::Number(expected)) => {
            let (ours, expected) =
                (number.to_string().parse::<f64>().unwrap() * factor, expected.as_f64().unwrap());
            (ours - expected).abs() <= 1e-9 * (1.0 + expected.abs())
        }
        (Value::Flag(flag), Json::Bool(expected)) => (flag == *expected) == (factor > 0.0),
        (Value::Flag(flag), Json::Number(expected)) => Some(u64::from(flag)) == expected.as_u64(),
        (Value::Button(button), Json::Number(code)) => Some(u64::from(button.code())) == code.as_u64(),
        (Value::Button(button), Json::Object(event)) => button.name() == event["event_type"].as_str(),
        (Value::Dimmer(dimmer), Json::Number(steps)) => Some(u64::from(dimmer.steps)) == steps.as_u64(),
        (Value::Dimmer(dimmer), Json::String(event)) => dimmer.name() == Some(&event.replace(' ', "_")),
        (Value::Dimmer(dimmer), Json::Object(event)) => {
            dimmer.name() == event["event_type"].as_str()
                && Some(u64::from(dimmer.steps)) == event["event_properties"]["steps"].as_u64()
        }
        (Value::Text(text), Json::String(expected)) => text == expected,
        (Value::Raw(raw), Json::String(expected)) => hex::encode(raw) == *expected,
        (Value::Time { unix_s }, Json::String(text)) => INSTANTS.contains(&(text.as_str(), unix_s)),
        (Value::Version(parts), Json::String(text)) => {
            parts.iter().rev().map(u8::to_string).collect::<Vec<_>>().join(".") == *text
        }
        _ => false,
    }
}

fn firmware(frame: &Frame) -> String {
    match frame {
        Frame::BtHome(clear) => format!("BTHome V{}", clear.version().number()),
        Frame::BtHomeEncrypted(encrypted) => format!("BTHome V{} (encrypted)", encrypted.version().number()),
        other => other.format().to_owned(),
    }
}

/// ble_monitor takes the counter for the packet id of an encrypted payload.
fn packet(case: &Case, expected: &Json) -> bool {
    match (case.frame, expected) {
        (Some(Frame::BtHome(frame)), Json::String(text)) => {
            text == "no packet id" && frame.packet_id().is_none()
        }
        (Some(Frame::BtHome(frame)), expected) => frame.packet_id().map(u64::from) == expected.as_u64(),
        (Some(Frame::BtHomeEncrypted(frame)), expected) => {
            Some(u64::from(frame.counter())) == expected.as_u64()
        }
        _ => false,
    }
}

/// advlib reads the parts of an encrypted payload: the ciphertext as hexadecimal digits, the tag as a little endian
/// number, and the counter, which it calls salt.
fn sealed(case: &Case, parts: &serde_json::Map<String, Json>) -> bool {
    let Some(Frame::BtHomeEncrypted(frame)) = case.frame else { return false };
    parts["data"].as_str() == Some(&hex::encode(frame.ciphertext()))
        && parts["salt"].as_u64() == Some(frame.counter().into())
        && parts["checksum"].as_u64() == Some(u32::from_le_bytes(frame.tag()).into())
}

/// What bthome-ble thinks of a device after the payload.
fn state(case: &Case, flag: &str, on: &Json) -> Result<(), String> {
    let encrypted = matches!(case.frame, Some(Frame::BtHomeEncrypted(_)));
    let ours = match flag {
        flag if flag.starts_with("device.supported") => case.frame.is_some(),
        "device.encryption_scheme == EncryptionScheme.NONE" => !encrypted,
        "device.encryption_scheme == EncryptionScheme.BTHOME_BINDKEY" => encrypted,
        "device.bindkey_verified" => encrypted && case.readable.is_some(),
        "device.decryption_failed" => encrypted && case.readable.is_none(),
        other => return Err(format!("no such flag: {other}")),
    };
    (Some(ours) == on.as_bool()).then_some(()).ok_or_else(|| format!("{flag}: expected {on}, got {ours}"))
}

const KEY: [u8; 16] = [0x5a; 16];
const ADDRESS: [u8; 6] = [0x54, 0x48, 0xe6, 0x8f, 0x80, 0xa5];

/// Service data as any sender may write it: ids in order, flags 0 or 1, text in UTF-8.
fn service_data() -> impl Strategy<Value = Vec<u8>> {
    let object = (0..Object::all().len(), any::<[u8; 4]>(), "[ -~]{0,6}");
    (any::<bool>(), proptest::collection::vec(object, 0..8))
        .prop_map(|(trigger_based, mut objects)| {
            objects.sort_by_key(|object| object.0);
            let mut data = vec![if trigger_based { 0x44 } else { 0x40 }];
            for (index, octets, text) in objects {
                let id = Object::all()[index].id();
                data.push(id);
                match id {
                    0x0f..=0x11 | 0x15..=0x2d => data.push(octets[0] & 1),
                    0x3b => data.extend([2, octets[0], octets[1], octets[2]]),
                    0x53 | 0x54 => {
                        data.push(text.len() as u8);
                        data.extend(text.as_bytes());
                    }
                    _ => data.extend(&octets[..width(id)]),
                }
            }
            data
        })
        .prop_filter("what is held whole", |data| data.len() <= CAPACITY)
}

/// The widths of the specification's table, written down once more.
fn width(id: u8) -> usize {
    match id {
        0x00 | 0x01 | 0x09 | 0x2e | 0x2f | 0x3a | 0x46 | 0x57..=0x59 | 0x60 | 0x64 | 0x65 => 1,
        0x04 | 0x05 | 0x0a | 0x0b | 0x42 | 0x4b | 0xf2 => 3,
        0x3e | 0x4c..=0x50 | 0x55 | 0x5b | 0x5c | 0x62 | 0x63 | 0xf1 => 4,
        _ => 2,
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_the_same(data in service_data()) {
        let frame = Frame::from_service_data(0xfcd2, &data);
        let Ok(Some(Frame::BtHome(frame))) = frame else { panic!("{frame:?}") };
        prop_assert_eq!(frame.unread(), None);
        let mut builder = Builder::new(frame.trigger_based());
        let packet_ids: Vec<_> = data[1..].chunks(2).take_while(|chunk| chunk[0] == 0).map(|chunk| chunk[1]).collect();
        prop_assert_eq!(frame.packet_id(), packet_ids.first().copied());
        for packet_id in packet_ids {
            builder.packet_id(packet_id).unwrap();
        }
        for measurement in frame.measurements() {
            builder.push(measurement.object.id(), measurement.value).unwrap();
        }
        prop_assert_eq!(builder.as_bytes(), &data);
    }

    #[test]
    fn what_is_encrypted_is_decrypted_by_the_key_and_address_alone(
        data in service_data().prop_filter("room for counter and tag", |data| data.len() <= CAPACITY - 8),
        counter: u32,
        bit in 0usize..128,
    ) {
        let Ok(Some(Frame::BtHome(clear))) = Frame::from_service_data(0xfcd2, &data) else { panic!() };
        let mut builder = Builder::new(clear.trigger_based());
        if let Some(packet_id) = clear.packet_id() {
            builder.packet_id(packet_id).unwrap();
        }
        for measurement in clear.measurements() {
            builder.push(measurement.object.id(), measurement.value).unwrap();
        }
        let encrypted = builder.encrypt(&KEY, &ADDRESS, counter).unwrap();
        let mut octets = encrypted.as_bytes().to_vec();
        let Ok(Some(Frame::BtHomeEncrypted(frame))) = Frame::from_service_data(0xfcd2, &octets) else { panic!() };
        prop_assert_eq!(frame.counter(), counter);
        let decrypted = frame.decrypt(&KEY, &ADDRESS).unwrap();
        prop_assert_eq!(decrypted.counter(), Some(counter));
        prop_assert_eq!(clear.counter(), None);
        prop_assert!(decrypted.measurements().eq(clear.measurements()));
        prop_assert!(frame.decrypt(&[0; 16], &ADDRESS).is_err());
        prop_assert!(frame.decrypt(&KEY, &[0; 6]).is_err());

        // Any bit that is changed, but for the one that says whether it is encrypted at all, the version and the
        // presence of an address.
        let bit = 8 + bit % (8 * (octets.len() - 1));
        octets[bit / 8] ^= 1 << (bit % 8);
        let Ok(Some(Frame::BtHomeEncrypted(changed))) = Frame::from_service_data(0xfcd2, &octets) else { panic!() };
        prop_assert!(changed.decrypt(&KEY, &ADDRESS).is_err());
    }

    #[test]
    fn any_payload_is_read_without_panic(data: Vec<u8>, key: [u8; 16]) {
        for (uuid, info) in [(0xfcd2, &[0x40][..]), (0xfcd2, &[0x42]), (0xfcd2, &[0x43]), (0x181c, &[]), (0x181e, &[])] {
            match Frame::from_service_data(uuid, &[info, &data].concat()) {
                Ok(Some(Frame::BtHome(frame))) => {
                    std::hint::black_box(format!("{frame:?} {:?}", frame.packet_id()));
                }
                Ok(Some(Frame::BtHomeEncrypted(frame))) => {
                    let _outcome = std::hint::black_box(frame.decrypt(&key, &ADDRESS));
                }
                _ => {}
            }
        }
    }
}
