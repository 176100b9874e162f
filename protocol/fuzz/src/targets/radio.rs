//! Advertisements, and the formats in them.

use super::bthome;
use vitrine_protocol::{
    advertisement::{MANUFACTURER_DATA, Malformed, SERVICE_DATA_16, structures},
    frame::{DEVELOPMENT_COMPANY, Frame, SecureFrame},
    identity::{DeviceKey, SoftwareAes, seal},
};

/// Structures follow each other and lie within; errors name a place within; frames survive being sent again.
pub(crate) fn advertisement(data: &[u8]) {
    let mut end = 0;
    for structure in structures(data) {
        match structure {
            Ok(structure) => {
                assert_eq!(structure.offset, end + 2);
                end = structure.offset + structure.data.len();
                assert_eq!(&data[structure.offset..end], structure.data);
            }
            Err(malformed) => assert_eq!(malformed.offset, end),
        }
    }
    for frame in Frame::decode(data) {
        match frame {
            Ok(frame) => sent_again(&frame),
            Err(malformed) => assert!(malformed.offset <= data.len(), "{malformed}"),
        }
    }
}

/// The company's identifier, then the data.
pub(crate) fn manufacturer_data(data: &[u8]) {
    if let Some((company, data)) = data.split_first_chunk() {
        manufacturer(u16::from_le_bytes(*company), &[], data);
    }
}

/// The 16-bit UUID, then the data.
pub(crate) fn service_data(data: &[u8]) {
    if let Some((uuid, data)) = data.split_first_chunk() {
        service(u16::from_le_bytes(*uuid), &[], data);
    }
}

/// `data` after what tells the format.
pub(crate) fn manufacturer(company: u16, prefix: &[u8], data: &[u8]) {
    let data = [prefix, data].concat();
    payload(MANUFACTURER_DATA, company, &data, Frame::from_manufacturer_data(company, &data));
}

/// `data` after what tells the format.
pub(crate) fn service(uuid: u16, prefix: &[u8], data: &[u8]) {
    let data = [prefix, data].concat();
    payload(SERVICE_DATA_16, uuid, &data, Frame::from_service_data(uuid, &data));
}

/// A payload reads the same alone and in an advertisement.
fn payload(ad_type: u8, key: u16, data: &[u8], alone: Result<Option<Frame>, Malformed>) {
    if let Err(malformed) = alone {
        assert!(malformed.offset <= data.len(), "{malformed}");
    }
    let Ok(length) = u8::try_from(1 + 2 + data.len()) else { return };
    let advertisement = [&[length, ad_type], &key.to_le_bytes()[..], data].concat();
    let before = advertisement.len() - data.len();
    let within: Vec<_> = Frame::decode(&advertisement).collect();
    let alone = alone.map_err(|e| Malformed { offset: before + e.offset, ..e }).transpose();
    assert_eq!(within, Vec::from_iter(alone));
    for frame in within.into_iter().flatten() {
        sent_again(&frame);
    }
}

/// A secure frame that opens is the one that would be sealed of what it says.
pub(crate) fn secure(data: &[u8]) {
    manufacturer(DEVELOPMENT_COMPANY, &[SecureFrame::TYPE], data);
    let data = [&[SecureFrame::TYPE], data].concat();
    let Ok(Some(frame)) = SecureFrame::decode(&data) else { return };
    let device = DeviceKey::new([7; 16]);
    let (identity, sealing) = (device.identity::<SoftwareAes>(), device.sealing::<SoftwareAes>());
    if let Ok(telemetry) = seal::open::<SoftwareAes>(&sealing, 0, &frame) {
        let again = seal::seal::<SoftwareAes>(&identity, &sealing, 0, frame.counter, &telemetry);
        assert_eq!(seal::open::<SoftwareAes>(&sealing, 0, &again), Ok(telemetry));
    }
}

/// What we read we can send, and read again as the same.
fn sent_again(frame: &Frame) {
    assert!(!frame.format().is_empty() && !format!("{frame:?}").is_empty());
    let advertisement = match frame {
        Frame::IBeacon(beacon) => beacon.encode().to_vec(),
        Frame::EddystoneUid(uid) => uid.encode().to_vec(),
        Frame::EddystoneUrl(url) => url.encode().to_vec(),
        Frame::EddystoneTlm(tlm) => tlm.encode().to_vec(),
        Frame::EddystoneEtlm(etlm) => etlm.encode().to_vec(),
        Frame::EddystoneEid(eid) => eid.encode().to_vec(),
        // Where the reserved octet is missing, we send it.
        Frame::AltBeacon(beacon) if beacon.mfg_reserved.is_some() => beacon.encode().to_vec(),
        Frame::RuuviTag(tag) if tag.data_format == 5 => tag.encode().to_vec(),
        Frame::BtHome(readable) => return bthome::written_again(readable),
        Frame::Secure(frame) => frame.encode(DEVELOPMENT_COMPANY).to_vec(),
        // Nobody sends these but their makers.
        _ => return,
    };
    assert_eq!(Frame::decode(&advertisement).collect::<Vec<_>>(), [Ok(*frame)]);
}
