//! The plan's beacon layouts, and the beacons that they identify.

use crate::private::LayoutBeacon;
use arrayvec::ArrayVec;
use std::collections::HashMap;
use vitrine_protocol::layout::{IDENTIFIER_MAX, IDENTIFIERS_MAX, Layout, Payload};

/// Most layouts of a plan: everything that is heard is held against each.
pub const LAYOUTS_MAX: usize = 16;

/// A layout's number, and each identifier with its length before it.
type Key = ArrayVec<u8, { 1 + IDENTIFIERS_MAX * (1 + IDENTIFIER_MAX) }>;

/// The layouts, in the plan's order, and the registered beacons by what identifies them.
#[derive(Clone, Debug, Default)]
pub struct Layouts {
    layouts: ArrayVec<Layout, LAYOUTS_MAX>,
    beacons: HashMap<Box<[u8]>, LayoutBeacon>,
}

impl Layouts {
    /// The layouts, without beacons; those over [`LAYOUTS_MAX`] are left out.
    pub(super) fn new(layouts: impl IntoIterator<Item = Layout>) -> Self {
        Self { layouts: layouts.into_iter().take(LAYOUTS_MAX).collect(), beacons: HashMap::new() }
    }

    /// Registers what has these identifiers in layout number `layout`: the same again for the same identifiers.
    pub(super) fn register<'a>(
        &mut self,
        layout: usize,
        identifiers: impl IntoIterator<Item = &'a [u8]>,
    ) -> LayoutBeacon {
        let new = LayoutBeacon::new(self.beacons.len() as u32);
        *self.beacons.entry(key(layout, identifiers).as_slice().into()).or_insert(new)
    }

    /// The registered beacon that sent `payload`.
    pub fn identify(&self, payload: Payload<'_>) -> Option<LayoutBeacon> {
        self.layouts.iter().enumerate().find_map(|(number, layout)| {
            let identifiers: ArrayVec<_, IDENTIFIERS_MAX> = layout.read(payload)?.identifiers().collect();
            self.beacons.get(key(number, identifiers.iter().map(ArrayVec::as_slice)).as_slice()).copied()
        })
    }
}

/// At most [`IDENTIFIERS_MAX`] identifiers of at most [`IDENTIFIER_MAX`] octets have room; no layout has more.
fn key<'a>(layout: usize, identifiers: impl IntoIterator<Item = &'a [u8]>) -> Key {
    let identifiers = identifiers.into_iter().flat_map(|octets| [&[octets.len() as u8], octets].concat());
    std::iter::once(layout as u8).chain(identifiers).take(Key::new().capacity()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_of_one_layout_are_not_those_of_another() {
        let layout = |text: &str| text.parse::<Layout>().unwrap();
        let mut layouts = Layouts::new([layout("m:2-2=01,i:3-4v,i:5-6v"), layout("m:2-2=02,i:3-3,i:4-6")]);
        let first = layouts.register(0, [&[1, 2][..], &[3, 4]]);
        let second = layouts.register(1, [&[1][..], &[2, 3, 4]]);
        assert!(first != second && layouts.register(0, [&[1, 2][..], &[3, 4]]) == first);
        let identify = |data| layouts.identify(Payload::Manufacturer { company: 9, data });
        assert!(identify(&[1, 1, 2, 3, 4]) == Some(first));
        assert!(identify(&[2, 1, 2, 3, 4]) == Some(second));
        assert!(identify(&[2, 1, 2, 3, 5]).is_none() && identify(&[1, 1, 2, 3]).is_none());
    }
}
