//! Ruuvi's readings.

use super::{Hex, mac};
use serde::Serialize;
use vitrine_protocol::frame::{RuuviAir, RuuviTag};

/// A tag's readings, and those that an air sensor has besides.
#[derive(Serialize)]
pub(in crate::cli::decode) struct Ruuvi<'a> {
    data_format: u8,
    temperature_c: Option<f64>,
    humidity_pct: Option<f64>,
    pressure_pa: Option<u32>,
    acceleration_mg: Option<[Option<i16>; 3]>,
    battery_mv: Option<u16>,
    tx_power_dbm: Option<i8>,
    movements: Option<u8>,
    sequence: Option<u32>,
    mac: Option<Hex<'a>>,
    #[serde(flatten)]
    air: Option<Air>,
}

#[derive(Serialize)]
struct Air {
    pm1_ug_m3: Option<f64>,
    pm2_5_ug_m3: Option<f64>,
    pm4_ug_m3: Option<f64>,
    pm10_ug_m3: Option<f64>,
    co2_ppm: Option<u16>,
    voc: Option<u16>,
    nox: Option<u16>,
    luminosity_lux: Option<f64>,
    calibrating: bool,
}

/// What a RuuviTag measured.
pub(super) fn tag(tag: &RuuviTag) -> Ruuvi<'_> {
    Ruuvi {
        data_format: tag.data_format,
        temperature_c: tag.temperature_c_200.map(|t| f64::from(t) / 200.0),
        humidity_pct: tag.humidity_pct_400.map(|h| f64::from(h) / 400.0),
        pressure_pa: tag.pressure_pa,
        acceleration_mg: Some(tag.acceleration_mg).filter(|axes| axes.iter().any(Option::is_some)),
        battery_mv: tag.battery_mv,
        tx_power_dbm: tag.tx_power_dbm,
        movements: tag.movements,
        sequence: tag.sequence.map(u32::from),
        mac: tag.address.as_ref().map(mac),
        air: None,
    }
}

/// What a Ruuvi Air measured.
pub(super) fn air(air: &RuuviAir) -> Ruuvi<'_> {
    let [pm1_ug_m3, pm2_5_ug_m3, pm4_ug_m3, pm10_ug_m3] =
        air.pm_ug_m3_10.map(|pm| pm.map(|pm| f64::from(pm) / 10.0));
    Ruuvi {
        data_format: air.data_format,
        temperature_c: air.temperature_c_200.map(|t| f64::from(t) / 200.0),
        humidity_pct: air.humidity_pct_400.map(|h| f64::from(h) / 400.0),
        pressure_pa: air.pressure_pa,
        acceleration_mg: None,
        battery_mv: None,
        tx_power_dbm: None,
        movements: None,
        sequence: air.sequence,
        mac: air.address.as_ref().map(mac),
        air: Some(Air {
            pm1_ug_m3,
            pm2_5_ug_m3,
            pm4_ug_m3,
            pm10_ug_m3,
            co2_ppm: air.co2_ppm,
            voc: air.voc,
            nox: air.nox,
            luminosity_lux: air.luminosity_lux_100.map(|lux| f64::from(lux) / 100.0),
            calibrating: air.calibrating,
        }),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::decode::describe::tests::{manufacturer, service};
    use expect_test::expect;

    #[test]
    fn ruuvi_has_the_documented_fields() {
        manufacturer(
            0x499,
            "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f",
            expect![[
                r#"{"format":"ruuvi","data_format":5,"temperature_c":24.3,"humidity_pct":53.49,"pressure_pa":100044,"acceleration_mg":[4,-4,1036],"battery_mv":2977,"tx_power_dbm":4,"movements":66,"sequence":205,"mac":"cbb8334c884f"}"#
            ]],
        );
        manufacturer(
            0x499,
            "058000ffffffff800080008000ffffffffffffffffffffff",
            expect![[
                r#"{"format":"ruuvi","data_format":5,"temperature_c":null,"humidity_pct":null,"pressure_pa":null,"acceleration_mg":null,"battery_mv":null,"tx_power_dbm":null,"movements":null,"sequence":null,"mac":null}"#
            ]],
        );
        manufacturer(
            0x499,
            "06170c5668c79e007000c90501d9ffcd004c884f",
            expect![[
                r#"{"format":"ruuvi","data_format":6,"temperature_c":29.5,"humidity_pct":55.3,"pressure_pa":101102,"acceleration_mg":null,"battery_mv":null,"tx_power_dbm":null,"movements":null,"sequence":205,"mac":"4c884f","pm1_ug_m3":null,"pm2_5_ug_m3":11.2,"pm4_ug_m3":null,"pm10_ug_m3":null,"co2_ppm":201,"voc":10,"nox":2,"luminosity_lux":13026.67,"calibrating":false}"#
            ]],
        );
        manufacturer(
            0x499,
            "e1170c5668c79e0065007004bd11ca00c90a0213e0acffffffdecdee11ffffffffffcbb8334c884f",
            expect![[
                r#"{"format":"ruuvi","data_format":225,"temperature_c":29.5,"humidity_pct":55.3,"pressure_pa":101102,"acceleration_mg":null,"battery_mv":null,"tx_power_dbm":null,"movements":null,"sequence":14601710,"mac":"cbb8334c884f","pm1_ug_m3":10.1,"pm2_5_ug_m3":11.2,"pm4_ug_m3":121.3,"pm10_ug_m3":455.4,"co2_ppm":201,"voc":20,"nox":4,"luminosity_lux":13027.0,"calibrating":true}"#
            ]],
        );
        service(
            0xfeaa,
            "10f6037275752e76692f2342475159414d713877",
            expect![[
                r#"{"format":"ruuvi","data_format":4,"temperature_c":24.0,"humidity_pct":50.0,"pressure_pa":101900,"acceleration_mg":null,"battery_mv":null,"tx_power_dbm":null,"movements":null,"sequence":null,"mac":null}"#
            ]],
        );
    }
}
