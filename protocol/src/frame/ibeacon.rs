//! Apple iBeacon: manufacturer data of company 0x004C.
//!
//! Format: Apple, *Proximity Beacon Specification* R1: type 0x02, length 0x15, proximity UUID, major and minor
//! (big endian), measured power at 1 m (dBm).

use super::take;
use crate::advertisement::Malformed;

/// Apple's company identifier.
pub const APPLE_COMPANY: u16 = 0x004c;

const TYPE: u8 = 0x02;
const LENGTH: u8 = 0x15;

/// An iBeacon advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IBeacon {
    /// Proximity UUID, in the order of its text form.
    pub uuid: [u8; 16],
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
    /// RSSI at 1 m, in dBm.
    pub measured_power_dbm: i8,
}

impl IBeacon {
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = 30;

    /// The whole advertisement: flags (LE general discoverable, BR/EDR not supported) and manufacturer data.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let mut out = [0; Self::ENCODED];
        out[..9].copy_from_slice(&[2, 0x01, 0x06, 0x1a, 0xff, 0x4c, 0x00, TYPE, LENGTH]);
        out[9..25].copy_from_slice(&self.uuid);
        out[25..27].copy_from_slice(&self.major.to_be_bytes());
        out[27..29].copy_from_slice(&self.minor.to_be_bytes());
        out[29] = self.measured_power_dbm as u8;
        out
    }

    /// Reads Apple's manufacturer data; `None` for its other types (Continuity and the like).
    pub(super) fn decode(data: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(body) = data.strip_prefix(&[TYPE, LENGTH]) else { return Ok(None) };
        let (uuid, rest) = take(body, 2)?;
        let (major, rest) = take(rest, 18)?;
        let (minor, rest) = take(rest, 20)?;
        let ([power], _) = take(rest, 22)?;
        Ok(Some(Self {
            uuid,
            major: u16::from_be_bytes(major),
            minor: u16::from_be_bytes(minor),
            measured_power_dbm: power as i8,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{advertisement::Fault, frame::Frame};

    fn sample() -> IBeacon {
        IBeacon { uuid: [0xe2; 16], major: 0x0102, minor: 0xfffe, measured_power_dbm: -59 }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let frames: std::vec::Vec<_> = Frame::decode(&sample().encode()).collect();
        assert_eq!(frames, [Ok(Frame::IBeacon(sample()))]);
    }

    #[test]
    fn a_cut_names_where_octets_are_missing() {
        let data = &sample().encode()[7..];
        for cut in 2..data.len() {
            let error = IBeacon::decode(&data[..cut]).unwrap_err();
            assert_eq!(error, Malformed { offset: cut, fault: Fault::Short });
        }
    }
}
