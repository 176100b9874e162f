//! Finds the blocks of a segment in its file, without sled.
//!
//! sled keeps a value as it was given, in one piece, in its one file. A block starts with [`MAGIC`] and names its own length,
//! checksum and position, so reading the file from front to back finds every block that is whole, whatever else is wrong with
//! the file; and nothing is changed by looking. sled may hold several copies of a block; one is enough.
//!
//! An index of the blocks is kept in memory, not the blocks.

use super::{
    MAX_BLOCK, Mark, Record,
    block::{BlockError, Codec, Content, HEADER, Header, MAGIC},
    mark::RecordBody,
    segment::DB_FILE,
};
use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
};
use vitrine_protocol::time::Timestamp;

/// Octets of the file that are in memory at once.
const WINDOW: usize = 256 * 1024;
/// No block is longer: a mark names at most all streams.
const LENGTH_MAX: usize = MAX_BLOCK;

/// What was found in a segment's file.
#[derive(Debug)]
pub struct Scan {
    file: File,
    marks: Vec<Found>,
    blocks: Vec<Found>,
}

/// A block that was found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Position of its first record.
    pub pos: u64,
    /// Number of records.
    pub count: u16,
    /// Position of the first record of its commit.
    pub commit_pos: u64,
    /// Whether it ends its commit.
    pub ends_commit: bool,
    /// When it was written.
    pub written_at: Timestamp,
    /// Where it starts in the file.
    pub offset: u64,
    /// Its octets.
    pub length: usize,
}

/// An event, and what its block says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub record: Record,
    /// When it was written.
    pub written_at: Timestamp,
    /// When it may be sent; `None` for at once.
    pub hold_until: Option<Timestamp>,
}

impl Found {
    /// The position after its last record.
    pub fn end_pos(&self) -> u64 {
        self.pos + u64::from(self.count)
    }
}

impl Scan {
    /// Looks through the segment in directory `dir`.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let mut file = File::open(dir.join(DB_FILE))?;
        let (mut marks, mut blocks) = (Vec::new(), Vec::new());
        let mut window = Window::default();
        while window.fill(&mut file)? {
            while let Some((header, length)) = window.next_block() {
                let found = Found {
                    pos: header.pos,
                    count: header.count,
                    commit_pos: header.commit_pos,
                    ends_commit: header.ends_commit,
                    written_at: header.written_at,
                    offset: window.offset + (window.at - length) as u64,
                    length,
                };
                if header.is_mark { &mut marks } else { &mut blocks }.push(found);
            }
        }
        for found in [&mut marks, &mut blocks] {
            found.sort_by_key(|found| found.pos);
            found.dedup_by_key(|found| found.pos);
        }
        Ok(Self { file, marks, blocks })
    }

    /// The blocks of records, by position.
    pub fn blocks(&self) -> &[Found] {
        &self.blocks
    }

    /// Where the segment starts, if that can be read.
    pub fn mark(&self) -> Option<Mark> {
        self.mark_at(self.marks.first()?)
    }

    /// Positions from `start` on that no block holds, in between, and up to `end` if that is known.
    pub fn holes(&self, start: u64, end: Option<u64>) -> Vec<Range<u64>> {
        let (mut at, mut holes) = (start, Vec::new());
        let ends = self.blocks.iter().map(|found| (found.pos, found.end_pos()));
        for (pos, end_pos) in ends.chain(end.map(|end| (end, end))) {
            let pos = end.map_or(pos, |end| pos.min(end));
            if pos > at {
                holes.push(at..pos);
            }
            at = at.max(end_pos);
        }
        holes
    }

    /// Whether the mark at position `pos` can be read.
    pub(super) fn has_mark_at(&self, pos: u64) -> bool {
        let found = self.marks.binary_search_by_key(&pos, |mark| mark.pos);
        found.is_ok_and(|index| self.mark_at(&self.marks[index]).is_some())
    }

    /// The events from position `from` on that are there, in order.
    pub fn records(&self, from: u64) -> impl Iterator<Item = Result<Record, BlockError>> {
        self.entries(from).map(|entry| Ok(entry?.record))
    }

    /// The same with what their blocks say of them.
    pub fn entries(&self, from: u64) -> impl Iterator<Item = Result<Entry, BlockError>> {
        let entries = self.decoded(from).flat_map(|(_, entries)| match entries {
            Ok(entries) => entries.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        entries.filter(move |entry| entry.as_ref().map_or(true, |entry| entry.record.pos >= from))
    }

    /// The events of each block that has some position from `from` on.
    pub(super) fn decoded(
        &self,
        from: u64,
    ) -> impl Iterator<Item = (&Found, Result<Vec<Entry>, BlockError>)> {
        let mut codec = Codec::default();
        let first = self.blocks.partition_point(|found| found.end_pos() <= from);
        self.blocks[first..].iter().map(move |found| {
            let decoded = self.read(found).and_then(|block| codec.decode(&block));
            let (header, context, bodies) = match decoded {
                Ok((header, Content::Records(context, bodies))) => (header, context, bodies),
                Ok((_, Content::Mark(_))) => return (found, Err(BlockError::Content)),
                Err(error) => return (found, Err(error)),
            };
            let Header { written_at, hold_until, .. } = header;
            let entry = |(pos, body)| match body {
                RecordBody::Event { stream, seq, json } => {
                    Some(Entry { record: Record { pos, stream, seq, context, json }, written_at, hold_until })
                }
                RecordBody::Note(_) => None,
            };
            (found, Ok((header.pos..).zip(bodies).filter_map(entry).collect()))
        })
    }

    /// The octets of all blocks in order, from the last mark at or before `pos` on; marks among them.
    pub(super) fn octets(&self, pos: u64) -> impl Iterator<Item = Result<Vec<u8>, BlockError>> {
        let mut marks = &self.marks[self.marks.partition_point(|mark| mark.pos <= pos).saturating_sub(1)..];
        let start = marks.first().filter(|mark| mark.pos <= pos).map_or(pos, |mark| mark.pos);
        let mut blocks = &self.blocks[self.blocks.partition_point(|block| block.end_pos() <= start)..];
        std::iter::from_fn(move || {
            let next = match (marks.first(), blocks.first()) {
                (Some(mark), block) if block.is_none_or(|block| mark.pos <= block.pos) => &mut marks,
                (_, Some(_)) => &mut blocks,
                _ => return None,
            };
            let (found, rest) = next.split_first()?;
            *next = rest;
            Some(self.read(found))
        })
    }

    fn mark_at(&self, found: &Found) -> Option<Mark> {
        match Codec::default().decode(&self.read(found).ok()?) {
            Ok((_, Content::Mark(mark))) => Some(mark),
            _ => None,
        }
    }

    fn read(&self, found: &Found) -> Result<Vec<u8>, BlockError> {
        let mut block = vec![0; found.length];
        // It was there before: what cannot be read now is as good as changed.
        self.file.read_exact_at(&mut block, found.offset).map_err(|_| BlockError::Checksum)?;
        Ok(block)
    }
}

/// A part of the file.
#[derive(Default)]
struct Window {
    octets: Vec<u8>,
    /// Where the part starts in the file.
    offset: u64,
    /// How far it was looked through.
    at: usize,
    is_last: bool,
}

impl Window {
    /// Reads on; `false` at the end.
    fn fill(&mut self, file: &mut File) -> io::Result<bool> {
        if self.is_last {
            return Ok(false);
        }
        self.octets.drain(..self.at);
        self.offset += self.at as u64;
        self.at = 0;
        let room = (WINDOW - self.octets.len()) as u64;
        self.is_last = file.take(room).read_to_end(&mut self.octets)? < room as usize;
        Ok(true)
    }

    /// The next whole block, after which `at` stands then; `None` when more has to be read for it.
    fn next_block(&mut self) -> Option<(Header, usize)> {
        loop {
            let rest = &self.octets[self.at..];
            if rest.len() < LENGTH_MAX && !self.is_last || rest.len() < HEADER {
                return None;
            }
            let Some(skipped) = rest.iter().position(|&octet| octet == MAGIC[0]) else {
                self.at = self.octets.len();
                continue;
            };
            self.at += skipped;
            let rest = &self.octets[self.at..];
            if rest.len() < LENGTH_MAX && !self.is_last {
                return None;
            }
            match Header::read(&rest[..rest.len().min(LENGTH_MAX)]) {
                Ok((header, length)) => {
                    self.at += length;
                    return Some((header, length));
                }
                Err(_) => self.at += 1,
            }
        }
    }
}
