//! A recording as JSON lines.
//!
//! A line has `time` (UNIX seconds), `receiver`, `address` (12 hexadecimal digits), `rssi_dbm` and, where the payload
//! was recorded, `adv_hex` (whole AD structures). Other fields are ignored. Without `adv_hex` only a beacon that
//! the plan registers by address is known.

use super::{Entry, Fault};
use crate::{
    lines::{self, Input, LINE_MAX},
    private::Address,
};
use serde::{Deserialize, Serialize};
use vitrine_protocol::{Id, time::Timestamp};

/// One line, as it is written and read.
#[derive(Serialize, Deserialize)]
pub(crate) struct Line {
    /// UNIX seconds.
    pub(crate) time: f64,
    /// Who heard.
    pub(crate) receiver: Id,
    /// The sender's address.
    pub(crate) address: String,
    /// Signal strength in dBm.
    pub(crate) rssi_dbm: i8,
    /// AD structures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) adv_hex: Option<String>,
}

/// Iterates over the lines; empty ones are passed over.
pub(super) struct JsonLines {
    input: Input,
    line: u64,
}

impl JsonLines {
    pub(super) fn new(input: Input) -> Self {
        Self { input, line: 0 }
    }
}

impl Iterator for JsonLines {
    type Item = Result<Entry, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut line, mut kind) = (Vec::new(), lines::Line::Whole);
        while line.trim_ascii().is_empty() {
            kind = match lines::next(&mut self.input, &mut line) {
                Ok(None) => return None,
                Ok(Some(kind)) => kind,
                Err(error) => return Some(Err(Fault::Io(error))),
            };
            self.line += 1;
        }
        let parsed = match kind {
            lines::Line::Whole => parse(&line),
            lines::Line::TooLong => Err(format!("the line is longer than {LINE_MAX} octets")),
        };
        Some(parsed.map_err(|why| Fault::Bad { place: self.line, why }))
    }
}

fn parse(line: &[u8]) -> Result<Entry, String> {
    let line: Line =
        serde_json::from_slice(line).map_err(|e| e.to_string().replace(" at line 1 column", ", column"))?;
    let Line { time, receiver, address, rssi_dbm, adv_hex } = line;
    let address = Address::parse(&address).ok_or("`address` must be 12 hexadecimal digits")?;
    let payload = adv_hex.map(hex::decode).transpose().map_err(|e| format!("`adv_hex`: {e}"))?;
    // Seconds with a fraction are seldom exact: without rounding, a millisecond would be lost now and then.
    let utc = Timestamp::from_ms((time * 1000.0).round() as i64);
    Ok(Entry { utc, receiver, address: Some(address), rssi_dbm: Some(rssi_dbm), payload })
}
