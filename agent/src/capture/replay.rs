//! Recorded advertisements: JSON lines, gzip-compressed if the file's name ends in `.gz`.
//!
//! A line has `time` (UNIX seconds), `receiver`, `address` (12 hexadecimal digits), `rssi_dbm` and, where the payload
//! was recorded, `adv_hex` (whole AD structures). Other fields are ignored. Without `adv_hex` only a beacon that
//! the plan registers by address is known. Times are the file's, and so is what they rest on.

use super::{Heard, Told, source::Content};
use crate::{
    clock::Now,
    lines::{self, LINE_MAX, Line},
    plan::Layouts,
    private::Address,
};
use serde::Deserialize;
use std::{
    io,
    path::{Path, PathBuf},
};
use vitrine_protocol::{Id, advertisement::Malformed, event::Clock, time::Timestamp};

/// Why a recording could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was said.
        error: io::Error,
    },
    /// A line is not what it should be; the next one may be.
    #[error("{path}:{line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// One advertisement of a recording.
#[derive(Debug)]
pub struct Recorded {
    /// When it was heard; the monotonic time counts from the first line.
    pub at: Now,
    /// Who heard it.
    pub receiver: Id,
    /// The sender's address.
    pub address: Address,
    /// Signal strength in dBm.
    pub rssi_dbm: i8,
    /// The payload, if it was recorded.
    pub payload: Option<Vec<u8>>,
}

impl Recorded {
    /// What the pipeline is told: one sighting for each frame, and for each beacon of `layouts`, or one with neither;
    /// and what was malformed.
    pub fn hear(&self, layouts: &Layouts) -> (Vec<Heard>, Option<Malformed>) {
        let content = self.payload.as_deref().map_or(Content::Nothing, Content::Raw);
        let (mut told, malformed) = content.told(layouts);
        if told.is_empty() {
            told.push(Told::default());
        }
        let Self { at, receiver, address, rssi_dbm, .. } = *self;
        let heard = told.into_iter().map(|Told { frame, beacon }| Heard {
            at,
            receiver,
            address: Some(address),
            rssi_dbm,
            frame,
            beacon,
        });
        (heard.collect(), malformed)
    }
}

/// Iterates over the lines of a recording. After [`ReplayError::Line`] the next line is read, after
/// [`ReplayError::Io`] nothing.
pub struct Recording {
    path: PathBuf,
    input: Option<lines::Input>,
    line: u64,
    first_ms: Option<i64>,
    latest_ms: u64,
}

#[derive(Deserialize)]
struct RawLine {
    time: f64,
    receiver: Id,
    address: String,
    rssi_dbm: i8,
    adv_hex: Option<String>,
}

impl Recording {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`ReplayError::Io`]
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let input = lines::open(path).map_err(|error| ReplayError::Io { path: path.to_owned(), error })?;
        Ok(Self { path: path.to_owned(), input: Some(input), line: 0, first_ms: None, latest_ms: 0 })
    }

    fn parse(&mut self, line: &[u8]) -> Result<Recorded, String> {
        let raw: RawLine = serde_json::from_slice(line)
            .map_err(|e| e.to_string().replace(" at line 1 column", ", column"))?;
        let RawLine { time, receiver, address, rssi_dbm, adv_hex } = raw;
        let address = Address::parse(&address).ok_or("`address` must be 12 hexadecimal digits")?;
        let payload = adv_hex.map(hex::decode).transpose().map_err(|e| format!("`adv_hex`: {e}"))?;
        let utc = Timestamp::from_ms((time * 1000.0) as i64);
        let first_ms = *self.first_ms.get_or_insert(utc.as_ms());
        self.latest_ms = self.latest_ms.max(u64::try_from(utc.as_ms() - first_ms).unwrap_or(0));
        let at = Now { mono_ms: self.latest_ms, utc, source: Clock::File };
        Ok(Recorded { at, receiver, address, rssi_dbm, payload })
    }
}

impl Iterator for Recording {
    type Item = Result<Recorded, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut line, mut kind) = (Vec::new(), Line::Whole);
        while line.trim_ascii().is_empty() {
            kind = match lines::next(self.input.as_mut()?, &mut line) {
                Ok(None) => return None,
                Ok(Some(kind)) => kind,
                Err(error) => {
                    self.input = None;
                    return Some(Err(ReplayError::Io { path: self.path.clone(), error }));
                }
            };
            self.line += 1;
        }
        let parsed = match kind {
            Line::Whole => self.parse(&line),
            Line::TooLong => Err(format!("the line is longer than {LINE_MAX} octets")),
        };
        Some(parsed.map_err(|why| ReplayError::Line { path: self.path.clone(), line: self.line, why }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, io::Write};
    use vitrine_protocol::frame::Frame;

    const LINES: &str = r#"{"time":1588358358.747914,"receiver":"r-0","rssi_dbm":-65,"address":"7442c09426bb","adv_hex":"02011a0303aafe1516aafe00e700000000000000000001000000000002"}

{"time":1588358359.0,"receiver":"r-1","rssi_dbm":-80,"address":"c0:ff:ee:00:00:01","channel":37}
{"time":1588358360,"receiver":"r-1","rssi_dbm":-80}
{"time":1588358361,"receiver":"r-1","rssi_dbm":-80,"address":"c0ffee000001","adv_hex":"05ff4c000215"}
"#;

    fn check(path: &Path) {
        let read: Vec<_> = Recording::open(path).unwrap().collect();
        assert_eq!(read.len(), 4);
        let first = read[0].as_ref().unwrap();
        assert_eq!((first.at.mono_ms, first.at.utc.as_ms()), (0, 1_588_358_358_747));
        assert!(matches!(
            first.hear(&Layouts::default()).0[..],
            [Heard { frame: Some(Frame::EddystoneUid(_)), .. }]
        ));
        let second = read[1].as_ref().unwrap();
        assert_eq!(second.at.mono_ms, 253);
        assert!(matches!(second.hear(&Layouts::default()), (heard, None) if heard[0].frame.is_none()));
        let error = read[2].as_ref().unwrap_err().to_string();
        assert!(error.ends_with(":4: missing field `address`, column 51"), "{error}");
        assert!(read[3].as_ref().unwrap().hear(&Layouts::default()).1.is_some());
    }

    #[test]
    fn reads_plain_and_compressed_lines_and_names_bad_ones() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("capture.jsonl");
        std::fs::write(&plain, LINES).unwrap();
        check(&plain);
        let compressed = dir.path().join("capture.jsonl.gz");
        let mut gz =
            flate2::write::GzEncoder::new(File::create(&compressed).unwrap(), flate2::Compression::fast());
        gz.write_all(LINES.as_bytes()).unwrap();
        gz.finish().unwrap();
        check(&compressed);
    }

    #[test]
    fn a_line_without_end_is_cut_not_swallowed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.jsonl");
        std::fs::write(&path, vec![b'x'; 200_000]).unwrap();
        assert!(Recording::open(&path).unwrap().all(|line| line.is_err()));
    }
}
