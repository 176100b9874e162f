//! Eddystone-UID. Format: `eddystone-uid/README.md`.

use super::{HEAD, UID, write};
use crate::{advertisement::Malformed, frame::take};

/// An Eddystone-UID frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EddystoneUid {
    /// RSSI at 0 m, in dBm (-100 to 20).
    pub tx_power_dbm: i8,
    /// Namespace.
    pub namespace: [u8; 10],
    /// Instance within the namespace.
    pub instance: [u8; 6],
}

impl EddystoneUid {
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = HEAD + 19;

    /// The whole advertisement, with the two reserved octets at zero.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let mut out = [0; Self::ENCODED];
        write(&mut out, UID, &[&[self.tx_power_dbm as u8], &self.namespace, &self.instance, &[0, 0]]);
        out
    }

    /// The two reserved octets at the end may be missing: the specification lets a reader ignore them.
    pub(super) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let ([power], rest) = take(body, 1)?;
        let (namespace, rest) = take(rest, 2)?;
        let (instance, _) = take(rest, 12)?;
        Ok(Self { tx_power_dbm: power as i8, namespace, instance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, eddystone::decode};
    use proptest::prelude::*;

    #[test]
    fn uid_is_decoded_without_the_reserved_octets() {
        let uid = EddystoneUid { tx_power_dbm: -22, namespace: *b"namespace!", instance: [1, 2, 3, 4, 5, 6] };
        assert_eq!(decode(&uid.encode()[11..29]), Ok(Some(Frame::EddystoneUid(uid))));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(tx_power_dbm: i8, namespace: [u8; 10], instance: [u8; 6]) {
            let uid = EddystoneUid { tx_power_dbm, namespace, instance };
            prop_assert_eq!(Frame::decode(&uid.encode()).collect::<std::vec::Vec<_>>(), [Ok(Frame::EddystoneUid(uid))]);
        }
    }
}
