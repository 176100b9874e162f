//! The names of the plan's beacons.
//!
//! They are for places, for what satellites say inside the store, and for the tools with which somebody looks for one
//! beacon. A carrier is a number from the moment it is identified: its beacon's name goes no further.

use super::Identity;
use std::collections::{BTreeSet, HashMap};
use vitrine_protocol::Id;

/// What a beacon is called, and what it rides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name in the plan.
    pub beacon: Id,
    /// Its `carrier` in the plan: cart, basket, staff, shelf or fixed.
    pub carrier: &'static str,
}

/// The beacons by what they transmit.
#[derive(Clone, Debug, Default)]
pub struct Register(HashMap<Identity, Tag>);

impl Register {
    pub(super) fn insert(&mut self, identity: Identity, tag: Tag) {
        self.0.insert(identity, tag);
    }

    /// The beacon that transmits this.
    pub fn get(&self, identity: &Identity) -> Option<Tag> {
        self.0.get(identity).copied()
    }

    /// What each beacon transmits, and what it is called.
    pub fn iter(&self) -> impl Iterator<Item = (&Identity, Tag)> {
        self.0.iter().map(|(identity, tag)| (identity, *tag))
    }

    /// The names of all beacons, in order.
    pub fn names(&self) -> BTreeSet<Id> {
        self.0.values().map(|tag| tag.beacon).collect()
    }
}
