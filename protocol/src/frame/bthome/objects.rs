//! The objects of a payload, one after the other, in both versions' layout.
//!
//! Version 2: `id, data`, where the id gives the length, or a length octet follows it (text, raw, command).
//! Version 1: `control, id, data`, where the control octet has the length of what follows in its low five bits and
//! the number format in the others.

use super::{
    Cause, Version,
    object::{Layout, Object},
    value::{Item, MAX_INTEGER},
};

/// Iterates over the objects in `octets`; after an error it ends.
pub(super) struct Objects<'a> {
    version: Version,
    octets: &'a [u8],
    at: usize,
}

impl<'a> Objects<'a> {
    pub(super) fn new(version: Version, octets: &'a [u8]) -> Self {
        Self { version, octets, at: 0 }
    }
}

impl<'a> Iterator for Objects<'a> {
    /// An object, and where it ends.
    type Item = Result<(Item<'a>, usize), Cause>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, rest) = self.octets.get(self.at..)?.split_first()?;
            let split = match self.version {
                Version::V1 => split_v1(first, rest),
                Version::V2 => split_v2(first, rest).map(|(item, length)| (Some(item), length)),
            };
            match split {
                Ok((item, length)) => {
                    self.at += 1 + length;
                    if let Some(item) = item {
                        return Some(Ok((item, self.at)));
                    }
                }
                Err(cause) => {
                    self.octets = &[];
                    return Some(Err(cause));
                }
            }
        }
    }
}

/// The object whose id is `id`, and how many octets it takes of `rest`.
#[inline]
fn split_v2(id: u8, rest: &[u8]) -> Result<(Item<'_>, usize), Cause> {
    let object = Object::of(id).ok_or(Cause::Unknown(id))?;
    let prefix = || rest.first().copied().ok_or(Cause::Short);
    let (start, length) = match object.layout {
        Layout::Unsigned(octets) | Layout::Signed(octets) | Layout::Version(octets) => (0, octets.into()),
        Layout::Flag | Layout::Button => (0, 1),
        Layout::Dimmer => (0, 2),
        Layout::Time => (0, 4),
        Layout::Text | Layout::Raw => (1, usize::from(prefix()?)),
        Layout::Command => (1, 1 + usize::from(prefix()? & 0x1f)),
    };
    let data = rest.get(start..start + length).ok_or(Cause::Short)?;
    Ok((Item { object, signed: matches!(object.layout, Layout::Signed(_)), data }, start + length))
}

/// The object behind the octet `control`, and how many octets it takes of `rest`. It carries its length, so what is
/// not read (ids of later versions, floats, a MAC address) is passed over.
fn split_v1(control: u8, rest: &[u8]) -> Result<(Option<Item<'_>>, usize), Cause> {
    const SIGNED: u8 = 1;
    const FLOAT: u8 = 2;
    const MAC: u8 = 4;

    let (length, format) = (usize::from(control & 0x1f), control >> 5);
    let (&id, data) = rest.get(..length).and_then(<[u8]>::split_first).ok_or(Cause::Short)?;
    let object = Object::of(id).filter(|object| {
        format != FLOAT
            && format != MAC
            && match object.layout {
                Layout::Unsigned(_) | Layout::Signed(_) | Layout::Time => {
                    (1..=MAX_INTEGER).contains(&data.len())
                }
                Layout::Text | Layout::Raw => true,
                _ => !data.is_empty(),
            }
    });
    Ok((object.map(|object| Item { object, signed: format == SIGNED, data }), length))
}
