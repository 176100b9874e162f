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
mod object;
mod objects;
mod octets;
mod replay;
mod value;

pub use builder::{Builder, Refused};
#[cfg(feature = "crypto")]
pub use cipher::NotAuthentic;
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
const COUNTER_LEN: usize = 4;
const TAG_LEN: usize = 4;
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
            .field("encrypted", &self.encrypted)
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

/// An encrypted BTHome payload. It cannot be told what is in it, nor who sent it, before
#[cfg_attr(feature = "crypto", doc = "[`decrypt`](Self::decrypt).")]
#[cfg_attr(not(feature = "crypto"), doc = "it is decrypted (feature `crypto`).")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encrypted {
    version: Version,
    info: u8,
    /// The address if the device information says so, ciphertext, counter, tag.
    octets: Octets,
}

impl Encrypted {
    /// The version of the format.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the device sends only when something happens. Not authentic before decryption.
    pub fn trigger_based(&self) -> bool {
        self.info & TRIGGER_BASED != 0
    }

    /// Counts the device's advertisements. Not authentic before decryption; then see [`ReplayGuard`].
    pub fn counter(&self) -> u32 {
        u32::from_le_bytes(self.parts().counter)
    }

    /// The encrypted objects.
    pub fn ciphertext(&self) -> &[u8] {
        self.parts().ciphertext
    }

    /// The message integrity check.
    pub fn tag(&self) -> [u8; TAG_LEN] {
        self.parts().tag
    }

    /// `None` if there is not even room for counter and tag.
    fn parts_of(info: u8, octets: &[u8]) -> Option<Parts<'_>> {
        let (own_address, rest) = match info & ADDRESS {
            0 => (None, octets),
            _ => octets.split_first_chunk().map(|(address, rest)| (Some(*address), rest))?,
        };
        let (rest, tag) = rest.split_last_chunk()?;
        let (ciphertext, counter) = rest.split_last_chunk()?;
        Some(Parts { own_address, ciphertext, counter: *counter, tag: *tag })
    }

    fn parts(&self) -> Parts<'_> {
        Self::parts_of(self.info, self.octets.as_bytes()).unwrap_or_default()
    }

    /// Reads `octets`, which follow the device information.
    fn read(version: Version, info: u8, octets: &[u8]) -> Result<Self, Malformed> {
        let malformed = |offset, fault| Err(Malformed { offset, fault });
        if Self::parts_of(info, octets).is_none() {
            return malformed(1 + octets.len(), Fault::Short);
        }
        match Octets::holding(&[octets]) {
            Some(octets) => Ok(Self { version, info, octets }),
            None => malformed(1 + CAPACITY, Fault::Long),
        }
    }
}

/// Without the octets: an address may be among them.
impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, .. } = self;
        f.debug_struct("Encrypted")
            .field("version", version)
            .field("counter", &self.counter())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Parts<'a> {
    /// As sent: reversed.
    #[cfg_attr(not(feature = "crypto"), expect(dead_code, reason = "part of the nonce"))]
    own_address: Option<[u8; ADDRESS_LEN]>,
    ciphertext: &'a [u8],
    counter: [u8; COUNTER_LEN],
    tag: [u8; TAG_LEN],
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

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::{borrow::ToOwned, format, string::String, vec::Vec};

    fn read(hex: &str) -> String {
        match decode(&hex::decode(hex).unwrap()) {
            Ok(Some(Frame::BtHome(frame))) => {
                let list: Vec<_> =
                    frame.measurements().map(|m| format!("{}={:?}", m.object.name(), m.value)).collect();
                let unread = frame.unread().map_or(String::new(), |unread| format!("; {unread}"));
                list.join(" ") + &unread
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => format!("{error}"),
        }
    }

    fn check(hex: &str, expected: Expect) {
        expected.assert_eq(&read(hex));
    }

    #[test]
    fn what_stands_before_an_unknown_object_is_kept() {
        check(
            "40016166ff",
            expect![
                "battery=Number(Decimal { mantissa: 97, decimals: 0 }); object id 0x66 is not known at offset 3"
            ],
        );
        check("4066ff", expect!["; object id 0x66 is not known at offset 1"]);
        check(
            "42010203040506016166",
            expect![
                "battery=Number(Decimal { mantissa: 97, decimals: 0 }); object id 0x66 is not known at offset 9"
            ],
        );
    }

    #[test]
    fn what_stands_before_a_cut_is_kept_and_nothing_is_malformed() {
        check(
            "4002ca0903bf",
            expect![
                "temperature=Number(Decimal { mantissa: 2506, decimals: 2 }); the object is cut short at offset 4"
            ],
        );
        check("4002ca", expect!["the frame is cut short at offset 3"]);
        check("40530348", expect!["the frame is cut short at offset 4"]);
        check("403b", expect!["the frame is cut short at offset 2"]);
        check("4201020304", expect!["the frame is cut short at offset 5"]);
        check("", expect!["the frame is cut short at offset 0"]);
        check("40", expect![""]);
    }

    #[test]
    fn other_versions_are_malformed() {
        check("0002ca09", expect!["an octet has a value that the format does not allow at offset 0"]);
        check("6002ca09", expect!["an octet has a value that the format does not allow at offset 0"]);
    }

    #[test]
    fn objects_out_of_order_are_read() {
        check(
            "4003bf1302ca09",
            expect![
                "humidity=Number(Decimal { mantissa: 5055, decimals: 2 }) temperature=Number(Decimal { mantissa: 2506, decimals: 2 })"
            ],
        );
    }

    #[test]
    fn texts_commands_and_numbers_of_three_octets() {
        check("403b010305", expect!["command=Command(Command { code: 3, arguments: [5] })"]);
        check("4053024f4b5401ff", expect![[r#"text=Text("OK") raw=Raw([255])"#]]);
        check("405302ffff", expect!["text=Raw([255, 255])"]);
        check("4058ea", expect!["temperature=Number(Decimal { mantissa: -770, decimals: 2 })"]);
    }

    /// 30 packet ids and a battery: the last object that fits is held whole.
    #[test]
    fn a_payload_beyond_the_capacity_is_held_as_far_as_objects_fit() {
        let long = String::from("40") + &"0009".repeat(29) + "02ca09" + "02ca09";
        check(
            &long,
            expect![
                "temperature=Number(Decimal { mantissa: 2506, decimals: 2 }); the payload is too long at offset 62"
            ],
        );
        check(
            &("41".to_owned() + &"00".repeat(62)),
            expect!["the frame is longer than its format allows at offset 62"],
        );
    }

    #[test]
    fn version_1_is_told_from_other_services_by_its_objects() {
        let format = |frame: Option<Frame>| frame.map(|frame| frame.format());
        assert_eq!(format(decode_v1(&[0x02, 0x01, 0x61])), Some("bthome"));
        for other in [&[][..], &[0x02, 0x01], &[0x00], &[0x02, 0x01, 0x61, 0xff], &[0x02, 0x99, 0x61]] {
            assert_eq!(format(decode_v1(other)), None, "{other:?}");
        }
        assert_eq!(format(decode_v1_encrypted(&[0; 11])), Some("bthome"));
        assert_eq!(format(decode_v1_encrypted(&[0; 10])), None);
    }

    /// A float, a MAC address and an unknown object carry their lengths.
    #[test]
    fn version_1_passes_over_what_it_does_not_read() {
        let data = hex::decode("4502000000008702010203040506039988770201612302caff").unwrap();
        let Some(Frame::BtHome(frame)) = decode_v1(&data) else { panic!() };
        let numbers: Vec<_> = frame.measurements().map(|m| m.value).collect();
        let number = |mantissa, decimals| Value::Number(Decimal { mantissa, decimals });
        assert_eq!(numbers, [number(97, 0), number(-54, 2)]);
    }

    #[test]
    fn debug_tells_no_address() {
        let data = hex::decode("43a5808fe64854f196c06ffb4900112233f08ecbde").unwrap();
        let debug = format!("{:?}", decode(&data).unwrap());
        assert_eq!(debug, "Some(BtHomeEncrypted(Encrypted { version: V2, counter: 857870592, .. }))");
    }
}
