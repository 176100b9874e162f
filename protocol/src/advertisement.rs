//! The AD structures of a raw BLE advertisement.
//!
//! Format: Bluetooth Core Specification 5.4, Vol 3, Part C, section 11: `length, type, data[length - 1]`, repeated;
//! a length of zero ends the significant part early. Data types: Core Specification Supplement, Part A.
//! What the data means is [`crate::frame`]'s.

use core::fmt;

/// AD type "Service Data - 16-bit UUID".
pub const SERVICE_DATA_16: u8 = 0x16;
/// AD type "Service Data - 128-bit UUID".
pub const SERVICE_DATA_128: u8 = 0x21;
/// AD type "Manufacturer Specific Data".
pub const MANUFACTURER_DATA: u8 = 0xff;

/// Octets of advertising data in a legacy advertising PDU.
pub const LEGACY_MAX: usize = 31;

/// One AD structure, borrowed from the advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure<'a> {
    /// The AD type octet.
    pub ad_type: u8,
    /// What follows the type: `length - 1` octets, possibly none.
    pub data: &'a [u8],
    /// Offset of `data` in the advertisement.
    pub offset: usize,
}

/// Why an advertisement, or one structure of it, could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in the advertisement at which reading failed.
    pub offset: usize,
    /// What was wrong there.
    pub fault: Fault,
}

/// The ways in which an advertisement can be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A structure's length points past the end of the advertisement.
    Overrun,
    /// The frame needs more octets than its structure has.
    Short,
    /// The frame has more octets than its format allows.
    Long,
    /// An octet has a value that the format does not allow there.
    Value,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::Overrun => "a structure's length points past the end",
            Fault::Short => "the frame is cut short",
            Fault::Long => "the frame is longer than its format allows",
            Fault::Value => "an octet has a value that the format does not allow",
        };
        write!(f, "{what} at offset {}", self.offset)
    }
}

impl core::error::Error for Malformed {}

/// Iterates over the AD structures of `advertisement`; after an error it ends.
pub fn structures(advertisement: &[u8]) -> Structures<'_> {
    Structures { bytes: advertisement, at: 0 }
}

/// See [`structures`].
#[derive(Clone, Debug)]
pub struct Structures<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Structures<'a> {
    type Item = Result<Structure<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let (&length, rest) = self.bytes.get(start..)?.split_first()?;
        if length == 0 {
            self.at = self.bytes.len();
            return None;
        }
        let Some((&ad_type, data)) = rest.get(..usize::from(length)).and_then(<[u8]>::split_first) else {
            self.at = self.bytes.len();
            return Some(Err(Malformed { offset: start, fault: Fault::Overrun }));
        };
        self.at = start + 1 + usize::from(length);
        Some(Ok(Structure { ad_type, data, offset: start + 2 }))
    }
}

impl core::iter::FusedIterator for Structures<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn read(bytes: &[u8]) -> Vec<Result<Structure<'_>, Malformed>> {
        structures(bytes).collect()
    }

    #[test]
    fn reads_each_structure_and_stops_at_the_end() {
        let bytes = [2, 1, 6, 1, 9, 3, 0x16, 0xaa, 0xfe];
        assert_eq!(
            read(&bytes),
            [
                Ok(Structure { ad_type: 1, data: &[6], offset: 2 }),
                Ok(Structure { ad_type: 9, data: &[], offset: 5 }),
                Ok(Structure { ad_type: 0x16, data: &[0xaa, 0xfe], offset: 7 }),
            ]
        );
        assert!(read(&[]).is_empty());
    }

    #[test]
    fn a_zero_length_ends_the_significant_part() {
        assert_eq!(read(&[2, 1, 6, 0, 0, 9, 9]).len(), 1);
    }

    #[test]
    fn an_overrun_names_the_offset_of_its_length_and_ends_the_iteration() {
        let overrun = Err(Malformed { offset: 3, fault: Fault::Overrun });
        assert_eq!(
            read(&[2, 1, 6, 5, 0xff, 1]),
            [Ok(Structure { ad_type: 1, data: &[6], offset: 2 }), overrun]
        );
        assert_eq!(read(&[1]), [Err(Malformed { offset: 0, fault: Fault::Overrun })]);
    }

    proptest::proptest! {
        #[test]
        fn any_input_is_read_without_panic_and_in_bounds(bytes: Vec<u8>) {
            for structure in structures(&bytes).flatten() {
                proptest::prop_assert_eq!(&bytes[structure.offset..][..structure.data.len()], structure.data);
            }
        }
    }
}
