//! Recorded advertisements: JSON lines, or a btsnoop capture of a Bluetooth host; either may be gzip-compressed. Which it
//! is its first octets say, whatever the file's name.
//!
//! Times are the file's, and so is what they rest on. What is bad in a file is told with its place, and the next is read
//! where that is possible. [`Replay`] plays a recording as if it were a radio.

mod btsnoop;
mod hci;
pub(crate) mod jsonl;
mod source;

pub use source::Replay;

use self::{btsnoop::Btsnoop, jsonl::JsonLines};
use super::{Heard, Told, source::Content};
use crate::{clock::Now, lines, plan::Layouts, private::Address};
use std::{
    io::{self, BufRead},
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
    /// A record of a btsnoop file is not what it should be; the next one may be.
    #[error("{path}, record at octet {offset}: {why}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Where the record starts, uncompressed.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// One advertisement of a recording.
#[derive(Debug)]
pub struct Recorded {
    /// When it was heard; the monotonic time counts from the first one.
    pub at: Now,
    /// Who heard it.
    pub receiver: Id,
    /// The sender's address, if it has one.
    pub address: Option<Address>,
    /// Signal strength in dBm, if it was measured.
    pub rssi_dbm: Option<i8>,
    /// The payload, if it was recorded.
    pub payload: Option<Vec<u8>>,
}

impl Recorded {
    /// What it says.
    pub fn content(&self) -> Content<'_> {
        self.payload.as_deref().map_or(Content::Nothing, Content::Raw)
    }

    /// What the pipeline is told: one sighting for each frame, and for each beacon of `layouts`, or one with neither;
    /// none without a signal strength; and what was malformed.
    pub fn hear(&self, layouts: &Layouts) -> (Vec<Heard>, Option<Malformed>) {
        let (mut told, malformed) = self.content().told(layouts);
        let &Self { at, receiver, address, rssi_dbm, .. } = self;
        let Some(rssi_dbm) = rssi_dbm else { return (Vec::new(), malformed) };
        if told.is_empty() {
            told.push(Told::default());
        }
        let heard = |Told { frame, beacon }| Heard { at, receiver, address, rssi_dbm, frame, beacon };
        (told.into_iter().map(heard).collect(), malformed)
    }
}

/// Iterates over the advertisements of a recording. After [`ReplayError::Io`] nothing is read any more.
pub struct Recording {
    path: PathBuf,
    format: Format,
    first: Option<Timestamp>,
    latest_ms: u64,
}

enum Format {
    JsonLines(JsonLines),
    Btsnoop(Btsnoop),
    Broken,
}

/// An advertisement as a file has it.
#[derive(Debug, PartialEq)]
struct Entry {
    utc: Timestamp,
    receiver: Id,
    address: Option<Address>,
    rssi_dbm: Option<i8>,
    payload: Option<Vec<u8>>,
}

/// What is wrong with a part of a file.
#[derive(Debug)]
enum Fault {
    Io(io::Error),
    /// A line by its number, or a record by its offset.
    Bad {
        place: u64,
        why: String,
    },
}

impl Recording {
    /// Opens the file at `path`. Where the file doesn't say who heard, as a btsnoop capture doesn't, it was `receiver`;
    /// the adapter by its number (`hci0`) if none is given.
    ///
    /// # Errors
    /// [`ReplayError::Io`]
    pub fn open(path: &Path, receiver: Option<Id>) -> Result<Self, ReplayError> {
        let failed = |error| ReplayError::Io { path: path.to_owned(), error };
        let mut input = lines::open(path).map_err(failed)?;
        let format = if input.fill_buf().map_err(failed)?.starts_with(&btsnoop::MAGIC) {
            Format::Btsnoop(Btsnoop::new(input, receiver).map_err(failed)?)
        } else {
            Format::JsonLines(JsonLines::new(input))
        };
        Ok(Self { path: path.to_owned(), format, first: None, latest_ms: 0 })
    }

    fn recorded(&mut self, entry: Entry) -> Recorded {
        let Entry { utc, receiver, address, rssi_dbm, payload } = entry;
        let first = *self.first.get_or_insert(utc);
        self.latest_ms = self.latest_ms.max(u64::try_from(utc.as_ms() - first.as_ms()).unwrap_or(0));
        let at = Now { mono_ms: self.latest_ms, utc, source: Clock::File };
        Recorded { at, receiver, address, rssi_dbm, payload }
    }

    fn error(&mut self, fault: Fault) -> ReplayError {
        let path = self.path.clone();
        match (fault, &self.format) {
            (Fault::Io(error), _) => {
                self.format = Format::Broken;
                ReplayError::Io { path, error }
            }
            (Fault::Bad { place, why }, Format::Btsnoop(_)) => {
                ReplayError::Record { path, offset: place, why }
            }
            (Fault::Bad { place, why }, _) => ReplayError::Line { path, line: place, why },
        }
    }
}

impl Iterator for Recording {
    type Item = Result<Recorded, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.format {
            Format::JsonLines(lines) => lines.next(),
            Format::Btsnoop(records) => records.next(),
            Format::Broken => None,
        };
        Some(match next? {
            Ok(entry) => Ok(self.recorded(entry)),
            Err(fault) => Err(self.error(fault)),
        })
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
        let read: Vec<_> = Recording::open(path, None).unwrap().collect();
        assert_eq!(read.len(), 4);
        let first = read[0].as_ref().unwrap();
        assert_eq!((first.at.mono_ms, first.at.utc.as_ms()), (0, 1_588_358_358_748));
        assert!(matches!(
            first.hear(&Layouts::default()).0[..],
            [Heard { frame: Some(Frame::EddystoneUid(_)), .. }]
        ));
        let second = read[1].as_ref().unwrap();
        assert_eq!(second.at.mono_ms, 252);
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
        let compressed = dir.path().join("whatever");
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
        assert!(Recording::open(&path, None).unwrap().all(|line| line.is_err()));
    }

    #[test]
    fn a_capture_of_another_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hci.log");
        std::fs::write(&path, b"btsnoop\0\0\0\0\x01\0\0\0\x0c").unwrap();
        let error = Recording::open(&path, None).err().unwrap().to_string();
        assert!(error.contains("hci.log: data link 12"), "{error}");
    }
}
