//! A payload that is still encrypted: its parts, without their meaning.
//!
//! `address (if the device information says so), ciphertext, counter 4, tag 4`; numbers are little endian.

use core::fmt;

use super::{ADDRESS, ADDRESS_LEN, CAPACITY, Octets, TRIGGER_BASED, Version};
use crate::advertisement::{Fault, Malformed};

const COUNTER_LEN: usize = 4;
pub(super) const TAG_LEN: usize = 4;

/// An encrypted BTHome payload. It cannot be told what is in it, nor who sent it, before
#[cfg_attr(feature = "crypto", doc = "[`decrypt`](Self::decrypt).")]
#[cfg_attr(not(feature = "crypto"), doc = "it is decrypted (feature `crypto`).")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encrypted {
    pub(super) version: Version,
    pub(super) info: u8,
    /// The address if the device information says so, ciphertext, counter, tag.
    octets: Octets,
}

impl Encrypted {
    /// The version of the format.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the device sends only when something happens. Not authentic before decryption.
    pub fn trigger_based(&self) -> bool {
        self.info & TRIGGER_BASED != 0
    }

    /// Counts the device's advertisements. Not authentic before decryption; then see
    /// [`ReplayGuard`](super::ReplayGuard).
    pub fn counter(&self) -> u32 {
        u32::from_le_bytes(self.parts().counter)
    }

    /// The encrypted objects.
    pub fn ciphertext(&self) -> &[u8] {
        self.parts().ciphertext
    }

    /// The message integrity check.
    pub fn tag(&self) -> [u8; TAG_LEN] {
        self.parts().tag
    }

    /// `None` if there is not even room for counter and tag.
    fn parts_of(info: u8, octets: &[u8]) -> Option<Parts<'_>> {
        let (own_address, rest) = match info & ADDRESS {
            0 => (None, octets),
            _ => octets.split_first_chunk().map(|(address, rest)| (Some(*address), rest))?,
        };
        let (rest, tag) = rest.split_last_chunk()?;
        let (ciphertext, counter) = rest.split_last_chunk()?;
        Some(Parts { own_address, ciphertext, counter: *counter, tag: *tag })
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Self::parts_of(self.info, self.octets.as_bytes()).unwrap_or_default()
    }

    /// Reads `octets`, which follow the device information.
    pub(super) fn read(version: Version, info: u8, octets: &[u8]) -> Result<Self, Malformed> {
        let malformed = |offset, fault| Err(Malformed { offset, fault });
        if Self::parts_of(info, octets).is_none() {
            return malformed(1 + octets.len(), Fault::Short);
        }
        match Octets::holding(&[octets]) {
            Some(octets) => Ok(Self { version, info, octets }),
            None => malformed(1 + CAPACITY, Fault::Long),
        }
    }
}

/// Without the octets: an address may be among them.
impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, .. } = self;
        f.debug_struct("Encrypted")
            .field("version", version)
            .field("counter", &self.counter())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
pub(super) struct Parts<'a> {
    /// As sent: reversed.
    #[cfg_attr(not(feature = "crypto"), expect(dead_code, reason = "part of the nonce"))]
    pub(super) own_address: Option<[u8; ADDRESS_LEN]>,
    pub(super) ciphertext: &'a [u8],
    pub(super) counter: [u8; COUNTER_LEN],
    pub(super) tag: [u8; TAG_LEN],
}
