//! Eddystone-URL, and its compression of URLs.
//!
//! Format: `eddystone-url/README.md`. A URL is an octet for its scheme and up to 17 octets, of which 0x00 to 0x0d stand
//! for a top-level domain, 0x21 to 0x7e for themselves, and the others are reserved.

use super::{HEAD, URL, write};
use crate::{
    advertisement::{Fault, LEGACY_MAX, Malformed},
    frame::take,
};
use arrayvec::ArrayVec;
use core::fmt;

/// Most octets after the scheme's.
const ENCODED_MAX: usize = 17;

/// By the octet that stands for them. The two with `www.` come first, so that the first match is the longest.
const SCHEMES: [&str; 4] = ["http://www.", "https://www.", "http://", "https://"];

/// By the octet that stands for them. Those with a slash come first, so that the first match is the longest.
const EXPANSIONS: [&str; 14] = [
    ".com/", ".org/", ".edu/", ".net/", ".info/", ".biz/", ".gov/", ".com", ".org", ".edu", ".net", ".info",
    ".biz", ".gov",
];

/// An Eddystone-URL frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EddystoneUrl {
    /// RSSI at 0 m, in dBm (-100 to 20).
    pub tx_power_dbm: i8,
    /// The URL.
    pub url: EncodedUrl,
}

/// A URL as it is sent. Its [`Display`](fmt::Display) is the expanded URL.
///
/// Two values are equal when their octets are; [`EncodedUrl::new`] gives the one shortest encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EncodedUrl {
    scheme: u8,
    length: u8,
    octets: [u8; ENCODED_MAX],
}

/// Why a URL cannot be sent in an Eddystone-URL frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It does not start with `http://` or `https://`.
    Scheme,
    /// The character at this offset is not printable US-ASCII: write it percent-encoded.
    Character {
        /// In octets from the start of the URL.
        offset: usize,
    },
    /// It takes more than 17 octets after its scheme: what starts at this offset has no place.
    Long {
        /// In octets from the start of the URL.
        offset: usize,
    },
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("the URL must start with http:// or https://"),
            Self::Character { offset } => {
                write!(f, "the character at offset {offset} must be percent-encoded")
            }
            Self::Long { offset } => {
                write!(
                    f,
                    "the URL is too long from offset {offset} on: write a shorter one, or use a shortener"
                )
            }
        }
    }
}

impl core::error::Error for UrlError {}

impl EncodedUrl {
    /// Encodes `url` in the fewest octets. Scheme and host are taken to lower case, in which they mean the same.
    ///
    /// # Errors
    /// [`UrlError`]
    pub fn new(url: &str) -> Result<Self, UrlError> {
        let starts_with =
            |prefix: &str| url.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
        let scheme = SCHEMES.iter().position(|&prefix| starts_with(prefix)).ok_or(UrlError::Scheme)?;
        let mut encoded = Self { scheme: scheme as u8, length: 0, octets: [0; ENCODED_MAX] };
        let mut at = SCHEMES[scheme].len();
        let host_end = url[at..].find(['/', '?', '#']).map_or(url.len(), |length| at + length);
        while let Some(&octet) = url.as_bytes().get(at) {
            if !octet.is_ascii_graphic() {
                return Err(UrlError::Character { offset: at });
            }
            let in_host = at < host_end;
            let expands_to = |text: &str| {
                let found = url.as_bytes().get(at..at + text.len()).unwrap_or_default();
                found == text.as_bytes() || in_host && found.eq_ignore_ascii_case(text.as_bytes())
            };
            let (octet, length) = match EXPANSIONS.iter().position(|&text| expands_to(text)) {
                Some(code) => (code as u8, EXPANSIONS[code].len()),
                None if in_host => (octet.to_ascii_lowercase(), 1),
                None => (octet, 1),
            };
            *encoded.octets.get_mut(usize::from(encoded.length)).ok_or(UrlError::Long { offset: at })? =
                octet;
            encoded.length += 1;
            at += length;
        }
        Ok(encoded)
    }

    /// The octets after the scheme's, as they are sent.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The text of the scheme: `https://` and the like.
    pub fn scheme(&self) -> &'static str {
        SCHEMES.get(usize::from(self.scheme)).copied().unwrap_or_default()
    }

    fn decode(data: &[u8], offset: usize) -> Result<Self, Malformed> {
        let ([scheme], encoded) = take(data, offset)?;
        if usize::from(scheme) >= SCHEMES.len() {
            return Err(Malformed { offset, fault: Fault::Value });
        }
        let reserved = |&octet: &u8| usize::from(octet) >= EXPANSIONS.len() && !octet.is_ascii_graphic();
        if let Some(at) = encoded.iter().position(reserved) {
            return Err(Malformed { offset: offset + 1 + at, fault: Fault::Value });
        }
        let mut octets = [0; ENCODED_MAX];
        let Some(place) = octets.get_mut(..encoded.len()) else {
            return Err(Malformed { offset: offset + 1 + ENCODED_MAX, fault: Fault::Long });
        };
        place.copy_from_slice(encoded);
        Ok(Self { scheme, length: encoded.len() as u8, octets })
    }
}

impl fmt::Display for EncodedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())?;
        for &octet in self.octets() {
            match EXPANSIONS.get(usize::from(octet)) {
                Some(text) => f.write_str(text)?,
                None => fmt::Write::write_char(f, char::from(octet))?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for EncodedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedUrl({self})")
    }
}

impl EddystoneUrl {
    /// The whole advertisement, as long as the URL needs.
    pub fn encode(&self) -> ArrayVec<u8, LEGACY_MAX> {
        let encoded = self.url.octets();
        let mut out = ArrayVec::from([0; LEGACY_MAX]);
        out.truncate(HEAD + 2 + encoded.len());
        write(&mut out, URL, &[&[self.tx_power_dbm as u8, self.url.scheme], encoded]);
        out
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let ([power], rest) = take(body, 1)?;
        Ok(Self { tx_power_dbm: power as i8, url: EncodedUrl::decode(rest, 2)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use proptest::prelude::*;
    use std::{string::ToString, vec::Vec};

    #[test]
    fn a_url_takes_the_fewest_octets() {
        for (url, scheme, octets) in [
            ("https://www.example.com/", 1, &b"example\x00"[..]),
            ("http://example.info", 2, b"example\x0b"),
            ("HTTPS://Example.COM/A.COM/a.com", 3, b"example\x00A.COM/a\x07"),
            ("https://a.community", 3, b"a\x07munity"),
            ("https://", 3, b""),
        ] {
            let encoded = EncodedUrl::new(url).unwrap();
            assert_eq!((encoded.scheme, encoded.octets()), (scheme, octets), "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_sent_says_why() {
        for (url, error, text) in [
            ("ftp://a", UrlError::Scheme, "the URL must start with http:// or https://"),
            (
                "http://a b",
                UrlError::Character { offset: 8 },
                "the character at offset 8 must be percent-encoded",
            ),
            (
                "https://caf\u{e9}.fr",
                UrlError::Character { offset: 11 },
                "the character at offset 11 must be percent-encoded",
            ),
            (
                "https://abcdefghijklmnopq.com",
                UrlError::Long { offset: 25 },
                "the URL is too long from offset 25 on: write a shorter one, or use a shortener",
            ),
        ] {
            assert_eq!(EncodedUrl::new(url), Err(error));
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn reserved_octets_and_overlong_urls_are_malformed() {
        let read = |body: &[u8]| EddystoneUrl::decode(body).unwrap_err();
        assert_eq!(read(&[0, 4, b'a']), Malformed { offset: 2, fault: Fault::Value });
        assert_eq!(read(&[0, 3, b'a', 0x0e]), Malformed { offset: 4, fault: Fault::Value });
        assert_eq!(read(&[0, 3, b'a', 0x7f]), Malformed { offset: 4, fault: Fault::Value });
        assert_eq!(
            read(&[[0, 3].as_slice(), &[b'a'; 18]].concat()),
            Malformed { offset: 20, fault: Fault::Long }
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(tx_power_dbm: i8, scheme in 0u8..4, octets in proptest::collection::vec(
            prop_oneof![0u8..14, 0x21u8..0x7f], 0..=ENCODED_MAX)) {
            let sent = [&[tx_power_dbm as u8, scheme], octets.as_slice()].concat();
            let frame = EddystoneUrl::decode(&sent).unwrap();
            prop_assert_eq!(Frame::decode(&frame.encode()).collect::<Vec<_>>(), [Ok(Frame::EddystoneUrl(frame))]);
        }

        /// However a URL was encoded, encoding its text gives the same text in no more octets.
        #[test]
        fn the_encoding_is_canonical(scheme in 0u8..4, octets in proptest::collection::vec(
            prop_oneof![0u8..14, Just(b'.'), Just(b'/'), 0x61u8..0x7b], 0..=ENCODED_MAX)) {
            let sent = EncodedUrl::decode(&[&[scheme], octets.as_slice()].concat(), 0).unwrap();
            let canonical = EncodedUrl::new(&sent.to_string()).unwrap();
            prop_assert_eq!(canonical.to_string(), sent.to_string());
            prop_assert!(canonical.octets().len() <= sent.octets().len());
            prop_assert_eq!(EncodedUrl::new(&canonical.to_string()), Ok(canonical));
        }

        #[test]
        fn any_text_is_refused_or_keeps_its_meaning(rest in r"[a-zA-Z.]{0,12}(/[ -~]{0,6}|\\PC{0,4})") {
            let url = std::format!("https://{rest}");
            if let Ok(encoded) = EncodedUrl::new(&url) {
                let expanded = encoded.to_string();
                prop_assert!(expanded.eq_ignore_ascii_case(&url));
                prop_assert_eq!(expanded.split_once('/').map(|(_, path)| path.len()), url.split_once('/').map(|(_, path)| path.len()));
            }
        }
    }
}
