//! The key and address that decrypt a frame, and where they come from.

use std::fmt;
use vitrine_protocol::frame::Frame;

/// What decryption needs.
#[derive(Clone, Copy, Default, clap::Args)]
pub(super) struct Keys {
    /// The key of a BTHome device, in 32 hexadecimal digits: decrypts what it sent.
    #[arg(long, value_name = "HEX", value_parser = array::<16>)]
    key: Option<[u8; 16]>,
    /// The address that the advertisement came from, for --key. A JSON line may have its own in `address`.
    #[arg(long, value_name = "HEX", value_parser = array::<6>)]
    address: Option<[u8; 6]>,
}

/// Neither key nor address is for a log.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// With the address that a line states, if it states one.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub(super) fn at(self, address: Option<&str>) -> Result<Self, String> {
        match address.filter(|_| self.key.is_some()).map(array).transpose() {
            Ok(address) => Ok(Self { address: address.or(self.address), ..self }),
            Err(error) => Err(format!("`address` {error}")),
        }
    }

    /// Puts what was encrypted for our key in its frame's place. What cannot be decrypted stays as it is.
    ///
    /// # Errors
    /// Why it cannot be decrypted.
    pub(super) fn open(&self, frame: &mut Frame) -> Result<(), String> {
        let (Frame::BtHomeEncrypted(encrypted), Some(key)) = (&*frame, self.key) else { return Ok(()) };
        // A payload that carries its sender's address does without ours.
        match (encrypted.decrypt(&key, &self.address.unwrap_or_default()), self.address) {
            (Ok(content), _) => {
                *frame = Frame::BtHome(content);
                Ok(())
            }
            (Err(error), Some(_)) => Err(error.to_string()),
            (Err(_), None) => {
                Err("decryption needs the sender's address: `address` in the line, or --address".into())
            }
        }
    }
}

/// Exactly `N` octets in hexadecimal digits, with colons between them or without.
fn array<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let octets = hex::decode(text.replace(':', "")).unwrap_or_default();
    octets.try_into().map_err(|_| format!("needs {} hexadecimal digits", 2 * N))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(hex: &str, address: Option<&str>, expected: Expect) {
        let keys = Keys { key: Some(array("231d39c1d7cc1ab1aee224cd096db932").unwrap()), address: None };
        let mut frame = Frame::from_service_data(0xfcd2, &hex::decode(hex).unwrap()).unwrap().unwrap();
        let outcome = keys.at(address).and_then(|keys| keys.open(&mut frame));
        let readable = match frame {
            Frame::BtHome(frame) => {
                frame.measurements().map(|m| m.object.name()).collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        };
        expected.assert_eq(&format!("{readable}; {outcome:?}"));
    }

    #[test]
    fn a_frame_is_opened_with_key_and_address() {
        let encrypted = "41a47266c95f730011223378237214";
        check(encrypted, Some("54:48:e6:8f:80:a5"), expect!["temperature humidity; Ok(())"]);
        check(encrypted, Some("5448E68F80A5"), expect!["temperature humidity; Ok(())"]);
        check(
            encrypted,
            Some("5448e68f80a6"),
            expect![[
                r#"BtHomeEncrypted(Encrypted { version: V2, counter: 857870592, .. }); Err("the payload does not match the key and the sender's address")"#
            ]],
        );
        check(
            encrypted,
            Some("5448e68f80"),
            expect![[
                r#"BtHomeEncrypted(Encrypted { version: V2, counter: 857870592, .. }); Err("`address` needs 12 hexadecimal digits")"#
            ]],
        );
        check(
            encrypted,
            None,
            expect![[
                r#"BtHomeEncrypted(Encrypted { version: V2, counter: 857870592, .. }); Err("decryption needs the sender's address: `address` in the line, or --address")"#
            ]],
        );
        let with_address = "43a5808fe64854f196c06ffb4900112233f08ecbde";
        check(with_address, None, expect!["temperature humidity; Ok(())"]);
        check("4002ca09", None, expect!["temperature; Ok(())"]);
    }

    #[test]
    fn debug_tells_nothing() {
        assert_eq!(format!("{:?}", Keys { key: Some([7; 16]), address: Some([8; 6]) }), "Keys(..)");
    }
}
