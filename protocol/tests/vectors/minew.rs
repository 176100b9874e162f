//! Minew: advlib. What identifies a beacon is compared; its readings are not decoded.

use super::{Agreement, Vector, octets, same};
use vitrine_protocol::frame::{Frame, MinewFrame};

pub(crate) fn compare(vector: &Vector) -> Agreement {
    let expected = &vector.expected;
    let Frame::Minew(minew) = vector.frame()? else { return Err("not Minew's".into()) };
    if let Some(data) = &vector.mfr_hex {
        return same("frame", minew.frame, MinewFrame::Manufacturer(octets(data)[0]));
    }
    let data = octets(vector.svc_hex.as_ref().unwrap());
    same("frame", minew.frame, MinewFrame::Service(data[1]))?;
    // advlib reads no battery in a frame of acceleration and rotation, which has that octet at zero.
    if data[1] != 0x15 {
        same("battery", minew.battery_pct.map(u64::from), expected["batteryPercentage"].as_u64())?;
    }
    same("name", minew.name.as_ref().map(|name| name.as_str()), expected["name"].as_str())?;
    let address = minew.address.map(|address| hex::encode(address.octets()));
    same("address", address.as_deref(), Some("ffeeddccbbaa"))
}
