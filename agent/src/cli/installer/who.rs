//! Which beacon of the plan an advertisement comes from.

use crate::{
    capture::{Told, source::Advertisement},
    plan::{Identity, Layouts, Plan, Register, Tag},
    private::Address,
    recent::Recent,
};
use std::collections::BTreeSet;
use vitrine_protocol::{Id, advertisement::Malformed};

/// Addresses that a beacon was known by, and for how long after it was last heard.
const ADDRESSES: usize = 1024;
const ADDRESS_TTL_MS: u64 = 600_000;

/// Knows the plan's beacons: by what they say, and from then on by the address they said it from, so that telemetry that
/// a beacon sends between its identifiers is its own.
pub(super) struct Who {
    layouts: Layouts,
    register: Register,
    addresses: Recent<Address, Tag>,
}

/// An advertisement, read.
pub(super) struct Read {
    /// The beacon of the plan.
    pub(super) tag: Option<Tag>,
    /// Its frames; the one that identifies the beacon of the plan first.
    pub(super) told: Vec<Told>,
    /// What is malformed in it.
    pub(super) malformed: Option<Malformed>,
}

impl Who {
    pub(super) fn new(plan: Option<Plan>) -> Self {
        let (layouts, register) = plan.map(|plan| (plan.layouts, plan.register)).unwrap_or_default();
        Self { layouts, register, addresses: Recent::new(ADDRESSES, ADDRESS_TTL_MS) }
    }

    /// The names of the plan's beacons.
    pub(super) fn names(&self) -> BTreeSet<Id> {
        self.register.names()
    }

    /// Reads an advertisement.
    pub(super) fn read(&mut self, advertisement: &Advertisement<'_>) -> Read {
        let &Advertisement { at, address, content, .. } = advertisement;
        let (mut told, malformed) = content.told(&self.layouts);
        let stated = told.iter().position(|told| self.tag(told).is_some());
        let tag = match stated {
            Some(place) => {
                told.swap(0, place);
                told.first().and_then(|told| self.tag(told))
            }
            None => address.and_then(|address| {
                let by_plan = self.register.get(&Identity::Address(address));
                by_plan.or_else(|| self.addresses.meet(&address, at.mono_ms).copied())
            }),
        };
        if let (Some(address), Some(tag), Some(_)) = (address, tag, stated) {
            self.addresses.insert(address, tag, at.mono_ms);
        }
        Read { tag, told, malformed }
    }

    fn tag(&self, told: &Told) -> Option<Tag> {
        let by_frame = told.frame.as_ref().and_then(Identity::of);
        let by_layout = told.beacon.map(Identity::Layout);
        [by_frame, by_layout].iter().flatten().find_map(|identity| self.register.get(identity))
    }
}
