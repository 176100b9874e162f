//! From a line of text to the frames in it.

use super::keys::Keys;
use serde::Deserialize;
use std::borrow::Cow;
use vitrine_protocol::{advertisement::Malformed, frame::Frame};

/// The frames of a line, and what was malformed first, or could not be decrypted.
pub(super) type Frames<'a> = (&'a [Frame], Option<String>);

/// Decodes lines, one after the other in the same memory.
pub(super) struct Decoder {
    keys: Keys,
    octets: Vec<u8>,
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(borrow)]
    adv_hex: Option<Cow<'a, str>>,
    #[serde(borrow)]
    svc_uuid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    svc_hex: Option<Cow<'a, str>>,
    mfr_company: Option<u16>,
    #[serde(borrow)]
    mfr_hex: Option<Cow<'a, str>>,
    #[serde(borrow)]
    address: Option<Cow<'a, str>>,
}

impl Decoder {
    pub(super) fn new(keys: Keys) -> Self {
        Self { keys, octets: Vec::new(), frames: Vec::new() }
    }

    /// Decodes a line: hexadecimal digits, or a JSON object.
    ///
    /// # Errors
    /// What is wrong with the line; what is wrong with an advertisement is in [`Frames`].
    pub(super) fn decode(&mut self, line: &str) -> Result<Frames<'_>, String> {
        self.frames.clear();
        let mut keys = self.keys;
        let malformed = if line.starts_with('{') {
            let raw: RawLine<'_> = serde_json::from_str(line)
                .map_err(|e| e.to_string().replace(" at line 1 column", ", column"))?;
            keys = keys.at(raw.address.as_deref())?;
            self.json(raw)?
        } else {
            self.advertisement(line)?
        };
        let mut error = malformed.map(|malformed| malformed.to_string());
        for frame in &mut self.frames {
            error = error.or(keys.open(frame).err());
        }
        Ok((&self.frames, error))
    }

    fn json(&mut self, raw: RawLine<'_>) -> Result<Option<Malformed>, String> {
        if let Some(hex) = raw.adv_hex {
            return self.advertisement(&hex);
        }
        if let (Some(uuid), Some(hex)) = (raw.svc_uuid, raw.svc_hex) {
            self.read(&hex)?;
            let frame = short_uuid(&uuid)?.map(|uuid| Frame::from_service_data(uuid, &self.octets));
            return Ok(self.one(frame.unwrap_or(Ok(None))));
        }
        let Some(hex) = raw.mfr_hex else {
            return Err("needs `adv_hex`, or `svc_uuid` and `svc_hex`, or `mfr_hex`".into());
        };
        self.read(&hex)?;
        let (company, data) = match (raw.mfr_company, self.octets.split_first_chunk()) {
            (Some(company), _) => (company, self.octets.as_slice()),
            (None, Some((company, rest))) => (u16::from_le_bytes(*company), rest),
            (None, None) => return Err("`mfr_hex` starts with the two octets of the company".into()),
        };
        // Offsets count in what was written.
        let before = self.octets.len() - data.len();
        let frame = Frame::from_manufacturer_data(company, data);
        Ok(self.one(frame.map_err(|e| Malformed { offset: before + e.offset, ..e })))
    }

    fn advertisement(&mut self, hex: &str) -> Result<Option<Malformed>, String> {
        self.read(hex)?;
        let mut malformed = None;
        for frame in Frame::decode(&self.octets) {
            match frame {
                Ok(frame) => self.frames.push(frame),
                Err(error) => malformed = malformed.or(Some(error)),
            }
        }
        Ok(malformed)
    }

    fn one(&mut self, frame: Result<Option<Frame>, Malformed>) -> Option<Malformed> {
        match frame {
            Ok(frame) => {
                self.frames.extend(frame);
                None
            }
            Err(malformed) => Some(malformed),
        }
    }

    fn read(&mut self, hex: &str) -> Result<(), String> {
        self.octets.resize(hex.len() / 2, 0);
        hex::decode_to_slice(hex, &mut self.octets).map_err(|error| match error {
            hex::FromHexError::InvalidHexCharacter { c, index } => {
                format!("`{c}` is no hexadecimal digit, at digit {index}")
            }
            hex::FromHexError::OddLength | hex::FromHexError::InvalidStringLength => {
                format!("an odd number of hexadecimal digits; the last one is digit {}", hex.len())
            }
        })
    }
}

/// The 16-bit form of a service UUID of four digits, or of a UUID on the Bluetooth base; `None` for other UUIDs.
fn short_uuid(text: &str) -> Result<Option<u16>, String> {
    let digits = text.replace('-', "").to_ascii_lowercase();
    let digits = digits.strip_prefix("0x").unwrap_or(&digits);
    if !matches!(digits.len(), 4 | 8 | 32) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("`svc_uuid` is a UUID of 4, 8 or 32 hexadecimal digits".into());
    }
    let short = digits.strip_suffix("00001000800000805f9b34fb").unwrap_or(digits);
    Ok(u32::from_str_radix(short, 16).ok().and_then(|uuid| u16::try_from(uuid).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(line: &str, expected: Expect) {
        let mut decoder = Decoder::new(Keys::default());
        // What a line leaves behind is not in the next one.
        decoder.decode("0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5").unwrap();
        let text = match decoder.decode(line) {
            Ok((frames, malformed)) => {
                let formats: Vec<_> = frames.iter().map(Frame::format).collect();
                let malformed = malformed.map(|malformed| format!("; {malformed}"));
                formats.join(" and ") + &malformed.unwrap_or_default()
            }
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn a_line_can_have_several_forms() {
        let uid = "00eeedd1ebeac04e5defa0170000000000010000";
        for uuid in ["feaa", "FEAA", "0xfeaa", "0000feaa", "0000feaa-0000-1000-8000-00805f9b34fb"] {
            check(&format!(r#"{{"svc_uuid":"{uuid}","svc_hex":"{uid}"}}"#), expect!["eddystone-uid"]);
        }
        check(&format!(r#"{{"svc_uuid":"0001feaa","svc_hex":"{uid}"}}"#), expect![""]);
        let ibeacon = "0215e2c56db5dffb48d2b060d0f5a71096e000010002c5";
        check(&format!(r#"{{"mfr_hex":"4c00{ibeacon}"}}"#), expect!["ibeacon"]);
        check(&format!(r#"{{"mfr_company":76,"mfr_hex":"{ibeacon}","rssi":-70}}"#), expect!["ibeacon"]);
        let both = format!("1aff4c00{ibeacon}1716aafe{uid}");
        check(&format!(r#"{{"adv_hex":"{both}"}}"#), expect!["ibeacon and eddystone-uid"]);
        let cut_short = format!("1aff4c00{ibeacon}05ff4c000215");
        check(&cut_short, expect!["ibeacon; the frame is cut short at offset 33"]);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        check("02zz", expect!["error: `z` is no hexadecimal digit, at digit 2"]);
        check("020", expect!["error: an odd number of hexadecimal digits; the last one is digit 3"]);
        check("{}", expect!["error: needs `adv_hex`, or `svc_uuid` and `svc_hex`, or `mfr_hex`"]);
        check(r#"{"adv_hex":"#, expect!["error: EOF while parsing a value, column 11"]);
        check(r#"{"adv_hex":7}"#, expect!["error: invalid type: integer `7`, expected a string, column 12"]);
        check(r#"{"mfr_hex":"4c"}"#, expect!["error: `mfr_hex` starts with the two octets of the company"]);
        check(r#"{"mfr_hex":"4c000215e2"}"#, expect!["; the frame is cut short at offset 5"]);
        check(
            r#"{"svc_uuid":"fea","svc_hex":"00"}"#,
            expect!["error: `svc_uuid` is a UUID of 4, 8 or 32 hexadecimal digits"],
        );
        check(r#"{"svc_uuid":"feaa","svc_hex":"00"}"#, expect!["; the frame is cut short at offset 1"]);
    }
}
