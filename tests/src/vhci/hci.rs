//! The host controller interface, from the controller's side: what Linux asks, and what a plain controller answers.
//!
//! Format: Bluetooth Core Specification 5.4, Vol 4, Part E, section 7. A command that is not listed succeeds, with zeros.

use super::{Options, Report};
use std::time::Duration;

/// Asks `/dev/vhci` for a primary controller.
pub(super) const CREATE: [u8; 2] = [0xff, 0x00];
/// The event "Inquiry Complete".
pub(super) const INQUIRY_COMPLETE: [u8; 4] = [0x04, 0x01, 1, 0];

const COMMAND: u8 = 0x01;
const EVENT: u8 = 0x04;
const COMMAND_COMPLETE: u8 = 0x0e;
const COMMAND_STATUS: u8 = 0x0f;
const LE_META: u8 = 0x3e;
/// Inquiry lengths count in these.
const INQUIRY_UNIT: Duration = Duration::from_millis(1280);
/// Of a random static address.
const RANDOM: u8 = 1;

/// What a command means to the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Reset,
    ScanParameters { is_active: bool },
    Scan { is_on: bool, filters: bool },
    Inquire(Duration),
    CancelInquiry,
}

/// Opcode and parameters of a command.
pub(super) fn command(packet: &[u8]) -> Option<(u16, &[u8])> {
    match packet {
        [COMMAND, low, high, _, parameters @ ..] => Some((u16::from_le_bytes([*low, *high]), parameters)),
        _ => None,
    }
}

/// The packets that answer a command, and what it means.
pub(super) fn answer(opcode: u16, parameters: &[u8], options: Options) -> (Vec<Vec<u8>>, Command) {
    let octet = |at: usize| parameters.get(at).copied().unwrap_or_default();
    let meaning = match opcode {
        0x0c03 => Command::Reset,
        0x200b => Command::ScanParameters { is_active: octet(0) == 1 },
        // Extended: after the own address' type, the filter policy and the PHYs.
        0x2041 => Command::ScanParameters { is_active: octet(3) == 1 },
        0x200c | 0x2042 => Command::Scan { is_on: octet(0) == 1, filters: octet(1) == 1 },
        0x0401 => Command::Inquire(INQUIRY_UNIT * octet(3).into()),
        0x0402 => Command::CancelInquiry,
        _ => Command::Nothing,
    };
    let answer = match meaning {
        Command::Inquire(_) => status(opcode),
        _ => complete(opcode, &returned(opcode, options)),
    };
    (vec![answer], meaning)
}

fn complete(opcode: u16, returned: &[u8]) -> Vec<u8> {
    let [low, high] = opcode.to_le_bytes();
    let header = [EVENT, COMMAND_COMPLETE, returned.len() as u8 + 3, 1, low, high];
    [&header, returned].concat()
}

fn status(opcode: u16) -> Vec<u8> {
    let [low, high] = opcode.to_le_bytes();
    vec![EVENT, COMMAND_STATUS, 4, 0, 1, low, high]
}

/// What a command returns: status 0, and its values.
fn returned(opcode: u16, options: Options) -> Vec<u8> {
    match opcode {
        // Version: 5.0.
        0x1001 => vec![0, 9, 0, 0, 9, 0xf1, 0x05, 0, 0],
        // Supported commands: those of low energy.
        0x1002 => {
            let mut commands = vec![0; 65];
            commands[26..30].copy_from_slice(&[0xf7, 0xff, 0xff, 0x0f]);
            if options.is_extended {
                commands[37..39].fill(0xff);
            }
            commands
        }
        // Features: low energy, and no classic unless dual.
        0x1003 => {
            let mut features = vec![0; 9];
            features[5] = if options.is_dual { 0x40 } else { 0x60 };
            features[7] = if options.is_dual { 0x0a } else { 0 };
            features
        }
        0x1004 => vec![0; 11],
        // Buffers.
        0x1005 => vec![0, 0xfb, 0x03, 0x40, 8, 0, 8, 0],
        0x2002 => vec![0, 0xfb, 0, 8],
        // Its own address.
        0x1009 => vec![0, 0x01, 0x00, 0x5e, 0x53, 0x00, 0x02],
        // Low-energy features: encryption, and extended advertising.
        0x2003 => vec![0, 0x01, if options.is_extended { 0x10 } else { 0 }, 0, 0, 0, 0, 0, 0],
        // States: all.
        0x201c => vec![0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03, 0, 0],
        // Lists of 16.
        0x200f | 0x202a => vec![0, 16],
        0x2018 => vec![0, 1, 2, 3, 4, 5, 6, 7, 8],
        0x2023 | 0x202f => vec![0, 27, 0, 0x48, 1, 27, 0, 0x48, 1],
        0x203a => vec![0, 0xfb, 0],
        0x203b => vec![0, 4],
        // A name, of 248 octets.
        0x0c14 => {
            let mut name = vec![0; 249];
            name[1..8].copy_from_slice(b"virtual");
            name
        }
        0x0c23 => vec![0; 4],
        0x0c25 => vec![0; 3],
        0x0c38 => vec![0, 1],
        0x0c39 => vec![0, 1, 0x33, 0x8b, 0x9e],
        0x0c1b => vec![0, 0, 8, 0x12, 0],
        0x2007 | 0x0c58 | 0x2036 | 0x0c46 => vec![0, 0],
        0x204b => vec![0; 3],
        0x0c0d => vec![0; 5],
        0x0c03 | 0x200b | 0x200c | 0x2041 | 0x2042 | 0x0402 => vec![0],
        _ => vec![0; 8],
    }
}

/// What kind of advertisement, as legacy ones are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Scannable,
    Plain,
    Response,
}

impl Kind {
    pub(super) fn of(report: &Report) -> Self {
        if report.response.is_some() { Self::Scannable } else { Self::Plain }
    }

    pub(super) fn octet(self) -> u8 {
        match self {
            Self::Scannable => 2,
            Self::Plain => 3,
            Self::Response => 4,
        }
    }

    /// In an extended report: legacy, and what the legacy kind was.
    fn extended(self) -> u16 {
        match self {
            Self::Scannable => 0x12,
            Self::Plain => 0x10,
            Self::Response => 0x1a,
        }
    }
}

/// The event that reports an advertisement.
pub(super) fn report(kind: Kind, report: &Report, data: &[u8], options: Options) -> Vec<u8> {
    let mut address = report.address;
    address.reverse();
    let (rssi, length) = (report.rssi_dbm.cast_unsigned(), data.len() as u8);
    let body = if options.is_extended {
        let [low, high] = kind.extended().to_le_bytes();
        // Primary PHY 1M, no secondary, no set, no power, the RSSI, no interval, no direct address.
        let rest = [1, 0, 0xff, 0x7f, rssi, 0, 0, 0, 0, 0, 0, 0, 0, 0, length];
        [&[0x0d, 1, low, high, RANDOM][..], &address, &rest, data].concat()
    } else {
        [&[0x02, 1, kind.octet(), RANDOM][..], &address, &[length], data, &[rssi]].concat()
    };
    [&[EVENT, LE_META, body.len() as u8][..], &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_answered() {
        assert_eq!(command(&[1, 0x0c, 0x20, 2, 1, 1]), Some((0x200c, &[1, 1][..])));
        assert_eq!(command(&[0xff, 0, 0, 0]), None);
        let (answers, meaning) = answer(0x200c, &[1, 1], Options::default());
        assert_eq!(answers, [[4, 0x0e, 4, 1, 0x0c, 0x20, 0]]);
        assert_eq!(meaning, Command::Scan { is_on: true, filters: true });
        let (answers, meaning) = answer(0x0401, &[0x33, 0x8b, 0x9e, 8, 0], Options::default());
        assert_eq!(answers, [[4, 0x0f, 4, 0, 1, 0x01, 0x04]]);
        assert_eq!(meaning, Command::Inquire(Duration::from_millis(10_240)));
    }

    #[test]
    fn advertisements_are_reported_in_both_forms() {
        let one =
            Report { address: [0xc0, 1, 2, 3, 4, 5], rssi_dbm: -59, data: vec![2, 1, 6], response: None };
        let event = |options| hex(&report(Kind::of(&one), &one, &one.data, options));
        assert_eq!(event(Options::default()), "043e0f0201030105040302 01c0 03020106 c5".replace(' ', ""));
        let extended = Options { is_extended: true, ..Options::default() };
        assert_eq!(
            event(extended),
            "043e1d 0d01 1000 01 0504030201c0 01 00 ff 7f c5 0000 00 000000000000 03 020106".replace(' ', "")
        );
    }

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}
