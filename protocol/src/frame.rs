//! Decoded advertisement payloads.
//!
//! [`Frame::decode`] reads a whole advertisement; [`Frame::from_manufacturer_data`] and
//! [`Frame::from_service_data`] read one payload, for receivers that hand over only that (BlueZ does).
//! Payloads of no known format are passed over: they are not errors.

mod address;
mod altbeacon;
pub mod bthome;
mod eddystone;
mod ibeacon;
mod kontakt;
mod minew;
mod ruuvi;
mod secure;

pub use address::StatedAddress;
pub use altbeacon::AltBeacon;
pub use bthome::BtHome;
pub use eddystone::{
    EDDYSTONE_UUID16, EddystoneEid, EddystoneEtlm, EddystoneTlm, EddystoneUid, EddystoneUrl, EncodedUrl,
    UrlError,
};
pub use ibeacon::{APPLE_COMPANY, IBeacon};
pub use kontakt::{KONTAKT_UUID16, Kontakt};
pub use minew::{MINEW_COMPANY, MINEW_UUID16, Minew, MinewFrame};
pub use ruuvi::{RUUVI_COMPANY, RuuviAir, RuuviTag};
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
    /// Eddystone-URL.
    EddystoneUrl(EddystoneUrl),
    /// Eddystone-TLM, unencrypted.
    EddystoneTlm(EddystoneTlm),
    /// Eddystone-TLM, encrypted.
    EddystoneEtlm(EddystoneEtlm),
    /// Eddystone-EID.
    EddystoneEid(EddystoneEid),
    /// AltBeacon.
    AltBeacon(AltBeacon),
    /// A RuuviTag's readings.
    RuuviTag(RuuviTag),
    /// A Ruuvi Air's readings.
    RuuviAir(RuuviAir),
    /// A Kontakt.io beacon.
    Kontakt(Kontakt),
    /// A Minew beacon.
    Minew(Minew),
    /// BTHome, readable.
    BtHome(BtHome),
    /// BTHome, to be decrypted with the device's key.
    BtHomeEncrypted(bthome::Encrypted),
    /// Vitrine's secure frame.
    Secure(SecureFrame),
}

/// A frame is copied from channel to channel: a larger one would be paid for by all.
const _: () = assert!(size_of::<Frame>() <= 72);

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
        let frame = match company {
            APPLE_COMPANY => IBeacon::decode(data)?.map(Self::IBeacon),
            DEVELOPMENT_COMPANY => SecureFrame::decode(data)?.map(Self::Secure),
            RUUVI_COMPANY => ruuvi::decode(data)?,
            _ => None,
        };
        if frame.is_some() {
            return Ok(frame);
        }
        // Any company may send an AltBeacon.
        match AltBeacon::decode(company, data)? {
            Some(beacon) => Ok(Some(Self::AltBeacon(beacon))),
            None if company == MINEW_COMPANY => Minew::decode_manufacturer(data).map(Self::Minew).map(Some),
            None => Ok(None),
        }
    }

    /// The frame in the service data of the 16-bit `uuid`, `None` where the format is not known.
    ///
    /// # Errors
    /// [`Malformed`] with an offset counted from the start of `data`.
    pub fn from_service_data(uuid: u16, data: &[u8]) -> Result<Option<Self>, Malformed> {
        match uuid {
            EDDYSTONE_UUID16 => Ok(match eddystone::decode(data)? {
                Some(Self::EddystoneUrl(url)) => {
                    Some(ruuvi::from_url(&url).unwrap_or(Self::EddystoneUrl(url)))
                }
                frame => frame,
            }),
            KONTAKT_UUID16 => Ok(Kontakt::decode(data)?.map(Self::Kontakt)),
            MINEW_UUID16 => Ok(Minew::decode_service(data)?.map(Self::Minew)),
            bthome::BTHOME_UUID16 => bthome::decode(data),
            bthome::BTHOME_V1_UUID16 => Ok(bthome::decode_v1(data)),
            bthome::BTHOME_V1_ENCRYPTED_UUID16 => Ok(bthome::decode_v1_encrypted(data)),
            _ => Ok(None),
        }
    }

    /// The format's name, as `vitrine decode` prints it.
    pub fn format(&self) -> &'static str {
        match self {
            Self::IBeacon(_) => "ibeacon",
            Self::EddystoneUid(_) => "eddystone-uid",
            Self::EddystoneUrl(_) => "eddystone-url",
            Self::EddystoneTlm(_) => "eddystone-tlm",
            Self::EddystoneEtlm(_) => "eddystone-etlm",
            Self::EddystoneEid(_) => "eddystone-eid",
            Self::AltBeacon(_) => "altbeacon",
            Self::RuuviTag(_) | Self::RuuviAir(_) => "ruuvi",
            Self::Kontakt(_) => "kontakt",
            Self::Minew(_) => "minew",
            Self::BtHome(_) | Self::BtHomeEncrypted(_) => "bthome",
            Self::Secure(_) => "vitrine",
        }
    }

    /// The frame in one AD structure, `None` where the format is not known.
    ///
    /// # Errors
    /// [`Malformed`] with an offset counted from the start of the advertisement.
    pub fn from_structure(structure: Structure<'_>) -> Result<Option<Self>, Malformed> {
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

    /// What each decoder's payload starts with.
    const HEADS: [&[u8]; 24] = [
        &[0xd2, 0xfc, 0x40],
        &[0xd2, 0xfc, 0x43],
        &[0x1c, 0x18],
        &[0x1e, 0x18],
        &[0x4c, 0x00, 0x02, 0x15],
        &[0x18, 0x01, 0xbe, 0xac],
        &[0xff, 0xff, 0x01],
        &[0xaa, 0xfe, 0x00],
        &[0xaa, 0xfe, 0x10],
        &[0xaa, 0xfe, 0x10, 0x00, 0x03],
        &[0xaa, 0xfe, 0x20, 0x00],
        &[0xaa, 0xfe, 0x20, 0x01],
        &[0xaa, 0xfe, 0x30],
        &[0x99, 0x04, 0x03],
        &[0x99, 0x04, 0x05],
        &[0x99, 0x04, 0xc5],
        &[0x99, 0x04, 0x06],
        &[0x99, 0x04, 0xe1],
        &[0x6a, 0xfe, 0x02],
        &[0x6a, 0xfe, 0x05],
        &[0xe1, 0xff, 0xa1],
        &[0xe1, 0xff, 0xa1, 0x07],
        &[0xe1, 0xff, 0xa1, 0x08],
        &[0x39, 0x06],
    ];

    proptest::proptest! {
        #[test]
        fn any_input_decodes_without_panic(bytes: Vec<u8>) {
            Frame::decode(&bytes).for_each(drop);
        }

        /// Inputs that reach the decoders: a valid structure header before arbitrary octets.
        #[test]
        fn any_payload_decodes_without_panic(data in proptest::collection::vec(0u8.., 0..48), cut in 0usize..4) {
            for head in HEADS {
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
