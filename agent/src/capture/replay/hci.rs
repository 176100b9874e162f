//! Advertising reports in an HCI event packet. Pure.
//!
//! Format: Bluetooth Core Specification 5.4, Vol 4, Part E, sections 7.7.65.2 (LE Advertising Report) and 7.7.65.13
//! (LE Extended Advertising Report). Several reports in one event follow each other whole, as controllers send and Linux
//! reads them. Left out: every other event, and who an advertisement is directed at.

use crate::private::Address;

const LE_META: u8 = 0x3e;
const ADVERTISING_REPORT: u8 = 0x02;
const EXTENDED_ADVERTISING_REPORT: u8 = 0x0d;
/// RSSI that was not measured.
const NO_RSSI: i8 = 127;
/// Type of an address that there is none of.
const ANONYMOUS: u8 = 0xff;

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report<'a> {
    pub(super) address: Option<Address>,
    pub(super) rssi_dbm: Option<i8>,
    /// AD structures.
    pub(super) data: &'a [u8],
    /// The advertising set, by which parts of long data belong together.
    pub(super) set: u8,
    /// Whether more data follows in another report.
    pub(super) more: bool,
}

/// The advertising reports in an event packet, from its event code on; none where the event is another one. After an
/// error, which says what is wrong, it ends.
pub(super) fn reports(event: &[u8]) -> Reports<'_> {
    match *event {
        [LE_META, length, ref parameters @ ..] => match parameters.get(..usize::from(length)) {
            Some([ADVERTISING_REPORT, count, rest @ ..]) => Reports::new(legacy, *count, rest),
            Some([EXTENDED_ADVERTISING_REPORT, count, rest @ ..]) => Reports::new(extended, *count, rest),
            Some(_) => Reports::new(legacy, 0, &[]),
            // Reading it fails, which says that it is cut short.
            None => Reports::new(legacy, 1, &[]),
        },
        _ => Reports::new(legacy, 0, &[]),
    }
}

type Read = for<'a> fn(&mut Octets<'a>) -> Option<Report<'a>>;

/// See [`reports`].
pub(super) struct Reports<'a> {
    read: Read,
    left: u8,
    rest: Octets<'a>,
}

impl<'a> Reports<'a> {
    fn new(read: Read, left: u8, rest: &'a [u8]) -> Self {
        Self { read, left, rest: Octets(rest) }
    }
}

impl<'a> Iterator for Reports<'a> {
    type Item = Result<Report<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let report = (self.read)(&mut self.rest).ok_or("an advertising report is cut short");
        if report.is_err() {
            self.left = 0;
        }
        Some(report)
    }
}

fn legacy<'a>(octets: &mut Octets<'a>) -> Option<Report<'a>> {
    let [_event_type, address_type, address @ .., length] = octets.take::<9>()?;
    let data = octets.slice(length)?;
    let [rssi] = octets.take()?;
    Some(Report { address: of(address_type, address), rssi_dbm: measured(rssi), data, set: 0, more: false })
}

fn extended<'a>(octets: &mut Octets<'a>) -> Option<Report<'a>> {
    let [event_type, _reserved, address_type] = octets.take()?;
    let address = octets.take()?;
    let [_primary_phy, _secondary_phy, set, _tx_power, rssi] = octets.take()?;
    let [_interval_low, _interval_high, _direct_type] = octets.take()?;
    let _direct_address = octets.take::<6>()?;
    let [length] = octets.take()?;
    let data = octets.slice(length)?;
    let more = (event_type >> 5) & 0b11 == 0b01;
    Some(Report { address: of(address_type, address), rssi_dbm: measured(rssi), data, set, more })
}

/// On air, an address comes with its last octet first.
fn of(address_type: u8, mut octets: [u8; 6]) -> Option<Address> {
    octets.reverse();
    (address_type != ANONYMOUS).then_some(Address::new(octets))
}

fn measured(rssi: u8) -> Option<i8> {
    Some(rssi as i8).filter(|&rssi| rssi != NO_RSSI)
}

struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn slice(&mut self, length: u8) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reports_follow_each_other_and_one_cut_short_is_told() {
        let one = [0, 1, 1, 0, 0, 0xee, 0xff, 0xc0, 3, 2, 1, 6, 0xc4];
        let two = [4, 0, 2, 0, 0, 0xee, 0xff, 0xc0, 0, 127];
        let event = [&[0x3e, 25, 2, 2][..], &one, &two].concat();
        let read: Vec<_> = reports(&event).map(Result::unwrap).collect();
        assert_eq!(read[0].address, Address::parse("c0ffee000001"));
        assert_eq!((read[0].rssi_dbm, read[0].data), (Some(-60), &[2, 1, 6][..]));
        assert_eq!((read[1].address, read[1].rssi_dbm), (Address::parse("c0ffee000002"), None));
        let short = [&[0x3e, 15, 2, 2][..], &one].concat();
        assert_eq!(reports(&short).map(|report| report.is_ok()).collect::<Vec<_>>(), [true, false]);
        assert!(matches!(reports(&event[..9]).collect::<Vec<_>>()[..], [Err(_)]));
    }

    #[test]
    fn an_extended_report_may_be_a_part_and_anonymous() {
        let mut event = vec![0x3e, 29, 0x0d, 1, 0x20, 0, 0xff];
        event.extend([0; 6]);
        event.extend([1, 1, 5, 127, 0xb0, 0, 0, 0]);
        event.extend([0; 6]);
        event.extend([3, 2, 1, 6]);
        let report = reports(&event).next().unwrap().unwrap();
        assert_eq!((report.address, report.rssi_dbm), (None, Some(-80)));
        assert_eq!((report.set, report.more, report.data), (5, true, &[2, 1, 6][..]));
    }

    #[test]
    fn other_events_have_none() {
        for event in [&[][..], &[0x0e, 4, 1, 3, 0x0c, 0], &[0x3e, 1, 1], &[0x3e]] {
            assert_eq!(reports(event).count(), 0, "{event:?}");
        }
    }

    proptest! {
        #[test]
        fn any_event_is_read_without_panic(mut event in proptest::collection::vec(0u8.., 0..300), kind in 0..3) {
            if let (Some(head), 1..) = (event.first_chunk_mut(), kind) {
                *head = [LE_META, 255, if kind == 1 { ADVERTISING_REPORT } else { EXTENDED_ADVERTISING_REPORT }];
            }
            prop_assert!(reports(&event).count() <= 255);
        }
    }
}
