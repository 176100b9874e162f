//! AES-CCM with a tag of four octets, as <https://bthome.io/encryption/> has it.
//!
//! | | nonce | additional data |
//! |---|---|---|
//! | version 2 | address 6, UUID 2 (D2 FC), device information 1, counter 4 | none |
//! | version 1 | address 6, UUID 2 (1E 18), counter 4 | 0x11 |
//!
//! A tag of four octets is guessed once in 2^32 attempts: enough for a reading, not for opening a door.

use aes::Aes128;
use ccm::{
    Ccm,
    aead::{AeadInOut, KeyInit},
    consts::{U4, U12, U13},
};

use super::{
    ADDRESS, ADDRESS_LEN, BTHOME_UUID16, BTHOME_V1_ENCRYPTED_UUID16, BtHome, Builder, ENCRYPTED, Encrypted,
    Octets, Version, encrypted::TAG_LEN,
};
use core::fmt;

/// Octets of a device's key ("bind key"), which it shares with its receivers.
const KEY_LEN: usize = 16;

const V1_ADDITIONAL_DATA: &[u8] = &[0x11];

/// The payload is not of the device that has this key and address, or was changed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAuthentic;

impl fmt::Display for NotAuthentic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payload does not match the key and the sender's address")
    }
}

impl core::error::Error for NotAuthentic {}

impl Encrypted {
    /// Decrypts with the device's `key` and the `address` that the advertisement came from, most significant octet
    /// first, as it is written. Where the payload carries the address itself, that one is taken.
    ///
    /// What is inside was written by the owner of the key: if it ends in the middle of an object,
    /// [`BtHome::unread`] tells so. Ask a [`ReplayGuard`](super::ReplayGuard) about
    /// [`BtHome::counter`] next.
    ///
    /// # Errors
    /// [`NotAuthentic`] for another key or address, and for octets that were changed.
    pub fn decrypt(&self, key: &[u8; KEY_LEN], address: &[u8; ADDRESS_LEN]) -> Result<BtHome, NotAuthentic> {
        let parts = self.parts();
        let own_address = parts.own_address.map(|mut reversed| {
            reversed.reverse();
            reversed
        });
        let nonce =
            Nonce { address: own_address.unwrap_or(*address), info: self.info, counter: parts.counter };
        let mut text = Octets::holding(&[parts.ciphertext]).ok_or(NotAuthentic)?;
        let body = text.as_mut_bytes();
        let tag = parts.tag.into();
        match self.version {
            Version::V2 => Ccm::<Aes128, U4, U13>::new(&(*key).into()).decrypt_inout_detached(
                &nonce.v2().into(),
                &[],
                body.into(),
                &tag,
            ),
            Version::V1 => Ccm::<Aes128, U4, U12>::new(&(*key).into()).decrypt_inout_detached(
                &nonce.v1().into(),
                V1_ADDITIONAL_DATA,
                body.into(),
                &tag,
            ),
        }
        .map_err(|_| NotAuthentic)?;
        let offset = match (self.version, self.info & ADDRESS) {
            (Version::V1, _) => 0,
            (Version::V2, 0) => 1,
            (Version::V2, _) => 1 + ADDRESS_LEN,
        };
        let content = BtHome::read(self.version, self.info, offset, text.as_bytes());
        Ok(BtHome { counter: self.counter(), ..content })
    }
}

impl Builder {
    /// The service data, encrypted with `key` for a device of this `address` (most significant octet first, as it
    /// is written). A `counter` must never be used twice with a key. `None` if it does not fit
    /// [`CAPACITY`](super::CAPACITY): encryption takes eight octets.
    pub fn encrypt(&self, key: &[u8; KEY_LEN], address: &[u8; ADDRESS_LEN], counter: u32) -> Option<Octets> {
        let (&info, objects) = self.as_bytes().split_first()?;
        let nonce = Nonce { address: *address, info: info | ENCRYPTED, counter: counter.to_le_bytes() };
        let mut text = Octets::holding(&[objects])?;
        let tag: [u8; TAG_LEN] = Ccm::<Aes128, U4, U13>::new(&(*key).into())
            .encrypt_inout_detached(&nonce.v2().into(), &[], text.as_mut_bytes().into())
            .ok()?
            .into();
        Octets::holding(&[&[nonce.info], text.as_bytes(), &nonce.counter, &tag])
    }
}

struct Nonce {
    address: [u8; ADDRESS_LEN],
    info: u8,
    counter: [u8; 4],
}

impl Nonce {
    fn v1(&self) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..6].copy_from_slice(&self.address);
        nonce[6..8].copy_from_slice(&BTHOME_V1_ENCRYPTED_UUID16.to_le_bytes());
        nonce[8..].copy_from_slice(&self.counter);
        nonce
    }

    fn v2(&self) -> [u8; 13] {
        let mut nonce = [0; 13];
        nonce[..6].copy_from_slice(&self.address);
        nonce[6..8].copy_from_slice(&BTHOME_UUID16.to_le_bytes());
        nonce[8] = self.info;
        nonce[9..].copy_from_slice(&self.counter);
        nonce
    }
}
