//! The secure frame: a rotating identifier, and telemetry that only the store can read.
//!
//! 24 octets of manufacturer data; with flags, a legacy advertisement is then full (31 octets). Numbers are big
//! endian.
//!
//! | octets | field |
//! |---|---|
//! | 0 | type, [`SecureFrame::TYPE`] |
//! | 1 to 8 | identifier: Eddystone-EID's derivation with K = 10 |
//! | 9 to 11 | counter, one higher in each new frame |
//! | 12 to 19 | telemetry, encrypted |
//! | 20 to 23 | message integrity check over all of it |
//!
//! The company is the integrator's; [`DEVELOPMENT_COMPANY`] until there is one. What the fields are made of and
//! how they are opened is `identity::seal`'s (feature `crypto`).

use super::take;
use crate::advertisement::{LEGACY_MAX, Malformed};

/// The company identifier that the Bluetooth SIG leaves for tests. Not for products.
pub const DEVELOPMENT_COMPANY: u16 = 0xffff;

/// A secure frame, as on air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecureFrame {
    /// Who sends it, for those who have the key. Changes every 1024 s.
    pub identifier: [u8; 8],
    /// Tells a beacon's frames apart and puts them in order.
    pub counter: Counter,
    /// The telemetry, encrypted.
    pub ciphertext: [u8; 8],
    /// Message integrity check.
    pub mic: [u8; 4],
}

/// A frame counter of 24 bits. It goes round: after the highest comes zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counter(u32);

impl Counter {
    /// How many there are.
    pub const COUNT: u32 = 1 << 24;

    /// The counter that is `number` modulo [`COUNT`](Self::COUNT).
    pub const fn wrapping(number: u32) -> Self {
        Self(number % Self::COUNT)
    }

    /// The number, below [`COUNT`](Self::COUNT).
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The counter `steps` later.
    #[must_use]
    pub const fn plus(self, steps: u32) -> Self {
        Self::wrapping(self.0.wrapping_add(steps))
    }

    /// How many steps lead from `earlier` to this one, going round where need be.
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0) % Self::COUNT
    }

    /// As on air, big endian.
    pub const fn to_be_bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// See [`to_be_bytes`](Self::to_be_bytes).
    pub const fn from_be_bytes([a, b, c]: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, a, b, c]))
    }
}

impl SecureFrame {
    /// The first octet: this layout. A later one gets another number.
    pub const TYPE: u8 = 0x01;
    /// Octets of the manufacturer data, company not counted.
    pub const LENGTH: usize = 24;
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = LEGACY_MAX;

    /// The whole advertisement: flags (LE general discoverable, BR/EDR not supported) and manufacturer data.
    pub fn encode(&self, company: u16) -> [u8; Self::ENCODED] {
        let [low, high] = company.to_le_bytes();
        let mut out = [0; Self::ENCODED];
        out[..7].copy_from_slice(&[2, 0x01, 0x06, 27, 0xff, low, high]);
        out[7..19].copy_from_slice(&self.clear());
        out[19..27].copy_from_slice(&self.ciphertext);
        out[27..].copy_from_slice(&self.mic);
        out
    }

    /// Reads manufacturer data of the integrator's company; `None` for other types, and for data longer than
    /// this one's.
    ///
    /// # Errors
    /// [`Malformed`] where it is too short, with an offset counted from the start of `data`.
    pub fn decode(data: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((&Self::TYPE, body)) = data.split_first() else { return Ok(None) };
        if data.len() > Self::LENGTH {
            return Ok(None);
        }
        let (identifier, rest) = take(body, 1)?;
        let (counter, rest) = take(rest, 9)?;
        let (ciphertext, rest) = take(rest, 12)?;
        let (mic, _) = take(rest, 20)?;
        Ok(Some(Self { identifier, counter: Counter::from_be_bytes(counter), ciphertext, mic }))
    }

    /// What is sent in the clear, and authenticated: type, identifier, counter.
    pub(crate) fn clear(&self) -> [u8; 12] {
        let mut clear = [Self::TYPE; 12];
        clear[1..9].copy_from_slice(&self.identifier);
        clear[9..].copy_from_slice(&self.counter.to_be_bytes());
        clear
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{advertisement::Fault, frame::Frame};

    fn sample() -> SecureFrame {
        SecureFrame {
            identifier: [1, 2, 3, 4, 5, 6, 7, 8],
            counter: Counter::wrapping(0x0a_0b0c),
            ciphertext: [0xc0; 8],
            mic: [0xd0; 4],
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let bytes = sample().encode(DEVELOPMENT_COMPANY);
        assert_eq!(hex::encode(bytes), "0201061bffffff0101020304050607080a0b0cc0c0c0c0c0c0c0c0d0d0d0d0");
        let frames: std::vec::Vec<_> = Frame::decode(&bytes).collect();
        assert_eq!(frames, [Ok(Frame::Secure(sample()))]);
    }

    #[test]
    fn a_cut_names_where_octets_are_missing() {
        let data = &sample().encode(DEVELOPMENT_COMPANY)[7..];
        for cut in 1..data.len() {
            let error = SecureFrame::decode(&data[..cut]).unwrap_err();
            assert_eq!(error, Malformed { offset: cut, fault: Fault::Short });
        }
    }

    #[test]
    fn what_else_is_sent_under_the_company_is_passed_over() {
        assert_eq!(SecureFrame::decode(&[0x02; SecureFrame::LENGTH]), Ok(None));
        assert_eq!(SecureFrame::decode(&[SecureFrame::TYPE; SecureFrame::LENGTH + 1]), Ok(None));
    }

    #[test]
    fn a_counter_goes_round() {
        let last = Counter::wrapping(Counter::COUNT - 1);
        assert_eq!(last.plus(1), Counter::default());
        assert_eq!(Counter::default().since(last), 1);
        assert_eq!(last.since(Counter::default()), Counter::COUNT - 1);
        assert_eq!(Counter::from_be_bytes(last.to_be_bytes()), last);
    }
}
