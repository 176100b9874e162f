//! Finds frames in a stream of octets, whatever else is in it.

use super::{
    Message,
    frame::{DELIMITER, STUFFED_MAX},
};
use core::fmt;

/// Reads a stream octet by octet. After any garbage it is in step again at the next delimiter.
#[derive(Clone, Debug)]
pub struct Decoder {
    stuffed: [u8; STUFFED_MAX],
    /// Octets since the last delimiter; those above `STUFFED_MAX` are not kept.
    octets: u32,
    counts: Counts,
}

/// Octets between two delimiters that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// What was wrong with them.
    pub reason: Reason,
    /// How many.
    pub octets: u32,
}

/// Why octets are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// More than a frame can have.
    TooLong,
    /// The stuffing points past the end.
    Stuffing,
    /// The CRC is another one, or there is none.
    Checksum,
    /// Intact, of a version that is not read here.
    Version(u8),
    /// Intact, but not a message of its version.
    Payload,
}

/// What a decoder has met since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages.
    pub messages: u64,
    /// [`Reason::TooLong`]
    pub too_long: u64,
    /// [`Reason::Stuffing`]
    pub stuffing: u64,
    /// [`Reason::Checksum`]
    pub checksum: u64,
    /// [`Reason::Version`]
    pub version: u64,
    /// [`Reason::Payload`]
    pub payload: u64,
    /// Octets in all that were discarded.
    pub discarded_octets: u64,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new() -> Self {
        Self {
            stuffed: [0; STUFFED_MAX],
            octets: 0,
            counts: Counts {
                messages: 0,
                too_long: 0,
                stuffing: 0,
                checksum: 0,
                version: 0,
                payload: 0,
                discarded_octets: 0,
            },
        }
    }

    /// Takes the next octet; returns what it ends, if it ends something.
    pub fn push(&mut self, octet: u8) -> Option<Result<Message, Discarded>> {
        if octet != DELIMITER {
            if let Some(place) = self.stuffed.get_mut(self.octets as usize) {
                *place = octet;
            }
            self.octets = self.octets.saturating_add(1);
            return None;
        }
        let octets = core::mem::take(&mut self.octets);
        if octets == 0 {
            return None;
        }
        let read = match self.stuffed.get_mut(..octets as usize) {
            Some(stuffed) => Message::decode_in_place(stuffed),
            None => Err(Reason::TooLong),
        };
        Some(self.count(read, octets))
    }

    /// Takes `octets` and returns what they end, in order. What is not asked for is not taken.
    pub fn push_all(&mut self, octets: &[u8]) -> impl Iterator<Item = Result<Message, Discarded>> {
        octets.iter().filter_map(|&octet| self.push(octet))
    }

    /// What was met so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn count(&mut self, read: Result<Message, Reason>, octets: u32) -> Result<Message, Discarded> {
        let counts = &mut self.counts;
        let counter = match read {
            Ok(_) => &mut counts.messages,
            Err(Reason::TooLong) => &mut counts.too_long,
            Err(Reason::Stuffing) => &mut counts.stuffing,
            Err(Reason::Checksum) => &mut counts.checksum,
            Err(Reason::Version(_)) => &mut counts.version,
            Err(Reason::Payload) => &mut counts.payload,
        };
        *counter += 1;
        read.map_err(|reason| {
            counts.discarded_octets += u64::from(octets);
            Discarded { reason, octets }
        })
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Discarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets are no frame: ", self.octets)?;
        match self.reason {
            Reason::TooLong => f.write_str("more than a frame can have"),
            Reason::Stuffing => f.write_str("the stuffing points past the end"),
            Reason::Checksum => f.write_str("the CRC does not match"),
            Reason::Version(version) => {
                write!(f, "version {version} is not known here; update the older side")
            }
            Reason::Payload => f.write_str("the CRC matches, but this is no message of its version"),
        }
    }
}

impl core::error::Error for Discarded {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shelf::{Command, FRAME_MAX};
    use std::vec::Vec;

    fn identify() -> Message {
        Message::Command(Command::Identify)
    }

    fn read(decoder: &mut Decoder, octets: &[u8]) -> Vec<Result<Message, Discarded>> {
        decoder.push_all(octets).collect()
    }

    #[test]
    fn frames_arrive_in_pieces_and_in_a_row() {
        let frame = identify().encode();
        let mut decoder = Decoder::new();
        for cut in 0..=frame.len() {
            let mut heard = read(&mut decoder, &frame[..cut]);
            heard.extend(read(&mut decoder, &frame[cut..]));
            assert_eq!(heard, [Ok(identify())]);
        }
        let twice = [&frame[..], &frame[1..]].concat(); // one delimiter between two frames is enough
        assert_eq!(read(&mut decoder, &twice), [Ok(identify()), Ok(identify())]);
        assert_eq!(decoder.counts(), Counts { messages: frame.len() as u64 + 3, ..Counts::default() });
    }

    #[test]
    fn silence_is_no_error() {
        assert_eq!(read(&mut Decoder::new(), &[0; 1000]), []);
    }

    #[test]
    fn garbage_is_named_counted_and_left_behind() {
        let mut decoder = Decoder::new();
        let garbage = [0x55; FRAME_MAX];
        let heard = read(&mut decoder, &[&garbage, &identify().encode()[..]].concat());
        let discarded = Discarded { reason: Reason::TooLong, octets: FRAME_MAX as u32 };
        assert_eq!(heard, [Err(discarded), Ok(identify())]);
        let heard = read(&mut decoder, &[&garbage[..9], &identify().encode()[..]].concat());
        assert_eq!(heard, [Err(Discarded { reason: Reason::Stuffing, octets: 9 }), Ok(identify())]);
        let counts = Counts {
            messages: 2,
            too_long: 1,
            stuffing: 1,
            discarded_octets: FRAME_MAX as u64 + 9,
            ..Counts::default()
        };
        assert_eq!(decoder.counts(), counts);
    }
}
