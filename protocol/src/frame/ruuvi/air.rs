//! The Ruuvi Air's data formats: 6 (legacy advertising) and E1 (extended advertising).

use super::{address, climate, unsigned};
use crate::{
    advertisement::Malformed,
    frame::{StatedAddress, take},
};

pub(super) const FORMAT_6: u8 = 0x06;
pub(super) const FORMAT_E1: u8 = 0xe1;

const CALIBRATING: u8 = 1 << 0;
const VOC_LOW_BIT: u8 = 1 << 6;
const NOX_LOW_BIT: u8 = 1 << 7;
const INDEX_NONE: u16 = 0x1ff;

/// What a Ruuvi Air measured. `None` is "not available", or not in the data format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuuviAir {
    /// The data format's octet: 6 or 0xE1.
    pub data_format: u8,
    /// Temperature in 1/200 °C (-163.835 to 163.835 °C).
    pub temperature_c_200: Option<i16>,
    /// Relative humidity in 1/400 % (0 to 163.835 %; above 100 % a sensor is at fault).
    pub humidity_pct_400: Option<u16>,
    /// Atmospheric pressure in Pa (50 000 to 115 534).
    pub pressure_pa: Option<u32>,
    /// Particles of at most 1.0, 2.5, 4.0 and 10 µm, in tenths of µg/m³. Format 6 has the second alone.
    pub pm_ug_m3_10: [Option<u16>; 4],
    /// CO₂ concentration in ppm.
    pub co2_ppm: Option<u16>,
    /// Index of volatile organic compounds: 0 to 500, 100 on average.
    pub voc: Option<u16>,
    /// Index of nitrogen oxides: 0 to 500, 1 on average.
    pub nox: Option<u16>,
    /// Illuminance in hundredths of lux; in steps of 4.5 % in format 6.
    pub luminosity_lux_100: Option<u32>,
    /// Counts measurements: 24 bits, of which format 6 has the low 8.
    pub sequence: Option<u32>,
    /// Whether a sensor is still being calibrated.
    pub calibrating: bool,
    /// The device's own address; format 6 has its last 3 octets.
    pub address: Option<StatedAddress>,
}

impl RuuviAir {
    pub(super) fn decode_6(body: &[u8]) -> Result<Self, Malformed> {
        let (temperature_c_200, humidity_pct_400, pressure_pa, rest) = climate(body)?;
        let (pm2_5, rest) = take(rest, 7)?;
        let (co2, rest) = take(rest, 9)?;
        let ([voc, nox, luminosity, _reserved, sequence, flags], rest) = take(rest, 11)?;
        let (octets, _) = take(rest, 17)?;
        Ok(Self {
            data_format: FORMAT_6,
            temperature_c_200,
            humidity_pct_400,
            pressure_pa,
            pm_ug_m3_10: [None, unsigned(pm2_5), None, None],
            co2_ppm: unsigned(co2),
            voc: index(voc, flags & VOC_LOW_BIT),
            nox: index(nox, flags & NOX_LOW_BIT),
            luminosity_lux_100: LUX_100.get(usize::from(luminosity)).copied(),
            sequence: Some(u32::from(sequence)),
            calibrating: flags & CALIBRATING != 0,
            address: (octets != [0xff; 3]).then_some(StatedAddress::of_end(octets)),
        })
    }

    pub(super) fn decode_e1(body: &[u8]) -> Result<Self, Malformed> {
        let (temperature_c_200, humidity_pct_400, pressure_pa, rest) = climate(body)?;
        let (pm1, rest) = take(rest, 7)?;
        let (pm2_5, rest) = take(rest, 9)?;
        let (pm4, rest) = take(rest, 11)?;
        let (pm10, rest) = take(rest, 13)?;
        let (co2, rest) = take(rest, 15)?;
        let ([voc, nox], rest) = take(rest, 17)?;
        let (luminosity, rest) = take(rest, 19)?;
        let ([_, _, _], rest) = take(rest, 22)?;
        let (sequence, rest) = take(rest, 25)?;
        let ([flags, _, _, _, _, _], rest) = take(rest, 28)?;
        let (octets, _) = take(rest, 34)?;
        Ok(Self {
            data_format: FORMAT_E1,
            temperature_c_200,
            humidity_pct_400,
            pressure_pa,
            pm_ug_m3_10: [pm1, pm2_5, pm4, pm10].map(unsigned),
            co2_ppm: unsigned(co2),
            voc: index(voc, flags & VOC_LOW_BIT),
            nox: index(nox, flags & NOX_LOW_BIT),
            luminosity_lux_100: unsigned_24(luminosity),
            sequence: unsigned_24(sequence),
            calibrating: flags & CALIBRATING != 0,
            address: address(octets),
        })
    }
}

/// Nine bits, of which the flags have the lowest.
fn index(high: u8, low_bit: u8) -> Option<u16> {
    let value = u16::from(high) << 1 | u16::from(low_bit != 0);
    (value != INDEX_NONE).then_some(value)
}

fn unsigned_24([a, b, c]: [u8; 3]) -> Option<u32> {
    ([a, b, c] != [0xff; 3]).then_some(u32::from_be_bytes([0, a, b, c]))
}

/// Hundredths of lux by the code of format 6: lux = exp(code × ln(65536) / 254) - 1, which is 2^(8 × code / 127) - 1.
const LUX_100: [u32; 255] = {
    /// 2^(8 / 127).
    const STEP: f64 = 1.044_630_061_412_595_6;
    let mut table = [0; 255];
    let (mut code, mut power) = (0, 1.0);
    while code < table.len() {
        table[code] = ((power - 1.0) * 100.0 + 0.5) as u32;
        power *= STEP;
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advertisement::Fault,
        frame::{Frame, RUUVI_COMPANY},
    };

    #[test]
    fn the_table_of_luminosity_follows_the_formula() {
        for (code, &lux_100) in LUX_100.iter().enumerate() {
            let lux = (code as f64 * 65_536f64.ln() / 254.0).exp() - 1.0;
            assert_eq!(lux_100, (lux * 100.0).round() as u32, "code {code}");
        }
        // The specification's examples, but for one (0x80 as 244.06 lux) that is not what its formula gives.
        assert_eq!([0, 1, 0x10, 0xd9, 0xfe].map(|code| LUX_100[code]), [0, 4, 101, 1_302_667, 6_553_500]);
    }

    #[test]
    fn what_is_not_available_is_none() {
        for (data_format, length) in [(FORMAT_6, 20), (FORMAT_E1, 40)] {
            let mut data = [0xff; 40];
            data[..3].copy_from_slice(&[data_format, 0x80, 0x00]);
            let Ok(Some(Frame::RuuviAir(air))) =
                Frame::from_manufacturer_data(RUUVI_COMPANY, &data[..length])
            else {
                panic!("format {data_format:#x}")
            };
            assert_eq!((air.temperature_c_200, air.humidity_pct_400, air.pressure_pa), (None, None, None));
            assert_eq!((air.pm_ug_m3_10, air.co2_ppm, air.voc, air.nox), ([None; 4], None, None, None));
            assert_eq!((air.luminosity_lux_100, air.address), (None, None));
            assert_eq!(air.sequence, (data_format == FORMAT_6).then_some(255), "format 6 has no such value");
        }
    }

    #[test]
    fn a_cut_names_where_octets_are_missing() {
        for (data_format, length) in [(FORMAT_6, 20), (FORMAT_E1, 40)] {
            let data = [&[data_format], [0; 39].as_slice()].concat();
            for cut in 1..length {
                let error = Frame::from_manufacturer_data(RUUVI_COMPANY, &data[..cut]).unwrap_err();
                assert_eq!((error.fault, error.offset), (Fault::Short, cut), "format {data_format:#x}");
            }
        }
    }
}
