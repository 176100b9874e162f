//! A btsnoop capture: what a Bluetooth host and its controller said to each other, as Android ("HCI snoop log") and
//! BlueZ (`btmon -w`) write it. Of all that only the advertising reports are read.
//!
//! A file is a header and records, numbers with their most significant octet first. After a record that is too long its
//! length still leads to the next one; a length that is itself wrong leads astray, and to errors until the end.

use super::{Entry, Fault, hci};
use crate::{lines::Input, private::Address, recent::Recent};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read},
};
use vitrine_protocol::{Id, time::Timestamp};

/// What a file starts with.
pub(super) const MAGIC: [u8; 8] = *b"btsnoop\0";
const VERSION: u32 = 1;
/// The longest packet that is read; an event packet has at most 257 octets, other packets are passed over.
const PACKET_MAX: u32 = 64 * 1024;
/// The UNIX epoch in microseconds since the year 0.
const EPOCH_US: i64 = 0x00dc_ddb3_0f2f_8000;
/// Octets of a record before its packet.
const HEAD: usize = 24;
const CUT: &str = "the file ends within it";
const EVENT_PACKET: u8 = 0x04;
/// The monitor's name of an event packet.
const MONITOR_EVENT: u32 = 3;
/// Long advertisements that are put together at the same time, how long the parts are waited for, and what the
/// specification lets an advertisement have at most.
const PARTS: usize = 8;
const PARTS_TTL_MS: u64 = 1000;
const DATA_MAX: usize = 1650;

/// How packets are wrapped.
#[derive(Clone, Copy, Debug)]
enum DataLink {
    /// Packets alone; flags say what they are.
    H1,
    /// An octet that says what the packet is comes first.
    H4,
    /// BlueZ' monitor: flags have the adapter's number and the kind of packet.
    Monitor,
}

/// Iterates over the advertising reports.
pub(super) struct Btsnoop {
    input: Input,
    link: DataLink,
    receiver: Option<Id>,
    offset: u64,
    packet: Vec<u8>,
    /// What was read and not yet taken.
    ready: VecDeque<Result<Entry, Fault>>,
    parts: Parts,
    ended: bool,
}

struct Record {
    length: u32,
    flags: u32,
    utc: Timestamp,
}

impl Btsnoop {
    /// Reads the header.
    pub(super) fn new(mut input: Input, receiver: Option<Id>) -> io::Result<Self> {
        let mut header = [0; 16];
        input.read_exact(&mut header)?;
        let (version, link) = (number(&header, 8), number(&header, 12));
        let refused = |why: String| Err(io::Error::new(ErrorKind::InvalidData, why));
        if version != VERSION {
            return refused(format!("version {version} of btsnoop is not known, only {VERSION}"));
        }
        let link = match link {
            1001 => DataLink::H1,
            1002 => DataLink::H4,
            2001 => DataLink::Monitor,
            other => {
                return refused(format!("data link {other} is not known: record with `btmon -w FILE`"));
            }
        };
        Ok(Self {
            input,
            link,
            receiver,
            offset: header.len() as u64,
            packet: Vec::new(),
            ready: VecDeque::new(),
            parts: Parts(Recent::new(PARTS, PARTS_TTL_MS)),
            ended: false,
        })
    }

    /// Reads one record into `ready`.
    fn read(&mut self) -> Result<(), Fault> {
        let place = self.offset;
        let bad = |why: String| Fault::Bad { place, why };
        let Some(Record { length, flags, utc }) = self.head()? else { return Ok(()) };
        self.packet.clear();
        let kept = length.min(PACKET_MAX);
        let read = self.input.by_ref().take(kept.into()).read_to_end(&mut self.packet).map_err(Fault::Io)?;
        let rest = u64::from(length - kept);
        let passed = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink()).map_err(Fault::Io)?;
        self.offset += read as u64 + passed;
        if read as u64 + passed < u64::from(length) {
            self.ended = true;
            return Err(bad(CUT.into()));
        }
        if rest > 0 {
            return Err(bad(format!("it has {length} octets, and no packet has more than {PACKET_MAX}")));
        }
        let (adapter, Some(event)) = event(self.link, flags, &self.packet) else { return Ok(()) };
        let receiver = match self.receiver {
            Some(receiver) => receiver,
            None => Id::new(&format!("hci{adapter}")).map_err(|e| bad(e.to_string()))?,
        };
        for report in hci::reports(event) {
            self.ready.extend(match report {
                Ok(report) => self.parts.whole(&report, utc).map(|data| {
                    let hci::Report { address, rssi_dbm, .. } = report;
                    Ok(Entry { utc, receiver, address, rssi_dbm, payload: Some(data) })
                }),
                Err(why) => Some(Err(bad(why.into()))),
            });
        }
        Ok(())
    }

    /// The next record's head; `None` at the end of the file.
    fn head(&mut self) -> Result<Option<Record>, Fault> {
        let mut head = Vec::new();
        self.input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(Fault::Io)?;
        if head.len() < HEAD {
            self.ended = true;
            let cut = Fault::Bad { place: self.offset, why: CUT.into() };
            return if head.is_empty() { Ok(None) } else { Err(cut) };
        }
        self.offset += head.len() as u64;
        let time_us = i64::from(number(&head, 16)) << 32 | i64::from(number(&head, 20));
        let utc = Timestamp::from_ms(time_us.saturating_sub(EPOCH_US).div_euclid(1000));
        Ok(Some(Record { length: number(&head, 4), flags: number(&head, 8), utc }))
    }
}

/// The adapter's number, and the event packet if the record has one.
fn event(link: DataLink, flags: u32, packet: &[u8]) -> (u32, Option<&[u8]>) {
    match link {
        DataLink::H1 => (0, (flags & 0b11 == 0b11).then_some(packet)),
        DataLink::H4 => (0, packet.strip_prefix(&[EVENT_PACKET])),
        DataLink::Monitor => (flags >> 16, (flags & 0xffff == MONITOR_EVENT).then_some(packet)),
    }
}

/// Data of long advertisements that come in several reports, by sender and advertising set.
struct Parts(Recent<(Option<Address>, u8), Vec<u8>>);

impl Parts {
    /// The data of a report, with what earlier reports had of it; `None` while more is to come.
    fn whole(&mut self, report: &hci::Report<'_>, utc: Timestamp) -> Option<Vec<u8>> {
        let (key, ms) = ((report.address, report.set), u64::try_from(utc.as_ms()).unwrap_or(0));
        self.0.expire(ms);
        let mut data = self.0.remove(&key).unwrap_or_default();
        data.extend_from_slice(report.data);
        data.truncate(DATA_MAX);
        if report.more {
            self.0.insert(key, data, ms);
            return None;
        }
        Some(data)
    }
}

impl Iterator for Btsnoop {
    type Item = Result<Entry, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.ended {
                return None;
            }
            if let Err(fault) = self.read() {
                return Some(Err(fault));
            }
        }
    }
}

/// The number at `offset`; 0 behind the end.
fn number(octets: &[u8], offset: usize) -> u32 {
    octets.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |octets| u32::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines;
    use proptest::prelude::*;
    use std::io::Cursor;

    const TIME_MS: i64 = 1_772_622_000_123;

    /// Writes a capture.
    struct Writer(Vec<u8>);

    impl Writer {
        fn new(link: u32) -> Self {
            let mut file = MAGIC.to_vec();
            [VERSION, link].iter().for_each(|number| file.extend(number.to_be_bytes()));
            Self(file)
        }

        fn record(&mut self, flags: u32, packet: &[u8]) -> &mut Self {
            let length = packet.len() as u32;
            [length, length, flags, 0].iter().for_each(|number| self.0.extend(number.to_be_bytes()));
            self.0.extend((TIME_MS * 1000 + EPOCH_US + 456).to_be_bytes());
            self.0.extend(packet);
            self
        }

        fn read(&self, receiver: Option<&str>) -> Vec<Result<Entry, Fault>> {
            read(self.0.clone(), receiver).unwrap()
        }
    }

    fn read(file: Vec<u8>, receiver: Option<&str>) -> io::Result<Vec<Result<Entry, Fault>>> {
        let receiver = receiver.map(|name| Id::new(name).unwrap());
        Ok(Btsnoop::new(lines::input(Cursor::new(file)), receiver)?.collect())
    }

    fn legacy(data: &[u8]) -> Vec<u8> {
        let length = data.len() as u8;
        [&[0x3e, 12 + length, 2, 1, 0, 1, 1, 0, 0, 0xee, 0xff, 0xc0, length][..], data, &[0xc4]].concat()
    }

    fn extended(event_type: u8, data: &[u8]) -> Vec<u8> {
        let length = data.len() as u8;
        let head =
            [0x3e, 26 + length, 0x0d, 1, event_type, 0, 1, 1, 0, 0, 0xee, 0xff, 0xc0, 1, 1, 0, 127, 0xc4];
        [&head[..], &[0; 9], &[length], data].concat()
    }

    fn entry(receiver: &str, payload: &[u8]) -> Entry {
        Entry {
            utc: Timestamp::from_ms(TIME_MS),
            receiver: Id::new(receiver).unwrap(),
            address: Address::parse("c0ffee000001"),
            rssi_dbm: Some(-60),
            payload: Some(payload.into()),
        }
    }

    #[test]
    fn each_data_link_is_read_and_other_packets_are_passed_over() {
        let event = legacy(&[2, 1, 6]);
        let h4 = [&[EVENT_PACKET][..], &event].concat();
        for (link, flags, packet, others, name) in [
            (1001, 3, &event, [1, 2], "hci0"),
            (1002, 1, &h4, [0, 1], "hci0"),
            (2001, 1 << 16 | 3, &event, [1 << 16 | 2, 1 << 16 | 5], "hci1"),
        ] {
            let mut writer = Writer::new(link);
            writer.record(others[0], &event).record(flags, packet).record(others[1], &[2, 0, 0]);
            let entries: Vec<_> = writer.read(None).into_iter().map(Result::unwrap).collect();
            assert_eq!(entries, [entry(name, &[2, 1, 6])], "data link {link}");
            assert_eq!(writer.read(Some("front"))[0].as_ref().unwrap().receiver.to_string(), "front");
        }
    }

    #[test]
    fn the_parts_of_a_long_advertisement_are_put_together() {
        let mut writer = Writer::new(2001);
        writer.record(3, &extended(0x20, &[1; 229])).record(3, &extended(0x20, &[2; 229]));
        writer.record(3, &extended(0, &[3, 3])).record(3, &extended(0, &[4]));
        let entries: Vec<_> = writer.read(None).into_iter().map(Result::unwrap).collect();
        let whole = [&[1; 229][..], &[2; 229], &[3, 3]].concat();
        assert_eq!(entries, [entry("hci0", &whole), entry("hci0", &[4])]);
    }

    #[test]
    fn a_bad_record_is_named_and_the_next_is_read() {
        let mut writer = Writer::new(2001);
        writer.record(3, &legacy(&[2, 1, 6])[..10]);
        let too_long = writer.0.len() as u64;
        writer.record(3, &vec![0; PACKET_MAX as usize + 1]).record(3, &legacy(&[2, 1, 6]));
        let cut = writer.0.len() as u64;
        writer.record(3, &legacy(&[2, 1, 6]));
        writer.0.pop();
        let places: Vec<_> = writer
            .read(None)
            .into_iter()
            .map(|entry| match entry {
                Err(Fault::Bad { place, .. }) => Some(place),
                Err(Fault::Io(error)) => panic!("{error}"),
                Ok(_) => None,
            })
            .collect();
        assert_eq!(places, [Some(16), Some(too_long), None, Some(cut)]);
    }

    proptest! {
        #[test]
        fn any_file_is_read_to_its_end(link in 0usize..3, octets in proptest::collection::vec(0u8.., 0..400)) {
            let file = [&Writer::new([1001, 1002, 2001][link]).0[..], &octets].concat();
            prop_assert!(read(file, None).unwrap().len() <= octets.len());
        }

        #[test]
        fn a_flipped_octet_is_no_panic(at in 0usize..300, octet: u8) {
            let mut writer = Writer::new(2001);
            (0..4).for_each(|n| { writer.record(3, &extended(0, &[n; 20])); });
            if let Some(place) = writer.0.get_mut(at) {
                *place = octet;
            }
            if let Ok(entries) = read(writer.0, None) {
                prop_assert!(entries.len() <= 16);
            }
        }
    }
}
