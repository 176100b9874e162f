//! Eddystone-TLM, a beacon's telemetry: plain (version 0) and encrypted (version 1).
//! Format: `eddystone-tlm/tlm-plain.md` and `tlm-encrypted.md`. Other versions are not read; encryption is
//! `identity::etlm`'s.

use super::{HEAD, TLM, write};
use crate::{
    advertisement::Malformed,
    frame::{Frame, take},
};

const PLAIN: u8 = 0x00;
const ENCRYPTED: u8 = 0x01;
const TEMPERATURE_NOT_SUPPORTED: i16 = i16::MIN;

/// An unencrypted Eddystone-TLM frame.
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

/// An encrypted Eddystone-TLM frame: AES-EAX of the plain one's values, under the key of the beacon whose
/// Eddystone-EID frames come from the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EddystoneEtlm {
    /// The encrypted values.
    pub ciphertext: [u8; 12],
    /// Random part of the nonce.
    pub salt: [u8; 2],
    /// Message integrity check.
    pub mic: [u8; 2],
}

impl EddystoneTlm {
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = HEAD + 13;

    /// The whole advertisement.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let mut out = [0; Self::ENCODED];
        write(&mut out, TLM, &[&[PLAIN], &self.values()]);
        out
    }

    fn decode(body: &[u8]) -> Result<Self, Malformed> {
        take(body, 2).map(|(values, _)| Self::from_values(values))
    }

    /// What the encrypted frame encrypts.
    pub(crate) fn values(&self) -> [u8; 12] {
        let [a, b] = self.battery_mv.unwrap_or(0).to_be_bytes();
        let [c, d] = self.temperature_c_256.unwrap_or(TEMPERATURE_NOT_SUPPORTED).to_be_bytes();
        let [e, f, g, h] = self.advertisements.to_be_bytes();
        let [i, j, k, l] = self.uptime_ds.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// See [`values`](Self::values).
    pub(crate) fn from_values([a, b, c, d, e, f, g, h, i, j, k, l]: [u8; 12]) -> Self {
        Self {
            battery_mv: Some(u16::from_be_bytes([a, b])).filter(|&mv| mv != 0),
            temperature_c_256: Some(i16::from_be_bytes([c, d])).filter(|&t| t != TEMPERATURE_NOT_SUPPORTED),
            advertisements: u32::from_be_bytes([e, f, g, h]),
            uptime_ds: u32::from_be_bytes([i, j, k, l]),
        }
    }
}

impl EddystoneEtlm {
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = HEAD + 17;

    /// The whole advertisement.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let mut out = [0; Self::ENCODED];
        write(&mut out, TLM, &[&[ENCRYPTED], &self.ciphertext, &self.salt, &self.mic]);
        out
    }

    fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let (ciphertext, rest) = take(body, 2)?;
        let (salt, rest) = take(rest, 14)?;
        let (mic, _) = take(rest, 16)?;
        Ok(Self { ciphertext, salt, mic })
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Option<Frame>, Malformed> {
    let ([version], rest) = take(body, 1)?;
    match version {
        PLAIN => EddystoneTlm::decode(rest).map(|tlm| Some(Frame::EddystoneTlm(tlm))),
        ENCRYPTED => EddystoneEtlm::decode(rest).map(|etlm| Some(Frame::EddystoneEtlm(etlm))),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(battery: Option<u16>, temperature: Option<i16>, advertisements: u32, uptime_ds: u32) {
            let tlm = EddystoneTlm {
                battery_mv: battery.filter(|&mv| mv != 0),
                temperature_c_256: temperature.filter(|&t| t != i16::MIN),
                advertisements,
                uptime_ds,
            };
            prop_assert_eq!(Frame::decode(&tlm.encode()).collect::<Vec<_>>(), [Ok(Frame::EddystoneTlm(tlm))]);
        }

        #[test]
        fn what_is_encoded_encrypted_is_decoded(ciphertext: [u8; 12], salt: [u8; 2], mic: [u8; 2]) {
            let etlm = EddystoneEtlm { ciphertext, salt, mic };
            prop_assert_eq!(Frame::decode(&etlm.encode()).collect::<Vec<_>>(), [Ok(Frame::EddystoneEtlm(etlm))]);
        }
    }
}
