//! Manufacturer and service data, as relays hand over that do not keep the whole advertisement.

use arrayvec::ArrayVec;
use vitrine_protocol::layout::Payload;

/// Most payloads of one advertisement.
const PAYLOADS_MAX: usize = 4;

/// The payloads of one advertisement.
#[derive(Default)]
pub(super) struct Payloads(ArrayVec<(Key, Vec<u8>), PAYLOADS_MAX>);

enum Key {
    Manufacturer(u16),
    Service16(u16),
    Service128([u8; 16]),
}

impl Payloads {
    /// Takes manufacturer data that begins with the company, least significant octet first. `false` where it is bad.
    pub(super) fn manufacturer(&mut self, octets: &[u8]) -> bool {
        let Some((company, data)) = octets.split_first_chunk() else { return false };
        self.0.try_push((Key::Manufacturer(u16::from_le_bytes(*company)), data.to_vec())).is_ok()
    }

    /// Takes service data of a UUID of 4, 8 or 32 digits, with or without `0x` or hyphens. `false` where it is bad.
    pub(super) fn service(&mut self, uuid: &str, data: Vec<u8>) -> bool {
        service_key(uuid).is_some_and(|key| self.0.try_push((key, data)).is_ok())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lends them to `each`.
    pub(super) fn with(&self, each: impl FnOnce(&[Payload<'_>])) {
        each(&self.0.iter().map(payload).collect::<ArrayVec<_, PAYLOADS_MAX>>());
    }
}

fn payload((key, data): &(Key, Vec<u8>)) -> Payload<'_> {
    match *key {
        Key::Manufacturer(company) => Payload::Manufacturer { company, data },
        Key::Service16(uuid) => Payload::Service16 { uuid, data },
        Key::Service128(uuid) => Payload::Service128 { uuid, data },
    }
}

/// What follows the first 32 bits in a UUID of Bluetooth's own.
const BASE: [u8; 12] = [0, 0, 0x10, 0, 0x80, 0, 0, 0x80, 0x5f, 0x9b, 0x34, 0xfb];

fn service_key(text: &str) -> Option<Key> {
    let digits = text.replace('-', "");
    let digits = digits.strip_prefix("0x").unwrap_or(&digits);
    let mut uuid = [0; 16];
    match digits.len() {
        4 => hex::decode_to_slice(digits, &mut uuid[2..4]).ok()?,
        8 => hex::decode_to_slice(digits, &mut uuid[..4]).ok()?,
        _ => hex::decode_to_slice(digits, &mut uuid).ok()?,
    }
    if digits.len() < 32 {
        uuid[4..].copy_from_slice(&BASE);
    }
    match uuid {
        [0, 0, high, low, rest @ ..] if rest == BASE => Some(Key::Service16(u16::from_be_bytes([high, low]))),
        uuid => Some(Key::Service128(uuid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_several_forms() {
        for text in ["feaa", "0xFEAA", "0000feaa", "0000feaa-0000-1000-8000-00805f9b34fb"] {
            assert!(matches!(service_key(text), Some(Key::Service16(0xfeaa))), "{text}");
        }
        for text in ["0001feaa", "e2c56db5-dffb-48d2-b060-d0f5a71096e0"] {
            assert!(matches!(service_key(text), Some(Key::Service128(_))), "{text}");
        }
        for text in ["", "fea", "feag", "feaa00"] {
            assert!(service_key(text).is_none(), "{text}");
        }
    }

    #[test]
    fn bad_and_too_many_payloads_are_refused() {
        let mut payloads = Payloads::default();
        assert!(!payloads.manufacturer(&[0x4c]) && !payloads.service("fea", Vec::new()));
        assert!(payloads.is_empty());
        for _ in 0..PAYLOADS_MAX {
            assert!(payloads.manufacturer(&[0x4c, 0, 2]));
        }
        assert!(!payloads.manufacturer(&[0x4c, 0, 2]));
        payloads
            .with(|payloads| assert_eq!(payloads[0], Payload::Manufacturer { company: 0x4c, data: &[2] }));
    }
}
