//! Eddystone: service data of UUID 0xFEAA.
//!
//! Format: google/eddystone, `protocol-specification.md` and one document a frame type. Numbers are big endian; octets
//! after a frame's last field are ignored. Frame types other than these four are not read here. What an ephemeral
//! identifier or encrypted telemetry means takes the beacon's key: that is not here either.

mod eid;
mod tlm;
mod uid;
mod url;

pub use eid::EddystoneEid;
pub use tlm::{EddystoneEtlm, EddystoneTlm};
pub use uid::EddystoneUid;
pub use url::{EddystoneUrl, EncodedUrl, UrlError};

use super::{Frame, take};
use crate::advertisement::Malformed;

/// Eddystone's 16-bit service UUID.
pub const EDDYSTONE_UUID16: u16 = 0xfeaa;

const UID: u8 = 0x00;
const URL: u8 = 0x10;
const TLM: u8 = 0x20;
const EID: u8 = 0x30;

/// Reads Eddystone's service data; `None` for frames that are not read here.
pub(super) fn decode(data: &[u8]) -> Result<Option<Frame>, Malformed> {
    let ([kind], body) = take(data, 0)?;
    match kind {
        UID => EddystoneUid::decode(body).map(|uid| Some(Frame::EddystoneUid(uid))),
        URL => EddystoneUrl::decode(body).map(|url| Some(Frame::EddystoneUrl(url))),
        TLM => tlm::decode(body),
        EID => EddystoneEid::decode(body).map(|eid| Some(Frame::EddystoneEid(eid))),
        _ => Ok(None),
    }
}

/// Writes what every Eddystone advertisement starts with (flags, the list of 16-bit service UUIDs, the head of the
/// service data), the frame's type, and the frame's body.
fn write(out: &mut [u8], kind: u8, body: &[&[u8]]) {
    let body_len: usize = body.iter().map(|part| part.len()).sum();
    let head = [0x02, 0x01, 0x06, 0x03, 0x03, 0xaa, 0xfe, body_len as u8 + 4, 0x16, 0xaa, 0xfe, kind];
    let octets = head.iter().chain(body.iter().copied().flatten());
    out.iter_mut().zip(octets).for_each(|(out, octet)| *out = *octet);
}

/// Octets that [`write`] puts before the body.
const HEAD: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advertisement::Fault;

    #[test]
    fn other_eddystone_frames_are_passed_over() {
        assert_eq!(decode(&[0x21, 0x01, 0x0b, 0x0c]), Ok(None));
        assert_eq!(decode(&[TLM, 0x02, 1, 2, 3]), Ok(None));
        assert_eq!(decode(&[]), Err(Malformed { offset: 0, fault: Fault::Short }));
    }

    /// Every cut of every frame type says at which octet something is missing.
    #[test]
    fn a_cut_names_where_octets_are_missing() {
        for (kind, length) in [(UID, 18), (EID, 10), (TLM, 14), (URL, 3)] {
            let mut data = [0; 18];
            data[0] = kind;
            for cut in 1..length {
                let cut_short = Malformed { offset: cut, fault: Fault::Short };
                assert_eq!(decode(&data[..cut]), Err(cut_short), "{kind:#x} at {cut}");
            }
            assert!(decode(&data[..length]).unwrap().is_some());
        }
    }
}
