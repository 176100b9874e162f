//! Eddystone's encrypted telemetry (eTLM): the plain frame's twelve octets of values under AES-EAX.
//!
//! Specification: google/eddystone, `eddystone-tlm/tlm-encrypted.md`: the identity key, a nonce of 48 bits (start
//! of the identifier's window, then a random salt), no header, a MIC cut to 16 bits. EAX: Bellare, Rogaway and
//! Wagner, *The EAX Mode of Operation*, 2004. Twelve octets are less than a block, so its counter mode is one
//! encryption.
//!
//! What it is worth is the specification's choice: a forged frame passes once in 65 536, a repeated one always,
//! and the salts of 300 frames of one window hold a repetition as likely as not. Take it as a hint from a
//! beacon, not as a fact; the secure frame has none of these faults.

use super::{
    Exponent, Forged,
    aes::{Aes128, BLOCK, cmac},
    key::IdentityKey,
};
use crate::frame::{EddystoneEtlm, EddystoneTlm};

/// Encrypts `telemetry` at the beacon's time `time_s`. `salt` is random, and fresh for each frame.
pub fn encrypt<A: Aes128>(
    key: &IdentityKey,
    exponent: Exponent,
    time_s: u32,
    salt: [u8; 2],
    telemetry: &EddystoneTlm,
) -> EddystoneEtlm {
    let cipher = key.cipher::<A>();
    let nonce = nonce(&cipher, exponent, time_s, salt);
    let ciphertext = apply_keystream(&cipher, &nonce, telemetry.values());
    EddystoneEtlm { ciphertext, salt, mic: mic(&cipher, &nonce, &ciphertext) }
}

/// Decrypts what was heard in the window that the beacon's time `time_s` lies in. The frame does not say whose
/// it is: it goes with the identifier that was heard from the same radio address about the same time.
///
/// # Errors
/// [`Forged`]
pub fn decrypt<A: Aes128>(
    key: &IdentityKey,
    exponent: Exponent,
    time_s: u32,
    frame: &EddystoneEtlm,
) -> Result<EddystoneTlm, Forged> {
    let cipher = key.cipher::<A>();
    let nonce = nonce(&cipher, exponent, time_s, frame.salt);
    // One comparison of two 16-bit numbers takes the same time whatever they are.
    let expected = u16::from_be_bytes(mic(&cipher, &nonce, &frame.ciphertext));
    if expected != u16::from_be_bytes(frame.mic) {
        return Err(Forged);
    }
    Ok(EddystoneTlm::from_values(apply_keystream(&cipher, &nonce, frame.ciphertext)))
}

/// EAX's 𝒩: OMAC^0 of the nonce.
fn nonce<A: Aes128>(cipher: &A, exponent: Exponent, time_s: u32, salt: [u8; 2]) -> [u8; BLOCK] {
    let [a, b, c, d] = exponent.window_start_s(time_s).to_be_bytes();
    let [e, f] = salt;
    omac(cipher, 0, &[a, b, c, d, e, f])
}

fn apply_keystream<A: Aes128>(cipher: &A, nonce: &[u8; BLOCK], text: [u8; 12]) -> [u8; 12] {
    let mut keystream = *nonce;
    cipher.encrypt(&mut keystream);
    core::array::from_fn(|i| text[i] ^ keystream[i])
}

/// EAX's tag, cut: 𝒩 ⊕ OMAC^1 of the empty header ⊕ OMAC^2 of the ciphertext.
fn mic<A: Aes128>(cipher: &A, nonce: &[u8; BLOCK], ciphertext: &[u8; 12]) -> [u8; 2] {
    let header = omac(cipher, 1, &[]);
    let body = omac(cipher, 2, ciphertext);
    core::array::from_fn(|i| nonce[i] ^ header[i] ^ body[i])
}

/// CMAC over a block that holds the number `tweak`, then `data`.
fn omac<A: Aes128>(cipher: &A, tweak: u8, data: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[BLOCK - 1] = tweak;
    cmac(cipher, &[&block, data])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SoftwareAes;
    use proptest::prelude::*;

    const K: Exponent = Exponent::SECURE;

    /// Key, nonce and telemetry that Nordic's beacon firmware tests itself with; ciphertext and tag as Spongy
    /// Castle and PyCryptodome compute them (ctz/cifra, issue 3).
    #[test]
    fn encrypts_as_other_implementations_do() {
        let key = IdentityKey::new([
            0x58, 0x94, 0x17, 0xb0, 0x32, 0x4b, 0x1b, 0x71, 0xd7, 0xa6, 0x75, 0x18, 0x52, 0x86, 0x7a, 0xe8,
        ]);
        let telemetry = EddystoneTlm {
            battery_mv: None,
            temperature_c_256: Some(0x1c40),
            advertisements: 72,
            uptime_ds: 115,
        };
        let encrypted = encrypt::<SoftwareAes>(&key, K, 0x0001_0000, [0xf6, 0x83], &telemetry);
        assert_eq!(hex::encode(encrypted.ciphertext), "d5d89979ae79ebee4e385fa5");
        assert_eq!(encrypted.mic, [0x0e, 0xfb]);
        assert_eq!(decrypt::<SoftwareAes>(&key, K, 0x0001_0000 + 1023, &encrypted), Ok(telemetry));
        assert_eq!(decrypt::<SoftwareAes>(&key, K, 0x0001_0000 + 1024, &encrypted), Err(Forged));
    }

    proptest! {
        #[test]
        fn what_is_encrypted_is_decrypted(octets: [u8; 16], salt: [u8; 2], time_s: u32, values: [u8; 12]) {
            let (key, telemetry) = (IdentityKey::new(octets), EddystoneTlm::from_values(values));
            let encrypted = encrypt::<SoftwareAes>(&key, K, time_s, salt, &telemetry);
            prop_assert_eq!(decrypt::<SoftwareAes>(&key, K, time_s, &encrypted), Ok(telemetry));
        }
    }
}
