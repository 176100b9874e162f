//! Keys, each of a type for its one purpose, and how they come from a device's one key.
//!
//! A key cannot be printed, compared or serialised, and is wiped when dropped. Who has to store one asks for it
//! by [`Key::expose`], which is easy to find in a review.
//!
//! ## Derivation
//!
//! A beacon is provisioned with one [`DeviceKey`]. The keys that it works with are derived from it as NIST
//! SP 800-108r1 describes for counter mode with CMAC-AES-128: one block,
//!
//! ```text
//! CMAC(device key, 0x01 || label || 0x00 || 0x00 0x80)
//! ```
//!
//! that is the counter (8 bits), the label in ASCII, a zero octet, an empty context, and the 128 bits that are
//! asked for (16 bits, big endian). Labels: `vitrine identity` and `vitrine seal`. So a beacon needs AES alone,
//! and its identity key may be given to another resolver: it opens nothing.

use super::aes::{Aes128, BLOCK, cmac};
use core::marker::PhantomData;
use zeroize::Zeroize;

/// A 128-bit key for purpose `P`.
#[derive(Clone)]
pub struct Key<P>([u8; BLOCK], PhantomData<P>);

/// The purposes of keys.
pub mod purpose {
    /// See [`DeviceKey`](super::DeviceKey).
    #[derive(Clone)]
    pub enum Device {}
    /// See [`IdentityKey`](super::IdentityKey).
    #[derive(Clone)]
    pub enum Identity {}
    /// See [`SealingKey`](super::SealingKey).
    #[derive(Clone)]
    pub enum Sealing {}
}

/// What a beacon of ours is provisioned with: 128 bits of a good random source, its own and nobody else's.
pub type DeviceKey = Key<purpose::Device>;
/// Makes identifiers; Eddystone calls it so too. That of another maker's beacon comes from its registration.
pub type IdentityKey = Key<purpose::Identity>;
/// Seals and opens secure frames.
pub type SealingKey = Key<purpose::Sealing>;

impl<P> Key<P> {
    /// A key of these octets.
    pub const fn new(octets: [u8; BLOCK]) -> Self {
        Self(octets, PhantomData)
    }

    /// The octets: a secret. For the key store and the provisioning tool.
    pub const fn expose(&self) -> &[u8; BLOCK] {
        &self.0
    }

    /// The cipher under this key.
    pub(super) fn cipher<A: Aes128>(&self) -> A {
        A::new(&self.0)
    }
}

impl<P> Drop for Key<P> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl DeviceKey {
    /// The key that the device's identifiers are made with.
    pub fn identity<A: Aes128>(&self) -> IdentityKey {
        self.derive::<A, _>(b"vitrine identity")
    }

    /// The key that the device's frames are sealed with.
    pub fn sealing<A: Aes128>(&self) -> SealingKey {
        self.derive::<A, _>(b"vitrine seal")
    }

    fn derive<A: Aes128, P>(&self, label: &[u8]) -> Key<P> {
        Key::new(cmac::<A>(&self.cipher(), &[&[0x01], label, &[0x00, 0x00, 0x80]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SoftwareAes;
    use core::fmt::{Debug, Display};
    use static_assertions::{assert_impl_all, assert_not_impl_any};

    assert_not_impl_any!(DeviceKey: Debug, Display, PartialEq, serde::Serialize, Copy);
    assert_not_impl_any!(IdentityKey: Debug, Display, PartialEq, serde::Serialize, Copy);
    assert_not_impl_any!(SealingKey: Debug, Display, PartialEq, serde::Serialize, Copy);
    // The cipher under a key wipes it too.
    assert_impl_all!(SoftwareAes: zeroize::ZeroizeOnDrop);

    /// Expected values: `KBKDFCMAC` of the Python package `cryptography` 46, with `rlen=1, llen=2`.
    #[test]
    fn derives_as_another_implementation_of_sp_800_108_does() {
        let device = DeviceKey::new(core::array::from_fn(|i| i as u8));
        let hex = |key: &[u8; 16]| hex::encode(key);
        assert_eq!(hex(device.identity::<SoftwareAes>().expose()), "094681b76af6a69cbb48a6bed8d34be2");
        assert_eq!(hex(device.sealing::<SoftwareAes>().expose()), "f487b63de2a931600b3325a8ba9839e7");
    }
}
