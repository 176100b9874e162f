//! The AltBeacon library: AltBeacons, and beacons of other formats by their layouts. Its expectations are assertions in
//! Java; they stand here by the test's name.

use super::{Agreement, Vector, same};
use vitrine_protocol::{
    advertisement::Fault,
    frame::{AltBeacon, Frame},
    layout::Layout,
};

/// Layouts that the library has names for, or that its test sets elsewhere.
const EDDYSTONE_UID: &str = "s:0-1=feaa,m:2-2=00,p:3-3:-41,i:4-13,i:14-19";
const EDDYSTONE_TLM: &str = "x,s:0-1=feaa,m:2-2=20,d:3-3,d:4-5,d:6-7,d:8-11,d:12-15";
const ALTERNATE: &str = "m:2-3=aabb,i:4-19,i:20-21,i:22-23,p:24-24,d:25-25";
const ALTBEACON: &str = "m:2-3=beac,i:4-19,i:20-21,i:22-23,p:24-24,d:25-25";

pub(crate) fn compare(vector: &Vector) -> Agreement {
    let decoded = altbeacon(vector);
    let company = |expected| same("company", decoded.map(|beacon| beacon.company), Some(expected));
    match vector.test.as_str() {
        "testRecognizeBeacon" => same("reserved", decoded.and_then(|beacon| beacon.mfg_reserved), Some(9)),
        "testDetectsDaveMHardwareBeacon" => same("recognised", decoded.is_some(), true),
        "testRecognizeBeaconCapturedManufacturer" => company(0xbbaa),
        "testReEncodesBeacon" | "testSetBeacons" => {
            let sent = decoded.map(|beacon| beacon.encode()[3..].to_vec());
            same("encoded", sent, Some(vector.advertisement()[3..31].to_vec()))
        }
        "testParsesBeaconMissingDataField" => {
            company(0x118)?;
            let beacon = decoded.unwrap();
            same("id", hex::encode(beacon.id), "2f234454cf6d4a0fadf2f4911ba9ffa600010002".into())?;
            same("power", beacon.measured_power_dbm, -59)?;
            // The library's "missing data field is zero" is our `None`.
            same("reserved", beacon.mfg_reserved.unwrap_or(0), 0)?;
            by_layout(vector, ALTBEACON, &["2f234454cf6d4a0fadf2f4911ba9ffa6", "0001", "0002"], -59)
        }
        "testParseManufacturerIdentifierThatRunsOverPduLength" => {
            same("fault", vector.read().1.map(|malformed| malformed.fault), Some(Fault::Short))?;
            by_no_layout(vector, ALTBEACON)
        }
        "doesNotCashWithOverflowingByteCodeComparisonOnPdu" => same("frames", vector.read(), (vec![], None)),
        "testParseWrongFormatReturnsNothing" => {
            same("frames", vector.read().0, vec![])?;
            by_no_layout(vector, ALTBEACON)
        }
        "testDetectsAlternateBeconType" => {
            by_layout(vector, ALTERNATE, &["2f234454cf6d4a0fadf2f4911ba9ffa6", "0001", "0002"], -59)
        }
        "doesNotDetectManufacturerAdvert" | "testParseGattIdentifierThatRunsOverPduLength" => {
            by_no_layout(vector, &vector.layout[0])
        }
        "doesNotCrashOnMalformedEddystoneBeacon" => {
            same("fault", vector.read().1.map(|malformed| malformed.fault), Some(Fault::Short))?;
            by_no_layout(vector, &vector.layout[0])
        }
        "testLongUrlBeaconIdentifier" => by_layout(vector, &vector.layout[0], &["0102030405060708"], -66),
        "testDetectsCBeacon" => {
            by_layout(vector, &vector.layout[0], &["0102030405060708090a0b0c0d0e0f10"], -82)
        }
        "testDetectsCBeaconWithoutPower" => {
            by_layout(vector, &vector.layout[0], &["0102030405060708090a0b0c0d0e0f10"], -59)
        }
        "testDetectsGattBeacon2MaxLength" => {
            by_layout(vector, &vector.layout[0], &["007261646975736e6574776f726b737307"], -61)
        }
        "testDetectsGattBeacon2WithShortIdentifier" => {
            by_layout(vector, &vector.layout[0], &["007261646975736e6574776f726b7307"], -61)
        }
        "testDetectsEddystoneUID" => {
            let Ok(Frame::EddystoneUid(uid)) = vector.read().0.first().copied().ok_or(()) else {
                return Err("no Eddystone-UID".into());
            };
            let ids = [hex::encode(uid.namespace), hex::encode(uid.instance)];
            by_layout(vector, EDDYSTONE_UID, &[&ids[0], &ids[1]], -66)
        }
        "testReEncodesBeaconForEddystoneTelemetry" => {
            match layout(EDDYSTONE_TLM).read_advertisement(&vector.advertisement()) {
                Some(_) => Ok(()),
                None => Err("it has no telemetry".into()),
            }
        }
        "testCanParseLongDataTypeOfDifferentSize" => {
            match layout(&vector.layout[0]).read_advertisement(&vector.advertisement()) {
                Some(_) => Ok(()),
                None => Err("it has no data fields".into()),
            }
        }
        other => panic!("no assertions of {other}"),
    }
}

fn altbeacon(vector: &Vector) -> Option<AltBeacon> {
    vector.read().0.iter().find_map(|frame| match frame {
        Frame::AltBeacon(beacon) => Some(*beacon),
        _ => None,
    })
}

fn layout(text: &str) -> Layout {
    text.parse().unwrap()
}

fn by_layout(vector: &Vector, text: &str, identifiers: &[&str], power_dbm: i8) -> Agreement {
    let (layout, advertisement) = (layout(text), vector.advertisement());
    let Some(reading) = layout.read_advertisement(&advertisement) else {
        return Err(format!("not of layout {text}"));
    };
    let ours: Vec<_> = reading.identifiers().map(hex::encode).collect();
    same("identifiers", ours.iter().map(String::as_str).collect::<Vec<_>>(), identifiers.to_vec())?;
    same("power", reading.power_dbm(), Some(power_dbm))
}

fn by_no_layout(vector: &Vector, text: &str) -> Agreement {
    same("of the layout", layout(text).read_advertisement(&vector.advertisement()).is_some(), false)
}
