//! Ruuvi sensors: manufacturer data of company 0x0499, and the URLs of their first firmware.
//!
//! Format: ruuvi/docs, `communication/bluetooth-advertisements`, one document a data format. [`RuuviTag`] is data
//! format 3, 5, C5, and 2 and 4 in a URL; [`RuuviAir`] is data format 6 and E1. Numbers are big endian. Format 8 is
//! encrypted and not read.

mod air;
mod tag;

pub use air::RuuviAir;
pub use tag::RuuviTag;

use super::{EddystoneUrl, Frame, StatedAddress, take};
use crate::advertisement::Malformed;

/// Ruuvi Innovations' company identifier.
pub const RUUVI_COMPANY: u16 = 0x0499;

/// Pressures are sent as Pa above this.
const PRESSURE_BASE_PA: u32 = 50_000;

/// Reads Ruuvi's manufacturer data; `None` for data formats that are not read here.
pub(super) fn decode(data: &[u8]) -> Result<Option<Frame>, Malformed> {
    let ([data_format], body) = take(data, 0)?;
    let frame = match data_format {
        tag::RAW_V1 => Frame::RuuviTag(RuuviTag::decode_raw_v1(body)?),
        tag::RAW_V2 => Frame::RuuviTag(RuuviTag::decode_raw_v2(body)?),
        tag::CUT_RAW_V2 => Frame::RuuviTag(RuuviTag::decode_cut_raw_v2(body)?),
        air::FORMAT_6 => Frame::RuuviAir(RuuviAir::decode_6(body)?),
        air::FORMAT_E1 => Frame::RuuviAir(RuuviAir::decode_e1(body)?),
        _ => return Ok(None),
    };
    Ok(Some(frame))
}

/// The readings in a URL of Ruuvi's; `None` where it is another's.
pub(super) fn from_url(frame: &EddystoneUrl) -> Option<Frame> {
    RuuviTag::from_url(&frame.url).map(Frame::RuuviTag)
}

/// `None` for the value that stands for "not available": the smallest one.
fn signed(octets: [u8; 2]) -> Option<i16> {
    Some(i16::from_be_bytes(octets)).filter(|&value| value != i16::MIN)
}

/// `None` for the value that stands for "not available": the largest one.
fn unsigned(octets: [u8; 2]) -> Option<u16> {
    Some(u16::from_be_bytes(octets)).filter(|&value| value != u16::MAX)
}

fn pressure_pa(octets: [u8; 2]) -> Option<u32> {
    unsigned(octets).map(|above| PRESSURE_BASE_PA + u32::from(above))
}

fn address(octets: [u8; 6]) -> Option<StatedAddress> {
    (octets != [0xff; 6]).then_some(StatedAddress::new(octets))
}

/// Temperature, humidity and pressure as formats 5, C5, 6 and E1 begin, and the rest.
#[expect(clippy::type_complexity, reason = "three readings and the rest")]
fn climate(body: &[u8]) -> Result<(Option<i16>, Option<u16>, Option<u32>, &[u8]), Malformed> {
    let (temperature, rest) = take(body, 1)?;
    let (humidity, rest) = take(rest, 3)?;
    let (pressure, rest) = take(rest, 5)?;
    Ok((signed(temperature), unsigned(humidity), pressure_pa(pressure), rest))
}
