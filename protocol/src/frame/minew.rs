//! Minew beacons: service data of UUID 0xFFE1 that starts with 0xA1, and manufacturer data of company 0x0639.
//!
//! Format: Minew, *MiniBeacon Plus Configuration Instruction*, section 2.2, for the info frame; the other service data
//! frames share its head, and end with the address as it does (as the vectors in `tests/data` show). The beacon is
//! identified; what its sensors measured is not read. The UUID is in wide use by others.

use super::{StatedAddress, kontakt::text, take};
use crate::advertisement::Malformed;
use arrayvec::ArrayString;

/// The 16-bit service UUID of Minew's frames.
pub const MINEW_UUID16: u16 = 0xffe1;
/// Shenzhen Minew Technologies' company identifier.
pub const MINEW_COMPANY: u16 = 0x0639;

const FRAME: u8 = 0xa1;
const DFU: u8 = 0x07;
const INFO: u8 = 0x08;

/// Longest name: what a legacy advertisement has room for.
const NAME_MAX: usize = 18;

/// A Minew beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minew {
    /// Where the frame is, and of which type it is.
    pub frame: MinewFrame,
    /// Battery level in percent; `None` where it is not stated.
    pub battery_pct: Option<u8>,
    /// The beacon's own address, where it is stated.
    pub address: Option<StatedAddress>,
    /// The beacon's name: the info frame has it alone.
    pub name: Option<ArrayString<NAME_MAX>>,
}

/// Where a Minew frame is, and of which type it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinewFrame {
    /// Service data; the octet after 0xA1.
    Service(u8),
    /// Manufacturer data; its first octet.
    Manufacturer(u8),
}

impl Minew {
    /// Reads service data; `None` where it is not Minew's.
    pub(super) fn decode_service(data: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(body) = data.strip_prefix(&[FRAME]) else { return Ok(None) };
        let ([kind], body) = take(body, 1)?;
        let frame = MinewFrame::Service(kind);
        let (battery, body, offset) = match kind {
            DFU => (None, body, 2),
            _ => {
                let ([battery], body) = take(body, 2)?;
                (Some(battery), body, 3)
            }
        };
        let (address, name) = if kind == INFO {
            let (address, name) = take(body, offset)?;
            (address, Some(text(name, offset + address.len())?))
        } else {
            let readings = body.len().saturating_sub(6);
            (take(body.get(readings..).unwrap_or_default(), offset + readings)?.0, None)
        };
        Ok(Some(Self {
            frame,
            battery_pct: battery.filter(|&percent| percent <= 100),
            address: Some(least_significant_first(address)),
            name,
        }))
    }

    /// Reads manufacturer data: its frames have little in common but their company.
    pub(super) fn decode_manufacturer(data: &[u8]) -> Result<Self, Malformed> {
        let ([kind], _) = take(data, 0)?;
        Ok(Self { frame: MinewFrame::Manufacturer(kind), battery_pct: None, address: None, name: None })
    }
}

fn least_significant_first(mut octets: [u8; 6]) -> StatedAddress {
    octets.reverse();
    StatedAddress::new(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{advertisement::Fault, frame::Frame};
    use std::vec::Vec;

    #[test]
    fn the_info_frame_of_the_documentation() {
        let advertisement =
            b"\x02\x01\x06\x03\x03\xe1\xff\x13\x16\xe1\xff\xa1\x08\x64\x00\x13\x02\xe4\xcd\xabPLUS001";
        let info = Minew {
            frame: MinewFrame::Service(INFO),
            battery_pct: Some(100),
            address: Some(StatedAddress::new([0xab, 0xcd, 0xe4, 0x02, 0x13, 0x00])),
            name: Some(ArrayString::from("PLUS001").unwrap()),
        };
        assert_eq!(Frame::decode(advertisement).collect::<Vec<_>>(), [Ok(Frame::Minew(info))]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let read = |data: &[u8]| Frame::from_service_data(MINEW_UUID16, data);
        assert_eq!(read(&[0x01, 0xa1]), Ok(None), "another's");
        for cut in 1..9 {
            let error = Malformed { offset: cut, fault: Fault::Short };
            assert_eq!(read(&[FRAME, INFO, 100, 1, 2, 3, 4, 5, 6][..cut]), Err(error));
        }
        assert_eq!(read(&[FRAME, 0x01, 100, 1, 2, 3]), Err(Malformed { offset: 6, fault: Fault::Short }));
    }
}
