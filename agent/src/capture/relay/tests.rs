//! What all formats have in common: the same advertisement is the same sighting, whichever way it comes, and nothing that a
//! relay sends does harm.

use super::{protobuf::write, *};
use crate::{
    capture::{
        Radio, Told,
        desk::Desk,
        source::{Advertisement, Listener},
    },
    plan::{Identity, Layouts},
};
use expect_test::Expect;
use proptest::prelude::*;
use std::sync::Arc;
use tokio::sync::mpsc;
use vitrine_protocol::{Id, event::Clock, layout::Payload};

/// What a message gives, one advertisement a line, and what became of the rest.
pub(super) fn check(format: &Format, topic: &str, payload: &[u8], expected: Expect) {
    expected.assert_eq(&text(format, topic, payload));
}

/// The same for lines of a topic and a message each.
pub(super) fn check_lines(format: &Format, lines: &str, expected: Expect) {
    let line = |line: &str| {
        let (topic, payload) = line.split_once(' ').unwrap();
        text(format, topic, payload.as_bytes())
    };
    expected.assert_eq(&lines.lines().map(line).collect::<String>());
}

fn text(format: &Format, topic: &str, payload: &[u8]) -> String {
    let mut text = String::new();
    let read = format.read(&Message { topic, payload }, &mut |relayed| {
        let Relayed { relay, address, rssi_dbm, content, heard } = relayed;
        let rssi = rssi_dbm.map_or("no RSSI".to_owned(), |rssi| format!("{rssi} dBm"));
        let heard = match heard {
            Heard::At(at) => format!("at {at}"),
            Heard::Ago(ms) => format!("{ms} ms ago"),
            Heard::Unknown => "now".to_owned(),
        };
        let addressed = if address.is_some() { "addressed" } else { "no address" };
        text += &format!("{}: {rssi}, {heard}, {addressed}", relay.unwrap_or("?"));
        let (told, malformed) = content.told(&Layouts::default());
        for Told { frame, .. } in told {
            text += &frame.map(|frame| format!(", {}", frame.format())).unwrap_or_default();
        }
        text += if malformed.is_some() { ", malformed\n" } else { "\n" };
    });
    text + &match read {
        Ok(Summary { read: _, bad: 0, cut: 0 }) => String::new(),
        Ok(Summary { read: _, bad, cut }) => format!("{bad} bad, {cut} cut\n"),
        Err(unreadable) => format!("{unreadable}\n"),
    }
}

const PLAN: &str = "version = 1\nplan = '1'\n
    [[beacons]]\nid = 'a'\ncarrier = 'cart'
    ibeacon = { uuid = 'e2c56db5-dffb-48d2-b060-d0f5a71096e0', major = 1, minor = 2 }
    [[beacons]]\nid = 'b'\ncarrier = 'cart'
    eddystone_uid = { namespace = 'edd1ebeac04e5defa017', instance = '000000000001' }
    [[beacons]]\nid = 'c'\ncarrier = 'cart'\naddress = 'c3:00:00:00:00:03'\n";

/// Advertisements of the plan's beacons.
const IBEACON: &str = "0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5";
const EDDYSTONE: &str = "0201060303aafe1716aafe00eeedd1ebeac04e5defa0170000000000010000";
const OTHER: &str = "020106";

/// An advertisement on the air.
#[derive(Clone, Copy, Debug)]
struct OnAir {
    address: [u8; 6],
    rssi_dbm: i8,
    digits: &'static str,
}

fn on_air() -> impl Strategy<Value = OnAir> {
    let any = (any::<[u8; 6]>(), -127i8..=20, prop_oneof![Just(IBEACON), Just(EDDYSTONE)]);
    let by_address = (Just([0xc3, 0, 0, 0, 0, 3]), -127i8..=20, Just(OTHER));
    prop_oneof![any, by_address].prop_map(|(address, rssi_dbm, digits)| OnAir { address, rssi_dbm, digits })
}

/// The messages of all makes that carry it.
fn messages(on_air: OnAir) -> Vec<(Format, String, Vec<u8>)> {
    let OnAir { address, rssi_dbm, digits } = on_air;
    let octets = hex::decode(digits).unwrap();
    let mac = hex::encode_upper(address);
    let colons = address.map(|octet| format!("{octet:02X}")).join(":");
    let json = |format, topic: &str, text: String| (format, topic.to_owned(), text.into_bytes());
    let (uuid, short_uuid) = ("e2c56db5-dffb-48d2-b060-d0f5a71096e0", "e2c56db5dffb48d2b060d0f5a71096e0");

    let mut binary = hex::decode("bb0100000000ac233fc000010001").unwrap();
    binary.extend([&address[..], &[0, 1, octets.len() as u8], &octets, &[0, rssi_dbm as u8, 0xdd]].concat());
    binary[5] = binary.len() as u8;
    let data = [write::octets(1, &address), write::octets(3, &octets), write::zigzag(4, rssi_dbm.into())];
    let reporter = write::octets(2, &write::octets(2, &[0x20, 0x4c, 3, 0, 0, 1]));
    let sent = [write::octets(1, colons.as_bytes()), write::number(2, i64::from(rssi_dbm) as u64)].concat();
    let one = [write::octets(2, &octets), write::octets(12, &sent)].concat();
    let mapping = Mapping {
        address: "mac".parse().ok(),
        rssi: "rssi".parse().ok(),
        raw: "raw".parse().ok(),
        ..Mapping::default()
    };
    let mut messages = vec![
        json(Format::Minew, "", format!(r#"[{{"mac":"{mac}","rssi":{rssi_dbm},"rawData":"{digits}"}}]"#)),
        (Format::Minew, String::new(), binary),
        json(
            Format::Ruuvi,
            &format!("ruuvi/gw/{mac}"),
            format!(r#"{{"rssi":{rssi_dbm},"data":"{digits}"}}"#),
        ),
        json(
            Format::Ruuvi,
            "",
            format!(r#"{{"data":{{"tags":{{"{colons}":{{"rssi":{rssi_dbm},"data":"{digits}"}}}}}}}}"#),
        ),
        (Format::Aruba, String::new(), [reporter, write::octets(6, &data.concat())].concat()),
        (Format::Cisco, String::new(), write::octets(1, &one)),
        json(
            Format::Mapping(mapping),
            "",
            format!(r#"{{"mac":"{mac}","rssi":{rssi_dbm},"raw":"{digits}"}}"#),
        ),
    ];
    let payload = Payload::all(&octets).next();
    let omg = |fields: String| {
        json(
            Format::OpenMqttGateway,
            "home/door/BTtoMQTT/x",
            format!(r#"{{"id":"{colons}","rssi":{rssi_dbm}{fields}}}"#),
        )
    };
    let aruba = |beacon: &str| {
        let report = format!(r#"{{"mac":"{mac}","rssi":{{"last":{rssi_dbm}}},"beacons":[{beacon}]}}"#);
        json(Format::Aruba, "", format!(r#"{{"reporter":{{}},"reported":[{report}]}}"#))
    };
    let espresense = |id: &str| {
        json(
            Format::Espresense,
            "espresense/devices/x/door",
            format!(r#"{{"id":"{id}","mac":"{mac}","rssi":{rssi_dbm}.00}}"#),
        )
    };
    match payload {
        Some(Payload::Manufacturer { data, .. }) => messages.extend([
            omg(format!(r#","manufacturerdata":"4c00{}""#, hex::encode(data))),
            omg(format!(r#","uuid":"{short_uuid}","major":1,"minor":2,"txpower":-59"#)),
            espresense(&format!("iBeacon:{uuid}-1-2")),
            aruba(&format!(r#"{{"ibeacon":{{"uuid":"{short_uuid}","major":1,"minor":2}}}}"#)),
            json(
                Format::Minew,
                "",
                format!(
                    r#"[{{"mac":"{mac}","rssi":{rssi_dbm},"ibeaconUuid":"{short_uuid}","ibeaconMajor":1,"ibeaconMinor":2}}]"#
                ),
            ),
        ]),
        Some(Payload::Service16 { data, .. }) => messages.extend([
            omg(format!(r#","servicedatauuid":"0xfeaa","servicedata":"{}""#, hex::encode(data))),
            espresense("eddy:edd1ebeac0c04e5defa017-000000000001"),
            aruba(r#"{"eddystone":{"uid":{"nid":"edd1ebeac04e5defa017","bid":"000000000001"}}}"#),
        ]),
        _ => messages.extend([omg(String::new()), espresense("known:c30000000003"), aruba("")]),
    }
    messages
}

/// What the pipeline is told of advertisements.
fn sightings(
    advertisements: impl FnOnce(&mut dyn FnMut(Relayed<'_>)),
) -> Vec<(Option<Address>, i8, Option<Identity>)> {
    let (radio, mut heard) = Radio::channel(8);
    let plan = crate::plan::parse(PLAN).map(Arc::new).unwrap();
    let desk = Desk::new(plan, radio, Arc::default(), mpsc::channel(1).0);
    let at = Now { mono_ms: 1, utc: Timestamp::from_ms(1), source: Clock::Synced };
    let receiver = Id::new("door").unwrap();
    advertisements(&mut |Relayed { address, rssi_dbm, content, .. }| {
        desk.hear(&Advertisement { at, receiver, address, rssi_dbm, content });
    });
    let heard = std::iter::from_fn(|| heard.try_recv().ok());
    heard.map(|heard| (heard.address, heard.rssi_dbm, heard.frame.as_ref().and_then(Identity::of))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_advertisement_is_the_same_sighting(on_air in on_air()) {
        let octets = hex::decode(on_air.digits).unwrap();
        let direct = sightings(|each| each(Relayed {
            relay: None,
            address: Some(Address::new(on_air.address)),
            rssi_dbm: Some(on_air.rssi_dbm),
            content: Content::Raw(&octets),
            heard: Heard::Unknown,
        }));
        prop_assert_eq!(direct.len(), 1);
        for (format, topic, payload) in messages(on_air) {
            let mut summary = Err(Unreadable::TooLong { octets: 0 });
            let relayed = sightings(|each| {
                summary = format.read(&Message { topic: &topic, payload: &payload }, each);
            });
            let text = String::from_utf8_lossy(&payload);
            prop_assert_eq!(summary, Ok(Summary { read: 1, bad: 0, cut: 0 }), "{:?} {}", format, text);
            prop_assert_eq!(&relayed, &direct, "{:?} {}", format, text);
        }
    }

    #[test]
    fn a_damaged_message_does_no_harm(
        on_air in on_air(),
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for (format, topic, mut payload) in messages(on_air) {
            for (place, octet) in &places {
                let place = place.index(payload.len());
                payload[place] = *octet;
            }
            payload.truncate(cut.index(payload.len() * 2).min(payload.len()));
            let mut read = 0;
            if let Ok(summary) = format.read(&Message { topic: &topic, payload: &payload }, &mut |_| read += 1) {
                prop_assert_eq!(summary.read, read);
            }
        }
    }

    #[test]
    fn any_octets_do_no_harm(payload: Vec<u8>, topic in "[a-z/:]{0,40}") {
        for (_, format) in Format::MAKES {
            format.read(&Message { topic: &topic, payload: &payload }, &mut |_| {}).ok();
        }
    }
}

#[test]
fn a_message_is_bounded() {
    let items = vec![r#"{"mac":"C30000000001"}"#; ITEMS_MAX + 7].join(",");
    let read =
        |payload: &str| Format::Minew.read(&Message { topic: "", payload: payload.as_bytes() }, &mut |_| {});
    assert_eq!(read(&format!("[{items}]")), Ok(Summary { read: ITEMS_MAX, bad: 0, cut: 7 }));
    let octets = MESSAGE_MAX + 1;
    assert_eq!(read(&"[".repeat(octets)), Err(Unreadable::TooLong { octets }));
    for (_, format) in Format::MAKES {
        for open in ["[", r#"{"data":"#, r#"{"reported":["#] {
            let payload = open.repeat(20_000).into_bytes();
            let topic = "espresense/devices/C30000000001/C30000000001";
            let read = format.read(&Message { topic, payload: &payload }, &mut |_| {});
            assert_eq!(read.map_or(0, |summary| summary.read), 0, "{format:?} {open}");
        }
    }
}

#[test]
fn a_late_advertisement_is_placed_by_its_own_time() {
    let now = Now { mono_ms: 60_000, utc: Timestamp::from_ms(2_000_000_000_000), source: Clock::Synced };
    let placed = |heard: Heard| {
        let Now { mono_ms, utc, .. } = heard.place(now);
        (mono_ms, utc.as_ms() - now.utc.as_ms())
    };
    assert_eq!(placed(Heard::At(now.utc.plus_ms(-1500))), (58_500, -1500));
    assert_eq!(placed(Heard::Ago(250)), (59_750, -250));
    assert_eq!(placed(Heard::At(now.utc.plus_ms(1500))), (60_000, 0));
    assert_eq!(placed(Heard::Unknown), (60_000, 0));
    assert_eq!(placed(Heard::At(now.utc.plus_ms(-90_000))), (0, -90_000));
    assert_eq!(Heard::at_s(12.0), Heard::Unknown);
    assert_eq!(Heard::at_rfc_3339("yesterday"), Heard::Unknown);
}

#[test]
fn relays_are_told_apart_by_their_names() {
    assert_eq!(plain_name("AC:23:3F:C0:00:01"), "ac233fc00001");
    assert_ne!(plain_name("door-1"), plain_name("door-2"));
}

#[test]
fn every_make_is_in_the_documentation() {
    let page = include_str!("../../../../docs/relays.md");
    for (make, _) in Format::MAKES {
        assert!(page.contains(&format!("\n| `{make}` | ")), "{make}");
    }
}
