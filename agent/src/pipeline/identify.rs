//! Who was heard: the plan decides, before anything else remembers the sighting.

use super::Counters;
use crate::{
    capture::Heard,
    plan::{Anchor, Identity, Plan, Rider},
    private::CarrierId,
};
use std::collections::HashMap;
use vitrine_protocol::Id;

/// A carrier of the plan, and what it was near.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighted<'p> {
    /// The carrier.
    pub(super) carrier: CarrierId,
    /// The receiver that heard the carrier, or the fixed beacon that it heard.
    pub(super) anchor: Id,
    /// Where `anchor` is, and every other like it.
    pub(super) anchors: &'p HashMap<Id, Anchor>,
}

/// Who was where; `None` for everything but a carrier's beacon heard by a fixed receiver, or a fixed beacon heard by a
/// receiver that is a carrier itself.
pub(super) fn identify<'p>(plan: &'p Plan, heard: &Heard, counters: &mut Counters) -> Option<Sighted<'p>> {
    let by_frame = heard.frame.as_ref().and_then(Identity::of);
    let by_layout = heard.beacon.map(Identity::Layout);
    let identities = [by_frame, by_layout, heard.address.map(Identity::Address)];
    let known = |identity| Some((plan.beacons.get(identity)?, plan.register.get(identity)?.beacon));
    let Some((beacon, name)) = identities.iter().flatten().find_map(known) else {
        counters.not_in_plan += 1;
        return None;
    };
    let (rider, anchor, anchors) = match plan.mobile.get(&heard.receiver) {
        Some(rider) => (rider, name, &plan.places),
        None => (beacon, heard.receiver, &plan.receivers),
    };
    match rider {
        // The receiver is not in the plan, or the beacon marks no place.
        _ if !anchors.contains_key(&anchor) => None,
        Rider::Carrier(carrier) => {
            counters.sightings += 1;
            Some(Sighted { carrier: *carrier, anchor, anchors })
        }
        Rider::Staff => {
            counters.staff += 1;
            None
        }
        Rider::Fixed => None,
    }
}
