//! What of a payload is read, and what is said of the rest.

use super::*;
use expect_test::{Expect, expect};
use std::{borrow::ToOwned, format, string::String, vec::Vec};

fn read(hex: &str) -> String {
    match decode(&hex::decode(hex).unwrap()) {
        Ok(Some(Frame::BtHome(frame))) => {
            let list: Vec<_> =
                frame.measurements().map(|m| format!("{}={:?}", m.object.name(), m.value)).collect();
            let unread = frame.unread().map_or(String::new(), |unread| format!("; {unread}"));
            list.join(" ") + &unread
        }
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{error}"),
    }
}

fn check(hex: &str, expected: Expect) {
    expected.assert_eq(&read(hex));
}

#[test]
fn what_stands_before_an_unknown_object_is_kept() {
    check(
        "40016166ff",
        expect![
            "battery=Number(Decimal { mantissa: 97, decimals: 0 }); object id 0x66 is not known at offset 3"
        ],
    );
    check("4066ff", expect!["; object id 0x66 is not known at offset 1"]);
    check(
        "42010203040506016166",
        expect![
            "battery=Number(Decimal { mantissa: 97, decimals: 0 }); object id 0x66 is not known at offset 9"
        ],
    );
}

#[test]
fn what_stands_before_a_cut_is_kept_and_nothing_is_malformed() {
    check(
        "4002ca0903bf",
        expect![
            "temperature=Number(Decimal { mantissa: 2506, decimals: 2 }); the object is cut short at offset 4"
        ],
    );
    check("4002ca", expect!["the frame is cut short at offset 3"]);
    check("40530348", expect!["the frame is cut short at offset 4"]);
    check("403b", expect!["the frame is cut short at offset 2"]);
    check("4201020304", expect!["the frame is cut short at offset 5"]);
    check("", expect!["the frame is cut short at offset 0"]);
    check("40", expect![""]);
}

#[test]
fn other_versions_are_malformed() {
    check("0002ca09", expect!["an octet has a value that the format does not allow at offset 0"]);
    check("6002ca09", expect!["an octet has a value that the format does not allow at offset 0"]);
}

#[test]
fn objects_out_of_order_are_read() {
    check(
        "4003bf1302ca09",
        expect![
            "humidity=Number(Decimal { mantissa: 5055, decimals: 2 }) temperature=Number(Decimal { mantissa: 2506, decimals: 2 })"
        ],
    );
}

#[test]
fn texts_commands_and_numbers_of_three_octets() {
    check("403b010305", expect!["command=Command(Command { code: 3, arguments: [5] })"]);
    check("4053024f4b5401ff", expect![[r#"text=Text("OK") raw=Raw([255])"#]]);
    check("405302ffff", expect!["text=Raw([255, 255])"]);
    check("4058ea", expect!["temperature=Number(Decimal { mantissa: -770, decimals: 2 })"]);
}

/// 26 packet ids and two temperatures: the last object that fits is held whole.
#[test]
fn a_payload_beyond_the_capacity_is_held_as_far_as_objects_fit() {
    let long = String::from("40") + &"0009".repeat(26) + "02ca09" + "02ca09";
    check(
        &long,
        expect![
            "temperature=Number(Decimal { mantissa: 2506, decimals: 2 }); the payload is too long at offset 56"
        ],
    );
    check(
        &("41".to_owned() + &"00".repeat(62)),
        expect!["the frame is longer than its format allows at offset 57"],
    );
}

#[test]
fn version_1_is_told_from_other_services_by_its_objects() {
    let format = |frame: Option<Frame>| frame.map(|frame| frame.format());
    assert_eq!(format(decode_v1(&[0x02, 0x01, 0x61])), Some("bthome"));
    for other in [&[][..], &[0x02, 0x01], &[0x00], &[0x02, 0x01, 0x61, 0xff], &[0x02, 0x99, 0x61]] {
        assert_eq!(format(decode_v1(other)), None, "{other:?}");
    }
    assert_eq!(format(decode_v1_encrypted(&[0; 11])), Some("bthome"));
    assert_eq!(format(decode_v1_encrypted(&[0; 10])), None);
}

/// A float, a MAC address and an unknown object carry their lengths.
#[test]
fn version_1_passes_over_what_it_does_not_read() {
    let data = hex::decode("4502000000008702010203040506039988770201612302caff").unwrap();
    let Some(Frame::BtHome(frame)) = decode_v1(&data) else { panic!() };
    let numbers: Vec<_> = frame.measurements().map(|m| m.value).collect();
    let number = |mantissa, decimals| Value::Number(Decimal { mantissa, decimals });
    assert_eq!(numbers, [number(97, 0), number(-54, 2)]);
}

#[test]
fn debug_tells_no_address() {
    let data = hex::decode("43a5808fe64854f196c06ffb4900112233f08ecbde").unwrap();
    let debug = format!("{:?}", decode(&data).unwrap());
    assert_eq!(debug, "Some(BtHomeEncrypted(Encrypted { version: V2, counter: 857870592, .. }))");
}
