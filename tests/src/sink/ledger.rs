//! What the consumer has: an event once by `(spool_id, stream, seq)`, in a file to which lines are added.
//!
//! A line is `[gateway, spool_id, stream, seq, event]`. What follows the last line's end was not committed, and goes.

use crate::client::Delivery;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// The stream of a spool of a gateway.
type Key = (String, String, String);

/// All that was committed, and what was wrong.
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Lines that are not written yet.
    lines: String,
    streams: BTreeMap<Key, Kept>,
    /// The highest number of each stream that came in this connection's run.
    last: BTreeMap<Key, u64>,
    /// Events that came again.
    pub duplicates: u64,
    /// What must not be: batches that are not as documented, or out of order.
    pub faults: Vec<String>,
    /// What the last status said.
    pub state: String,
}

/// What is known of a stream.
#[derive(Default)]
struct Kept {
    events: BTreeMap<u64, Value>,
    /// What gap events state as lost.
    lost: Vec<RangeInclusive<u64>>,
    /// All up to here is committed or stated as lost.
    mark: u64,
    /// Whether the gateway is to be told.
    is_due: bool,
}

impl Ledger {
    /// Reads what there is.
    ///
    /// # Panics
    /// Where it is not what a ledger has written.
    pub fn open(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.set_len(complete as u64).unwrap();
        let mut ledger = Self {
            path: path.to_owned(),
            file,
            lines: String::new(),
            streams: BTreeMap::new(),
            last: BTreeMap::new(),
            duplicates: 0,
            faults: Vec::new(),
            state: String::new(),
        };
        for line in text[..complete].lines() {
            let (gateway, spool, stream, seq, event) = serde_json::from_str(line).unwrap();
            ledger.keep((gateway, spool, stream), seq, event);
        }
        ledger.streams.values_mut().for_each(Kept::advance);
        ledger
    }

    /// A new connection begins: what comes next may have come before, and every mark is told again.
    pub fn connected(&mut self, due: &mut BTreeMap<String, String>) {
        self.last.clear();
        self.streams.values_mut().for_each(|kept| kept.is_due = true);
        self.tell(due);
    }

    /// Takes a message; it is not safe before [`Self::commit`].
    pub fn take(&mut self, delivery: &Delivery) {
        if self.batch(delivery).is_none() {
            let payload = String::from_utf8_lossy(&delivery.payload);
            self.faults.push(format!("not as documented: {} {payload}", delivery.topic));
        }
    }

    /// Makes what was taken durable. Marks that moved, or that a gateway does not know, are added to `due`.
    ///
    /// # Panics
    /// Where the disk fails.
    pub fn commit(&mut self, due: &mut BTreeMap<String, String>) {
        if !self.lines.is_empty() {
            self.file.write_all(self.lines.as_bytes()).unwrap();
            self.file.sync_data().unwrap();
            self.lines.clear();
        }
        self.tell(due);
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All events of a stream's name, in the order of their spools' ids and numbers.
    pub fn of_stream(&self, stream: &str) -> impl Iterator<Item = &Value> {
        self.streams.iter().filter(move |(key, _)| key.2 == stream).flat_map(|(_, kept)| kept.events.values())
    }

    /// Numbers that are neither here nor stated as lost, below others that are.
    pub fn holes(&self) -> u64 {
        self.streams.values().map(Kept::holes).sum()
    }

    /// Numbers that gap events state as lost.
    pub fn stated_lost(&self) -> u64 {
        let ranges = self.streams.values().flat_map(|kept| &kept.lost);
        ranges.map(|range| range.end() - range.start() + 1).sum()
    }

    /// `None` where it is not as documented.
    fn batch(&mut self, delivery: &Delivery) -> Option<()> {
        let payload: Value = serde_json::from_slice(&delivery.payload).ok()?;
        let (gateway, leaf) = delivery.topic.strip_prefix("vitrine/v1/").and_then(|topic| {
            let end = topic.match_indices('/').nth(2)?.0;
            Some((&topic[..end], &topic[end + 1..]))
        })?;
        if leaf == "status" {
            self.state = payload["state"].as_str()?.to_owned();
            return Some(());
        }
        let stream = leaf.strip_prefix("evt/").filter(|&stream| payload["stream"] == stream)?;
        let key = (gateway.to_owned(), payload["spool_id"].as_str()?.to_owned(), stream.to_owned());
        let first = payload["first_seq"].as_u64()?;
        let events = payload["events"].as_array().filter(|events| !events.is_empty())?;
        self.check_order(
            &key,
            first..=first + events.len() as u64 - 1,
            payload["replayed"] == true || delivery.again,
        );
        for (seq, event) in (first..).zip(events) {
            if self.keep(key.clone(), seq, event.clone()) {
                self.lines.push_str(&json!([key.0, key.1, key.2, seq, event]).to_string());
                self.lines.push('\n');
            } else {
                self.duplicates += 1;
            }
        }
        Some(())
    }

    /// Within a connection numbers rise, but where the gateway or the broker says that it starts over.
    fn check_order(&mut self, key: &Key, range: RangeInclusive<u64>, may_start_over: bool) {
        let last = self.last.insert(key.clone(), *range.end()).unwrap_or(0);
        if *range.start() <= last && !may_start_over {
            self.faults.push(format!("{key:?}: {range:?} after {last}, unsaid"));
        }
    }

    /// Whether it was not there yet.
    fn keep(&mut self, key: Key, seq: u64, event: Value) -> bool {
        if event["type"] == "gap"
            && let (Some(stream), Some(first), Some(last)) =
                (event["stream"].as_str(), event["first_seq"].as_u64(), event["last_seq"].as_u64())
        {
            let lossy = self.streams.entry((key.0.clone(), key.1.clone(), stream.to_owned())).or_default();
            if !lossy.lost.contains(&(first..=last)) {
                lossy.lost.push(first..=last);
            }
        }
        let kept = self.streams.entry(key).or_default();
        if let Some(before) = kept.events.get(&seq) {
            if *before != event {
                self.faults.push(format!("two events at {seq}: {before} and {event}"));
            }
            kept.is_due = true;
            return false;
        }
        kept.events.insert(seq, event);
        true
    }

    fn tell(&mut self, due: &mut BTreeMap<String, String>) {
        for ((gateway, spool_id, stream), kept) in &mut self.streams {
            let before = kept.mark;
            kept.advance();
            if kept.mark > 0 && (kept.mark > before || kept.is_due) {
                let mark = format!(r#"{{"v":1,"spool_id":"{spool_id}","seq":{}}}"#, kept.mark);
                due.insert(format!("vitrine/v1/{gateway}/ack/{stream}"), mark);
            }
            kept.is_due = false;
        }
    }
}

impl Kept {
    /// Moves the mark over what is here or stated as lost.
    fn advance(&mut self) {
        loop {
            let next = self.mark + 1;
            if self.events.contains_key(&next) {
                self.mark = next;
            } else if let Some(range) = self.lost.iter().find(|range| range.contains(&next)) {
                self.mark = *range.end();
            } else {
                return;
            }
        }
    }

    fn holes(&self) -> u64 {
        let last = self.events.keys().next_back().copied().unwrap_or(0);
        let is_known =
            |seq: &u64| self.events.contains_key(seq) || self.lost.iter().any(|range| range.contains(seq));
        (self.mark + 1..=last).filter(|seq| !is_known(seq)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn delivery(stream: &str, first_seq: u64, events: &[Value], replayed: bool) -> Delivery {
        let payload = json!({ "stream": stream, "spool_id": "s", "first_seq": first_seq, "replayed": replayed, "events": events });
        Delivery {
            topic: format!("vitrine/v1/a/b/c/evt/{stream}"),
            packet_id: 1,
            again: false,
            payload: payload.to_string().into(),
        }
    }

    fn check(deliveries: &[Delivery], expected: Expect) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        let (mut ledger, mut due) = (Ledger::open(&path), BTreeMap::new());
        deliveries.iter().for_each(|delivery| ledger.take(delivery));
        ledger.commit(&mut due);
        let again = Ledger::open(&path);
        assert_eq!((again.holes(), again.stated_lost()), (ledger.holes(), ledger.stated_lost()));
        let mut told = due.iter().map(|(topic, mark)| format!("{topic} {mark}")).collect::<Vec<_>>();
        told.push(format!(
            "{} holes, {} lost, {} again",
            ledger.holes(),
            ledger.stated_lost(),
            ledger.duplicates
        ));
        told.extend(ledger.faults);
        expected.assert_eq(&told.join("\n"));
    }

    fn events(count: usize) -> Vec<Value> {
        vec![json!({ "type": "till_count" }); count]
    }

    #[test]
    fn a_mark_stops_at_a_hole_and_goes_over_what_is_stated_as_lost() {
        let (early, late) = (delivery("till", 1, &events(2), false), delivery("till", 5, &events(2), false));
        check(
            &[early.clone(), late.clone()],
            expect![[r#"
            vitrine/v1/a/b/c/ack/till {"v":1,"spool_id":"s","seq":2}
            2 holes, 0 lost, 0 again"#]],
        );
        let gap = json!({ "type": "gap", "stream": "till", "first_seq": 3, "last_seq": 4 });
        check(
            &[early, late, delivery("gaps", 1, &[gap], false)],
            expect![[r#"
            vitrine/v1/a/b/c/ack/gaps {"v":1,"spool_id":"s","seq":1}
            vitrine/v1/a/b/c/ack/till {"v":1,"spool_id":"s","seq":6}
            0 holes, 2 lost, 0 again"#]],
        );
    }

    #[test]
    fn duplicates_are_counted_and_disorder_is_told() {
        let first = delivery("till", 1, &events(3), false);
        check(
            &[first.clone(), delivery("till", 2, &events(3), true)],
            expect![[r#"
            vitrine/v1/a/b/c/ack/till {"v":1,"spool_id":"s","seq":4}
            0 holes, 0 lost, 2 again"#]],
        );
        check(
            &[first, delivery("till", 2, &events(3), false)],
            expect![[r#"
            vitrine/v1/a/b/c/ack/till {"v":1,"spool_id":"s","seq":4}
            0 holes, 0 lost, 2 again
            ("a/b/c", "s", "till"): 2..=4 after 3, unsaid"#]],
        );
        check(
            &[delivery("till", 1, &[], false)],
            expect![[r#"
            0 holes, 0 lost, 0 again
            not as documented: vitrine/v1/a/b/c/evt/till {"events":[],"first_seq":1,"replayed":false,"spool_id":"s","stream":"till"}"#]],
        );
    }

    #[test]
    fn what_was_not_committed_whole_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        let mut ledger = Ledger::open(&path);
        ledger.take(&delivery("till", 1, &events(2), false));
        ledger.commit(&mut BTreeMap::new());
        let length = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 3).unwrap();
        let mut due = BTreeMap::new();
        Ledger::open(&path).connected(&mut due);
        assert_eq!(
            due.into_iter().collect::<Vec<_>>(),
            [("vitrine/v1/a/b/c/ack/till".into(), r#"{"v":1,"spool_id":"s","seq":1}"#.into())]
        );
    }
}
