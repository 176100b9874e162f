//! BTHome: sensor readings and button presses in service data.
//!
//! Format: <https://bthome.io/format/> (version 2, UUID 0xFCD2) and <https://bthome.io/v1/> (version 1, UUID 0x181C,
//! and 0x181E for encrypted data). Version 2 is a device information octet, then objects:
//!
//! | bits | device information |
//! |---|---|
//! | 0 | the objects are encrypted |
//! | 1 | six octets follow, the sender's address reversed (early version 2; reserved since) |
//! | 2 | sends when something happens, not regularly |
//! | 5 to 7 | version: 2 |
//!
//! **What stops reading.** Objects stand in the order of their ids, so that a receiver can stop at the first that it
//! does not know and still has all that are older: that is no error, and [`BtHome::unread`] tells where it was. The
//! same holds for an object that is cut short, and for what exceeds [`CAPACITY`]. A payload whose *first* object is
//! cut short holds nothing, and is malformed. Objects out of order are read all the same.
//!
//! **Version 1** uses UUIDs that the Bluetooth SIG gave to other services (User Data and Bond Management). What is
//! not, to its last octet, a sequence of version 1 objects is therefore passed over, not malformed.
//!
//! Whether a clear payload is acceptable from a device that has a key, and whether a packet id was seen before, is
//! the receiver's to decide.

mod builder;
#[cfg(feature = "crypto")]
mod cipher;
mod encrypted;
mod object;
mod objects;
mod octets;
mod replay;
#[cfg(test)]
mod tests;
mod value;

pub use builder::{Builder, Refused};
#[cfg(feature = "crypto")]
pub use cipher::NotAuthentic;
pub use encrypted::Encrypted;
pub use object::Object;
pub use octets::{CAPACITY, Octets};
pub use replay::{Freshness, ReplayGuard};
pub use value::{Button, Command, Decimal, Dimmer, Measurement, Value};

use core::fmt;

use super::{Frame, take};
use crate::advertisement::{Fault, Malformed};
use objects::Objects;

/// BTHome's 16-bit service UUID.
pub const BTHOME_UUID16: u16 = 0xfcd2;
/// The service UUID of version 1, in the clear.
pub const BTHOME_V1_UUID16: u16 = 0x181c;
/// The service UUID of version 1, encrypted.
pub const BTHOME_V1_ENCRYPTED_UUID16: u16 = 0x181e;

const ENCRYPTED: u8 = 1 << 0;
const ADDRESS: u8 = 1 << 1;
const TRIGGER_BASED: u8 = 1 << 2;
const VERSION_2: u8 = 2 << 5;

const ADDRESS_LEN: usize = 6;
/// Octets of version 1's shortest object.
const V1_OBJECT_LEN: usize = 3;

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Of 2022, replaced in the same year.
    V1,
    /// Of November 2022.
    V2,
}

impl Version {
    /// 1 or 2.
    pub fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// A BTHome payload that can be read: sent in the clear, or decrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BtHome {
    version: Version,
    encrypted: bool,
    trigger_based: bool,
    /// 0 if it came in the clear.
    counter: u32,
    objects: Octets,
    unread: Option<Unread>,
}

impl BtHome {
    /// The version of the format.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether it came encrypted: if not, anyone may have sent it.
    pub fn encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether the device sends only when something happens, so that silence says nothing.
    pub fn trigger_based(&self) -> bool {
        self.trigger_based
    }

    /// The counter of a payload that came encrypted: see [`ReplayGuard`].
    pub fn counter(&self) -> Option<u32> {
        self.encrypted.then_some(self.counter)
    }

    /// Counts changes of data, modulo 256: a payload with the id of the one before it is a repetition. Optional.
    pub fn packet_id(&self) -> Option<u8> {
        let packet_id = self.items().find(|item| item.object.id == object::PACKET_ID)?;
        packet_id.data.first().copied()
    }

    /// The objects in the order in which they were sent, without the packet id. A name may come several times, for
    /// example for each of three buttons.
    pub fn measurements(&self) -> impl Iterator<Item = Measurement<'_>> {
        self.items().filter(|item| item.object.id != object::PACKET_ID).map(|item| item.measurement())
    }

    /// Where reading stopped before the end, and why. `None` if all was read.
    pub fn unread(&self) -> Option<Unread> {
        self.unread
    }

    fn items(&self) -> impl Iterator<Item = value::Item<'_>> {
        Objects::new(self.version, self.objects.as_bytes()).map_while(Result::ok).map(|(item, _)| item)
    }

    /// Reads the objects in `body`, which starts at `offset` of the service data.
    fn read(version: Version, info: u8, offset: usize, body: &[u8]) -> Self {
        let held = &body[..body.len().min(CAPACITY)];
        let (mut end, mut stop) = (0, None);
        for item in Objects::new(version, held) {
            match item {
                Ok((_, at)) => end = at,
                Err(cause) => stop = Some(cause),
            }
        }
        // An object that is cut short by our bound is not cut short on air.
        if held.len() < body.len() && matches!(stop, None | Some(Cause::Short)) {
            stop = Some(Cause::Long);
        }
        Self {
            version,
            encrypted: info & ENCRYPTED != 0,
            trigger_based: info & TRIGGER_BASED != 0,
            counter: 0,
            objects: Octets::holding(&[&held[..end]]).unwrap_or_default(),
            unread: stop.map(|cause| Unread { offset: (offset + end) as u8, cause }),
        }
    }
}

impl fmt::Debug for BtHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct List<'a>(&'a BtHome);
        impl fmt::Debug for List<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let pairs = self.0.measurements().map(|m| (m.object.name(), m.value));
                f.debug_list().entries(pairs).finish()
            }
        }
        f.debug_struct("BtHome")
            .field("version", &self.version)
            .field("counter", &self.counter())
            .field("trigger_based", &self.trigger_based)
            .field("packet_id", &self.packet_id())
            .field("measurements", &List(self))
            .field("unread", &self.unread)
            .finish()
    }
}

/// Where in a payload reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Offset of the object, counted from the start of the service data behind the UUID.
    pub offset: u8,
    /// What was wrong with it.
    pub cause: Cause,
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The object id is none that this version knows.
    Unknown(u8),
    /// The object is cut short.
    Short,
    /// The payload is longer than [`CAPACITY`]; as many objects as fit are held.
    Long,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Unknown(id) => write!(f, "object id 0x{id:02x} is not known")?,
            Cause::Short => f.write_str("the object is cut short")?,
            Cause::Long => f.write_str("the payload is too long")?,
        }
        write!(f, " at offset {}", self.offset)
    }
}

/// Reads service data of [`BTHOME_UUID16`].
pub(super) fn decode(data: &[u8]) -> Result<Option<Frame>, Malformed> {
    let ([info], body) = take(data, 0)?;
    if info >> 5 != VERSION_2 >> 5 {
        return Err(Malformed { offset: 0, fault: Fault::Value });
    }
    if info & ENCRYPTED != 0 {
        return Encrypted::read(Version::V2, info, body).map(|frame| Some(Frame::BtHomeEncrypted(frame)));
    }
    let (offset, body) = match info & ADDRESS {
        0 => (1, body),
        _ => take::<ADDRESS_LEN>(body, 1).map(|(_, rest)| (1 + ADDRESS_LEN, rest))?,
    };
    let frame = BtHome::read(Version::V2, info, offset, body);
    match frame.unread {
        Some(Unread { cause: Cause::Short, .. }) if frame.objects.as_bytes().is_empty() => {
            Err(Malformed { offset: data.len(), fault: Fault::Short })
        }
        _ => Ok(Some(Frame::BtHome(frame))),
    }
}

/// Reads service data of [`BTHOME_V1_UUID16`]; `None` if it is another service's.
pub(super) fn decode_v1(data: &[u8]) -> Option<Frame> {
    let frame = BtHome::read(Version::V1, 0, 0, data);
    (frame.unread.is_none() && !frame.objects.as_bytes().is_empty()).then_some(Frame::BtHome(frame))
}

/// Reads service data of [`BTHOME_V1_ENCRYPTED_UUID16`]; `None` if it is another service's.
pub(super) fn decode_v1_encrypted(data: &[u8]) -> Option<Frame> {
    let frame = Encrypted::read(Version::V1, ENCRYPTED, data).ok()?;
    (frame.ciphertext().len() >= V1_OBJECT_LEN).then_some(Frame::BtHomeEncrypted(frame))
}
