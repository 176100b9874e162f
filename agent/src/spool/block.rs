//! The form of a block on disk, which the documentation of [`super`] specifies.
//!
//! A block says itself where it belongs and how long it is, so that it is found again in a file of which nothing else is
//! known. How records are gathered into blocks is [`super::pack`]'s.

use super::{
    Context,
    mark::{Mark, RecordBody, RecordRef},
};
use vitrine_protocol::{Id, time::Timestamp, topic::Stream};

/// What a block starts with. The last octet is the format.
pub(super) const MAGIC: [u8; 4] = *b"VSB2";
/// Octets before the content.
pub(super) const HEADER: usize = 43;
/// The most octets of decompressed content; a longer one is damaged.
pub(super) const MAX_PLAIN: usize = 64 * 1024;
/// Octets of a record besides its text.
pub(super) const RECORD_HEADER: usize = 13;
const CRC_AT: usize = 4;
const LENGTH_AT: usize = 8;
const ENDS_COMMIT: u8 = 1;
const IS_MARK: u8 = 2;
const NOTE: u8 = 0;

/// What stands before a block's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) is_mark: bool,
    pub(super) ends_commit: bool,
    /// Number of records.
    pub(super) count: u16,
    /// Position of the first record; of a mark, the one it names.
    pub(super) pos: u64,
    /// Position of the first record of the commit.
    pub(super) commit_pos: u64,
    pub(super) hold_until: Option<Timestamp>,
    pub(super) written_at: Timestamp,
}

/// What a block holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Mark(Mark),
    Records(Context, Vec<RecordBody>),
}

/// Why a block could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// It starts with something else.
    #[error("it is no block of a format that this agent reads")]
    Format,
    /// It is cut short, or octets of it were changed.
    #[error("its checksum does not match")]
    Checksum,
    /// Its checksum is right, and still it does not parse.
    #[error("its content does not parse")]
    Content,
}

impl Header {
    /// The position after the last record.
    pub(super) fn end_pos(&self) -> u64 {
        self.pos + u64::from(self.count)
    }

    /// Reads the header of the block that `octets` start with, and the block's length. Its checksum is right then.
    pub(super) fn read(octets: &[u8]) -> Result<(Self, usize), BlockError> {
        if !octets.starts_with(&MAGIC) {
            return Err(BlockError::Format);
        }
        let header = octets.get(..HEADER).ok_or(BlockError::Checksum)?;
        let mut reader = Reader(&header[CRC_AT..]);
        let crc = u32::from_le_bytes(reader.take()?);
        let length = u32::from_le_bytes(reader.take()?) as usize;
        let checked = (length >= HEADER).then(|| octets.get(LENGTH_AT..length)).flatten();
        if checked.map(crc32c::crc32c) != Some(crc) {
            return Err(BlockError::Checksum);
        }
        let [flags] = reader.take()?;
        let count = u16::from_le_bytes(reader.take()?);
        let pos = u64::from_le_bytes(reader.take()?);
        let behind = u32::from_le_bytes(reader.take()?);
        let hold_ms = i64::from_le_bytes(reader.take()?);
        let written_at = Timestamp::from_ms(i64::from_le_bytes(reader.take()?));
        let header = Self {
            is_mark: flags & IS_MARK != 0,
            ends_commit: flags & ENDS_COMMIT != 0,
            count,
            pos,
            commit_pos: pos.saturating_sub(u64::from(behind)),
            hold_until: (hold_ms != 0).then(|| Timestamp::from_ms(hold_ms)),
            written_at,
        };
        Ok((header, length))
    }

    fn write(&self, content: &[u8]) -> Vec<u8> {
        let ends_commit = if self.ends_commit { ENDS_COMMIT } else { 0 };
        let is_mark = if self.is_mark { IS_MARK } else { 0 };
        let length = HEADER + content.len();
        let mut out = Vec::with_capacity(length);
        out.extend(MAGIC);
        out.extend([0; LENGTH_AT - CRC_AT]);
        out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        out.push(ends_commit | is_mark);
        out.extend(self.count.to_le_bytes());
        out.extend(self.pos.to_le_bytes());
        out.extend(u32::try_from(self.pos - self.commit_pos).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(self.hold_until.map_or(0, Timestamp::as_ms).to_le_bytes());
        out.extend(self.written_at.as_ms().to_le_bytes());
        out.extend(content);
        let crc = crc32c::crc32c(&out[LENGTH_AT..]);
        out[CRC_AT..LENGTH_AT].copy_from_slice(&crc.to_le_bytes());
        out
    }
}

/// The block of a mark.
pub(super) fn encode_mark(mark: &Mark, written_at: Timestamp) -> Vec<u8> {
    let header = Header {
        is_mark: true,
        ends_commit: false,
        count: 0,
        pos: mark.pos,
        commit_pos: mark.pos,
        hold_until: None,
        written_at,
    };
    header.write(&serde_json::to_vec(mark).expect("a map whose keys are text is JSON"))
}

/// Encodes and decodes blocks of records; keeps what zstd needs in between.
pub(super) struct Codec {
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl Default for Codec {
    fn default() -> Self {
        const LEVEL: i32 = 1;
        Self {
            compressor: zstd::bulk::Compressor::new(LEVEL).expect("the level exists"),
            decompressor: zstd::bulk::Decompressor::new().expect("there is no dictionary that could fail"),
            plain: Vec::with_capacity(MAX_PLAIN),
            packed: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codec")
    }
}

impl Codec {
    /// The block of records that share `context`, and have together at most [`MAX_PLAIN`] octets; `header` counts them.
    pub(super) fn encode<'a>(
        &mut self,
        header: Header,
        context: Context,
        records: impl Iterator<Item = RecordRef<'a>>,
    ) -> Vec<u8> {
        let Context { plan, business_date } = context;
        let plain = &mut self.plain;
        plain.clear();
        plain.push(plan.as_str().len() as u8);
        plain.extend(plan.as_str().as_bytes());
        plain.extend(business_date.year().to_le_bytes());
        plain.extend([business_date.month() as u8, business_date.day() as u8]);
        for record in records {
            let (code, seq) = match record {
                RecordRef::Event { stream, seq, .. } => (stream.code(), seq),
                RecordRef::Note(_) => (NOTE, 0),
            };
            let text = record.bytes();
            plain.push(code);
            plain.extend(seq.to_le_bytes());
            plain.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            plain.extend(text);
        }
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.compressor
            .compress_to_buffer(plain, &mut self.packed)
            .expect("the buffer is as large as zstd asks for");
        header.write(&self.packed)
    }

    /// Reads a whole block back.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<(Header, Content), BlockError> {
        let (header, length) = Header::read(block)?;
        let content = &block[HEADER..length];
        if header.is_mark {
            let mark: Mark = serde_json::from_slice(content).map_err(|_| BlockError::Content)?;
            let fits = mark.pos == header.pos && header.count == 0;
            return if fits { Ok((header, Content::Mark(mark))) } else { Err(BlockError::Content) };
        }
        self.plain.clear();
        self.decompressor.decompress_to_buffer(content, &mut self.plain).map_err(|_| BlockError::Content)?;
        let mut reader = Reader(&self.plain);
        let context = reader.context()?;
        let records = (0..header.count).map(|_| reader.record()).collect::<Result<_, _>>()?;
        if reader.0.is_empty() {
            Ok((header, Content::Records(context, records)))
        } else {
            Err(BlockError::Content)
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BlockError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(BlockError::Content)?;
        self.0 = rest;
        Ok(*head)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], BlockError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(BlockError::Content)?;
        self.0 = rest;
        Ok(head)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, BlockError> {
        std::str::from_utf8(self.bytes(length)?).map_err(|_| BlockError::Content)
    }

    fn context(&mut self) -> Result<Context, BlockError> {
        let [length] = self.take()?;
        let plan = self.text(usize::from(length))?;
        let year = i16::from_le_bytes(self.take()?);
        let [month, day] = self.take()?;
        let date = i8::try_from(month).ok().zip(i8::try_from(day).ok());
        let date = date.and_then(|(month, day)| jiff::civil::Date::new(year, month, day).ok());
        Ok(Context {
            plan: Id::new(plan).map_err(|_| BlockError::Content)?,
            business_date: date.ok_or(BlockError::Content)?,
        })
    }

    fn record(&mut self) -> Result<RecordBody, BlockError> {
        let [code] = self.take()?;
        let seq = u64::from_le_bytes(self.take()?);
        let length = u32::from_le_bytes(self.take()?) as usize;
        if code == NOTE {
            return Ok(RecordBody::Note(self.bytes(length)?.into()));
        }
        let stream = Stream::from_code(code).ok_or(BlockError::Content)?;
        Ok(RecordBody::Event { stream, seq, json: self.text(length)?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER_OF_ONE: Header = Header {
        is_mark: false,
        ends_commit: true,
        count: 1,
        pos: 1_000_000_007,
        commit_pos: 1_000_000_000,
        hold_until: Some(Timestamp::from_ms(900_000)),
        written_at: Timestamp::from_ms(800_000),
    };

    fn block() -> Vec<u8> {
        let context = Context { plan: Id::new("7").unwrap(), business_date: jiff::civil::date(2026, 3, 4) };
        let note = RecordBody::Note((*b"a note, and a note, and a note").into());
        Codec::default().encode(HEADER_OF_ONE, context, [note.as_ref()].into_iter())
    }

    #[test]
    fn a_header_is_read_back() {
        let block = block();
        assert_eq!(Header::read(&block), Ok((HEADER_OF_ONE, block.len())));
        let longer = [block.as_slice(), b"and more"].concat();
        assert_eq!(Header::read(&longer), Ok((HEADER_OF_ONE, block.len())));
    }

    #[test]
    fn a_mark_is_read_back() {
        let mark = Mark { pos: 77, seqs: [(Stream::Gaps, 5)].into(), exact: false };
        let block = encode_mark(&mark, Timestamp::from_ms(5));
        assert_eq!(Codec::default().decode(&block).unwrap().1, Content::Mark(mark));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (good, mut codec) = (block(), Codec::default());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(codec.decode(&bad).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(codec.decode(&good[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn the_form_is_frozen() {
        let mark = Mark { pos: 3, ..Mark::default() };
        let block = encode_mark(&mark, Timestamp::from_ms(1));
        expect_test::expect!["56534232502b1b144b000000020000030000000000000000000000000000000000000001000000000000007b22706f73223a332c2273657173223a7b7d2c226578616374223a747275657d"].assert_eq(&hex::encode(block));
    }

    proptest! {
        #[test]
        fn any_octets_decode_without_panic(octets: Vec<u8>) {
            let octets = [MAGIC.as_slice(), &octets].concat();
            prop_assert!(Codec::default().decode(&octets).is_err());
        }
    }
}
