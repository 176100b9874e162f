//! Values that must never leave the agent's memory: radio addresses, carrier ids, and beacons of the plan.
//!
//! Their types have no `Serialize` and no `Display`, and a `Debug` that tells nothing, so that a leak onto
//! disk, wire or log does not compile. Nothing here converts them into text or numbers, but for one way that only the
//! installer's own tools can take: `Address::told`.

use crate::cli::Leave;
use std::fmt;

/// A Bluetooth device address, in the order of its text form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address([u8; 6]);

impl Address {
    /// The address with these octets.
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// Reads 12 hexadecimal digits, with or without colons.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|&c| c != ':').collect();
        let mut octets = [0; 6];
        hex::decode_to_slice(digits, &mut octets).ok()?;
        Some(Self(octets))
    }

    /// The address as 12 hexadecimal digits, for whoever has leave: `vitrine scan` on the terminal and `vitrine record` in
    /// the file that it was asked for, which alone can make a [`Leave`].
    pub(crate) fn told(self, _: &Leave) -> String {
        hex::encode(self.0)
    }
}

/// A carrier of the plan (a cart, a basket), by its place in the plan's list.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CarrierId(u32);

impl CarrierId {
    /// The carrier at `index` of the plan's list.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }
}

/// A beacon of the plan that one of its layouts identifies.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayoutBeacon(u32);

impl LayoutBeacon {
    /// The beacon with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }
}

macro_rules! tells_nothing {
    ($($type:ident),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        }
    )*};
}
tells_nothing!(Address, CarrierId, LayoutBeacon);

#[cfg(test)]
mod tests {
    use super::*;
    use static_assertions::assert_not_impl_any;

    assert_not_impl_any!(Address: serde::Serialize, fmt::Display, fmt::LowerHex, tracing::Value, Into<[u8; 6]>, AsRef<[u8]>);
    assert_not_impl_any!(CarrierId: serde::Serialize, fmt::Display, fmt::LowerHex, tracing::Value, Into<u32>);
    assert_not_impl_any!(LayoutBeacon: serde::Serialize, fmt::Display, fmt::LowerHex, tracing::Value, Into<u32>);

    #[test]
    fn debug_tells_nothing() {
        assert_eq!(
            format!("{:?} {:?}", Address::new([1; 6]), CarrierId::new(7)),
            "Address(..) CarrierId(..)"
        );
    }

    #[test]
    fn reads_addresses_with_and_without_colons() {
        let address = Address::new([0xaa, 0xbb, 0xcc, 0, 1, 2]);
        assert_eq!(Address::parse("AA:bb:cc:00:01:02"), Some(address));
        assert_eq!(Address::parse("aabbcc000102"), Some(address));
        assert_eq!(Address::parse("aabbcc0001"), None);
    }
}
