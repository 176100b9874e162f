//! Legacy advertising PDUs: `ADV_NONCONN_IND`, which no scanner can answer.
//!
//! Format: Bluetooth Core Specification 5.4, Vol 6, Part B, section 2.3: a header of two octets (type, TxAdd,
//! length), the advertiser's address (AdvA, 6 octets) and up to 31 octets of advertising data (AdvData). Other
//! types of PDU, and reading them, are not here.

use arrayvec::ArrayVec;
use core::fmt;
use vitrine_protocol::advertisement::LEGACY_MAX;

const ADV_NONCONN_IND: u8 = 0b0010;
const TX_ADD: u8 = 1 << 6;
const ADDRESS_LEN: usize = 6;
const ADV_DATA_AT: usize = 2 + ADDRESS_LEN;

/// Advertising data: the AD structures that a PDU carries.
pub type AdvertisingData = ArrayVec<u8, LEGACY_MAX>;

/// An advertiser's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// In the order of the text form: most significant octet first.
    octets: [u8; ADDRESS_LEN],
    random: bool,
}

/// The random part of an address must not be all zeros or all ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidAddress;

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the random part of an address must not be all zeros or all ones")
    }
}

impl core::error::Error for InvalidAddress {}

impl Address {
    /// The public address with these octets, most significant first.
    pub const fn public(octets: [u8; ADDRESS_LEN]) -> Self {
        Self { octets, random: false }
    }

    /// The random static address (Vol 6, Part B, section 1.3.2.1) with the 46 low bits of `octets`, most
    /// significant octet first; its two top bits are set here. A chip's factory identifier serves.
    ///
    /// # Errors
    /// [`InvalidAddress`], which erased or unprogrammed memory gives.
    pub const fn random_static(mut octets: [u8; ADDRESS_LEN]) -> Result<Self, InvalidAddress> {
        octets[0] |= 0b1100_0000;
        match octets {
            [0xc0, 0, 0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => Err(InvalidAddress),
            _ => Ok(Self { octets, random: true }),
        }
    }
}

impl Address {
    /// The octets, most significant first.
    pub const fn octets(self) -> [u8; ADDRESS_LEN] {
        self.octets
    }

    /// Whether it is a random address, static or private, and not a public one.
    pub const fn is_random(self) -> bool {
        self.random
    }

    /// The non-resolvable private address (section 1.3.2.2) with the 46 low bits of `octets`, most significant octet
    /// first; its two top bits are cleared here. For addresses that change: take random octets.
    ///
    /// # Errors
    /// [`InvalidAddress`]; draw again.
    pub const fn non_resolvable(mut octets: [u8; ADDRESS_LEN]) -> Result<Self, InvalidAddress> {
        octets[0] &= 0b0011_1111;
        match octets {
            [0, 0, 0, 0, 0, 0] | [0x3f, 0xff, 0xff, 0xff, 0xff, 0xff] => Err(InvalidAddress),
            _ => Ok(Self { octets, random: true }),
        }
    }
}

/// An `ADV_NONCONN_IND` PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pdu {
    bytes: [u8; Self::MAX],
    data_len: u8,
}

impl Pdu {
    /// Octets of the longest PDU.
    pub const MAX: usize = ADV_DATA_AT + LEGACY_MAX;

    /// The PDU that advertises `data` from `address`.
    pub fn nonconnectable(address: Address, data: &AdvertisingData) -> Self {
        let mut bytes = [0; Self::MAX];
        bytes[0] = ADV_NONCONN_IND | if address.random { TX_ADD } else { 0 };
        bytes[1] = (ADDRESS_LEN + data.len()) as u8;
        bytes[2..ADV_DATA_AT].copy_from_slice(&address.octets);
        bytes[2..ADV_DATA_AT].reverse(); // on air the least significant octet goes first
        for (to, from) in bytes[ADV_DATA_AT..].iter_mut().zip(data) {
            *to = *from;
        }
        Self { bytes, data_len: data.len() as u8 }
    }

    /// The whole PDU as it goes on air: 8 to 39 octets.
    pub fn bytes(&self) -> &[u8] {
        let len = ADV_DATA_AT + usize::from(self.data_len);
        self.bytes.get(..len).unwrap_or(&self.bytes) // `get`: no panic in the binary
    }

    /// The advertiser's address.
    pub fn address(&self) -> Address {
        let [head, _, octets @ ..] = self.bytes;
        let [f, e, d, c, b, a, ..] = octets;
        Address { octets: [a, b, c, d, e, f], random: head & TX_ADD != 0 }
    }

    /// The advertising data: 0 to 31 octets.
    pub fn advertising_data(&self) -> &[u8] {
        self.bytes().get(ADV_DATA_AT..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(octets: &[u8]) -> AdvertisingData {
        octets.try_into().unwrap()
    }

    #[test]
    fn a_random_static_address_sets_tx_add_and_goes_least_significant_octet_first() {
        let address = Address::random_static([0x01, 2, 3, 4, 5, 6]).unwrap();
        let pdu = Pdu::nonconnectable(address, &data(&[2, 1, 6]));
        assert_eq!(pdu.bytes(), [0x42, 9, 6, 5, 4, 3, 2, 0xc1, 2, 1, 6]);
        assert_eq!(pdu.advertising_data(), [2, 1, 6]);
        assert_eq!(pdu.address(), address);
    }

    #[test]
    fn a_non_resolvable_address_clears_the_top_bits() {
        let address = Address::non_resolvable([0xc1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(Pdu::nonconnectable(address, &data(&[])).bytes(), [0x42, 6, 6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn a_public_address_is_kept_as_it_is_and_clears_tx_add() {
        let pdu = Pdu::nonconnectable(Address::public([0x01, 2, 3, 4, 5, 6]), &data(&[]));
        assert_eq!(pdu.bytes(), [0x02, 6, 6, 5, 4, 3, 2, 0x01]);
        assert!(pdu.advertising_data().is_empty());
    }

    #[test]
    fn the_longest_pdu_has_39_octets() {
        let pdu = Pdu::nonconnectable(Address::public([0; 6]), &data(&[0xaa; LEGACY_MAX]));
        assert_eq!((pdu.bytes().len(), pdu.bytes()[1]), (39, 37));
        assert_eq!(pdu.advertising_data(), [0xaa; LEGACY_MAX]);
    }

    #[test]
    fn an_address_out_of_erased_memory_is_refused() {
        for octets in [[0; 6], [0xff; 6], [0xc0, 0, 0, 0, 0, 0], [0x3f, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(Address::random_static(octets), Err(InvalidAddress), "{octets:x?}");
        }
        assert_eq!(Address::non_resolvable([0xc0, 0, 0, 0, 0, 0]), Err(InvalidAddress));
        assert_eq!(Address::non_resolvable([0xff; 6]), Err(InvalidAddress));
        assert!(Address::random_static([0, 0, 0, 0, 0, 1]).is_ok());
        assert!(Address::random_static([0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]).is_ok());
    }
}
