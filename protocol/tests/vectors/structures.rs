//! AD structures: bluetooth-data-tools and advlib-ble.

use super::{Agreement, Json, Vector, octets, same};
use serde_json::{Map, json};
use vitrine_protocol::advertisement::{Structure, structures};

/// The parts of an advertisement and its scan response, one after the other.
pub(crate) fn compare(vector: &Vector) -> Agreement {
    let parts = match (&vector.adv_parts_hex, &vector.adv_hex, &vector.args) {
        (Some(parts), ..) => parts.iter().map(|hex| octets(hex)).collect(),
        (_, Some(hex), _) => vec![octets(hex)],
        (.., Some(args)) => vec![octets(args[0].as_str().unwrap())],
        _ => panic!("{} has no payload", vector.id),
    };
    let read: Vec<_> = parts.iter().flat_map(|part| structures(part).flatten()).collect();
    let ours = if vector.source.starts_with("Bluetooth-Devices") { data_tools(&read) } else { advlib(&read) };
    for (key, theirs) in vector.expected.as_object().unwrap() {
        same(key, ours.get(key).unwrap_or(&Json::Null), theirs)?;
    }
    Ok(())
}

/// In the words of bluetooth-data-tools: UUIDs in full, by them or the company the data, one name.
fn data_tools(read: &[Structure<'_>]) -> Map<String, Json> {
    let (mut name, mut tx_power) = (Json::Null, Json::Null);
    let (mut uuids, mut services, mut companies) = (vec![], Map::new(), Map::new());
    for Structure { ad_type, data, .. } in read {
        match (ad_type, *data) {
            (0x08 | 0x09, text) if *ad_type == 0x09 || name.is_null() => {
                name = String::from_utf8_lossy(text).into();
            }
            (0x0a, [power]) => tx_power = (*power as i8).into(),
            (0x02..=0x07, list) => {
                uuids.extend(list.chunks_exact(uuid_len(*ad_type)).map(|uuid| json!(long(uuid))));
            }
            (0x16 | 0x20 | 0x21, data) => {
                if let Some((uuid, data)) = data.split_at_checked(uuid_len(*ad_type)) {
                    services.insert(long(uuid), json!({ "hex": hex::encode(data) }));
                }
            }
            // It calls a company without data none.
            (0xff, [a, b, data @ ..]) if !data.is_empty() => {
                let company = u16::from_le_bytes([*a, *b]).to_string();
                companies.insert(company, json!({ "hex": hex::encode(data) }));
            }
            _ => {}
        }
    }
    let values = [
        ("local_name", name),
        ("tx_power", tx_power),
        ("service_uuids", uuids.into()),
        ("service_data", services.into()),
        ("manufacturer_data", companies.into()),
    ];
    values.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

/// In the words of advlib-ble: short UUIDs, lists in order, only what is there.
fn advlib(read: &[Structure<'_>]) -> Map<String, Json> {
    let mut all = Map::new();
    let mut push = |key: &str, value| match all.entry(key).or_insert(json!([])) {
        Json::Array(list) => list.push(value),
        _ => unreachable!("a list was put there"),
    };
    let mut one = Map::new();
    for Structure { ad_type, data, .. } in read {
        match (ad_type, *data) {
            (0x02..=0x07, list) => {
                list.chunks_exact(uuid_len(*ad_type)).for_each(|uuid| push("uuids", json!(text(uuid))));
            }
            (0x08 | 0x09, name) => {
                one.insert("name".into(), String::from_utf8_lossy(name).into());
            }
            (0x0a, [power]) => {
                one.insert("txPower".into(), (*power as i8).into());
            }
            (0x16 | 0x20 | 0x21, data) => {
                let (uuid, data) = data.split_at(uuid_len(*ad_type));
                push("serviceData", json!({ "uuid": text(uuid), "data": hex::encode(data) }));
            }
            // Core Specification Supplement, Part A 1.18: 0x17 is `https:`.
            (0x24, [0x17, rest @ ..]) => {
                one.insert("uri".into(), format!("https:{}", String::from_utf8_lossy(rest)).into());
            }
            (0xff, [a, b, data @ ..]) => {
                let company = u16::from_le_bytes([*a, *b]);
                push(
                    "manufacturerSpecificData",
                    json!({ "companyCode": company, "data": hex::encode(data) }),
                );
            }
            _ => {}
        }
    }
    all.extend(one);
    all
}

fn uuid_len(ad_type: u8) -> usize {
    match ad_type {
        0x02 | 0x03 | 0x16 => 2,
        0x04 | 0x05 | 0x20 => 4,
        _ => 16,
    }
}

/// In the order of its text form.
fn text(uuid: &[u8]) -> String {
    hex::encode(uuid.iter().rev().copied().collect::<Vec<_>>())
}

/// With hyphens, on the Bluetooth base.
fn long(uuid: &[u8]) -> String {
    let text = text(uuid);
    if uuid.len() < 16 {
        return format!("{text:0>8}-0000-1000-8000-00805f9b34fb");
    }
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}
