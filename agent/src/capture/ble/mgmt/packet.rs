//! The packets of the kernel's Bluetooth management interface, as far as a listener needs them.
//!
//! Format: BlueZ `doc/mgmt-api.txt`: opcode, controller, length, parameters, all little-endian. What is not known is
//! [`Event::Other`]; what is cut short is no packet.

use crate::private::Address;

/// No controller in particular.
pub(super) const NONE: u16 = 0xffff;
/// Longest packet that is read; the kernel's are shorter.
pub(super) const PACKET_MAX: usize = 4096;

const HEADER: usize = 6;
/// "LE public" and "LE random": no inquiry for classic devices, which a dual-mode controller would lose air time to.
const LE: u8 = 1 << 1 | 1 << 2;
const POWERED: u32 = 1 << 0;
const LOW_ENERGY: u32 = 1 << 9;
/// "Not available", as an RSSI.
const NO_RSSI: i8 = 127;

/// What advertisements a monitor is for: AD type, offset, octets. iBeacon, AltBeacon, Eddystone. It only counts for
/// controllers that match by themselves; for others, that there is a monitor is enough.
const PATTERNS: [(u8, u8, &[u8]); 3] =
    [(0xff, 0, &[0x4c, 0x00, 0x02, 0x15]), (0xff, 2, &[0xbe, 0xac]), (0x16, 0, &[0xaa, 0xfe])];
const PATTERN_MAX: usize = 31;

/// What is asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Its settings.
    ReadInfo,
    /// Switch the scan on; the kernel switches it off again after some 10 s.
    StartDiscovery,
    /// Switch it off.
    StopDiscovery,
    /// How many advertisement monitors there are.
    ReadMonitors,
    /// Add one: while there is any, the controller is not told to filter out duplicates.
    AddMonitor,
    /// Remove one.
    RemoveMonitor(u16),
}

impl Command {
    pub(super) const fn opcode(self) -> u16 {
        match self {
            Self::ReadInfo => 0x0004,
            Self::StartDiscovery => 0x0023,
            Self::StopDiscovery => 0x0024,
            Self::ReadMonitors => 0x0051,
            Self::AddMonitor => 0x0052,
            Self::RemoveMonitor(_) => 0x0053,
        }
    }

    /// The packet to a controller.
    pub(super) fn encode(self, index: u16) -> Vec<u8> {
        let parameters = match self {
            Self::ReadInfo | Self::ReadMonitors => Vec::new(),
            Self::StartDiscovery | Self::StopDiscovery => vec![LE],
            Self::RemoveMonitor(handle) => handle.to_le_bytes().to_vec(),
            Self::AddMonitor => {
                let mut parameters = vec![PATTERNS.len() as u8];
                for (ad_type, offset, octets) in PATTERNS {
                    let mut value = [0; PATTERN_MAX];
                    value[..octets.len()].copy_from_slice(octets);
                    parameters.extend([ad_type, offset, octets.len() as u8]);
                    parameters.extend(value);
                }
                parameters
            }
        };
        let header = [self.opcode(), index, parameters.len() as u16];
        header.iter().flat_map(|field| field.to_le_bytes()).chain(parameters).collect()
    }
}

/// How a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    Busy,
    NotPowered,
    NoController,
    NoPermission,
    /// Any other, with the kernel's number.
    Failed(u8),
}

impl From<u8> for Status {
    fn from(status: u8) -> Self {
        match status {
            0x00 => Self::Success,
            0x0a => Self::Busy,
            // Blocked by rfkill is as good as off.
            0x0f | 0x12 => Self::NotPowered,
            0x11 => Self::NoController,
            0x14 => Self::NoPermission,
            other => Self::Failed(other),
        }
    }
}

/// What the kernel tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    /// The controller: 0 is `hci0`.
    pub(super) index: u16,
    pub(super) event: Event<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    /// A command is done, or is not.
    Answer {
        opcode: u16,
        status: Status,
        parameters: &'a [u8],
    },
    /// The controller is there.
    Added,
    /// It is not any more.
    Removed,
    /// Its settings are others now.
    Settings(Settings),
    /// The scan was switched on or off.
    Discovering(bool),
    /// An advertisement monitor was removed.
    MonitorRemoved,
    /// An advertisement.
    Found(Found<'a>),
    Other,
}

/// Settings of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) is_powered: bool,
    pub(super) has_le: bool,
}

/// An advertisement, with its scan response where there was one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) address: Address,
    pub(super) rssi_dbm: Option<i8>,
    /// AD structures.
    pub(super) content: &'a [u8],
}

/// Reads a packet; `None` where it is cut short.
pub(super) fn parse(packet: &[u8]) -> Option<Packet<'_>> {
    let (opcode, index, length) = (u16_at(packet, 0)?, u16_at(packet, 2)?, u16_at(packet, 4)?);
    let parameters = packet.get(HEADER..HEADER + usize::from(length))?;
    let event = match opcode {
        0x0001 | 0x0002 => Event::Answer {
            opcode: u16_at(parameters, 0)?,
            status: (*parameters.get(2)?).into(),
            parameters: &parameters[3..],
        },
        0x0004 => Event::Added,
        0x0005 => Event::Removed,
        0x0006 => Event::Settings(settings(parameters)?),
        0x0012 => found(parameters)?,
        0x0013 => Event::Discovering(*parameters.get(1)? != 0),
        0x002c => Event::MonitorRemoved,
        // The same after a monitor's number: between two discoveries, while only a monitor keeps the scan on.
        0x002f => found(parameters.get(2..)?)?,
        _ => Event::Other,
    };
    Some(Packet { index, event })
}

/// The current settings in the answer to [`Command::ReadInfo`].
pub(super) fn info(parameters: &[u8]) -> Option<Settings> {
    settings(parameters.get(13..)?)
}

/// How many monitors the answer to [`Command::ReadMonitors`] names.
pub(super) fn monitors(parameters: &[u8]) -> Option<u16> {
    u16_at(parameters, 11)
}

/// The new monitor in the answer to [`Command::AddMonitor`].
pub(super) fn monitor(parameters: &[u8]) -> Option<u16> {
    u16_at(parameters, 0)
}

fn found(parameters: &[u8]) -> Option<Event<'_>> {
    let (address, rest) = parameters.split_first_chunk::<6>()?;
    let (&[kind, rssi, _, _, _, _], rest) = rest.split_first_chunk::<6>()?;
    let content = rest.get(2..2 + usize::from(u16_at(rest, 0)?))?;
    if kind == 0 {
        // A classic device, which another program's inquiry has found.
        return Some(Event::Other);
    }
    let mut octets = *address;
    octets.reverse();
    let rssi_dbm = Some(rssi.cast_signed()).filter(|&rssi| rssi != NO_RSSI);
    Some(Event::Found(Found { address: Address::new(octets), rssi_dbm, content }))
}

fn settings(parameters: &[u8]) -> Option<Settings> {
    let settings = u32::from_le_bytes(*parameters.first_chunk()?);
    Some(Settings { is_powered: settings & POWERED != 0, has_le: settings & LOW_ENERGY != 0 })
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*octets.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(packet: &str, event: Expect) {
        event.assert_eq(&format!("{:?}", parse(&hex::decode(packet.replace(' ', "")).unwrap())));
    }

    #[test]
    fn events_are_read() {
        // Device Found: an iBeacon at -59 dBm.
        check(
            "1200 0000 1300 0100abe1b1c0 02 c5 04000000 0500 0201060201",
            expect![[
                "Some(Packet { index: 0, event: Found(Found { address: Address(..), rssi_dbm: Some(-59), content: [2, 1, 6, 2, 1] }) })"
            ]],
        );
        // The same through a monitor, without an RSSI.
        check(
            "2f00 0100 1100 0000 0100abe1b1c0 01 7f 04000000 0100 00",
            expect![[
                "Some(Packet { index: 1, event: Found(Found { address: Address(..), rssi_dbm: None, content: [0] }) })"
            ]],
        );
        check("1300 0000 0200 0600", expect![["Some(Packet { index: 0, event: Discovering(false) })"]]);
        check(
            "0600 0000 0400 01020000",
            expect![[
                "Some(Packet { index: 0, event: Settings(Settings { is_powered: true, has_le: true }) })"
            ]],
        );
        check(
            "0200 0000 0300 2300 14",
            expect![[
                "Some(Packet { index: 0, event: Answer { opcode: 35, status: NoPermission, parameters: [] } })"
            ]],
        );
        check("0500 0100 0000", expect![["Some(Packet { index: 1, event: Removed })"]]);
        check("9900 0000 0000", expect![["Some(Packet { index: 0, event: Other })"]]);
    }

    #[test]
    fn what_is_cut_short_is_no_packet() {
        let whole =
            hex::decode("120000001300 0100abe1b1c002c504000000050002010602ff".replace(' ', "")).unwrap();
        assert!(parse(&whole).is_some());
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_none(), "{length}");
        }
        for length in 0..19u8 {
            let mut shorter = whole.clone();
            shorter[4] = length;
            assert!(parse(&shorter).is_none(), "{length}");
        }
    }

    #[test]
    fn commands_are_written() {
        let hex = |command: Command, index| hex::encode(command.encode(index));
        assert_eq!(hex(Command::ReadInfo, 1), "040001000000");
        assert_eq!(hex(Command::StartDiscovery, 0), "23000000010006");
        assert_eq!(hex(Command::RemoveMonitor(3), 0), "5300000002000300");
        let monitor = Command::AddMonitor.encode(0);
        assert_eq!(monitor.len(), HEADER + 1 + 3 * 34);
        assert_eq!(usize::from(monitor[4]), monitor.len() - HEADER);
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(packet in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(Packet { event: Event::Answer { parameters, .. }, .. }) = parse(&packet) {
                prop_assert!(parameters.len() < packet.len());
            }
            prop_assert!(info(&packet).is_none() || packet.len() >= 17);
            prop_assert!(monitors(&packet).is_none() || packet.len() >= 13);
        }

        #[test]
        fn what_an_advertisement_says_comes_through(
            through_monitor: bool, address: [u8; 6], rssi: i8, content in proptest::collection::vec(any::<u8>(), 0..1600)
        ) {
            let mut parameters = if through_monitor { vec![0, 0] } else { vec![] };
            parameters.extend(address);
            parameters.extend([2, rssi.cast_unsigned(), 0, 0, 0, 0]);
            parameters.extend((content.len() as u16).to_le_bytes());
            parameters.extend(&content);
            let opcode: u16 = if through_monitor { 0x2f } else { 0x12 };
            let header = [opcode, 7, parameters.len() as u16];
            let packet: Vec<u8> = header.iter().flat_map(|field| field.to_le_bytes()).chain(parameters).collect();
            let Some(Packet { index: 7, event: Event::Found(found) }) = parse(&packet) else {
                return Err(TestCaseError::fail("not found"));
            };
            let mut octets = address;
            octets.reverse();
            prop_assert!(found.address == Address::new(octets));
            prop_assert_eq!(found.rssi_dbm, (rssi != 127).then_some(rssi));
            prop_assert_eq!(found.content, content);
        }
    }
}
