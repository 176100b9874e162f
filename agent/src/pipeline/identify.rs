//! Who was heard: the plan decides, before anything else remembers the sighting.

use super::Counters;
use crate::{
    capture::Heard,
    plan::{Identity, Plan, Receiver, Rider},
    private::CarrierId,
};

/// The carrier and the receiver of a sighting; `None` for everything that is not a carrier of the plan, heard by a
/// receiver of the plan.
pub(super) fn identify<'p>(
    plan: &'p Plan,
    heard: &Heard,
    counters: &mut Counters,
) -> Option<(CarrierId, &'p Receiver)> {
    let by_frame = heard.frame.as_ref().and_then(Identity::of);
    let by_layout = heard.beacon.map(Identity::Layout);
    let identities = [by_frame, by_layout, heard.address.map(Identity::Address)];
    let rider = identities.iter().flatten().find_map(|identity| plan.beacons.get(identity));
    match rider.zip(plan.receivers.get(&heard.receiver)) {
        Some((Rider::Carrier(carrier), receiver)) => {
            counters.sightings += 1;
            Some((*carrier, receiver))
        }
        Some((Rider::Staff, _)) => {
            counters.staff += 1;
            None
        }
        Some((Rider::Fixed, _)) | None => {
            counters.not_in_plan += u64::from(rider.is_none());
            None
        }
    }
}
