//! The rotating identity of a beacon: its keys.
//!
//! Derivation and sealing are [`vitrine_protocol::identity`]'s. Here is what a beacon keeps of it.

use crate::config;
use core::{fmt, marker::PhantomData};
use vitrine_protocol::{
    frame::{Counter, EddystoneEid, EddystoneEtlm, EddystoneTlm, SecureFrame},
    identity::{
        Aes128, Exponent, IdentityKey, SealingKey, SoftwareAes, eid, etlm,
        seal::{self, Telemetry},
    },
};

/// Which AES a beacon uses.
pub struct Cipher<A>(PhantomData<fn() -> A>);

impl Cipher<SoftwareAes> {
    /// The one in software, for chips that have none.
    pub const SOFTWARE: Self = Self(PhantomData);
}

impl<A: Aes128> Cipher<A> {
    /// The chip's.
    pub const fn chip() -> Self {
        Self(PhantomData)
    }
}

impl<A> Clone for Cipher<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Cipher<A> {}

impl<A> fmt::Debug for Cipher<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

/// Keys, derived once.
pub(crate) struct Keys<A> {
    identity: IdentityKey,
    /// `None` for an Eddystone identity.
    sealing: Option<SealingKey>,
    exponent: Exponent,
    _cipher: Cipher<A>,
}

impl<A> fmt::Debug for Keys<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl<A: Aes128> Keys<A> {
    pub(crate) fn new(identity: &config::Identity, cipher: Cipher<A>) -> Self {
        let (identity, sealing, exponent) = match identity {
            config::Identity::Device(key) => {
                (key.identity::<A>(), Some(key.sealing::<A>()), Exponent::SECURE)
            }
            config::Identity::Eddystone(key, exponent) => (key.clone(), None, *exponent),
        };
        Self { identity, sealing, exponent, _cipher: cipher }
    }

    /// The start of the window that beacon time `time_s` lies in.
    pub(crate) fn window_start_s(&self, time_s: u32) -> u32 {
        self.exponent.window_start_s(time_s)
    }

    pub(crate) fn eid(&self, time_s: u32, tx_power_dbm: i8) -> EddystoneEid {
        EddystoneEid { tx_power_dbm, eid: eid::identifier::<A>(&self.identity, self.exponent, time_s) }
    }

    pub(crate) fn etlm(&self, time_s: u32, salt: [u8; 2], telemetry: &EddystoneTlm) -> EddystoneEtlm {
        etlm::encrypt::<A>(&self.identity, self.exponent, time_s, salt, telemetry)
    }

    /// `None` for an Eddystone identity, which the configuration does not let come here.
    pub(crate) fn seal(&self, time_s: u32, counter: Counter, telemetry: &Telemetry) -> Option<SecureFrame> {
        Some(seal::seal::<A>(&self.identity, self.sealing.as_ref()?, time_s, counter, telemetry))
    }
}
