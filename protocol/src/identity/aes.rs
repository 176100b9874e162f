//! AES-128, the one primitive that everything in [`identity`](super) is made of.
//!
//! Firmware whose chip encrypts implements [`Aes128`] in a few lines and pays no flash for a software cipher;
//! everybody else names [`SoftwareAes`]. Modes of operation come from the `ccm` and `cmac` crates, which are
//! handed the chip's cipher through an adapter that is private to the crate.

use ::aes::cipher::{
    Array, Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
    KeyInit, ParBlocksSizeUser,
    consts::{U1, U16},
};

/// Octets of a block, and of a key.
pub const BLOCK: usize = 16;

/// A keyed AES-128 that encrypts single blocks (FIPS 197). Nothing here decrypts.
///
/// ```
/// # struct Peripheral;
/// # impl Peripheral { fn ecb(_key: &[u8; 16], _block: &mut [u8; 16]) {} }
/// use vitrine_protocol::identity::Aes128;
///
/// struct ChipAes([u8; 16]);
///
/// impl Aes128 for ChipAes {
///     fn new(key: &[u8; 16]) -> Self {
///         Self(*key)
///     }
///     fn encrypt(&self, block: &mut [u8; 16]) {
///         Peripheral::ecb(&self.0, block);
///     }
/// }
/// ```
pub trait Aes128 {
    /// The cipher under `key`. Implementations wipe their copy of the key when dropped, where they can.
    fn new(key: &[u8; BLOCK]) -> Self;

    /// Encrypts `block` in place.
    fn encrypt(&self, block: &mut [u8; BLOCK]);
}

/// AES in software, or in the processor's AES instructions where it has them (x86-64, AArch64).
pub type SoftwareAes = ::aes::Aes128;

impl Aes128 for SoftwareAes {
    fn new(key: &[u8; BLOCK]) -> Self {
        KeyInit::new(&Array(*key))
    }

    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        let mut out = Array(*block);
        self.encrypt_block(&mut out);
        *block = out.0;
    }
}

/// AES-CMAC (NIST SP 800-38B) over `parts`, one after the other.
pub(super) fn cmac<A: Aes128>(cipher: &A, parts: &[&[u8]]) -> [u8; BLOCK] {
    use ::cmac::{Cmac, Mac, digest::InnerInit};
    let mut mac = Cmac::inner_init(Adapter(cipher));
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().0
}

/// Shows an [`Aes128`] to the `ccm` and `cmac` crates as a cipher of theirs.
pub(super) struct Adapter<'a, A>(pub(super) &'a A);

impl<A> BlockSizeUser for Adapter<'_, A> {
    type BlockSize = U16;
}

impl<A> ParBlocksSizeUser for Adapter<'_, A> {
    type ParBlocksSize = U1;
}

impl<A: Aes128> BlockCipherEncBackend for Adapter<'_, A> {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut octets = block.get_in().0;
        self.0.encrypt(&mut octets);
        *block.get_out() = Array(octets);
    }
}

impl<A: Aes128> BlockCipherEncrypt for Adapter<'_, A> {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U16>) {
        f.call(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    /// FIPS 197, appendix C.1.
    #[test]
    fn encrypts_as_the_standard_does() {
        let mut block = bytes("00112233445566778899aabbccddeeff");
        <SoftwareAes as Aes128>::new(&bytes("000102030405060708090a0b0c0d0e0f")).encrypt(&mut block);
        assert_eq!(hex::encode(block), "69c4e0d86a7b0430d8cdb78070b4c55a");
    }

    /// RFC 4493, section 4: messages of 0, 16 and 40 octets.
    #[test]
    fn cmac_of_the_rfc() {
        let cipher = <SoftwareAes as Aes128>::new(&bytes("2b7e151628aed2a6abf7158809cf4f3c"));
        let message: [u8; 40] =
            bytes("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411");
        for (length, mac) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
        ] {
            let (head, tail) = message[..length].split_at(length / 3);
            assert_eq!(hex::encode(cmac(&cipher, &[head, tail])), mac, "{length}");
        }
    }
}
