//! iBeacon: ble_monitor and advlib.

use super::{Agreement, Vector, octets, same};
use vitrine_protocol::frame::Frame;

pub(crate) fn compare(vector: &Vector) -> Agreement {
    let expected = &vector.expected;
    // ble_monitor's trackers nest what its sensors say at once; of other Apple devices it says nothing.
    let expected = if expected["uuid"].is_null() { &expected["tracker"] } else { expected };
    let theirs = match vector.expected["deviceIds"][0].as_str() {
        Some(id) => Some((id.to_owned(), vector.expected["txPower"].as_i64())),
        None => expected["uuid"].as_str().map(|uuid| {
            let (major, minor) = (expected["major"].as_u64().unwrap(), expected["minor"].as_u64().unwrap());
            (format!("{uuid}/{major:04x}/{minor:04x}"), expected["measured power"].as_i64())
        }),
    };
    let frame = match &vector.args {
        Some(args) => {
            let company = args[0].as_u64().unwrap() as u16;
            Frame::from_manufacturer_data(company, &octets(args[1].as_str().unwrap())).unwrap()
        }
        None => vector.read().0.first().copied(),
    };
    let ours = frame.map(|frame| match frame {
        Frame::IBeacon(b) => {
            let id = format!("{}/{:04x}/{:04x}", hex::encode(b.uuid), b.major, b.minor);
            (id, Some(b.measured_power_dbm.into()))
        }
        other => panic!("{other:?}"),
    });
    same("iBeacon", ours, theirs)
}
