//! What a frame is, in a few words, and what it says of its battery.

use serde::Serialize;
use std::fmt::{self, Write};
use vitrine_protocol::frame::{Frame, Kontakt, bthome::Value};

/// The longest text of an identity: a sender chooses what is in it.
const IDENTITY_MAX: usize = 64;
/// What a voltage may be, to be a battery's.
const BATTERY_MAX_MV: i64 = 5000;

/// A battery's state, as its sensor tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Battery {
    /// Volts under load, in thousandths.
    BatteryMv(u16),
    /// Percent.
    BatteryPct(u8),
}

impl fmt::Display for Battery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BatteryMv(mv) => write!(f, "{}.{:02} V", mv / 1000, mv % 1000 / 10),
            Self::BatteryPct(percent) => write!(f, "{percent} %"),
        }
    }
}

/// What identifies the sender of a frame, the part that differs from beacon to beacon first; `None` where nothing does.
pub(super) fn identity(frame: &Frame) -> Option<String> {
    let text = match frame {
        Frame::IBeacon(b) => format!("{}/{} {}", b.major, b.minor, uuid(&b.uuid)),
        Frame::EddystoneUid(uid) => {
            format!("{} {}", hex::encode(uid.instance), hex::encode(uid.namespace))
        }
        Frame::EddystoneUrl(url) => url.url.to_string(),
        Frame::EddystoneEid(eid) => hex::encode(eid.eid),
        Frame::AltBeacon(b) => hex::encode(b.id),
        Frame::Kontakt(Kontakt::Plain { unique_id, .. } | Kontakt::Location { unique_id, .. }) => {
            unique_id.to_string()
        }
        Frame::Minew(minew) => minew.name?.to_string(),
        Frame::Secure(secure) => hex::encode(secure.identifier),
        _ => return None,
    };
    Some(plain(&text))
}

/// It goes to a terminal: nothing in it may be read as a command.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().take(IDENTITY_MAX).map(plain).collect()
}

/// The battery's state, where the frame has it.
pub(super) fn battery(frame: &Frame) -> Option<Battery> {
    match frame {
        Frame::EddystoneTlm(tlm) => tlm.battery_mv.map(Battery::BatteryMv),
        Frame::RuuviTag(tag) => tag.battery_mv.map(Battery::BatteryMv),
        Frame::Kontakt(Kontakt::Plain { battery_pct, .. }) => battery_pct.map(Battery::BatteryPct),
        Frame::Minew(minew) => minew.battery_pct.map(Battery::BatteryPct),
        Frame::BtHome(readings) => {
            let number = |name: &str| {
                readings.measurements().find_map(|reading| match reading.value {
                    Value::Number(number) if reading.object.name() == name => Some(number),
                    _ => None,
                })
            };
            let percent = number("battery").and_then(|number| u8::try_from(number.mantissa).ok());
            let voltage =
                number("voltage").filter(|volts| volts.decimals == 3 && volts.mantissa <= BATTERY_MAX_MV);
            let mv = voltage.and_then(|volts| u16::try_from(volts.mantissa).ok());
            percent.map(Battery::BatteryPct).or(mv.map(Battery::BatteryMv))
        }
        _ => None,
    }
}

fn uuid(octets: &[u8; 16]) -> String {
    let mut text = String::new();
    for (place, octet) in octets.iter().enumerate() {
        let hyphen = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
        // Writing to a string never fails.
        write!(text, "{hyphen}{octet:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(uuid: u16, hex: &str) -> Frame {
        Frame::from_service_data(uuid, &hex::decode(hex).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn what_differs_comes_first_and_nothing_reaches_the_terminal_as_a_command() {
        let ibeacon = hex::decode("0215e2c56db5dffb48d2b060d0f5a71096e000010002c5").unwrap();
        let ibeacon = Frame::from_manufacturer_data(76, &ibeacon).unwrap().unwrap();
        assert_eq!(identity(&ibeacon).unwrap(), "1/2 e2c56db5-dffb-48d2-b060-d0f5a71096e0");
        assert_eq!(plain("\x1b[2J\u{9b}1m\u{202e}é"), "?[2J?1m??");
        assert_eq!(plain(&"a".repeat(100)).len(), IDENTITY_MAX);
        assert_eq!(identity(&service(0xfeaa, "20000bb7800000000001000003e8")), None);
    }

    #[test]
    fn batteries_are_told_as_their_sensors_tell_them() {
        let told = |frame| battery(&frame).map(|battery| battery.to_string());
        assert_eq!(told(service(0xfeaa, "20000bb7800000000001000003e8")).unwrap(), "2.99 V");
        assert_eq!(told(service(0xfe6a, "0206010f6404616263646566")).unwrap(), "100 %");
        assert_eq!(told(service(0xfcd2, "400161")).unwrap(), "97 %");
        assert_eq!(told(service(0xfcd2, "400c020c")).unwrap(), "3.07 V");
        assert_eq!(told(service(0xfeaa, "00eeedd1ebeac04e5defa0170000000000010000")), None);
    }
}
