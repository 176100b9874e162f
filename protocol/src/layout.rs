//! Beacon layouts: a format in one line of text, so that a new make of beacon needs no code.
//!
//! The notation is that of the AltBeacon library (`BeaconParser.setBeaconLayout`): terms with commas between, offsets
//! in octets from the first of the company identifier or of the service UUID, both ends included.
//!
//! | term | meaning |
//! |---|---|
//! | `m:2-3=0215` | these octets have these values; without `s` the payload is manufacturer data |
//! | `s:0-1=feaa` | the payload is service data of this UUID: 2 octets, or 16 with or without hyphens |
//! | `i:4-19` | an identifier; up to 5, of up to 20 octets each |
//! | `p:24-24` | power in dBm at 1 m; `p:3-3:-41` adds -41 to the octet; `p:-:-59` is always -59 |
//! | `d:25-25` | a data field; up to 8, of up to 8 octets each |
//! | `x` | an extra frame, which need not identify its beacon |
//!
//! After an `i` or `d`, `l` says least significant octet first; after an `i`, `v` says that it may end early. A layout has
//! an `m` or an `s`, and an `i` or the `x`.
//!
//! The library reads zeros behind the end of a short payload unless it is told otherwise; here an identifier must be
//! there, and other fields are `None`.

mod parse;

pub use parse::LayoutError;

use crate::advertisement::{self, MANUFACTURER_DATA, SERVICE_DATA_16, SERVICE_DATA_128, Structure};
use arrayvec::ArrayVec;
use core::ops::RangeInclusive;

/// Most identifiers of a layout.
pub const IDENTIFIERS_MAX: usize = 5;
/// Most octets of an identifier.
pub const IDENTIFIER_MAX: usize = 20;
/// Most data fields of a layout.
pub const DATA_MAX: usize = 8;
/// Most octets that a layout matches.
const MATCH_MAX: usize = 16;

/// The octets of an identifier, most significant first.
pub type Identifier = ArrayVec<u8, IDENTIFIER_MAX>;

/// A checked beacon layout; made by [`str::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    service: Option<Service>,
    matching: Option<Matching>,
    identifiers: ArrayVec<Field, IDENTIFIERS_MAX>,
    power: Option<Power>,
    data: ArrayVec<Field, DATA_MAX>,
    extra: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Uuid16(u16),
    Uuid128([u8; 16]),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Matching {
    first: u8,
    octets: ArrayVec<u8, MATCH_MAX>,
}

/// Offsets, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    first: u8,
    last: u8,
    least_significant_first: bool,
    may_end_early: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Power {
    /// `None` where the power is `offset_dbm` alone.
    at: Option<u8>,
    offset_dbm: i8,
}

/// What a layout is matched against: one payload of an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Manufacturer data.
    Manufacturer {
        /// The company identifier.
        company: u16,
        /// What follows it.
        data: &'a [u8],
    },
    /// Service data of a 16-bit UUID.
    Service16 {
        /// The UUID.
        uuid: u16,
        /// What follows it.
        data: &'a [u8],
    },
    /// Service data of a 128-bit UUID.
    Service128 {
        /// The UUID, in the order of its text form.
        uuid: [u8; 16],
        /// What follows it.
        data: &'a [u8],
    },
}

impl<'a> Payload<'a> {
    /// The payload in an AD structure; `None` where it is of another type, or too short for its key.
    pub fn of(structure: Structure<'a>) -> Option<Self> {
        let short = || structure.data.split_first_chunk().map(|(key, data)| (u16::from_le_bytes(*key), data));
        match structure.ad_type {
            MANUFACTURER_DATA => short().map(|(company, data)| Self::Manufacturer { company, data }),
            SERVICE_DATA_16 => short().map(|(uuid, data)| Self::Service16 { uuid, data }),
            SERVICE_DATA_128 => structure.data.split_first_chunk().map(|(key, data)| {
                let mut uuid: [u8; 16] = *key;
                uuid.reverse();
                Self::Service128 { uuid, data }
            }),
            _ => None,
        }
    }

    /// The payloads of an advertisement, in order, up to where it is malformed.
    pub fn all(advertisement: &'a [u8]) -> impl Iterator<Item = Self> {
        advertisement::structures(advertisement).map_while(Result::ok).filter_map(Self::of)
    }

    /// The octet at an offset from the key's first, as it is on air.
    fn octet(&self, at: usize) -> Option<u8> {
        match self {
            Self::Manufacturer { company: key, data } | Self::Service16 { uuid: key, data } => {
                key.to_le_bytes().get(at).or_else(|| data.get(at - 2)).copied()
            }
            Self::Service128 { uuid, data } => match at {
                0..16 => uuid.get(15 - at).copied(),
                _ => data.get(at - 16).copied(),
            },
        }
    }
}

impl Layout {
    /// What `payload` says; `None` where it is not of this layout, or too short for an identifier.
    pub fn read<'a>(&'a self, payload: Payload<'a>) -> Option<Reading<'a>> {
        let of_this_kind = match (self.service, payload) {
            (None, Payload::Manufacturer { .. }) => true,
            (Some(Service::Uuid16(this)), Payload::Service16 { uuid, .. }) => this == uuid,
            (Some(Service::Uuid128(this)), Payload::Service128 { uuid, .. }) => this == uuid,
            _ => false,
        };
        let reading = Reading { layout: self, payload };
        let matches = of_this_kind && self.matching.as_ref().is_none_or(|m| m.matches(&payload));
        (matches && self.identifiers.iter().all(|field| field.is_in(&payload))).then_some(reading)
    }

    /// The reading of the first payload of a whole advertisement that is of this layout.
    pub fn read_advertisement<'a>(&'a self, advertisement: &'a [u8]) -> Option<Reading<'a>> {
        Payload::all(advertisement).find_map(|payload| self.read(payload))
    }

    /// How many octets each identifier can have, in order.
    pub fn identifier_lens(&self) -> impl ExactSizeIterator<Item = RangeInclusive<usize>> {
        self.identifiers.iter().map(|field| if field.may_end_early { 1 } else { field.len() }..=field.len())
    }

    /// Whether this is the layout of an extra frame, which goes with another of the same beacon.
    pub fn is_extra(&self) -> bool {
        self.extra
    }
}

/// A payload, read by its layout.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    layout: &'a Layout,
    payload: Payload<'a>,
}

impl Reading<'_> {
    /// The identifiers, in the layout's order.
    pub fn identifiers(&self) -> impl ExactSizeIterator<Item = Identifier> {
        self.layout.identifiers.iter().map(|field| field.octets(&self.payload).collect())
    }

    /// Power at 1 m in dBm; `None` where the layout has none, or the payload is too short for it.
    pub fn power_dbm(&self) -> Option<i8> {
        let power = self.layout.power?;
        match power.at {
            // Modulo 256, as the library computes it.
            Some(at) => Some((self.payload.octet(at.into())? as i8).wrapping_add(power.offset_dbm)),
            None => Some(power.offset_dbm),
        }
    }

    /// The data fields, in the layout's order, as unsigned numbers; `None` where the payload is too short.
    pub fn data(&self) -> impl ExactSizeIterator<Item = Option<u64>> {
        self.layout.data.iter().map(|field| {
            field
                .is_in(&self.payload)
                .then(|| field.octets(&self.payload).fold(0, |value, octet| value << 8 | u64::from(octet)))
        })
    }
}

impl Matching {
    fn matches(&self, payload: &Payload<'_>) -> bool {
        (usize::from(self.first)..).zip(&self.octets).all(|(at, octet)| payload.octet(at) == Some(*octet))
    }
}

impl Field {
    fn len(&self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    fn is_in(&self, payload: &Payload<'_>) -> bool {
        let needed = if self.may_end_early { self.first } else { self.last };
        payload.octet(needed.into()).is_some()
    }

    /// Those that are in the payload, most significant first.
    fn octets<'a>(&'a self, payload: &'a Payload<'a>) -> impl Iterator<Item = u8> {
        let (first, last) = (usize::from(self.first), usize::from(self.last));
        let at = move |step: usize| if self.least_significant_first { last - step } else { first + step };
        (0..self.len()).filter_map(move |step| payload.octet(at(step)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{AltBeacon, EddystoneUid, IBeacon};
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    fn layout(text: &str) -> Layout {
        text.parse().unwrap()
    }

    fn identifiers(reading: &Reading<'_>) -> Vec<Vec<u8>> {
        reading.identifiers().map(|identifier| identifier.to_vec()).collect()
    }

    #[test]
    fn layouts_read_what_the_decoders_read() {
        let ibeacon = IBeacon { uuid: [7; 16], major: 1, minor: 0xfffe, measured_power_dbm: -59 }.encode();
        for text in
            ["m:2-3=0215,i:4-19,i:20-21,i:22-23,p:24-24", "m:0-3=4c000215, i:4-19, i:20-21, i:22-23, p:24-24"]
        {
            let layout = layout(text);
            let reading = layout.read_advertisement(&ibeacon).unwrap();
            assert_eq!(identifiers(&reading), [vec![7; 16], vec![0, 1], vec![0xff, 0xfe]]);
            assert_eq!(reading.power_dbm(), Some(-59));
        }
        let beacon =
            AltBeacon { company: 0x118, id: [9; 20], measured_power_dbm: -61, mfg_reserved: Some(200) };
        let altbeacon = layout("m:2-3=beac,i:4-23,p:24-24,d:25-25");
        let encoded = beacon.encode();
        let reading = altbeacon.read_advertisement(&encoded).unwrap();
        assert_eq!((identifiers(&reading), reading.power_dbm()), (vec![vec![9; 20]], Some(-61)));
        assert_eq!(reading.data().collect::<Vec<_>>(), [Some(200)]);
        assert!(altbeacon.read_advertisement(&ibeacon).is_none());

        let uid = EddystoneUid { tx_power_dbm: -20, namespace: [1; 10], instance: [2; 6] }.encode();
        let eddystone = layout("s:0-1=feaa,m:2-2=00,p:3-3:-41,i:4-13,i:14-19");
        let reading = eddystone.read_advertisement(&uid).unwrap();
        assert_eq!((identifiers(&reading), reading.power_dbm()), (vec![vec![1; 10], vec![2; 6]], Some(-61)));
    }

    #[test]
    fn octets_can_come_least_significant_first() {
        let layout = layout("m:2-2=01,i:3-5l,d:3-5,d:3-5l");
        let reading =
            layout.read(Payload::Manufacturer { company: 0xffff, data: &[1, 0xa, 0xb, 0xc] }).unwrap();
        assert_eq!(identifiers(&reading), [[0xc, 0xb, 0xa]]);
        assert_eq!(reading.data().collect::<Vec<_>>(), [Some(0x0a_0b0c), Some(0x0c_0b0a)]);
        assert_eq!(reading.power_dbm(), None);
    }

    #[test]
    fn a_variable_identifier_may_end_early_and_must_begin() {
        let layout = layout("s:0-1=1234,i:2-21v,d:22-22");
        let read = |data: &'static [u8]| Payload::Service16 { uuid: 0x1234, data };
        let reading = layout.read(read(&[1, 2, 3])).unwrap();
        assert_eq!((identifiers(&reading), reading.data().next()), (vec![vec![1, 2, 3]], Some(None)));
        assert!(layout.read(read(&[])).is_none());
        assert_eq!(layout.identifier_lens().collect::<Vec<_>>(), [1..=20]);
    }

    #[test]
    fn a_service_can_have_128_bits() {
        let layout = layout("s:0-15=12345678-9abc-def0-1234-56789abcdef0,m:16-16=a5,i:17-18,p:-:-59");
        let mut structure = vec![20, 0x21];
        structure.extend(0x1234_5678_9abc_def0_1234_5678_9abc_def0_u128.to_le_bytes());
        structure.extend([0xa5, 1, 2]);
        let reading = layout.read_advertisement(&structure).unwrap();
        assert_eq!((identifiers(&reading), reading.power_dbm()), (vec![vec![1, 2]], Some(-59)));
        structure[2] ^= 1;
        assert!(layout.read_advertisement(&structure).is_none());
    }

    proptest! {
        #[test]
        fn any_payload_is_read_without_panic(data: Vec<u8>, uuid: u16, first: u8, last: u8) {
            let (first, last) = (first.min(last), last.min(first.min(last).saturating_add(7)).max(first.min(last)));
            let layout = layout(&std::format!("s:0-1={uuid:04x},i:{first}-{last}v,i:{first}-{last},d:{first}-{last}l,p:{first}-{first}:-128"));
            if let Some(reading) = layout.read(Payload::Service16 { uuid, data: &data }) {
                prop_assert!(reading.identifiers().all(|identifier| identifier.len() == usize::from(last - first) + 1));
                prop_assert!(reading.power_dbm().is_some() && reading.data().all(|value| value.is_some()));
            } else {
                prop_assert!(data.len() + 2 <= usize::from(last));
            }
        }
    }
}
