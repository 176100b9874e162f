//! Decoded advertisement payloads.
//!
//! [`Frame::decode`] reads a whole advertisement; [`Frame::from_manufacturer_data`] and
//! [`Frame::from_service_data`] read one payload, for receivers that hand over only that (BlueZ does).
//! Payloads of no known format are passed over: they are not errors.

mod eddystone;
mod ibeacon;
mod secure;

pub use eddystone::{EDDYSTONE_UUID16, EddystoneTlm, EddystoneUid};
pub use ibeacon::{APPLE_COMPANY, IBeacon};
pub use secure::{Counter, DEVELOPMENT_COMPANY, SecureFrame};

use crate::advertisement::{self, Fault, MANUFACTURER_DATA, Malformed, SERVICE_DATA_16, Structure};

/// A decoded advertisement payload. Small and `Copy`: it travels by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// Apple iBeacon.
    IBeacon(IBeacon),
    /// Eddystone-UID.
    EddystoneUid(EddystoneUid),
    /// Eddystone-TLM, unencrypted.
    EddystoneTlm(EddystoneTlm),
    /// Vitrine's secure frame.
    Secure(SecureFrame),
}

impl Frame {
    /// The frames of a raw advertisement, in order. A malformed frame is an item of its own and the rest is
    /// still read; a malformed AD structure ends the iteration.
    pub fn decode(advertisement: &[u8]) -> impl Iterator<Item = Result<Self, Malformed>> {
        advertisement::structures(advertisement)
            .filter_map(|structure| structure.and_then(Self::from_structure).transpose())
    }

    /// The frame in the manufacturer data of `company`, `None` where the format is not known. A secure frame
    /// under a company of the integrator's own is [`SecureFrame::decode`]'s.
    ///
    /// # Errors
    /// [`Malformed`] with an offset counted from the start of `data`.
    pub fn from_manufacturer_data(company: u16, data: &[u8]) -> Result<Option<Self>, Malformed> {
        match company {
            APPLE_COMPANY => Ok(IBeacon::decode(data)?.map(Self::IBeacon)),
            DEVELOPMENT_COMPANY => Ok(SecureFrame::decode(data)?.map(Self::Secure)),
            _ => Ok(None),
        }
    }

    /// The frame in the service data of the 16-bit `uuid`, `None` where the format is not known.
    ///
    /// # Errors
    /// [`Malformed`] with an offset counted from the start of `data`.
    pub fn from_service_data(uuid: u16, data: &[u8]) -> Result<Option<Self>, Malformed> {
        match uuid {
            EDDYSTONE_UUID16 => eddystone::decode(data),
            _ => Ok(None),
        }
    }

    /// The format's name, as `vitrine decode` prints it.
    pub fn format(&self) -> &'static str {
        match self {
            Self::IBeacon(_) => "ibeacon",
            Self::EddystoneUid(_) => "eddystone-uid",
            Self::EddystoneTlm(_) => "eddystone-tlm",
            Self::Secure(_) => "vitrine",
        }
    }

    fn from_structure(structure: Structure<'_>) -> Result<Option<Self>, Malformed> {
        let decode = match structure.ad_type {
            MANUFACTURER_DATA => Self::from_manufacturer_data,
            SERVICE_DATA_16 => Self::from_service_data,
            _ => return Ok(None),
        };
        let Some((key, data)) = structure.data.split_first_chunk() else {
            return Err(Malformed { offset: structure.offset, fault: Fault::Short });
        };
        decode(u16::from_le_bytes(*key), data)
            .map_err(|e| Malformed { offset: structure.offset + 2 + e.offset, ..e })
    }
}

/// The first `N` octets of `data`, and the rest.
fn take<const N: usize>(data: &[u8], offset: usize) -> Result<([u8; N], &[u8]), Malformed> {
    match data.split_first_chunk() {
        Some((head, rest)) => Ok((*head, rest)),
        None => Err(Malformed { offset: offset + data.len(), fault: Fault::Short }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_malformed_frame_does_not_hide_the_next_one() {
        let mut bytes = std::vec![5, 0xff, 0x4c, 0x00, 0x02, 0x15];
        bytes.extend(EddystoneUid { tx_power_dbm: -20, namespace: [1; 10], instance: [2; 6] }.encode());
        let frames: Vec<_> = Frame::decode(&bytes).collect();
        assert_eq!(frames[0], Err(Malformed { offset: 6, fault: Fault::Short }));
        assert!(matches!(frames[1], Ok(Frame::EddystoneUid(_))));
    }

    #[test]
    fn unknown_payloads_are_passed_over() {
        let apple_continuity = [0x0b, 0xff, 0x4c, 0x00, 0x10, 0x06, 0x67, 0x1e, 0x5c, 0xfa, 0xdb, 0xd3];
        assert_eq!(Frame::decode(&apple_continuity).count(), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_input_decodes_without_panic(bytes: Vec<u8>) {
            Frame::decode(&bytes).for_each(drop);
        }

        /// Inputs that reach the decoders: a valid structure header before arbitrary octets.
        #[test]
        fn any_payload_decodes_without_panic(data in proptest::collection::vec(0u8.., 0..40), cut in 0usize..4) {
            for head in [&[0x4c, 0x00, 0x02, 0x15][..], &[0xaa, 0xfe, 0x00], &[0xaa, 0xfe, 0x20, 0x00]] {
                let body: Vec<u8> = head[..head.len() - cut.min(head.len())].iter().chain(&data).copied().collect();
                for ad_type in [MANUFACTURER_DATA, SERVICE_DATA_16] {
                    let mut bytes = std::vec![body.len() as u8 + 1, ad_type];
                    bytes.extend(&body);
                    Frame::decode(&bytes).for_each(drop);
                }
            }
        }
    }
}
