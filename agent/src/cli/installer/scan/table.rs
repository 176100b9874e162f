//! Who is heard: a row a sender and receiver, bounded in number and in age. Pure.
//!
//! The plan's beacons have rows; strangers are counted, and have rows only where they were asked for. How rows look is
//! [`super::render`]'s.

use super::pulse::Pulse;
use crate::{
    capture::{
        Told,
        source::{Advertisement, Content},
    },
    cli::installer::{
        health::Health,
        what::{self, Battery},
        who::{Read, Who},
    },
    clock::Now,
    plan::{Identity, Tag},
    private::Address,
    recent::Recent,
};
use vitrine_protocol::{Id, advertisement, frame::Frame, layout::Payload};

/// Most rows, and how long one stays after its sender was last heard.
const ROWS: usize = 512;
const ROW_TTL_MS: u64 = 600_000;

/// Who is heard.
pub(super) struct Table {
    pub(super) who: Who,
    /// Whether strangers have rows.
    pub(super) all: bool,
    pub(super) started_ms: u64,
    pub(super) pulse: Pulse,
    pub(super) counts: Counts,
    pub(super) health: Health,
    rows: Recent<Key, Row>,
}

/// Advertisements, by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) heard: u64,
    pub(super) strangers: u64,
    pub(super) malformed: u64,
    pub(super) lost: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Beacon(Id, Id),
    Stranger(Option<Address>, Option<Identity>, Id),
}

/// What a receiver hears of a sender.
pub(super) struct Row {
    pub(super) tag: Option<Tag>,
    pub(super) address: Option<Address>,
    pub(super) receiver: Id,
    pub(super) format: String,
    pub(super) identity: Option<String>,
    pub(super) battery: Option<Battery>,
    pub(super) pulse: Pulse,
    pub(super) heard_ms: u64,
    pub(super) heard: u64,
    rank: Rank,
}

/// How much a payload tells of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Nothing,
    Unknown,
    Frame,
    Identity,
    Plan,
}

impl Table {
    pub(super) fn new(who: Who, all: bool, now: Now) -> Self {
        Self {
            who,
            all,
            started_ms: now.mono_ms,
            pulse: Pulse::new(now.mono_ms),
            counts: Counts::default(),
            health: Health::default(),
            rows: Recent::new(ROWS, ROW_TTL_MS),
        }
    }

    /// Whether an advertisement would have a row.
    pub(super) fn wants(&mut self, advertisement: &Advertisement<'_>) -> bool {
        self.all || self.who.read(advertisement).tag.is_some()
    }

    /// Takes an advertisement.
    pub(super) fn handle(&mut self, advertisement: &Advertisement<'_>) {
        let &Advertisement { at, receiver, address, rssi_dbm, content } = advertisement;
        let Read { tag, told, malformed } = self.who.read(advertisement);
        self.pulse.add(None, at.mono_ms);
        self.counts.heard += 1;
        self.counts.malformed += u64::from(malformed.is_some());
        self.counts.strangers += u64::from(tag.is_none());
        let key = match tag {
            Some(tag) => Key::Beacon(tag.beacon, receiver),
            None if self.all => {
                let stated = told.iter().find_map(|told| told.frame.as_ref().and_then(Identity::of));
                Key::Stranger(address, stated.filter(|_| address.is_none()), receiver)
            }
            None => return,
        };
        if self.rows.meet(&key, at.mono_ms).is_none() {
            self.rows.insert(key, Row::new(tag, receiver, at.mono_ms), at.mono_ms);
        }
        let Some(row) = self.rows.meet(&key, at.mono_ms) else { return };
        (row.address, row.heard_ms) = (address, at.mono_ms);
        row.heard += 1;
        row.pulse.add(rssi_dbm, at.mono_ms);
        row.describe(&told, content);
    }

    /// Fails where no radio works.
    pub(super) fn check(&self, now: Now) -> anyhow::Result<()> {
        self.health.check(self.counts.heard, now.mono_ms.saturating_sub(self.started_ms))
    }

    /// The rows: the plan's beacons by name, then strangers, the strongest first.
    pub(super) fn rows(&mut self, now: Now) -> Vec<&Row> {
        self.rows.expire(now.mono_ms);
        let mut rows: Vec<_> = self.rows.iter().map(|(_, row)| row).collect();
        rows.sort_by_cached_key(|row| match row.tag {
            Some(tag) => (0, Some((tag.beacon, row.receiver)), 0),
            None => (1, None, -i16::from(row.pulse.rssi_dbm(now.mono_ms).unwrap_or(i8::MIN))),
        });
        rows
    }

    /// The plan's beacons that were not heard, or not for long.
    pub(super) fn missing(&self) -> Vec<Id> {
        let mut names = self.who.names();
        for tag in self.rows.iter().filter_map(|(_, row)| row.tag) {
            names.remove(&tag.beacon);
        }
        names.into_iter().collect()
    }
}

impl Row {
    fn new(tag: Option<Tag>, receiver: Id, now_ms: u64) -> Self {
        Self {
            tag,
            address: None,
            receiver,
            format: "unknown".to_owned(),
            identity: None,
            battery: None,
            pulse: Pulse::new(now_ms),
            heard_ms: now_ms,
            heard: 0,
            rank: Rank::Nothing,
        }
    }

    /// Keeps what tells the most of the sender, and the latest of that.
    fn describe(&mut self, told: &[Told], content: Content<'_>) {
        for (place, told) in told.iter().enumerate() {
            self.battery = told.frame.as_ref().and_then(what::battery).or(self.battery);
            let identity = told.frame.as_ref().and_then(what::identity);
            let rank = match (place, &identity) {
                (0, _) if self.tag.is_some() && (told.beacon.is_some() || states(told)) => Rank::Plan,
                (_, Some(_)) => Rank::Identity,
                _ => Rank::Frame,
            };
            let format = told.frame.as_ref().map_or("layout", Frame::format);
            if rank > self.rank || rank == self.rank && self.format == format {
                (self.rank, self.identity) = (rank, identity);
                format.clone_into(&mut self.format);
            }
        }
        if self.rank < Rank::Frame
            && let Some(name) = payload_name(content)
        {
            (self.rank, self.format) = (Rank::Unknown, name);
        }
    }
}

fn states(told: &Told) -> bool {
    told.frame.as_ref().and_then(Identity::of).is_some()
}

/// What an unknown payload says it is.
fn payload_name(content: Content<'_>) -> Option<String> {
    let name = |payload: Payload<'_>| match payload {
        Payload::Manufacturer { company, .. } => format!("manufacturer 0x{company:04x}"),
        Payload::Service16 { uuid, .. } => format!("service 0x{uuid:04x}"),
        Payload::Service128 { .. } => "service of its own".to_owned(),
    };
    match content {
        Content::Raw(octets) => advertisement::structures(octets).flatten().find_map(Payload::of).map(name),
        Content::Payloads(payloads) => payloads.first().copied().map(name),
        Content::Frame(_) | Content::Nothing => None,
    }
}
