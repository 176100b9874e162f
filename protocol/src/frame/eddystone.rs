//! Eddystone UID and TLM: service data of UUID 0xFEAA.
//!
//! Format: google/eddystone, `eddystone-uid` and `eddystone-tlm/tlm-plain.md`. Numbers are big endian.
//! Other Eddystone frames (URL, EID, encrypted TLM) are not read here.

use super::{Frame, take};
use crate::advertisement::Malformed;

/// Eddystone's 16-bit service UUID.
pub const EDDYSTONE_UUID16: u16 = 0xfeaa;

const UID: u8 = 0x00;
const TLM: u8 = 0x20;
const TLM_PLAIN: u8 = 0x00;
const TEMPERATURE_NOT_SUPPORTED: i16 = i16::MIN;

/// Flags and the list of 16-bit service UUIDs, which an Eddystone advertisement starts with.
const PREFIX: [u8; 7] = [0x02, 0x01, 0x06, 0x03, 0x03, 0xaa, 0xfe];

/// An Eddystone-UID frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EddystoneUid {
    /// RSSI at 0 m, in dBm (-100 to 20).
    pub tx_power_dbm: i8,
    /// Namespace.
    pub namespace: [u8; 10],
    /// Instance within the namespace.
    pub instance: [u8; 6],
}

impl EddystoneUid {
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = 31;

    /// The whole advertisement, with the two reserved octets at zero.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let mut out = [0; Self::ENCODED];
        out[..7].copy_from_slice(&PREFIX);
        out[7..13].copy_from_slice(&[0x17, 0x16, 0xaa, 0xfe, UID, self.tx_power_dbm as u8]);
        out[13..23].copy_from_slice(&self.namespace);
        out[23..29].copy_from_slice(&self.instance);
        out
    }
}

/// An unencrypted Eddystone-TLM frame: a beacon's telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EddystoneTlm {
    /// Battery voltage in mV; `None` where the beacon has no battery (0 on air).
    pub battery_mv: Option<u16>,
    /// Beacon temperature in 1/256 °C; `None` where it is not measured (0x8000 on air).
    pub temperature_c_256: Option<i16>,
    /// Advertisements sent since power-up.
    pub advertisements: u32,
    /// Time since power-up, in tenths of a second.
    pub uptime_ds: u32,
}

impl EddystoneTlm {
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = 25;

    /// The whole advertisement.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let mut out = [0; Self::ENCODED];
        out[..7].copy_from_slice(&PREFIX);
        out[7..13].copy_from_slice(&[0x11, 0x16, 0xaa, 0xfe, TLM, TLM_PLAIN]);
        out[13..15].copy_from_slice(&self.battery_mv.unwrap_or(0).to_be_bytes());
        out[15..17]
            .copy_from_slice(&self.temperature_c_256.unwrap_or(TEMPERATURE_NOT_SUPPORTED).to_be_bytes());
        out[17..21].copy_from_slice(&self.advertisements.to_be_bytes());
        out[21..25].copy_from_slice(&self.uptime_ds.to_be_bytes());
        out
    }
}

/// Reads Eddystone's service data; `None` for frames that are not read here.
pub(super) fn decode(data: &[u8]) -> Result<Option<Frame>, Malformed> {
    let ([kind], body) = take(data, 0)?;
    match kind {
        UID => uid(body).map(|frame| Some(Frame::EddystoneUid(frame))),
        TLM => Ok(tlm(body)?.map(Frame::EddystoneTlm)),
        _ => Ok(None),
    }
}

/// The two reserved octets at the end may be missing: the specification lets a reader ignore them.
fn uid(body: &[u8]) -> Result<EddystoneUid, Malformed> {
    let ([power], rest) = take(body, 1)?;
    let (namespace, rest) = take(rest, 2)?;
    let (instance, _) = take(rest, 12)?;
    Ok(EddystoneUid { tx_power_dbm: power as i8, namespace, instance })
}

fn tlm(body: &[u8]) -> Result<Option<EddystoneTlm>, Malformed> {
    let ([version], rest) = take(body, 1)?;
    if version != TLM_PLAIN {
        return Ok(None);
    }
    let (battery, rest) = take(rest, 2)?;
    let (temperature, rest) = take(rest, 4)?;
    let (advertisements, rest) = take(rest, 6)?;
    let (uptime, _) = take(rest, 10)?;
    Ok(Some(EddystoneTlm {
        battery_mv: Some(u16::from_be_bytes(battery)).filter(|&mv| mv != 0),
        temperature_c_256: Some(i16::from_be_bytes(temperature)).filter(|&t| t != TEMPERATURE_NOT_SUPPORTED),
        advertisements: u32::from_be_bytes(advertisements),
        uptime_ds: u32::from_be_bytes(uptime),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advertisement::Fault;
    use std::vec::Vec;

    fn decode_one(bytes: &[u8]) -> Frame {
        let frames: Vec<_> = Frame::decode(bytes).collect();
        assert_eq!(frames.len(), 1);
        frames[0].unwrap()
    }

    #[test]
    fn uid_is_decoded_with_and_without_the_reserved_octets() {
        let uid = EddystoneUid { tx_power_dbm: -22, namespace: *b"namespace!", instance: [1, 2, 3, 4, 5, 6] };
        assert_eq!(decode_one(&uid.encode()), Frame::EddystoneUid(uid));
        assert_eq!(decode(&uid.encode()[11..29]), Ok(Some(Frame::EddystoneUid(uid))));
        assert_eq!(decode(&uid.encode()[11..28]), Err(Malformed { offset: 12 + 5, fault: Fault::Short }));
    }

    #[test]
    fn tlm_is_decoded_and_absent_values_are_none() {
        let tlm = EddystoneTlm {
            battery_mv: Some(2987),
            temperature_c_256: Some(-640),
            advertisements: 7,
            uptime_ds: 70_000,
        };
        assert_eq!(decode_one(&tlm.encode()), Frame::EddystoneTlm(tlm));
        let bare = EddystoneTlm { battery_mv: None, temperature_c_256: None, ..tlm };
        assert_eq!(decode_one(&bare.encode()), Frame::EddystoneTlm(bare));
    }

    #[test]
    fn other_eddystone_frames_are_passed_over() {
        assert_eq!(decode(&[0x10, 0xee, 0x00]), Ok(None));
        assert_eq!(decode(&[TLM, 0x01, 1, 2, 3]), Ok(None));
        assert_eq!(decode(&[]), Err(Malformed { offset: 0, fault: Fault::Short }));
    }
}
