//! A radio address that a frame repeats in its payload.

use core::fmt;

/// The sender's radio address, or the end of it, as its payload states it.
///
/// It tells who was heard as well as the packet's own address does: it has no `Display` and no `Serialize`, and its
/// `Debug` tells nothing, so that it ends in no event and no log by mistake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StatedAddress {
    octets: [u8; 6],
    /// Octets at the start of `octets` that were not stated.
    missing: u8,
}

impl StatedAddress {
    /// The whole address, most significant octet first.
    pub const fn new(octets: [u8; 6]) -> Self {
        Self { octets, missing: 0 }
    }

    /// The address whose last three octets are these, and whose others are not stated.
    pub(super) const fn of_end([a, b, c]: [u8; 3]) -> Self {
        Self { octets: [0, 0, 0, a, b, c], missing: 3 }
    }

    /// The octets that were stated (6, or the last 3), most significant first: for an operator's own eyes.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(usize::from(self.missing)..).unwrap_or_default()
    }
}

impl fmt::Debug for StatedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatedAddress(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use static_assertions::assert_not_impl_any;

    assert_not_impl_any!(StatedAddress: fmt::Display, fmt::LowerHex, Into<[u8; 6]>, AsRef<[u8]>);
    #[cfg(feature = "alloc")]
    assert_not_impl_any!(StatedAddress: serde::Serialize);

    #[test]
    fn debug_tells_nothing() {
        let address = StatedAddress::of_end([1, 2, 3]);
        assert_eq!(std::format!("{address:?} {:?}", address.octets()), "StatedAddress(..) [1, 2, 3]");
    }
}
