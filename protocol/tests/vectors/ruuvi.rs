//! Ruuvi: the vectors of Ruuvi's own documentation, ruuvitag-sensor, ble_monitor and advlib.

use super::{Agreement, Json, Vector, octets};
use std::collections::BTreeMap;
use vitrine_protocol::frame::{Frame, RUUVI_COMPANY, StatedAddress};

/// Their name, our name, and what their value is multiplied by to get ours.
const NAMES: [(&str, &str, f64); 44] = [
    ("Temperature", "temperature_c", 1.0),
    ("Humidity", "humidity_pct", 1.0),
    ("Pressure", "pressure_pa", 1.0),
    ("Acceleration X", "acceleration_x_mg", 1000.0),
    ("Acceleration Y", "acceleration_y_mg", 1000.0),
    ("Acceleration Z", "acceleration_z_mg", 1000.0),
    ("Voltage", "battery_mv", 1000.0),
    ("TX Power", "tx_power_dbm", 1.0),
    ("Movement counter", "movements", 1.0),
    ("Measurement Sequence", "sequence", 1.0),
    ("PM 1.0", "pm1_ug_m3", 1.0),
    ("PM 2.5", "pm2_5_ug_m3", 1.0),
    ("PM 4.0", "pm4_ug_m3", 1.0),
    ("PM 10.0", "pm10_ug_m3", 1.0),
    ("CO2", "co2_ppm", 1.0),
    ("VOC", "voc", 1.0),
    ("NOX", "nox", 1.0),
    ("Luminosity", "luminosity_lux", 1.0),
    ("data['temperature']", "temperature_c", 1.0),
    ("data['humidity']", "humidity_pct", 1.0),
    ("data['pressure']", "pressure_pa", 100.0),
    ("data['acceleration_x']", "acceleration_x_mg", 1.0),
    ("data['acceleration_y']", "acceleration_y_mg", 1.0),
    ("data['acceleration_z']", "acceleration_z_mg", 1.0),
    ("data['battery']", "battery_mv", 1.0),
    ("data['measurement_sequence_number']", "sequence", 1.0),
    ("data['pm_2_5']", "pm2_5_ug_m3", 1.0),
    ("data['co2']", "co2_ppm", 1.0),
    ("data['voc']", "voc", 1.0),
    ("data['nox']", "nox", 1.0),
    ("data['luminosity']", "luminosity_lux", 1.0),
    ("data['calibration_in_progress']", "calibrating", 1.0),
    ("temperature", "temperature_c", 1.0),
    ("humidity", "humidity_pct", 1.0),
    ("acceleration x", "acceleration_x_mg", 1.0),
    ("acceleration y", "acceleration_y_mg", 1.0),
    ("acceleration z", "acceleration_z_mg", 1.0),
    ("tx power", "tx_power_dbm", 1.0),
    ("relativeHumidity", "humidity_pct", 1.0),
    ("pm2.5", "pm2_5_ug_m3", 1.0),
    ("carbonDioxideConcentration", "co2_ppm", 1.0),
    ("nitrogenOxideIndex", "nox", 1.0),
    ("illuminance", "luminosity_lux", 1.0),
    ("txPower", "tx_power_dbm", 1.0),
];

/// Said of the packet around the payload or computed from what is compared already.
const NOT_IN_THE_PAYLOAD: [&str; 16] = [
    "rssi",
    "type",
    "firmware",
    "data",
    "uri",
    "motion",
    "motion timer",
    "acceleration",
    "data['acceleration']",
    "battery",
    "Data format",
    "data['data_format']",
    "Flags",
    "encoded[0]",
    // A concentration that advlib computes from the index.
    "volatileOrganicCompoundsConcentration",
    // ble_monitor's for formats without a sequence; compared below where there is one.
    "packet",
];

type Values = BTreeMap<&'static str, Option<f64>>;

pub(crate) fn compare(vector: &Vector) -> Agreement {
    let frame = decode(vector)?;
    let (data_format, ours, address) = values(&frame);
    let address = address.map(|address| hex::encode(address.octets()));
    let theirs = vector.expected.as_object().unwrap();
    check_data_format(theirs, data_format)?;
    for (name, value) in theirs {
        let lists = |names: &[&str]| names.contains(&name.as_str());
        match name.as_str() {
            // ble_monitor tells the packet's address.
            "mac" if vector.format == "ruuvitag" => {}
            "MAC" | "mac" | "data['mac']" => check_address(&vector.id, value, address.as_deref())?,
            "deviceIds" => check_address(&vector.id, &value[0], address.as_deref())?,
            "acceleration" if value.is_array() => {
                for (axis, name) in
                    ["acceleration_x_mg", "acceleration_y_mg", "acceleration_z_mg"].iter().enumerate()
                {
                    check(name, ours[name], number(&value[axis]).map(|g| g * 1000.0))?;
                }
            }
            // hPa of ble_monitor, Pa of advlib.
            "pressure" => {
                let factor = if vector.format == "ruuvitag" { 100.0 } else { 1.0 };
                check("pressure_pa", ours["pressure_pa"], number(value).map(|p| p * factor))?;
            }
            "voltage" | "batteryVoltage" => {
                check("battery_mv", ours["battery_mv"], number(value).map(|v| v * 1000.0))?;
            }
            "txCount" => check("sequence", ours["sequence"], number(value))?,
            "packet" if value.is_u64() => check("sequence", ours["sequence"], number(value))?,
            _ if lists(&NOT_IN_THE_PAYLOAD) => {}
            name => {
                let Some((_, our_name, factor)) = NAMES.iter().find(|(theirs, ..)| *theirs == name) else {
                    panic!("no word of ours for {name}")
                };
                check(our_name, ours[our_name], number(value).map(|value| value * factor))?;
            }
        }
    }
    Ok(())
}

fn decode(vector: &Vector) -> Result<Frame, String> {
    let data = match (&vector.raw_hex, &vector.mfr_hex) {
        // An HCI report's end: the advertisement between its length and the RSSI.
        (Some(raw), _) if raw.starts_with("30") => {
            let raw = octets(raw);
            return super::read(&raw[1..raw.len() - 1]).0.first().copied().ok_or("no frame".into());
        }
        (Some(hex), _) => octets(hex),
        (None, Some(hex)) if vector.source.ends_with("data-format-c5-rawv2.md") => {
            // The documentation prints format 5's octet on format C5's vectors.
            let mut data = octets(hex);
            data[0] = 0xc5;
            data
        }
        (None, Some(hex)) => octets(hex),
        (None, None) => return vector.frame(),
    };
    match Frame::from_manufacturer_data(RUUVI_COMPANY, &data) {
        Ok(Some(frame)) => Ok(frame),
        other => Err(format!("{other:?}")),
    }
}

fn values(frame: &Frame) -> (u8, Values, Option<StatedAddress>) {
    let scaled = |value: Option<f64>, divisor: f64| value.map(|value| value / divisor);
    match frame {
        Frame::RuuviTag(tag) => {
            let [x, y, z] = tag.acceleration_mg.map(|mg| mg.map(f64::from));
            let values = [
                ("temperature_c", scaled(tag.temperature_c_200.map(f64::from), 200.0)),
                ("humidity_pct", scaled(tag.humidity_pct_400.map(f64::from), 400.0)),
                ("pressure_pa", tag.pressure_pa.map(f64::from)),
                ("acceleration_x_mg", x),
                ("acceleration_y_mg", y),
                ("acceleration_z_mg", z),
                ("battery_mv", tag.battery_mv.map(f64::from)),
                ("tx_power_dbm", tag.tx_power_dbm.map(f64::from)),
                ("movements", tag.movements.map(f64::from)),
                ("sequence", tag.sequence.map(f64::from)),
            ];
            (tag.data_format, values.into(), tag.address)
        }
        Frame::RuuviAir(air) => {
            let [pm1, pm2_5, pm4, pm10] = air.pm_ug_m3_10.map(|pm| scaled(pm.map(f64::from), 10.0));
            let values = [
                ("temperature_c", scaled(air.temperature_c_200.map(f64::from), 200.0)),
                ("humidity_pct", scaled(air.humidity_pct_400.map(f64::from), 400.0)),
                ("pressure_pa", air.pressure_pa.map(f64::from)),
                ("pm1_ug_m3", pm1),
                ("pm2_5_ug_m3", pm2_5),
                ("pm4_ug_m3", pm4),
                ("pm10_ug_m3", pm10),
                ("co2_ppm", air.co2_ppm.map(f64::from)),
                ("voc", air.voc.map(f64::from)),
                ("nox", air.nox.map(f64::from)),
                ("luminosity_lux", scaled(air.luminosity_lux_100.map(f64::from), 100.0)),
                ("sequence", air.sequence.map(f64::from)),
                ("calibrating", Some(f64::from(u8::from(air.calibrating)))),
            ];
            (air.data_format, values.into(), air.address)
        }
        other => panic!("{other:?}"),
    }
}

/// A number, with or without its unit; `None` for not available.
fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::Bool(bool) => Some(f64::from(u8::from(*bool))),
        Json::String(text) if text == "NAN" => None,
        Json::String(text) => {
            // "13 026.67 Lux"
            let digits: String =
                text.chars().take_while(|c| matches!(c, '0'..='9' | '.' | '-' | ' ')).collect();
            Some(digits.replace(' ', "").parse().unwrap())
        }
        other => panic!("{other}"),
    }
}

fn check(name: &str, ours: Option<f64>, theirs: Option<f64>) -> Agreement {
    // ble_monitor rounds humidity to hundredths; nobody rounds anything further.
    let rounded = if name == "humidity_pct" { 0.0026 } else { 1e-6 };
    let close = match (ours, theirs) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() < rounded,
        (ours, theirs) => ours == theirs,
    };
    if close { Ok(()) } else { Err(format!("{name}: ours is {ours:?}, theirs {theirs:?}")) }
}

fn check_data_format(theirs: &serde_json::Map<String, Json>, ours: u8) -> Agreement {
    let stated = ["Data format", "data['data_format']", "encoded[0]"].iter().find_map(|key| theirs.get(*key));
    let Some(stated) = stated else { return Ok(()) };
    let stated = stated.as_str().map_or_else(|| stated.to_string(), str::to_owned);
    let stated = u8::from_str_radix(&stated, 16).unwrap();
    let expected = if ours == 0xc5 { 5 } else { ours };
    if stated == expected { Ok(()) } else { Err(format!("data format: ours is {ours:x}, theirs {stated:x}")) }
}

fn check_address(id: &str, theirs: &Json, ours: Option<&str>) -> Agreement {
    // The documentation prints octets on one vector that its table has otherwise.
    const MISPRINTED: &str = "d6aa94a5fd22";
    let theirs = theirs.as_str().unwrap().replace([' ', ':'], "").to_lowercase();
    let theirs = Some(theirs.as_str()).filter(|&theirs| theirs != "nan");
    if ours == theirs || id == MISPRINTED && ours == Some("4c8f4f") {
        return Ok(());
    }
    Err(format!("address: ours is {ours:?}, theirs {theirs:?}"))
}
