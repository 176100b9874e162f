//! Gathers the records of a commit into blocks.
//!
//! A block should be about as large as it may be: fewer of them cost less in the database, and compress better. How far
//! records compress is only known afterwards, so the last block's ratio is the guess for the next.

use super::{
    Context, Draft, MAX_BLOCK,
    block::{Codec, HEADER, Header, MAX_PLAIN, RECORD_HEADER},
    mark::{Mark, RecordRef},
};
use vitrine_protocol::time::Timestamp;

/// Octets that a block's content starts with, at most: the context.
const CONTEXT_MAX: usize = 64;

/// A record that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) context: Context,
    pub(super) hold_until: Option<Timestamp>,
    pub(super) body: RecordRef<'a>,
}

/// Gives drafts their places. A note, which is never sent, is held with what stands before it, so that both share a block.
pub(super) fn entries<'a>(drafts: &'a [(Context, Draft)], next: &mut Mark) -> Vec<Entry<'a>> {
    let first_hold = drafts.iter().find_map(|(_, draft)| match draft {
        Draft::Event { hold_until, .. } => Some(*hold_until),
        Draft::Note { .. } => None,
    });
    let mut hold = first_hold.flatten();
    let entry = |(context, draft): &'a (Context, Draft)| {
        let body = match draft {
            Draft::Event { stream, hold_until, json } => {
                hold = *hold_until;
                RecordRef::Event { stream: *stream, seq: next.seq(*stream), json }
            }
            Draft::Note { bytes, .. } => RecordRef::Note(bytes),
        };
        next.advance(body);
        Entry { context: *context, hold_until: hold, body }
    };
    drafts.iter().map(entry).collect()
}

/// A block that is ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    /// Where it starts.
    pub(super) mark: Mark,
    pub(super) bytes: Vec<u8>,
}

/// Packs entries.
#[derive(Debug, Default)]
pub(super) struct Packer {
    codec: Codec,
    /// Octets of plain content that made a block of [`MAX_BLOCK`] octets, by the last block.
    fitting: Option<usize>,
}

/// Where a run of entries stands.
#[derive(Clone, Copy)]
struct Place {
    commit_pos: u64,
    written_at: Timestamp,
    ends_commit: bool,
}

impl Packer {
    /// Packs the entries of one commit, which starts at `mark`, into blocks of at most [`MAX_BLOCK`] octets, and moves
    /// `mark` to its end.
    pub(super) fn pack(
        &mut self,
        entries: &[Entry<'_>],
        mark: &mut Mark,
        written_at: Timestamp,
    ) -> Vec<Packed> {
        let commit_pos = mark.pos;
        let mut blocks = Vec::new();
        let mut rest = entries;
        while !rest.is_empty() {
            let (run, after) = rest.split_at(self.gather(rest));
            self.pack_run(
                run,
                Place { commit_pos, written_at, ends_commit: after.is_empty() },
                mark,
                &mut blocks,
            );
            rest = after;
        }
        blocks
    }

    /// How many entries may share the next block: one context, one hold, a size that should fit.
    fn gather(&self, entries: &[Entry<'_>]) -> usize {
        let fitting = self.fitting.unwrap_or(MAX_PLAIN / 2).clamp(MAX_BLOCK, MAX_PLAIN - CONTEXT_MAX);
        let (first, mut size) = (&entries[0], 0);
        let same = |entry: &&Entry<'_>| {
            size += RECORD_HEADER + entry.body.bytes().len();
            entry.context == first.context && entry.hold_until == first.hold_until && size <= fitting
        };
        entries.iter().take(usize::from(u16::MAX)).take_while(same).count().max(1)
    }

    fn pack_run(&mut self, run: &[Entry<'_>], place: Place, mark: &mut Mark, blocks: &mut Vec<Packed>) {
        let header = Header {
            is_mark: false,
            ends_commit: place.ends_commit,
            count: run.len() as u16,
            pos: mark.pos,
            commit_pos: place.commit_pos,
            hold_until: run[0].hold_until,
            written_at: place.written_at,
        };
        let bytes = self.codec.encode(header, run[0].context, run.iter().map(|entry| entry.body));
        if bytes.len() > HEADER {
            let plain: usize = run.iter().map(|entry| RECORD_HEADER + entry.body.bytes().len()).sum();
            // A little less, as the next ones may compress a little worse.
            self.fitting = Some(plain * (MAX_BLOCK * 15 / 16) / bytes.len());
        }
        if bytes.len() <= MAX_BLOCK || run.len() == 1 {
            let start = mark.clone();
            run.iter().for_each(|entry| mark.advance(entry.body));
            blocks.push(Packed { mark: start, bytes });
        } else {
            let (front, back) = run.split_at(run.len() / 2);
            self.pack_run(front, Place { ends_commit: false, ..place }, mark, blocks);
            self.pack_run(back, place, mark, blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Lane, block::Content, mark::RecordBody};
    use proptest::prelude::*;
    use vitrine_protocol::{Id, topic::Stream};

    fn context(plan: &str) -> Context {
        Context { plan: Id::new(plan).unwrap(), business_date: jiff::civil::date(2026, 3, 4) }
    }

    /// What an entry is of.
    type Owned = (Context, Option<Timestamp>, RecordBody);

    fn entry((context, hold_until, body): &Owned) -> Entry<'_> {
        Entry { context: *context, hold_until: *hold_until, body: body.as_ref() }
    }

    fn owned() -> impl Strategy<Value = Vec<Owned>> {
        let body = prop_oneof![
            (0..Stream::ALL.len(), 1..1u64 << 53, "[ -~]{0,300}").prop_map(|(stream, seq, json)| {
                RecordBody::Event { stream: Stream::ALL[stream], seq, json: json.into() }
            }),
            proptest::collection::vec(any::<u8>(), 0..2000).prop_map(|note| RecordBody::Note(note.into())),
        ];
        let owned = (body, 0..2i64, 0..8u8).prop_map(|(body, hold, plan)| {
            let hold_until = (hold != 0).then(|| Timestamp::from_ms(hold * 900_000));
            (context(if plan == 0 { "other" } else { "7" }), hold_until, body)
        });
        proptest::collection::vec(owned, 1..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_packed_is_read_back_and_no_block_is_too_large(owned in owned()) {
            let entries: Vec<_> = owned.iter().map(entry).collect();
            let (mut packer, mut codec, mut mark) = (Packer::default(), Codec::default(), Mark::default());
            let blocks = packer.pack(&entries, &mut mark, Timestamp::from_ms(7));
            let (mut back, mut pos) = (Vec::new(), 1);
            for (i, Packed { mark, bytes }) in blocks.iter().enumerate() {
                prop_assert!(bytes.len() <= MAX_BLOCK);
                let (header, content) = codec.decode(bytes).unwrap();
                prop_assert_eq!((mark.pos, header.pos, header.commit_pos), (pos, pos, 1));
                prop_assert_eq!(header.ends_commit, i + 1 == blocks.len());
                let Content::Records(context, records) = content else { panic!("a mark") };
                pos = header.end_pos();
                let hold_until = header.hold_until;
                back.extend(records.into_iter().map(|body| (context, hold_until, body)));
            }
            prop_assert_eq!(mark.pos, pos);
            prop_assert_eq!(back, owned);
        }
    }

    #[test]
    fn a_note_is_held_with_its_neighbour() {
        let later = Some(Timestamp::from_ms(900_000));
        let note = || Draft::Note { lane: Lane::Slots, bytes: (*b"note").into() };
        let event = |hold_until| Draft::Event { stream: Stream::Till, hold_until, json: "{}".into() };
        let drafts = [note(), event(later), note(), event(None), note()].map(|draft| (context("7"), draft));
        let mut next = Mark::default();
        let holds: Vec<_> = super::entries(&drafts, &mut next).iter().map(|entry| entry.hold_until).collect();
        assert_eq!(holds, [later, later, later, None, None]);
        assert_eq!((next.pos, next.seq(Stream::Till)), (6, 3));
    }

    #[test]
    fn blocks_of_much_the_same_are_nearly_full() {
        let event = |seq: u64| {
            let id = u128::from(seq).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let json = format!("{{\"id\":\"{id:032x}\",\"type\":\"interaction\"}}").into();
            (context("7"), None, RecordBody::Event { stream: Stream::Kiosk, seq, json })
        };
        let owned: Vec<Owned> = (1..8000).map(event).collect();
        let entries: Vec<_> = owned.iter().map(entry).collect();
        let blocks = Packer::default().pack(&entries, &mut Mark::default(), Timestamp::from_ms(7));
        let mean = blocks.iter().map(|block| block.bytes.len()).sum::<usize>() / blocks.len();
        assert!(mean > MAX_BLOCK * 3 / 4, "{mean} octets");
    }
}
