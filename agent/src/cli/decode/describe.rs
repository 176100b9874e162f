//! Frames as `vitrine decode` prints them: values in the units people read, `null` for what is not available.

mod ruuvi;

use super::bthome;
use ruuvi::Ruuvi;
use serde::{Serialize, Serializer};
use std::fmt;
use vitrine_protocol::frame::{Frame, Kontakt, Minew, MinewFrame, StatedAddress};

/// A frame as it is printed.
#[derive(Serialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub(super) enum Described<'a> {
    #[serde(rename = "ibeacon")]
    IBeacon {
        uuid: Uuid<'a>,
        major: u16,
        minor: u16,
        measured_power_dbm: i8,
    },
    EddystoneUid {
        namespace: Hex<'a>,
        instance: Hex<'a>,
        tx_power_dbm: i8,
    },
    EddystoneUrl {
        #[serde(serialize_with = "text")]
        url: &'a dyn fmt::Display,
        tx_power_dbm: i8,
    },
    EddystoneTlm {
        battery_mv: Option<u16>,
        temperature_c: Option<f64>,
        advertisements: u32,
        uptime_s: f64,
    },
    EddystoneEtlm {
        ciphertext: Hex<'a>,
        salt: Hex<'a>,
        mic: Hex<'a>,
    },
    EddystoneEid {
        eid: Hex<'a>,
        tx_power_dbm: i8,
    },
    #[serde(rename = "altbeacon")]
    AltBeacon {
        company: u16,
        id: Hex<'a>,
        measured_power_dbm: i8,
        mfg_reserved: Option<u8>,
    },
    Ruuvi(Ruuvi<'a>),
    Kontakt(Beacon<'a>),
    Minew {
        data: &'static str,
        frame: u8,
        battery_pct: Option<u8>,
        mac: Option<Hex<'a>>,
        name: Option<&'a str>,
    },
    #[serde(rename = "bthome")]
    BtHome(bthome::Described),
    Vitrine {
        identifier: Hex<'a>,
        counter: u32,
        ciphertext: Hex<'a>,
        mic: Hex<'a>,
    },
}

/// A Kontakt.io beacon.
#[derive(Default, Serialize)]
pub(super) struct Beacon<'a> {
    packet: &'static str,
    unique_id: Option<&'a str>,
    model: Option<u8>,
    firmware: Option<String>,
    battery_pct: Option<u8>,
    tx_power_dbm: Option<i8>,
    channel: Option<u8>,
    moving: Option<bool>,
}

impl<'a> Described<'a> {
    /// `None` for a frame that is not printed.
    pub(super) fn of(frame: &'a Frame) -> Option<Self> {
        Some(match frame {
            Frame::IBeacon(b) => Self::IBeacon {
                uuid: Uuid(&b.uuid),
                major: b.major,
                minor: b.minor,
                measured_power_dbm: b.measured_power_dbm,
            },
            Frame::EddystoneUid(uid) => Self::EddystoneUid {
                namespace: Hex(&uid.namespace),
                instance: Hex(&uid.instance),
                tx_power_dbm: uid.tx_power_dbm,
            },
            Frame::EddystoneUrl(url) => Self::EddystoneUrl { url: &url.url, tx_power_dbm: url.tx_power_dbm },
            Frame::EddystoneTlm(tlm) => Self::EddystoneTlm {
                battery_mv: tlm.battery_mv,
                temperature_c: tlm.temperature_c_256.map(|t| f64::from(t) / 256.0),
                advertisements: tlm.advertisements,
                uptime_s: f64::from(tlm.uptime_ds) / 10.0,
            },
            Frame::EddystoneEtlm(etlm) => Self::EddystoneEtlm {
                ciphertext: Hex(&etlm.ciphertext),
                salt: Hex(&etlm.salt),
                mic: Hex(&etlm.mic),
            },
            Frame::EddystoneEid(eid) => {
                Self::EddystoneEid { eid: Hex(&eid.eid), tx_power_dbm: eid.tx_power_dbm }
            }
            Frame::AltBeacon(b) => Self::AltBeacon {
                company: b.company,
                id: Hex(&b.id),
                measured_power_dbm: b.measured_power_dbm,
                mfg_reserved: b.mfg_reserved,
            },
            Frame::RuuviTag(tag) => Self::Ruuvi(ruuvi::tag(tag)),
            Frame::RuuviAir(air) => Self::Ruuvi(ruuvi::air(air)),
            Frame::Kontakt(packet) => Self::Kontakt(kontakt(packet)),
            Frame::Minew(minew) => described_minew(minew),
            Frame::BtHome(readable) => Self::BtHome(bthome::readable(readable)),
            Frame::BtHomeEncrypted(encrypted) => Self::BtHome(bthome::encrypted(encrypted)),
            Frame::Secure(secure) => Self::Vitrine {
                identifier: Hex(&secure.identifier),
                counter: secure.counter.get(),
                ciphertext: Hex(&secure.ciphertext),
                mic: Hex(&secure.mic),
            },
            _ => return None,
        })
    }
}

fn kontakt(packet: &Kontakt) -> Beacon<'_> {
    match packet {
        Kontakt::Plain { model, firmware: [major, minor], battery_pct, tx_power_dbm, unique_id } => Beacon {
            packet: "plain",
            unique_id: Some(unique_id),
            model: Some(*model),
            firmware: Some(format!("{major}.{minor}")),
            battery_pct: *battery_pct,
            tx_power_dbm: Some(*tx_power_dbm),
            ..Beacon::default()
        },
        Kontakt::Location { model, tx_power_dbm, channel, moving, unique_id } => Beacon {
            packet: "location",
            unique_id: Some(unique_id),
            model: Some(*model),
            tx_power_dbm: Some(*tx_power_dbm),
            channel: *channel,
            moving: Some(*moving),
            ..Beacon::default()
        },
        Kontakt::Shuffled => Beacon { packet: "shuffled", ..Beacon::default() },
        Kontakt::Telemetry => Beacon { packet: "telemetry", ..Beacon::default() },
    }
}

fn described_minew(minew: &Minew) -> Described<'_> {
    let (data, frame) = match minew.frame {
        MinewFrame::Service(frame) => ("service", frame),
        MinewFrame::Manufacturer(frame) => ("manufacturer", frame),
    };
    Described::Minew {
        data,
        frame,
        battery_pct: minew.battery_pct,
        mac: minew.address.as_ref().map(mac),
        name: minew.name.as_ref().map(|name| name.as_str()),
    }
}

/// An operator's own reading of a raw payload may show the address in it; an event never does.
fn mac(address: &StatedAddress) -> Hex<'_> {
    Hex(address.octets())
}

/// Lower-case hexadecimal digits.
pub(super) struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// With hyphens.
pub(super) struct Uuid<'a>(&'a [u8; 16]);

impl Serialize for Uuid<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let part = |range: std::ops::Range<usize>| Hex(self.0.get(range).unwrap_or_default());
        serializer.collect_str(&format_args!(
            "{}-{}-{}-{}-{}",
            part(0..4),
            part(4..6),
            part(6..8),
            part(8..10),
            part(10..16)
        ))
    }
}

fn text<S: Serializer>(value: &dyn fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(frame: Result<Option<Frame>, vitrine_protocol::advertisement::Malformed>, expected: Expect) {
        let frame = frame.unwrap().unwrap();
        expected.assert_eq(&serde_json::to_string(&Described::of(&frame)).unwrap());
    }

    pub(super) fn manufacturer(company: u16, hex: &str, expected: Expect) {
        check(Frame::from_manufacturer_data(company, &hex::decode(hex).unwrap()), expected);
    }

    pub(super) fn service(uuid: u16, hex: &str, expected: Expect) {
        check(Frame::from_service_data(uuid, &hex::decode(hex).unwrap()), expected);
    }

    #[test]
    fn a_secure_frame_shows_what_is_on_air() {
        manufacturer(
            0xffff,
            "01acd40f3ff099defc00abcd2b4b9e53af70b0f709f2ac59",
            expect![[
                r#"{"format":"vitrine","identifier":"acd40f3ff099defc","counter":43981,"ciphertext":"2b4b9e53af70b0f7","mic":"09f2ac59"}"#
            ]],
        );
    }

    #[test]
    fn beacons_have_the_documented_fields() {
        manufacturer(
            76,
            "0215e2c56db5dffb48d2b060d0f5a71096e000010002c5",
            expect![[
                r#"{"format":"ibeacon","uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":2,"measured_power_dbm":-59}"#
            ]],
        );
        manufacturer(
            0x118,
            "beac2f234454cf6d4a0fadf2f4911ba9ffa600010002c509",
            expect![[
                r#"{"format":"altbeacon","company":280,"id":"2f234454cf6d4a0fadf2f4911ba9ffa600010002","measured_power_dbm":-59,"mfg_reserved":9}"#
            ]],
        );
        service(
            0xfeaa,
            "00eeedd1ebeac04e5defa0170000000000010000",
            expect![[
                r#"{"format":"eddystone-uid","namespace":"edd1ebeac04e5defa017","instance":"000000000001","tx_power_dbm":-18}"#
            ]],
        );
        service(
            0xfeaa,
            "10ee036578616d706c6500",
            expect![[r#"{"format":"eddystone-url","url":"https://example.com/","tx_power_dbm":-18}"#]],
        );
        service(
            0xfeaa,
            "20000bb7800000000001000003e8",
            expect![[
                r#"{"format":"eddystone-tlm","battery_mv":2999,"temperature_c":null,"advertisements":1,"uptime_s":100.0}"#
            ]],
        );
        service(
            0xfeaa,
            "2001112233445566778899aabbcc5a17c4ec",
            expect![[
                r#"{"format":"eddystone-etlm","ciphertext":"112233445566778899aabbcc","salt":"5a17","mic":"c4ec"}"#
            ]],
        );
        service(
            0xfeaa,
            "30ee0102030405060708",
            expect![[r#"{"format":"eddystone-eid","eid":"0102030405060708","tx_power_dbm":-18}"#]],
        );
    }

    #[test]
    fn makes_that_are_identified_have_what_identifies_them() {
        service(
            0xfe6a,
            "0206010f6404616263646566",
            expect![[
                r#"{"format":"kontakt","packet":"plain","unique_id":"abcdef","model":6,"firmware":"1.15","battery_pct":100,"tx_power_dbm":4,"channel":null,"moving":null}"#
            ]],
        );
        service(
            0xfe6a,
            "05f4250a01416243644566",
            expect![[
                r#"{"format":"kontakt","packet":"location","unique_id":"AbCdEf","model":10,"firmware":null,"battery_pct":null,"tx_power_dbm":-12,"channel":37,"moving":true}"#
            ]],
        );
        service(
            0xfe6a,
            "0301",
            expect![[
                r#"{"format":"kontakt","packet":"telemetry","unique_id":null,"model":null,"firmware":null,"battery_pct":null,"tx_power_dbm":null,"channel":null,"moving":null}"#
            ]],
        );
        service(
            0xffe1,
            "a10801aabbccddeeff504c5553",
            expect![[
                r#"{"format":"minew","data":"service","frame":8,"battery_pct":1,"mac":"ffeeddccbbaa","name":"PLUS"}"#
            ]],
        );
        manufacturer(
            0x639,
            "ca030300050005ff0421643a7ac951",
            expect![[
                r#"{"format":"minew","data":"manufacturer","frame":202,"battery_pct":null,"mac":null,"name":null}"#
            ]],
        );
    }
}
