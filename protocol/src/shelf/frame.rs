//! One frame: version, payload and CRC, stuffed between delimiters.

use super::{Message, Reason};
use arrayvec::ArrayVec;
use crc::{CRC_16_IBM_SDLC, Crc, NoTable};

/// The version that is written.
pub const VERSION: u8 = 1;
/// The oldest version that is read.
pub const VERSION_MIN: u8 = 1;

/// Longest version, payload and CRC, in octets.
pub const BODY_MAX: usize = 253;
/// Longest frame with both delimiters, in octets.
pub const FRAME_MAX: usize = DELIMITERS + STUFFED_MAX;

/// Ends a frame, and begins one; occurs nowhere else.
pub(super) const DELIMITER: u8 = 0;
/// Longest body after stuffing: below 254 octets it costs exactly one.
pub(super) const STUFFED_MAX: usize = BODY_MAX + 1;

const DELIMITERS: usize = 2;
const CRC_LENGTH: usize = 2;

/// Without a table: 512 octets of flash are more than the speed of a serial line is worth.
const CRC: Crc<u16, NoTable> = Crc::<u16, NoTable>::new(&CRC_16_IBM_SDLC);

/// An encoded frame, delimiters included: what is written to the line.
pub type Frame = ArrayVec<u8, FRAME_MAX>;

impl Message {
    /// The message as a frame of [`VERSION`].
    ///
    /// Every message fits: the longest one, a configuration of all channels, takes 251 of [`BODY_MAX`] octets.
    pub fn encode(&self) -> Frame {
        self.try_encode().unwrap_or_default()
    }

    /// `None` if the message were too long, which none is.
    fn try_encode(&self) -> Option<Frame> {
        let mut body = [0; BODY_MAX];
        body[0] = VERSION;
        let payload = postcard::to_slice(self, &mut body[1..BODY_MAX - CRC_LENGTH]).ok()?.len();
        let (checked, rest) = body.split_at_mut_checked(1 + payload)?;
        rest.get_mut(..CRC_LENGTH)?.copy_from_slice(&CRC.checksum(checked).to_le_bytes());

        let mut stuffed = [0; STUFFED_MAX];
        let length = cobs::try_encode(body.get(..1 + payload + CRC_LENGTH)?, &mut stuffed).ok()?;
        let mut frame = Frame::new();
        frame.try_push(DELIMITER).ok()?;
        frame.try_extend_from_slice(stuffed.get(..length)?).ok()?;
        frame.try_push(DELIMITER).ok()?;
        Some(frame)
    }

    /// Reads what stood between two delimiters; it is unstuffed in place.
    pub(super) fn decode_in_place(stuffed: &mut [u8]) -> Result<Self, Reason> {
        let length = cobs::decode_in_place(stuffed).map_err(|_| Reason::Stuffing)?;
        let body = stuffed.get(..length).ok_or(Reason::Stuffing)?;
        let (checked, crc) = body.split_last_chunk::<CRC_LENGTH>().ok_or(Reason::Checksum)?;
        if CRC.checksum(checked) != u16::from_le_bytes(*crc) {
            return Err(Reason::Checksum);
        }
        let (&version, payload) = checked.split_first().ok_or(Reason::Payload)?;
        if !(VERSION_MIN..=VERSION).contains(&version) {
            return Err(Reason::Version(version));
        }
        match postcard::take_from_bytes(payload) {
            Ok((message, [])) => Ok(message),
            _ => Err(Reason::Payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shelf::{
        CHANNELS_MAX, Channel, ChannelConfig, Command, Configuration, Hello, Report, TEXT_MAX, Text, Unit,
    };
    use std::vec::Vec;

    fn decode(frame: &[u8]) -> Result<Message, Reason> {
        let mut stuffed = frame[1..frame.len() - 1].to_vec();
        Message::decode_in_place(&mut stuffed)
    }

    /// A frame around any body, its CRC right.
    fn wrap(checked: &[u8]) -> Vec<u8> {
        let crc = CRC.checksum(checked).to_le_bytes();
        let stuffed = cobs_vec(&[checked, &crc].concat());
        [&[DELIMITER], &stuffed[..], &[DELIMITER]].concat()
    }

    fn cobs_vec(body: &[u8]) -> Vec<u8> {
        let mut stuffed = std::vec![0; body.len() + 2];
        let length = cobs::encode(body, &mut stuffed);
        stuffed.truncate(length);
        stuffed
    }

    #[test]
    fn the_crc_is_the_catalogues() {
        assert_eq!(CRC.checksum(b"123456789"), 0x906e);
    }

    #[test]
    fn the_longest_messages_fit() {
        let widest = ChannelConfig {
            sample_ms: u16::MAX,
            report_s: u16::MAX,
            settle_ms: u16::MAX,
            tolerance: u16::MAX,
            step: u16::MAX,
        };
        let configuration = Configuration { revision: u32::MAX, channels: [widest; CHANNELS_MAX].into() };
        let text = Text::from(&"~".repeat(TEXT_MAX)).unwrap();
        let hello = Hello {
            serial: text,
            hardware: text,
            firmware: text,
            boot: u32::MAX,
            configuration: Some(u32::MAX),
            channels: [Unit::DistanceMm; CHANNELS_MAX].into(),
        };
        let longest = Message::Command(Command::Configure(configuration));
        for (message, octets) in [(longest, 251 + 3), (Message::Report(Report::Hello(hello)), 132 + 3)] {
            let frame = message.encode();
            assert_eq!(frame.len(), octets);
            assert_eq!(decode(&frame), Ok(message));
        }
    }

    #[test]
    fn a_body_of_the_longest_length_is_read() {
        let body = [7; BODY_MAX - CRC_LENGTH];
        assert_eq!(wrap(&body).len(), FRAME_MAX);
        assert_eq!(decode(&wrap(&body)), Err(Reason::Version(7)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(decode(&wrap(&[VERSION, 1, 0])), Ok(Message::Command(Command::Identify)));
        for (body, reason) in [
            (&[][..], Reason::Payload),
            (&[VERSION + 1, 1, 0], Reason::Version(VERSION + 1)),
            (&[0, 1, 0], Reason::Version(0)),
            (&[VERSION], Reason::Payload),
            (&[VERSION, 1, 4], Reason::Payload),        // no such kind
            (&[VERSION, 1, 0, 0], Reason::Payload),     // octets after the message
            (&[VERSION, 1, 1, 0, 17], Reason::Payload), // more channels than there can be
        ] {
            assert_eq!(decode(&wrap(body)), Err(reason), "{body:?}");
        }
        assert_eq!(decode(&[0, 1, 0]), Err(Reason::Checksum));
        assert_eq!(decode(&[0, 9, 1, 0]), Err(Reason::Stuffing));
    }

    #[test]
    fn a_channel_out_of_range_is_refused() {
        let reading = |channel| [VERSION, 0, 1, 0, 1, 0, channel, 0, 0, 1];
        let Ok(Message::Report(Report::Reading(last))) = decode(&wrap(&reading(15))) else { panic!() };
        assert_eq!(last.channel, Channel::new(15).unwrap());
        assert_eq!(decode(&wrap(&reading(16))), Err(Reason::Payload));
    }
}
