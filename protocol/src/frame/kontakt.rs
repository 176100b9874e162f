//! Kontakt.io beacons: service data of UUID 0xFE6A.
//!
//! Format: developer.kontakt.io, *Hardware, Packets*: *Telemetry* (0x03) and *Location* (0x05) by the vendor's tables;
//! *Secure Profile* (0x01 shuffled, 0x02 plain) as other open readers have it. The beacon is identified; the fields of
//! telemetry are not read, and a shuffled identifier only Kontakt.io's own cloud can resolve.

use super::take;
use crate::advertisement::{Fault, Malformed};
use arrayvec::ArrayString;

/// Kontakt.io's 16-bit service UUID.
pub const KONTAKT_UUID16: u16 = 0xfe6a;

/// Longest unique id: what a legacy advertisement has room for.
const ID_MAX: usize = 18;

const SHUFFLED: u8 = 0x01;
const PLAIN: u8 = 0x02;
const TELEMETRY: u8 = 0x03;
const LOCATION: u8 = 0x05;
const MOVING: u8 = 1 << 0;

/// A Kontakt.io packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kontakt {
    /// Secure Profile with the beacon's own identifier.
    Plain {
        /// Number of the beacon's model.
        model: u8,
        /// Firmware version: major, minor.
        firmware: [u8; 2],
        /// Battery level in percent; `None` where it is no percentage.
        battery_pct: Option<u8>,
        /// Configured transmission power in dBm.
        tx_power_dbm: i8,
        /// Unique id, as it is printed on the beacon.
        unique_id: ArrayString<ID_MAX>,
    },
    /// Secure Profile with an identifier that changes.
    Shuffled,
    /// Sensor readings.
    Telemetry,
    /// For positioning: sent on one channel alone.
    Location {
        /// Number of the beacon's model.
        model: u8,
        /// Configured transmission power in dBm.
        tx_power_dbm: i8,
        /// The advertising channel it is sent on (37 to 39); `None` where on all.
        channel: Option<u8>,
        /// Whether the beacon is moving.
        moving: bool,
        /// Unique id, as it is printed on the beacon.
        unique_id: ArrayString<ID_MAX>,
    },
}

impl Kontakt {
    /// Reads Kontakt.io's service data; `None` for packets that are not known.
    pub(super) fn decode(data: &[u8]) -> Result<Option<Self>, Malformed> {
        let ([packet], body) = take(data, 0)?;
        Ok(Some(match packet {
            SHUFFLED => Self::Shuffled,
            TELEMETRY => Self::Telemetry,
            PLAIN => {
                let ([model, major, minor, battery, power], id) = take(body, 1)?;
                Self::Plain {
                    model,
                    firmware: [major, minor],
                    battery_pct: Some(battery).filter(|&percent| percent <= 100),
                    tx_power_dbm: power as i8,
                    unique_id: text(id, 6)?,
                }
            }
            LOCATION => {
                let ([power, channel, model, flags], id) = take(body, 1)?;
                Self::Location {
                    model,
                    tx_power_dbm: power as i8,
                    channel: Some(channel).filter(|&channel| channel != 0),
                    moving: flags & MOVING != 0,
                    unique_id: text(id, 5)?,
                }
            }
            _ => return Ok(None),
        }))
    }
}

/// Printable US-ASCII of at most `N` octets.
pub(super) fn text<const N: usize>(octets: &[u8], offset: usize) -> Result<ArrayString<N>, Malformed> {
    if let Some(at) = octets.iter().position(|octet| !matches!(octet, b' '..=b'~')) {
        return Err(Malformed { offset: offset + at, fault: Fault::Value });
    }
    let text = core::str::from_utf8(octets).unwrap_or_default();
    ArrayString::from(text).map_err(|_| Malformed { offset: offset + N, fault: Fault::Long })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;

    fn read(data: &[u8]) -> Result<Option<Kontakt>, Malformed> {
        Kontakt::decode(data)
    }

    #[test]
    fn the_location_packet_of_the_documentation() {
        let advertisement = b"\x0e\x16\x6a\xfe\x05\xf4\x25\x0a\x01AbCdEf";
        let unique_id = ArrayString::from("AbCdEf").unwrap();
        let location =
            Kontakt::Location { model: 10, tx_power_dbm: -12, channel: Some(37), moving: true, unique_id };
        let frames: std::vec::Vec<_> = Frame::decode(advertisement).collect();
        assert_eq!(frames, [Ok(Frame::Kontakt(location))]);
    }

    #[test]
    fn a_plain_secure_profile() {
        let unique_id = ArrayString::from("abcdef").unwrap();
        let plain = Kontakt::Plain {
            model: 6,
            firmware: [1, 15],
            battery_pct: Some(100),
            tx_power_dbm: 4,
            unique_id,
        };
        assert_eq!(read(b"\x02\x06\x01\x0f\x64\x04abcdef"), Ok(Some(plain)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(read(&[0xff, 1, 2]), Ok(None));
        assert_eq!(read(&[PLAIN, 6, 1]), Err(Malformed { offset: 3, fault: Fault::Short }));
        assert_eq!(read(b"\x05\xf4\x25\x0a\x01ab\x00"), Err(Malformed { offset: 7, fault: Fault::Value }));
        let long = [b"\x05\xf4\x25\x0a\x01".as_slice(), &[b'a'; ID_MAX + 1]].concat();
        assert_eq!(read(&long), Err(Malformed { offset: 5 + ID_MAX, fault: Fault::Long }));
    }
}
