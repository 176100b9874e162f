//! The value of one key: a block of records. The format is specified in the documentation of [`super`].

use super::{Context, MAX_BLOCK};
use crate::spool::RecordBody;
use vitrine_protocol::{Id, time::Timestamp, topic::Stream};

const VERSION: u8 = 1;
const HEADER: usize = 16;
const CRC_AT: usize = 1;
const CRC_END: usize = 5;
const END_OF_COMMIT: u8 = 1;
const RECORD_HEADER: usize = 13;
const NOTE: u8 = 0;
/// Records are gathered up to this many octets before they are compressed.
const GATHER: usize = 24 * 1024;
/// A block never inflates to more than this; a longer one is damaged.
const MAX_PLAIN: usize = 64 * 1024;
const ZSTD_LEVEL: i32 = 1;

/// A record before it is written, or after it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) context: Context,
    pub(super) hold_until: Option<Timestamp>,
    pub(super) body: RecordBody,
}

/// A decoded block. Its records stand at the positions from its key on.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) ends_commit: bool,
    pub(super) hold_until: Option<Timestamp>,
    pub(super) context: Context,
    pub(super) records: Vec<RecordBody>,
}

/// Why a block could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlockError {
    #[error("it has format version {0}, which this agent does not read")]
    Version(u8),
    #[error("its checksum does not match")]
    Checksum,
    #[error("its content does not parse")]
    Content,
}

/// Packs the entries of one commit into blocks of at most [`MAX_BLOCK`] octets: (records in it, encoded).
/// The last one ends the commit.
pub(super) fn pack(entries: &[Entry]) -> Vec<(usize, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let (gathered, after) = rest.split_at(gather(rest));
        pack_run(gathered, after.is_empty(), &mut blocks);
        rest = after;
    }
    blocks
}

/// How many entries may share a block: one context, one hold, a bounded size.
fn gather(entries: &[Entry]) -> usize {
    let (first, mut size) = (&entries[0], 0);
    let same = |entry: &&Entry| {
        size += RECORD_HEADER + entry.body.bytes().len();
        entry.context == first.context && entry.hold_until == first.hold_until && size <= GATHER
    };
    entries.iter().take(usize::from(u16::MAX)).take_while(same).count().max(1)
}

fn pack_run(run: &[Entry], ends_commit: bool, blocks: &mut Vec<(usize, Vec<u8>)>) {
    let encoded = encode(run, ends_commit);
    if encoded.len() <= MAX_BLOCK || run.len() == 1 {
        blocks.push((run.len(), encoded));
    } else {
        let (front, back) = run.split_at(run.len() / 2);
        pack_run(front, false, blocks);
        pack_run(back, ends_commit, blocks);
    }
}

fn encode(run: &[Entry], ends_commit: bool) -> Vec<u8> {
    let first = &run[0];
    let hold_ms = first.hold_until.map_or(0, Timestamp::as_ms);
    let mut out = vec![VERSION, 0, 0, 0, 0, if ends_commit { END_OF_COMMIT } else { 0 }];
    out.extend(u16::try_from(run.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(hold_ms.to_le_bytes());
    out.extend(
        zstd::bulk::compress(&plain(run), ZSTD_LEVEL).expect("its buffer is as large as zstd asks for"),
    );
    let crc = crc32c::crc32c(&out[CRC_END..]);
    out[CRC_AT..CRC_END].copy_from_slice(&crc.to_le_bytes());
    out
}

fn plain(run: &[Entry]) -> Vec<u8> {
    let Context { plan, business_date } = run[0].context;
    let mut out = vec![plan.as_str().len() as u8];
    out.extend(plan.as_str().as_bytes());
    out.extend(business_date.year().to_le_bytes());
    out.extend([business_date.month() as u8, business_date.day() as u8]);
    for Entry { body, .. } in run {
        let (code, seq) = match body {
            RecordBody::Event { stream, seq, .. } => (stream.code(), *seq),
            RecordBody::Note(_) => (NOTE, 0),
        };
        out.push(code);
        out.extend(seq.to_le_bytes());
        out.extend(u32::try_from(body.bytes().len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(body.bytes());
    }
    out
}

/// Reads a block back.
pub(super) fn decode(value: &[u8]) -> Result<Block, BlockError> {
    match value.first() {
        Some(&VERSION) => {}
        Some(&other) => return Err(BlockError::Version(other)),
        None => return Err(BlockError::Content),
    }
    let (header, compressed) = value.split_first_chunk::<HEADER>().ok_or(BlockError::Content)?;
    let mut header = Reader(&header[CRC_AT..]);
    let crc = u32::from_le_bytes(header.take()?);
    if crc != crc32c::crc32c(&value[CRC_END..]) {
        return Err(BlockError::Checksum);
    }
    let [flags] = header.take()?;
    let count = u16::from_le_bytes(header.take()?);
    let hold_ms = i64::from_le_bytes(header.take()?);
    let plain = zstd::bulk::decompress(compressed, MAX_PLAIN).map_err(|_| BlockError::Content)?;
    let (context, records) = parse(&plain, count)?;
    Ok(Block {
        ends_commit: flags & END_OF_COMMIT != 0,
        hold_until: (hold_ms != 0).then(|| Timestamp::from_ms(hold_ms)),
        context,
        records,
    })
}

fn parse(plain: &[u8], count: u16) -> Result<(Context, Vec<RecordBody>), BlockError> {
    let mut reader = Reader(plain);
    let [length] = reader.take()?;
    let plan = reader.text(usize::from(length))?;
    let year = i16::from_le_bytes(reader.take()?);
    let [month, day] = reader.take()?;
    let date = i8::try_from(month).ok().zip(i8::try_from(day).ok());
    let date = date.and_then(|(month, day)| jiff::civil::Date::new(year, month, day).ok());
    let context = Context {
        plan: Id::new(plan).map_err(|_| BlockError::Content)?,
        business_date: date.ok_or(BlockError::Content)?,
    };
    let records = (0..count).map(|_| reader.record()).collect::<Result<_, _>>()?;
    if reader.0.is_empty() { Ok((context, records)) } else { Err(BlockError::Content) }
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

    fn context(plan: &str) -> Context {
        Context { plan: Id::new(plan).unwrap(), business_date: jiff::civil::date(2026, 3, 4) }
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let body = prop_oneof![
            (1..=15u8, 1..1u64 << 53, "[ -~]{0,300}").prop_map(|(code, seq, json)| RecordBody::Event {
                stream: Stream::from_code(code).unwrap(),
                seq,
                json: json.into(),
            }),
            proptest::collection::vec(any::<u8>(), 0..2000).prop_map(|note| RecordBody::Note(note.into())),
        ];
        let entry = (body, 0..2i64, 0..8u8).prop_map(|(body, hold, plan)| Entry {
            context: context(if plan == 0 { "other" } else { "7" }),
            hold_until: (hold != 0).then(|| Timestamp::from_ms(hold * 900_000)),
            body,
        });
        proptest::collection::vec(entry, 1..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_packed_is_read_back_and_no_block_is_too_large(entries in entries()) {
            let blocks = pack(&entries);
            let mut back = Vec::new();
            for (i, (count, encoded)) in blocks.iter().enumerate() {
                prop_assert!(encoded.len() <= MAX_BLOCK);
                let block = decode(encoded).unwrap();
                prop_assert_eq!(block.records.len(), *count);
                prop_assert_eq!(block.ends_commit, i + 1 == blocks.len());
                let (context, hold_until) = (block.context, block.hold_until);
                back.extend(block.records.into_iter().map(|body| Entry { context, hold_until, body }));
            }
            prop_assert_eq!(back, entries);
        }

        #[test]
        fn any_octets_decode_without_panic(octets: Vec<u8>) {
            prop_assert!(decode(&octets).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let note =
            Entry { context: context("7"), hold_until: None, body: RecordBody::Note((*b"note").into()) };
        let (_, good) = pack(&[note]).remove(0);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
        }
    }
}
