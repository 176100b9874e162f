//! Rotating identifiers: who sends, told to nobody but the store.
//!
//! A beacon that always sends the same identifier can be followed by anyone. A rotating one sends eight octets
//! that change every 2^K seconds, made from a key that it shares with the store.
//!
//! | module | what it does | runs on |
//! |---|---|---|
//! | [`aes`] | the one primitive that a chip has to supply | both |
//! | [`key`] | keys by purpose, and how they are derived from a device's one key | both |
//! | [`eid`] | the identifier of a window (Eddystone-EID) | both |
//! | [`seal`] | telemetry sealed into the secure frame | both |
//! | [`sequence`] | the frame counter that never repeats, across battery swaps too | beacon |
//! | `resolver` (feature `alloc`) | from an identifier heard to the beacon, among 10 000 | gateway |
//! | [`replay`] | frames heard before | gateway |
//! | [`clone`] | one identity heard in two places at once | gateway |
//! | [`etlm`] | Eddystone's encrypted telemetry | both |
//! | `registration` (feature `registrar`) | the key exchange that enrols an Eddystone-EID beacon | gateway, once |
//!
//! ## What it protects, and what not
//!
//! - An identifier names a window; it proves nothing. Anyone can repeat it until the window has passed:
//!   the resolver accepts it one window early or late. Only the secure frame is authenticated.
//! - A secure frame's MIC has 32 bits: a forger succeeds once in 2^32 frames. [`replay`] stops repetition of a
//!   frame that was heard; a frame that was recorded, kept from us and sent within the next two windows passes.
//! - Comparisons of MICs take constant time. The look-up of an identifier does not, and need not: identifiers
//!   are public once heard, and finding one does not work on a secret octet by octet.

pub mod aes;
pub mod clone;
pub mod eid;
pub mod etlm;
pub mod key;
#[cfg(feature = "registrar")]
pub mod registration;
pub mod replay;
#[cfg(feature = "alloc")]
pub mod resolver;
pub mod seal;
pub mod sequence;

pub use aes::{Aes128, SoftwareAes};
pub use eid::{Exponent, IDENTIFIER};
pub use key::{DeviceKey, IdentityKey, SealingKey};
#[cfg(feature = "alloc")]
pub use resolver::Resolver;

/// A MIC does not fit: the frame was forged or damaged, or belongs to another beacon or window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

impl core::fmt::Display for Forged {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the integrity check does not fit the key and the window")
    }
}

impl core::error::Error for Forged {}
