//! Enrolling an Eddystone-EID beacon of another maker: the resolver's half of the key exchange.
//!
//! Specification: google/eddystone, `eddystone-eid/eid-computation.md`. An app gives the beacon our public key
//! and hands us what the beacon answers: its public key, its time and the identifier that it sends now. Both
//! sides know the identity key then, and it was never on air: X25519 (RFC 7748), and HKDF-SHA256 (RFC 5869) with
//! both public keys as salt, the first 128 bits.
//!
//! That is done once for a beacon, by the tool that enrols it. Our own beacons need none of this (they are
//! provisioned with a device key), nor does a running gateway, which keeps the identity key: hence a cargo
//! feature of its own, `registrar`. The beacon's half is not here; that is its maker's.

use super::{Aes128, Exponent, IDENTIFIER, IdentityKey, eid::identifier};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

/// Octets of a Curve25519 key.
pub const CURVE25519_KEY: usize = 32;

/// Enrols beacons under the store's own key pair.
pub struct Registrar {
    secret: Zeroizing<[u8; CURVE25519_KEY]>,
}

/// What a beacon told when it was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Application {
    /// The beacon's public key.
    pub public_key: [u8; CURVE25519_KEY],
    /// Its rotation period.
    pub exponent: Exponent,
    /// Its time, in seconds.
    pub time_s: u32,
    /// The identifier that it sends at that time.
    pub identifier: [u8; IDENTIFIER],
}

/// Why a beacon was not enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The beacon's public key leads to a secret that everybody knows. It is broken, or not a beacon's.
    WeakKey,
    /// The beacon does not send what its keys say: it was given another public key than ours, or the time, the
    /// exponent or a key was copied wrongly.
    WrongIdentifier,
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::WeakKey => "the beacon's public key is worthless: register it anew",
            Self::WrongIdentifier => {
                "the beacon sends another identifier than its key and time give: was it given our public key?"
            }
        })
    }
}

impl core::error::Error for Refused {}

impl Registrar {
    /// With the store's secret key: 256 bits of a good random source.
    pub fn new(secret: [u8; CURVE25519_KEY]) -> Self {
        Self { secret: Zeroizing::new(secret) }
    }

    /// What beacons are given.
    pub fn public_key(&self) -> [u8; CURVE25519_KEY] {
        x25519(*self.secret, X25519_BASEPOINT_BYTES)
    }

    /// The beacon's identity key, once it has shown that it has it too.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn enrol<A: Aes128>(&self, application: &Application) -> Result<IdentityKey, Refused> {
        let key = self.identity_key(&application.public_key)?;
        let expected = identifier::<A>(&key, application.exponent, application.time_s);
        if expected == application.identifier { Ok(key) } else { Err(Refused::WrongIdentifier) }
    }

    fn identity_key(&self, beacon: &[u8; CURVE25519_KEY]) -> Result<IdentityKey, Refused> {
        let shared = Zeroizing::new(x25519(*self.secret, *beacon));
        if *shared == [0; CURVE25519_KEY] {
            return Err(Refused::WeakKey);
        }
        let mut salt = [0; 2 * CURVE25519_KEY];
        salt[..CURVE25519_KEY].copy_from_slice(&self.public_key());
        salt[CURVE25519_KEY..].copy_from_slice(beacon);
        let mut key = Zeroizing::new([0; 16]);
        // It fails for more than 8160 octets only.
        let expanded = Hkdf::<Sha256>::new(Some(&salt), &*shared).expand(&[], &mut *key);
        expanded.map(|()| IdentityKey::new(*key)).map_err(|_| Refused::WeakKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SoftwareAes;

    #[test]
    fn a_public_key_of_small_order_is_refused() {
        let application =
            Application { public_key: [0; 32], exponent: Exponent::SECURE, time_s: 0, identifier: [0; 8] };
        let refused = Registrar::new([9; 32]).enrol::<SoftwareAes>(&application);
        assert_eq!(refused.err(), Some(Refused::WeakKey));
    }
}
