//! `vitrine decode`

mod bthome;

use bthome::Keys;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use vitrine_protocol::{advertisement::Malformed, frame::Frame};

/// The longest line, in octets.
const MAX_LINE: u64 = 64 * 1024;

/// Decode BLE advertisements, one JSON object a line
///
/// Without an argument, or with `-`, lines are read from stdin. A line is a whole advertisement in hexadecimal digits, or a
/// JSON object with `adv_hex`, or `svc_uuid` and `svc_hex`, or `mfr_hex` (which starts with the company, little
/// endian, unless `mfr_company` names it).
///
/// Formats: ibeacon, eddystone-uid, eddystone-tlm, bthome. Other payloads give no frame. What cannot be read gives an `error` with
/// the offset of the octet where reading failed.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  vitrine decode 0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5"
)]
pub(super) struct Args {
    /// The advertisement in hexadecimal digits, or `-` for lines on stdin.
    #[arg(default_value = "-")]
    hex: String,
    #[command(flatten)]
    keys: bthome::Keys,
}

#[derive(Serialize)]
struct Decoded {
    frames: Vec<Described>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct RawLine {
    adv_hex: Option<String>,
    svc_uuid: Option<String>,
    svc_hex: Option<String>,
    mfr_company: Option<u16>,
    mfr_hex: Option<String>,
    address: Option<String>,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.hex != "-" {
        print(&mut out, &decode(&args.hex, args.keys))?;
        return Ok(out.flush()?);
    }
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    while io::Read::take(&mut input, MAX_LINE).read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            print(&mut out, &decode(text.trim(), args.keys))?;
        }
        line.clear();
    }
    Ok(out.flush()?)
}

fn print(out: &mut impl Write, decoded: &Decoded) -> io::Result<()> {
    serde_json::to_writer(&mut *out, decoded)?;
    out.write_all(b"\n")
}

fn decode(line: &str, keys: Keys) -> Decoded {
    let frames =
        if line.starts_with('{') { decode_json(line, keys) } else { decode_advertisement(line, keys) };
    match frames {
        Ok(Frames { frames, malformed, keys }) => {
            let mut error = malformed.map(|malformed| malformed.to_string());
            let frames = frames.iter().filter_map(|frame| describe(frame, keys, &mut error)).collect();
            Decoded { frames, error }
        }
        Err(error) => Decoded { frames: Vec::new(), error: Some(error) },
    }
}

/// What a line holds.
struct Frames {
    frames: Vec<Frame>,
    malformed: Option<Malformed>,
    keys: Keys,
}

fn decode_json(line: &str, keys: Keys) -> Result<Frames, String> {
    let raw: RawLine = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let keys = keys.at(raw.address.as_deref())?;
    let one = |decoded: Result<Option<Frame>, Malformed>| match decoded {
        Ok(frame) => Frames { frames: frame.into_iter().collect(), malformed: None, keys },
        Err(malformed) => Frames { frames: Vec::new(), malformed: Some(malformed), keys },
    };
    if let Some(hex) = raw.adv_hex {
        return decode_advertisement(&hex, keys);
    }
    if let (Some(uuid), Some(hex)) = (raw.svc_uuid, raw.svc_hex) {
        let data = octets(&hex)?;
        return Ok(short_uuid(&uuid)
            .map_or_else(|| one(Ok(None)), |uuid| one(Frame::from_service_data(uuid, &data))));
    }
    let Some(hex) = raw.mfr_hex else {
        return Err("needs `adv_hex`, or `svc_uuid` and `svc_hex`, or `mfr_hex`".into());
    };
    let data = octets(&hex)?;
    let (company, data) = match (raw.mfr_company, data.split_first_chunk()) {
        (Some(company), _) => (company, data.as_slice()),
        (None, Some((company, rest))) => (u16::from_le_bytes(*company), rest),
        (None, None) => return Err("`mfr_hex` starts with the two octets of the company".into()),
    };
    Ok(one(Frame::from_manufacturer_data(company, data)))
}

fn decode_advertisement(hex: &str, keys: Keys) -> Result<Frames, String> {
    let (mut frames, mut malformed) = (Vec::new(), None);
    for frame in Frame::decode(&octets(hex)?) {
        match frame {
            Ok(frame) => frames.push(frame),
            Err(error) => malformed = malformed.or(Some(error)),
        }
    }
    Ok(Frames { frames, malformed, keys })
}

fn octets(hex: &str) -> Result<Vec<u8>, String> {
    hex::decode(hex).map_err(|error| match error {
        hex::FromHexError::OddLength => {
            format!("an odd number of hexadecimal digits; the last one is digit {}", hex.len())
        }
        hex::FromHexError::InvalidHexCharacter { c, index } => {
            format!("`{c}` is no hexadecimal digit, at digit {index}")
        }
        hex::FromHexError::InvalidStringLength => error.to_string(),
    })
}

/// The 16-bit form of a service UUID: four digits, or a UUID on the Bluetooth base.
fn short_uuid(text: &str) -> Option<u16> {
    let text = text.to_ascii_lowercase();
    let short = match text.strip_suffix("-0000-1000-8000-00805f9b34fb") {
        Some(long) => long.strip_prefix("0000")?,
        None => &text,
    };
    (short.len() == 4).then(|| u16::from_str_radix(short, 16).ok()).flatten()
}

/// A frame as it is printed.
#[derive(Serialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
enum Described {
    #[serde(rename = "ibeacon")]
    IBeacon {
        uuid: String,
        major: u16,
        minor: u16,
        measured_power_dbm: i8,
    },
    EddystoneUid {
        namespace: String,
        instance: String,
        tx_power_dbm: i8,
    },
    EddystoneTlm {
        battery_mv: Option<u16>,
        temperature_c: Option<f64>,
        advertisements: u32,
        uptime_s: f64,
    },
    #[serde(rename = "bthome")]
    BtHome(bthome::Described),
    Vitrine {
        identifier: String,
        counter: u32,
        ciphertext: String,
        mic: String,
    },
}

/// `None` for what is not shown. What goes wrong with decrypting is the `error`, if there is none yet.
fn describe(frame: &Frame, keys: Keys, error: &mut Option<String>) -> Option<Described> {
    Some(match frame {
        Frame::IBeacon(b) => Described::IBeacon {
            uuid: hyphenated(&b.uuid),
            major: b.major,
            minor: b.minor,
            measured_power_dbm: b.measured_power_dbm,
        },
        Frame::EddystoneUid(uid) => Described::EddystoneUid {
            namespace: hex::encode(uid.namespace),
            instance: hex::encode(uid.instance),
            tx_power_dbm: uid.tx_power_dbm,
        },
        Frame::EddystoneTlm(tlm) => Described::EddystoneTlm {
            battery_mv: tlm.battery_mv,
            temperature_c: tlm.temperature_c_256.map(|t| f64::from(t) / 256.0),
            advertisements: tlm.advertisements,
            uptime_s: f64::from(tlm.uptime_ds) / 10.0,
        },
        Frame::BtHome(clear) => Described::BtHome(bthome::clear(clear)),
        Frame::BtHomeEncrypted(encrypted) => {
            let (described, failed) = keys.describe(encrypted);
            *error = error.take().or(failed);
            Described::BtHome(described)
        }
        Frame::Secure(secure) => Described::Vitrine {
            identifier: hex::encode(secure.identifier),
            counter: secure.counter.get(),
            ciphertext: hex::encode(secure.ciphertext),
            mic: hex::encode(secure.mic),
        },
        _ => return None,
    })
}

fn hyphenated(uuid: &[u8; 16]) -> String {
    let digits = hex::encode(uuid);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(line: &str, expected: Expect) {
        let mut out = Vec::new();
        print(&mut out, &decode(line, Keys::default())).unwrap();
        expected.assert_eq(String::from_utf8(out).unwrap().trim_end());
    }

    #[test]
    fn formats_have_the_documented_fields() {
        check(
            "0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5",
            expect![[
                r#"{"frames":[{"format":"ibeacon","uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":2,"measured_power_dbm":-59}],"error":null}"#
            ]],
        );
        check(
            r#"{"svc_uuid":"0000feaa-0000-1000-8000-00805f9b34fb","svc_hex":"00eeedd1ebeac04e5defa0170000000000010000"}"#,
            expect![[
                r#"{"frames":[{"format":"eddystone-uid","namespace":"edd1ebeac04e5defa017","instance":"000000000001","tx_power_dbm":-18}],"error":null}"#
            ]],
        );
        check(
            r#"{"svc_uuid":"feaa","svc_hex":"20000bb7800000000001000003e8"}"#,
            expect![[
                r#"{"frames":[{"format":"eddystone-tlm","battery_mv":2999,"temperature_c":null,"advertisements":1,"uptime_s":100.0}],"error":null}"#
            ]],
        );
        check(
            r#"{"mfr_hex":"4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5"}"#,
            expect![[
                r#"{"frames":[{"format":"ibeacon","uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":2,"measured_power_dbm":-59}],"error":null}"#
            ]],
        );
        check(
            r#"{"mfr_company":1177,"mfr_hex":"03291a"}"#,
            expect![[r#"{"frames":[],"error":"the frame is cut short at offset 3"}"#]],
        );
    }

    #[test]
    fn a_secure_frame_shows_what_is_sent_in_the_clear() {
        check(
            "0201061bffffff01acd40f3ff099defc00abcd2b4b9e53af70b0f709f2ac59",
            expect![[
                r#"{"frames":[{"format":"vitrine","identifier":"acd40f3ff099defc","counter":43981,"ciphertext":"2b4b9e53af70b0f7","mic":"09f2ac59"}],"error":null}"#
            ]],
        );
    }

    #[test]
    fn errors_name_the_offset() {
        check(
            "02010609ff",
            expect![[r#"{"frames":[],"error":"a structure's length points past the end at offset 3"}"#]],
        );
        check("05ff4c000215", expect![[r#"{"frames":[],"error":"the frame is cut short at offset 6"}"#]]);
        check("02zz", expect![[r#"{"frames":[],"error":"`z` is no hexadecimal digit, at digit 2"}"#]]);
        check(
            "020",
            expect![[
                r#"{"frames":[],"error":"an odd number of hexadecimal digits; the last one is digit 3"}"#
            ]],
        );
        check(
            "{}",
            expect![[
                r#"{"frames":[],"error":"needs `adv_hex`, or `svc_uuid` and `svc_hex`, or `mfr_hex`"}"#
            ]],
        );
    }
}
