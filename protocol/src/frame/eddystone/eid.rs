//! Eddystone-EID: an identifier that changes, and that only the holder of the beacon's key can resolve.
//! Format: `eddystone-eid/README.md`. Deriving and resolving identifiers is not here.

use super::{EID, HEAD, write};
use crate::{advertisement::Malformed, frame::take};

/// An Eddystone-EID frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EddystoneEid {
    /// RSSI at 0 m, in dBm (-100 to 20).
    pub tx_power_dbm: i8,
    /// The ephemeral identifier.
    pub eid: [u8; 8],
}

impl EddystoneEid {
    /// Octets of the encoded advertisement.
    pub const ENCODED: usize = HEAD + 9;

    /// The whole advertisement.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let mut out = [0; Self::ENCODED];
        write(&mut out, EID, &[&[self.tx_power_dbm as u8], &self.eid]);
        out
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let ([power], rest) = take(body, 1)?;
        let (eid, _) = take(rest, 2)?;
        Ok(Self { tx_power_dbm: power as i8, eid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(tx_power_dbm: i8, eid: [u8; 8]) {
            let frame = EddystoneEid { tx_power_dbm, eid };
            prop_assert_eq!(Frame::decode(&frame.encode()).collect::<std::vec::Vec<_>>(), [Ok(Frame::EddystoneEid(frame))]);
        }
    }
}
