//! What must hold of each parser, whatever it is given.

use serde::{Serialize, de::DeserializeOwned};
use vitrine_protocol::{
    Id,
    advertisement::{MANUFACTURER_DATA, Malformed, SERVICE_DATA_16, structures},
    envelope::{Envelope, Status},
    frame::Frame,
    shelf::{Command, Counts, Decoder, Message},
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

/// What we read we can send, and read again as the same.
fn sent_again(frame: &Frame) {
    assert!(!frame.format().is_empty());
    let advertisement = match frame {
        Frame::IBeacon(beacon) => beacon.encode().to_vec(),
        Frame::EddystoneUid(uid) => uid.encode().to_vec(),
        Frame::EddystoneTlm(tlm) => tlm.encode().to_vec(),
        _ => return,
    };
    assert_eq!(Frame::decode(&advertisement).collect::<Vec<_>>(), [Ok(*frame)]);
}

/// Every octet is accounted for, messages survive being sent again, and the decoder is in step afterwards.
pub(crate) fn shelf(data: &[u8]) {
    let mut decoder = Decoder::new();
    let mut counts = Counts::default();
    // The last octets are ended by the delimiter that begins the next frame.
    for item in decoder.push_all(&[data, &[0]].concat()) {
        match item {
            Ok(message) => {
                counts.messages += 1;
                let frame = message.encode();
                assert_eq!(Decoder::new().push_all(&frame).collect::<Vec<_>>(), [Ok(message)]);
            }
            Err(discarded) => counts.discarded_octets += u64::from(discarded.octets),
        }
    }
    let met = decoder.counts();
    assert_eq!((met.messages, met.discarded_octets), (counts.messages, counts.discarded_octets));
    assert!(met.discarded_octets <= data.iter().filter(|&&octet| octet != 0).count() as u64);
    let next = Message::Command(Command::Identify);
    let heard: Vec<_> = decoder.push_all(&next.encode()).collect();
    assert_eq!(heard, [Ok(next)]);
}

pub(crate) fn envelope(data: &[u8]) {
    written_again::<Envelope>(data);
}

pub(crate) fn status(data: &[u8]) {
    written_again::<Status>(data);
}

/// What was read is read again from what we write of it.
fn written_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(json: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(json) {
        let written = serde_json::to_vec(&value).expect("what was read can be written");
        let again: T = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(again, value);
    }
}

/// An id is its text, and its text is safe everywhere.
pub(crate) fn id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = Id::new(text) {
        assert_eq!(id.as_str(), text);
        assert!(!text.contains(['/', '+', '#', '.', '\0']) && text.len() <= 40);
    }
}
