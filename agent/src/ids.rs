//! Names derived from what they name, so that the same thing has the same name when it is made again.
//!
//! They are keyed by a secret that is drawn with the spool and never leaves the gateway: a name must not be a way to
//! find, by trying, what it was derived from (a shelf's counter, and with it a time).

use sha2::{Digest, Sha256};
use vitrine_protocol::event::EventId;

/// Derives names under one secret.
#[derive(Clone, Copy)]
pub struct Ids {
    secret: [u8; 16],
}

impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ids(..)")
    }
}

impl Ids {
    /// Names under `secret`.
    pub const fn new(secret: [u8; 16]) -> Self {
        Self { secret }
    }

    /// The first 128 bits of SHA-256 over the secret and the parts, each with its length before it.
    pub fn derive(&self, parts: &[&[u8]]) -> EventId {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        EventId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other_and_the_secret_counts() {
        let ids = Ids::new([1; 16]);
        assert_eq!(ids.derive(&[b"ab", b"c"]), ids.derive(&[b"ab", b"c"]));
        assert_ne!(ids.derive(&[b"ab", b"c"]), ids.derive(&[b"a", b"bc"]));
        assert_ne!(ids.derive(&[b"ab"]), ids.derive(&[b"ab", b""]));
        assert_ne!(ids.derive(&[b"ab"]), Ids::new([2; 16]).derive(&[b"ab"]));
    }
}
