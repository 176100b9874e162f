//! An advertisement's AD structures, made anew where a source does not have them whole.

use crate::capture::source::Content;
use vitrine_protocol::{
    advertisement::{MANUFACTURER_DATA, SERVICE_DATA_16, SERVICE_DATA_128},
    frame::{DEVELOPMENT_COMPANY, Frame},
    layout::Payload,
};

/// The data format of RuuviTags that can be written.
const RUUVI_RAW_V2: u8 = 5;

/// The structures; `None` where nothing is known of them, or nobody can write the frame.
pub(super) fn of(content: Content<'_>) -> Option<Vec<u8>> {
    match content {
        Content::Raw(octets) => Some(octets.into()),
        Content::Payloads(payloads) => {
            Some(payloads.iter().flat_map(|&payload| structure(payload)).collect())
        }
        Content::Frame(frame) => encoded(&frame),
        Content::Nothing => None,
    }
}

/// Nothing for a payload that no structure has room for.
fn structure(payload: Payload<'_>) -> Vec<u8> {
    let (ad_type, key, data) = match payload {
        Payload::Manufacturer { company, data } => (MANUFACTURER_DATA, company.to_le_bytes().to_vec(), data),
        Payload::Service16 { uuid, data } => (SERVICE_DATA_16, uuid.to_le_bytes().to_vec(), data),
        Payload::Service128 { uuid, data } => (SERVICE_DATA_128, uuid.into_iter().rev().collect(), data),
    };
    match u8::try_from(1 + key.len() + data.len()) {
        Ok(length) => [length, ad_type].into_iter().chain(key).chain(data.iter().copied()).collect(),
        Err(_) => Vec::new(),
    }
}

fn encoded(frame: &Frame) -> Option<Vec<u8>> {
    Some(match frame {
        Frame::IBeacon(frame) => frame.encode().to_vec(),
        Frame::EddystoneUid(frame) => frame.encode().to_vec(),
        Frame::EddystoneUrl(frame) => frame.encode().to_vec(),
        Frame::EddystoneTlm(frame) => frame.encode().to_vec(),
        Frame::EddystoneEtlm(frame) => frame.encode().to_vec(),
        Frame::EddystoneEid(frame) => frame.encode().to_vec(),
        Frame::AltBeacon(frame) => frame.encode().to_vec(),
        Frame::RuuviTag(frame) if frame.data_format == RUUVI_RAW_V2 => frame.encode().to_vec(),
        Frame::Secure(frame) => frame.encode(DEVELOPMENT_COMPANY).to_vec(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vitrine_protocol::advertisement::structures;

    #[test]
    fn a_frame_is_read_again_as_it_was() {
        for hex in [
            "1aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5",
            "1716aafe00eeedd1ebeac04e5defa0170000000000010000",
            "1116aafe20000bb7800000000001000003e8",
            "0d16aafe30ee0102030405060708",
        ] {
            let octets = hex::decode(hex).unwrap();
            let frame = Frame::decode(&octets).next().unwrap().unwrap();
            let again = of(Content::Frame(frame)).unwrap();
            assert_eq!(Frame::decode(&again).collect::<Vec<_>>(), [Ok(frame)]);
        }
    }

    proptest! {
        #[test]
        fn payloads_are_read_again_as_they_were(key: u16, uuid: [u8; 16], data in proptest::collection::vec(0u8.., 0..300)) {
            let payloads = [
                Payload::Manufacturer { company: key, data: &data },
                Payload::Service16 { uuid: key, data: &data },
                Payload::Service128 { uuid, data: &data },
            ];
            let octets = of(Content::Payloads(&payloads)).unwrap();
            let again: Vec<_> = structures(&octets).map(|structure| Payload::of(structure.unwrap()).unwrap()).collect();
            let fit: Vec<_> = payloads.into_iter().zip([252, 252, 238]).filter(|(_, most)| data.len() <= *most).collect();
            prop_assert_eq!(again, fit.into_iter().map(|(payload, _)| payload).collect::<Vec<_>>());
        }
    }
}
