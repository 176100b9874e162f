//! The RuuviTag's data formats: 3 (RAWv1), 5 (RAWv2), C5 (RAWv2 without acceleration), and 2 and 4 in a URL.

use super::{PRESSURE_BASE_PA, RUUVI_COMPANY, address, climate, pressure_pa, signed, unsigned};
use crate::{
    advertisement::Malformed,
    frame::{EncodedUrl, StatedAddress, take},
};

pub(super) const RAW_V1: u8 = 0x03;
pub(super) const RAW_V2: u8 = 0x05;
pub(super) const CUT_RAW_V2: u8 = 0xc5;
const URL: u8 = 0x02;
const URL_WITH_ID: u8 = 0x04;

/// What a RuuviTag's URL starts with, after `https://`.
const URL_PREFIX: &[u8] = b"ruu.vi/#";

const BATTERY_BASE_MV: u16 = 1600;
const BATTERY_NONE: u16 = 0x7ff;
const TX_POWER_BASE_DBM: i8 = -40;
const TX_POWER_STEP_DB: i8 = 2;
const TX_POWER_NONE: u16 = 0x1f;

/// What a RuuviTag measured. `None` is "not available", or not in the data format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuuviTag {
    /// The data format's octet: 2, 3, 4, 5 or 0xC5.
    pub data_format: u8,
    /// Temperature in 1/200 °C (-163.835 to 163.835 °C).
    pub temperature_c_200: Option<i16>,
    /// Relative humidity in 1/400 % (0 to 163.835 %; above 100 % a sensor is at fault).
    pub humidity_pct_400: Option<u16>,
    /// Atmospheric pressure in Pa (50 000 to 115 534).
    pub pressure_pa: Option<u32>,
    /// Acceleration along x, y and z in mg.
    pub acceleration_mg: [Option<i16>; 3],
    /// Battery voltage in mV.
    pub battery_mv: Option<u16>,
    /// Transmission power in dBm, even numbers from -40 to 20.
    pub tx_power_dbm: Option<i8>,
    /// Movements that were detected; wraps from 254 to 0.
    pub movements: Option<u8>,
    /// Counts measurements; wraps from 65 534 to 0.
    pub sequence: Option<u16>,
    /// The tag's own address.
    pub address: Option<StatedAddress>,
}

impl RuuviTag {
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = 31;

    /// The whole advertisement in data format 5: flags and manufacturer data. Values outside the format's range are
    /// sent as the nearest one inside, as the specification asks.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let temperature = self.temperature_c_200.map_or(i16::MIN, |t| t.max(-i16::MAX));
        let humidity = self.humidity_pct_400.map_or(u16::MAX, |h| h.min(u16::MAX - 1));
        let pressure = self.pressure_pa.map_or(u16::MAX, |pa| {
            u16::try_from(pa.saturating_sub(PRESSURE_BASE_PA)).unwrap_or(u16::MAX).min(u16::MAX - 1)
        });
        let axes =
            self.acceleration_mg.map(|axis| axis.map_or(i16::MIN, |mg| mg.max(-i16::MAX)).to_be_bytes());
        let battery = self
            .battery_mv
            .map_or(BATTERY_NONE, |mv| mv.saturating_sub(BATTERY_BASE_MV).min(BATTERY_NONE - 1));
        let tx_power = self.tx_power_dbm.map_or(TX_POWER_NONE, |dbm| {
            let steps = dbm.saturating_sub(TX_POWER_BASE_DBM).max(0) / TX_POWER_STEP_DB;
            u16::from(steps.unsigned_abs()).min(TX_POWER_NONE - 1)
        });
        let mut out = [0; Self::ENCODED];
        out[..5].copy_from_slice(&[2, 0x01, 0x06, 0x1b, 0xff]);
        out[5..7].copy_from_slice(&RUUVI_COMPANY.to_le_bytes());
        out[7] = RAW_V2;
        out[8..10].copy_from_slice(&temperature.to_be_bytes());
        out[10..12].copy_from_slice(&humidity.to_be_bytes());
        out[12..14].copy_from_slice(&pressure.to_be_bytes());
        out[14..20].copy_from_slice(axes.as_flattened());
        out[20..22].copy_from_slice(&(battery << 5 | tx_power).to_be_bytes());
        out[22] = self.movements.map_or(u8::MAX, |movements| movements.min(u8::MAX - 1));
        out[23..25].copy_from_slice(&self.sequence.map_or(u16::MAX, |n| n.min(u16::MAX - 1)).to_be_bytes());
        match self.address.as_ref().map(StatedAddress::octets) {
            Some(octets) if octets.len() == 6 => out[25..].copy_from_slice(octets),
            _ => out[25..].fill(0xff),
        }
        out
    }

    /// Data format 3: no value stands for "not available".
    pub(super) fn decode_raw_v1(body: &[u8]) -> Result<Self, Malformed> {
        let ([humidity], rest) = take(body, 1)?;
        let ([degrees, hundredths], rest) = take(rest, 2)?;
        let (pressure, rest) = take(rest, 4)?;
        let (axes, rest) = acceleration(rest, 6)?;
        let (battery, _) = take(rest, 12)?;
        Ok(Self {
            temperature_c_200: Some(sign_magnitude(degrees, hundredths)),
            humidity_pct_400: Some(u16::from(humidity) * 200),
            pressure_pa: Some(PRESSURE_BASE_PA + u32::from(u16::from_be_bytes(pressure))),
            acceleration_mg: axes.map(|octets| Some(i16::from_be_bytes(octets))),
            battery_mv: Some(u16::from_be_bytes(battery)),
            ..Self::empty(RAW_V1)
        })
    }

    pub(super) fn decode_raw_v2(body: &[u8]) -> Result<Self, Malformed> {
        let (temperature_c_200, humidity_pct_400, pressure_pa, rest) = climate(body)?;
        let (axes, rest) = acceleration(rest, 7)?;
        Ok(Self {
            temperature_c_200,
            humidity_pct_400,
            pressure_pa,
            acceleration_mg: axes.map(signed),
            ..Self::decode_device(RAW_V2, rest, 13)?
        })
    }

    pub(super) fn decode_cut_raw_v2(body: &[u8]) -> Result<Self, Malformed> {
        let (temperature_c_200, humidity_pct_400, pressure_pa, rest) = climate(body)?;
        let device = Self::decode_device(CUT_RAW_V2, rest, 7)?;
        Ok(Self { temperature_c_200, humidity_pct_400, pressure_pa, ..device })
    }

    /// What ends formats 5 and C5: power, counters and address.
    fn decode_device(data_format: u8, body: &[u8], offset: usize) -> Result<Self, Malformed> {
        let (power, rest) = take(body, offset)?;
        let ([movements], rest) = take(rest, offset + 2)?;
        let (sequence, rest) = take(rest, offset + 3)?;
        let (octets, _) = take(rest, offset + 5)?;
        let power = u16::from_be_bytes(power);
        let (battery, tx_power) = (power >> 5, power & TX_POWER_NONE);
        Ok(Self {
            battery_mv: (battery != BATTERY_NONE).then_some(BATTERY_BASE_MV + battery),
            tx_power_dbm: (tx_power != TX_POWER_NONE)
                .then_some(TX_POWER_BASE_DBM + TX_POWER_STEP_DB * tx_power as i8),
            movements: Some(movements).filter(|&movements| movements != u8::MAX),
            sequence: unsigned(sequence),
            address: address(octets),
            ..Self::empty(data_format)
        })
    }

    /// Data formats 2 and 4: eight digits of base 64 after `https://ruu.vi/#`, which are format, humidity,
    /// temperature and pressure; format 4 adds a digit that tells tags apart.
    pub(super) fn from_url(url: &EncodedUrl) -> Option<Self> {
        if url.scheme() != "https://" {
            return None;
        }
        let digits = url.octets().strip_prefix(URL_PREFIX)?;
        let (digits, rest) = digits.split_first_chunk::<8>()?;
        let mut bits = 0u64;
        for &digit in digits {
            bits = bits << 6 | u64::from(base64_value(digit)?);
        }
        let [_, _, data_format, humidity, degrees, hundredths, pressure @ ..] = bits.to_be_bytes();
        let expected = match data_format {
            URL => 0,
            URL_WITH_ID => 1,
            _ => return None,
        };
        (rest.len() == expected).then_some(Self {
            temperature_c_200: Some(sign_magnitude(degrees, hundredths)),
            humidity_pct_400: Some(u16::from(humidity) * 200),
            pressure_pa: pressure_pa(pressure),
            ..Self::empty(data_format)
        })
    }

    fn empty(data_format: u8) -> Self {
        Self {
            data_format,
            temperature_c_200: None,
            humidity_pct_400: None,
            pressure_pa: None,
            acceleration_mg: [None; 3],
            battery_mv: None,
            tx_power_dbm: None,
            movements: None,
            sequence: None,
            address: None,
        }
    }
}

fn acceleration(body: &[u8], offset: usize) -> Result<([[u8; 2]; 3], &[u8]), Malformed> {
    let ([a, b, c, d, e, f], rest) = take(body, offset)?;
    Ok(([[a, b], [c, d], [e, f]], rest))
}

/// Sign and whole degrees, then hundredths; in 1/200 °C.
fn sign_magnitude(degrees: u8, hundredths: u8) -> i16 {
    let magnitude = (i16::from(degrees & 0x7f) * 100 + i16::from(hundredths)) * 2;
    if degrees & 0x80 == 0 { magnitude } else { -magnitude }
}

/// RFC 4648, with the digits of both its alphabets.
fn base64_value(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{advertisement::Fault, frame::Frame};
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn values_out_of_range_are_sent_as_the_nearest_one() {
        let high = RuuviTag {
            temperature_c_200: Some(i16::MIN),
            humidity_pct_400: Some(u16::MAX),
            pressure_pa: Some(200_000),
            battery_mv: Some(5000),
            tx_power_dbm: Some(i8::MAX),
            movements: Some(u8::MAX),
            sequence: Some(u16::MAX),
            ..RuuviTag::empty(RAW_V2)
        };
        let low = RuuviTag {
            pressure_pa: Some(0),
            battery_mv: Some(0),
            tx_power_dbm: Some(i8::MIN),
            ..RuuviTag::empty(RAW_V2)
        };
        let read = |tag: RuuviTag| RuuviTag::decode_raw_v2(&tag.encode()[8..]).unwrap();
        let high = read(high);
        assert_eq!((high.temperature_c_200, high.humidity_pct_400), (Some(-i16::MAX), Some(u16::MAX - 1)));
        assert_eq!((high.pressure_pa, high.battery_mv), (Some(115_534), Some(3646)));
        assert_eq!((high.tx_power_dbm, high.movements, high.sequence), (Some(20), Some(254), Some(65_534)));
        let low = read(low);
        assert_eq!(
            (low.pressure_pa, low.battery_mv, low.tx_power_dbm),
            (Some(50_000), Some(1600), Some(-40))
        );
        assert_eq!((low.temperature_c_200, low.acceleration_mg, low.address), (None, [None; 3], None));
    }

    #[test]
    fn a_cut_names_where_octets_are_missing() {
        let data = &RuuviTag::empty(RAW_V2).encode()[7..];
        for (data_format, length) in [(RAW_V1, 14), (RAW_V2, 24), (CUT_RAW_V2, 18)] {
            let data = [&[data_format], &data[1..]].concat();
            for cut in 1..length {
                let error = Frame::from_manufacturer_data(RUUVI_COMPANY, &data[..cut]).unwrap_err();
                assert_eq!(error.fault, Fault::Short);
                assert_eq!(error.offset, cut, "format {data_format:#x}");
            }
            assert!(Frame::from_manufacturer_data(RUUVI_COMPANY, &data[..length]).is_ok());
        }
    }

    #[test]
    fn only_a_tag_url_has_readings() {
        for url in [
            "https://ruu.vi/",
            "https://ruu.vi/#abc",
            "http://ruu.vi/#BGQYAMq8w",
            "https://ruu.vi/#AjwYAMFfw",
        ] {
            assert_eq!(RuuviTag::from_url(&EncodedUrl::new(url).unwrap()), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            temperature: Option<i16>, humidity: Option<u16>, pressure in proptest::option::of(50_000u32..115_535),
            axes: [Option<i16>; 3], battery in proptest::option::of(1600u16..3647),
            tx_power in proptest::option::of(-20i8..=10), movements: Option<u8>, sequence: Option<u16>, address: Option<[u8; 6]>,
        ) {
            let tag = RuuviTag {
                data_format: 5,
                temperature_c_200: temperature.filter(|&t| t != i16::MIN),
                humidity_pct_400: humidity.filter(|&h| h != u16::MAX),
                pressure_pa: pressure,
                acceleration_mg: axes.map(|axis| axis.filter(|&mg| mg != i16::MIN)),
                battery_mv: battery,
                tx_power_dbm: tx_power.map(|half| half * 2),
                movements: movements.filter(|&n| n != u8::MAX),
                sequence: sequence.filter(|&n| n != u16::MAX),
                address: address.filter(|&a| a != [0xff; 6]).map(StatedAddress::new),
            };
            let frames: Vec<_> = Frame::decode(&tag.encode()).collect();
            prop_assert_eq!(frames, [Ok(Frame::RuuviTag(tag))]);
        }
    }
}
