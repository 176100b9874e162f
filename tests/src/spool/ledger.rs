//! The account: what was answered must come, or lie in exactly one gap; no number is given twice.
//!
//! Events are known by their stream and serial number (see [`super::load`]), which rises with every event that is
//! handed over. Which sequence number each one got is learned from what comes back. An event that was handed over
//! and never answered may come or not.
//!
//! An event that came and was not acknowledged may be lost from the spool before it comes again; then a gap covers it, as the
//! spool cannot know that it came. So a gap must not cover what comes after it was stated, nor what came since
//! [`Ledger::harmed`] was last called.

use super::load;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use vitrine_agent::spool::Record;
use vitrine_protocol::{
    event::{Body, Event, EventId, GapReason},
    topic::Stream,
};

/// What is known of every stream.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    accounts: BTreeMap<Stream, Account>,
    /// Gap events by id, each with the time when it first came: it may be said again, under another number.
    gaps: BTreeMap<EventId, (Hole, u64)>,
    /// Numbers of the stream of gaps itself, and which event had each.
    stated: BTreeMap<u64, EventId>,
    /// Counts what came.
    now: u64,
    /// Gaps may cover what had come by then.
    harmed_at: u64,
}

#[derive(Clone, Debug, Default)]
struct Account {
    answered: BTreeSet<u64>,
    received: BTreeMap<u64, Came>,
}

/// What came under a number.
#[derive(Clone, Copy, Debug)]
struct Came {
    serial: u64,
    /// When it first did.
    at: u64,
}

/// A range of sequence numbers that are said to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The stream.
    pub stream: Stream,
    /// The first number.
    pub first_seq: u64,
    /// The last number.
    pub last_seq: u64,
    /// Whether each of them had been given.
    pub exact: bool,
    /// Why.
    pub reason: GapReason,
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, first_seq, last_seq, exact, reason } = self;
        write!(f, "{stream} {first_seq}..={last_seq} ({reason:?}, exact: {exact})")
    }
}

impl Hole {
    /// How many numbers it covers.
    pub fn numbers(&self) -> u64 {
        self.last_seq + 1 - self.first_seq
    }
}

/// What a balanced account amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Events that came.
    pub received: u64,
    /// Answered events that did not; each lies in a gap.
    pub lost: u64,
    /// The gaps.
    pub holes: Vec<Hole>,
}

impl Ledger {
    /// An account of a spool from which something may be lost at any time.
    pub fn of_harmed() -> Self {
        Self { harmed_at: u64::MAX, ..Self::default() }
    }

    /// The spool is being harmed: what has come so far, and is not acknowledged, may be lost.
    pub fn harmed(&mut self) {
        self.harmed_at = self.harmed_at.max(self.now);
    }

    /// Remembers that the events `serials` of a stream are durable, so it was said.
    pub fn answered(&mut self, stream: Stream, serials: std::ops::Range<u64>) {
        self.accounts.entry(stream).or_default().answered.extend(serials);
    }

    /// Remembers what another account knows to be answered.
    pub fn answered_too(&mut self, other: Self) {
        for (stream, account) in other.accounts {
            self.accounts.entry(stream).or_default().answered.extend(account.answered);
        }
    }

    /// Remembers an event that was read from the spool.
    ///
    /// # Errors
    /// Where it is not as it was handed over, or its number was another event's.
    pub fn received(&mut self, record: &Record) -> Result<(), String> {
        let Record { stream, seq, json, .. } = record;
        let (stream, seq) = (*stream, *seq);
        if stream == Stream::Gaps {
            return self.stated(seq, json);
        }
        let serial =
            load::serial(json).ok_or_else(|| format!("{stream} {seq}: not what was spooled: {json}"))?;
        self.received_serial(stream, seq, serial)
    }

    fn received_serial(&mut self, stream: Stream, seq: u64, serial: u64) -> Result<(), String> {
        self.now += 1;
        let came = Came { serial, at: self.now };
        let other = self.accounts.entry(stream).or_default().received.entry(seq).or_insert(came).serial;
        if other == serial {
            Ok(())
        } else {
            Err(format!("{stream} {seq}: given to event {other} and to event {serial}"))
        }
    }

    fn stated(&mut self, seq: u64, json: &str) -> Result<(), String> {
        let event: Event = serde_json::from_str(json).map_err(|e| format!("gaps {seq}: {e}: {json}"))?;
        let Body::Gap(gap) = event.body else { return Err(format!("gaps {seq}: not a gap: {json}")) };
        let hole = Hole {
            stream: gap.stream,
            first_seq: gap.first_seq,
            last_seq: gap.last_seq,
            exact: gap.exact,
            reason: gap.reason,
        };
        if *self.stated.entry(seq).or_insert(event.id) != event.id {
            return Err(format!("gaps {seq}: given to two gaps"));
        }
        // Gaps are events too: they have their numbers, each of which comes or lies in a gap.
        self.received_serial(Stream::Gaps, seq, seq)?;
        let (other, _) = self.gaps.entry(event.id).or_insert((hole, self.now));
        if *other == hole { Ok(()) } else { Err(format!("one gap, two statements: {other} and {hole}")) }
    }

    /// Balances the account, after everything in the spool was read.
    ///
    /// # Errors
    /// One line for each thing that is wrong.
    pub fn balance(&self) -> Result<Balance, String> {
        let mut wrong = Vec::new();
        let mut balance =
            Balance { holes: self.gaps.values().map(|&(hole, _)| hole).collect(), ..Balance::default() };
        balance.holes.sort_by_key(|hole| (hole.stream, hole.first_seq));
        let streams: BTreeSet<Stream> =
            self.accounts.keys().copied().chain(balance.holes.iter().map(|hole| hole.stream)).collect();
        let empty = Account::default();
        for stream in streams {
            let account = self.accounts.get(&stream).unwrap_or(&empty);
            let holes: Vec<Hole> =
                balance.holes.iter().copied().filter(|hole| hole.stream == stream).collect();
            wrong.extend(uncovered(stream, account, &holes));
            wrong.extend(self.covered_twice(account, &holes));
            wrong.extend(in_order(stream, account));
            let received: BTreeSet<u64> = account.received.values().map(|came| came.serial).collect();
            let lost: Vec<u64> = account.answered.difference(&received).copied().collect();
            wrong.extend(unaccounted(stream, account, &lost, &holes));
            balance.received += if stream == Stream::Gaps { 0 } else { received.len() as u64 };
            balance.lost += lost.len() as u64;
        }
        if wrong.is_empty() { Ok(balance) } else { Err(wrong.join("\n")) }
    }

    /// Gaps of one stream, in order, that overlap, or cover what was not lost.
    fn covered_twice(&self, account: &Account, holes: &[Hole]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (hole, next) in holes.iter().zip(holes.iter().skip(1)) {
            if next.first_seq <= hole.last_seq {
                wrong.push(format!("two gaps overlap: {hole} and {next}"));
            }
        }
        let stated_at: BTreeMap<_, _> =
            self.gaps.values().map(|(hole, at)| ((hole.stream, hole.first_seq), *at)).collect();
        for hole in holes {
            let allowed = self.harmed_at.min(stated_at[&(hole.stream, hole.first_seq)]);
            let mut came = account.received.range(hole.first_seq..=hole.last_seq);
            if let Some((seq, came)) = came.find(|(_, came)| came.at > allowed) {
                wrong.push(format!("the gap {hole} covers number {seq}, which came (event {})", came.serial));
            }
        }
        wrong
    }
}

impl Balance {
    /// Whether two gaps state what one could: the numbers of one follow on those of the other.
    pub fn split_hole(&self) -> Option<(Hole, Hole)> {
        let mut pairs = self.holes.iter().zip(self.holes.iter().skip(1));
        let follows =
            |(one, next): &(&Hole, &Hole)| one.stream == next.stream && one.last_seq + 1 == next.first_seq;
        pairs.find(follows).map(|(&one, &next)| (one, next))
    }
}

/// Every number up to the last one known either came, or lies in a gap.
fn uncovered(stream: Stream, account: &Account, holes: &[Hole]) -> Vec<String> {
    let mut wrong = Vec::new();
    let came = account.received.keys().map(|&seq| (seq, seq));
    let mut spans: Vec<_> = came.chain(holes.iter().map(|hole| (hole.first_seq, hole.last_seq))).collect();
    spans.sort_unstable();
    let mut next = 1;
    for (first, last) in spans {
        if first > next {
            wrong.push(format!("{stream} {next}..={} did not come and lies in no gap", first - 1));
        }
        next = next.max(last + 1);
    }
    wrong
}

/// Events come in the order in which they were handed over, each under one number.
fn in_order(stream: Stream, account: &Account) -> Option<String> {
    let mut pairs = account.received.iter().zip(account.received.iter().skip(1));
    let ((seq, came), (next_seq, next)) = pairs.find(|((_, came), (_, next))| came.serial >= next.serial)?;
    Some(format!(
        "{stream}: event {} has number {seq}, and event {} number {next_seq}",
        came.serial, next.serial
    ))
}

/// Answered events that did not come must have had numbers that lie in gaps: between those of the events that came
/// before and after them there is a hole large enough.
fn unaccounted(stream: Stream, account: &Account, lost: &[u64], holes: &[Hole]) -> Vec<String> {
    let mut by_place: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
    let seqs: BTreeMap<u64, u64> = account.received.iter().map(|(&seq, came)| (came.serial, seq)).collect();
    for &serial in lost {
        let before = seqs.range(..serial).next_back().map_or(0, |(_, &seq)| seq);
        let after = seqs.range(serial..).next().map_or(u64::MAX, |(_, &seq)| seq);
        by_place.entry((before, after)).or_insert((serial, 0)).1 += 1;
    }
    let mut wrong = Vec::new();
    for ((before, after), (serial, count)) in by_place {
        let within =
            |hole: &Hole| (hole.last_seq.min(after - 1) + 1).saturating_sub(hole.first_seq.max(before + 1));
        let stated: u64 = holes.iter().map(within).sum();
        if stated < count {
            wrong.push(format!(
                "{stream}: {count} answered events from {serial} on, after number {before}, are lost, and gaps state {stated}"
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(received: &[(u64, u64)], answered: std::ops::Range<u64>, gaps: &[(u64, u64)]) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.answered(Stream::Kiosk, answered);
        for &(seq, serial) in received {
            ledger.received_serial(Stream::Kiosk, seq, serial).unwrap();
        }
        for (index, &(first_seq, last_seq)) in gaps.iter().enumerate() {
            let hole =
                Hole { stream: Stream::Kiosk, first_seq, last_seq, exact: true, reason: GapReason::Corrupt };
            ledger.now += 1;
            ledger.gaps.insert(EventId([u8::try_from(index).unwrap(); 16]), (hole, ledger.now));
        }
        ledger
    }

    #[track_caller]
    fn wrong(ledger: &Ledger, what: &str) {
        let error = ledger.balance().unwrap_err();
        assert!(error.contains(what), "{error}");
    }

    #[test]
    fn an_account_without_loss_balances() {
        let balance = ledger(&[(1, 10), (2, 11), (3, 15)], 10..12, &[]).balance().unwrap();
        assert_eq!(balance, Balance { received: 3, lost: 0, holes: Vec::new() });
    }

    #[test]
    fn a_loss_needs_a_gap_of_its_size() {
        wrong(&ledger(&[(1, 0)], 0..3, &[]), "2 answered events from 1 on");
        wrong(&ledger(&[(1, 0)], 0..3, &[(2, 2)]), "gaps state 1");
        assert_eq!(ledger(&[(1, 0)], 0..3, &[(2, 3)]).balance().unwrap().lost, 2);
        wrong(&ledger(&[(1, 0), (4, 3)], 0..4, &[]), "2..=3 did not come and lies in no gap");
        assert_eq!(ledger(&[(1, 0), (4, 3)], 0..4, &[(2, 3)]).balance().unwrap().lost, 2);
    }

    #[test]
    fn a_gap_counts_for_the_part_of_it_that_did_not_come() {
        let mut harmed = ledger(&[(1, 0), (2, 1), (5, 4)], 0..5, &[(1, 4)]);
        harmed.harmed();
        assert_eq!(harmed.balance().unwrap().lost, 2);
        let mut harmed = ledger(&[(1, 0), (2, 1), (5, 6)], 0..6, &[(1, 4)]);
        harmed.harmed();
        wrong(&harmed, "4 answered events from 2 on, after number 2, are lost, and gaps state 2");
    }

    #[test]
    fn a_gap_must_not_cover_another_gap_or_what_came() {
        wrong(&ledger(&[(1, 0)], 0..3, &[(2, 3), (3, 3)]), "two gaps overlap");
        wrong(&ledger(&[(1, 0), (2, 1)], 0..2, &[(2, 2)]), "covers number 2, which came");
    }

    #[test]
    fn a_gap_may_cover_what_came_before_the_spool_was_harmed() {
        let mut harmed = ledger(&[(1, 0), (2, 1)], 0..2, &[(2, 2)]);
        harmed.harmed();
        assert!(harmed.balance().is_ok());
        // But it must be right about what is to come.
        let mut late = Ledger { harmed_at: u64::MAX, ..ledger(&[(1, 0)], 0..2, &[(2, 2)]) };
        late.received_serial(Stream::Kiosk, 2, 1).unwrap();
        wrong(&late, "covers number 2, which came");
    }

    #[test]
    fn a_number_belongs_to_one_event_and_the_order_is_kept() {
        let mut twice = ledger(&[(1, 0)], 0..1, &[]);
        assert!(twice.received_serial(Stream::Kiosk, 1, 1).is_err());
        wrong(&ledger(&[(1, 5), (2, 4)], 4..6, &[]), "event 5 has number 1");
        wrong(&ledger(&[(1, 5), (2, 5)], 5..6, &[]), "event 5 has number 1");
    }
}
