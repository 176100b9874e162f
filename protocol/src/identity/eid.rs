//! Ephemeral identifiers, as Eddystone-EID computes them.
//!
//! Specification: google/eddystone, `eddystone-eid/eid-computation.md`. Two AES blocks: a temporary key out of
//! the identity key and the upper 16 bits of the beacon's time, then the identifier out of the temporary key,
//! the exponent and the time with its lowest K bits cleared.
//!
//! The beacon's time is a 32-bit count of seconds that need not be anybody's clock; all arithmetic on it is
//! modulo 2^32, about 136 years.

use super::{
    aes::{Aes128, BLOCK},
    key::IdentityKey,
};

/// Octets of an identifier.
pub const IDENTIFIER: usize = 8;

/// The rotation period exponent K, 0 to 15: an identifier is sent for a window of 2^K seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exponent(u8);

impl Exponent {
    /// The secure frame's: windows of 1024 s.
    pub const SECURE: Self = Self(10);

    /// Checks `k`; `None` above 15.
    pub const fn new(k: u8) -> Option<Self> {
        if k <= 15 { Some(Self(k)) } else { None }
    }

    /// K.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The length of a window in seconds: 1 to 32 768.
    pub const fn period_s(self) -> u32 {
        1 << self.0
    }

    /// The start of the window that `time_s` of the beacon lies in.
    pub const fn window_start_s(self, time_s: u32) -> u32 {
        time_s & !(self.period_s() - 1)
    }
}

/// The identifier that the beacon with `key` sends in the window that its time `time_s` lies in.
pub fn identifier<A: Aes128>(key: &IdentityKey, exponent: Exponent, time_s: u32) -> [u8; IDENTIFIER] {
    let [high, low, ..] = time_s.to_be_bytes();
    let mut temporary = [0; BLOCK];
    temporary[11] = 0xff;
    temporary[14] = high;
    temporary[15] = low;
    key.cipher::<A>().encrypt(&mut temporary);

    let mut block = [0; BLOCK];
    block[11] = exponent.get();
    block[12..].copy_from_slice(&exponent.window_start_s(time_s).to_be_bytes());
    // As a key, so that it is wiped.
    IdentityKey::new(temporary).cipher::<A>().encrypt(&mut block);
    core::array::from_fn(|i| block[i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SoftwareAes;

    fn at(k: u8, time_s: u32) -> [u8; 8] {
        identifier::<SoftwareAes>(&IdentityKey::new([7; 16]), Exponent::new(k).unwrap(), time_s)
    }

    #[test]
    fn an_exponent_is_at_most_15() {
        assert_eq!(Exponent::new(15).map(Exponent::period_s), Some(32_768));
        assert_eq!(Exponent::new(16), None);
    }

    #[test]
    fn an_identifier_lasts_from_one_window_edge_to_the_next() {
        for k in 0..=15 {
            let period_s = 1_u32 << k;
            for start_s in
                [0, 65_536, 65_536 - period_s, 3_000_000_000 & !(period_s - 1), period_s.wrapping_neg()]
            {
                assert_eq!(at(k, start_s), at(k, start_s + (period_s - 1)), "K {k}, {start_s} s");
                assert_ne!(at(k, start_s), at(k, start_s.wrapping_sub(1)), "K {k}, {start_s} s");
            }
        }
    }
}
