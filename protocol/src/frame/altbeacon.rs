//! AltBeacon: manufacturer data of any company that starts with 0xBEAC.
//!
//! Format: AltBeacon/spec, *AltBeacon Protocol Specification* 1.0: code, identifier of 20 octets, reference RSSI at
//! 1 m (dBm), and one octet for the manufacturer.

use super::take;
use crate::advertisement::Malformed;

const CODE: [u8; 2] = [0xbe, 0xac];

/// An AltBeacon advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AltBeacon {
    /// Bluetooth company identifier of the beacon's manufacturer.
    pub company: u16,
    /// The beacon's identifier: 16 octets of the organisation, then 4 that it divides as it likes.
    pub id: [u8; 20],
    /// RSSI at 1 m, in dBm.
    pub measured_power_dbm: i8,
    /// For the manufacturer's use; `None` where a beacon leaves the last octet out.
    pub mfg_reserved: Option<u8>,
}

impl AltBeacon {
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = 31;

    /// The whole advertisement: flags (LE general discoverable, BR/EDR not supported) and manufacturer data. An
    /// absent `mfg_reserved` is sent as 0, for the format's length is fixed.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let mut out = [0; Self::ENCODED];
        out[..5].copy_from_slice(&[2, 0x01, 0x06, 0x1b, 0xff]);
        out[5..7].copy_from_slice(&self.company.to_le_bytes());
        out[7..9].copy_from_slice(&CODE);
        out[9..29].copy_from_slice(&self.id);
        out[29] = self.measured_power_dbm as u8;
        out[30] = self.mfg_reserved.unwrap_or(0);
        out
    }

    /// Reads manufacturer data; `None` where it does not start with the code.
    pub(super) fn decode(company: u16, data: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(body) = data.strip_prefix(&CODE) else { return Ok(None) };
        let (id, rest) = take(body, 2)?;
        let ([power], rest) = take(rest, 22)?;
        Ok(Some(Self { company, id, measured_power_dbm: power as i8, mfg_reserved: rest.first().copied() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{advertisement::Fault, frame::Frame};
    use proptest::prelude::*;
    use std::vec::Vec;

    fn sample() -> AltBeacon {
        AltBeacon { company: 0x0118, id: [0x2f; 20], measured_power_dbm: -59, mfg_reserved: Some(9) }
    }

    #[test]
    fn a_cut_names_where_octets_are_missing() {
        let data = &sample().encode()[7..];
        for cut in 2..23 {
            let error = AltBeacon::decode(0x0118, &data[..cut]).unwrap_err();
            assert_eq!(error, Malformed { offset: cut, fault: Fault::Short });
        }
        let short = AltBeacon::decode(0x0118, &data[..23]).unwrap();
        assert_eq!(short, Some(AltBeacon { mfg_reserved: None, ..sample() }));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(company: u16, id: [u8; 20], measured_power_dbm: i8, reserved: u8) {
            let beacon = AltBeacon { company, id, measured_power_dbm, mfg_reserved: Some(reserved) };
            let frames: Vec<_> = Frame::decode(&beacon.encode()).collect();
            prop_assert_eq!(frames, [Ok(Frame::AltBeacon(beacon))]);
        }
    }
}
