//! The simulated store's kiosks: sessions of several touches by shoppers who stay beside one.

use super::{
    chance::Chance,
    layout::{KIOSK_IDLE_S, Layout},
    shoppers::{Stay, Visit},
};
use crate::{capture::KioskInput, plan::ZoneKind};
use vitrine_protocol::{
    Id,
    event::{Action, Fulfilment, SessionEnd},
    time::Timestamp,
};

/// How many of the stays beside a kiosk lead to a session.
const USES: f64 = 0.35;
/// How many sessions are ended at the kiosk; the others are just left.
const ENDED: f64 = 0.7;
const TOUCHES_MAX: u32 = 8;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KioskSession {
    /// The kiosk.
    pub kiosk: Id,
    /// The touches in order, the end included where there is one.
    pub touches: Vec<(Timestamp, KioskInput)>,
    /// How it ended.
    pub end: SessionEnd,
    /// When: with the last touch, or the idle time after it.
    pub ended: Timestamp,
}

impl KioskSession {
    /// Touches, the end not counted.
    pub fn interactions(&self) -> usize {
        self.touches.len() - usize::from(self.end == SessionEnd::Ended)
    }
}

/// The day's sessions, by their end.
pub(super) fn sessions(chance: &mut Chance, layout: &Layout, visits: &[Visit]) -> Vec<KioskSession> {
    let mut sessions = Vec::new();
    for &(kiosk, zone) in &layout.kiosks {
        let beside = |stay: &&Stay| stay.zone == zone;
        let mut stays: Vec<&Stay> =
            visits.iter().flat_map(|visit| visit.stays.iter().filter(beside)).collect();
        stays.sort_by_key(|stay| stay.from);
        let mut free_from = None;
        for stay in stays {
            let start = stay.from.plus_ms(i64::from(chance.whole(4_000, 12_000)));
            if free_from.is_some_and(|free| start < free) || !chance.happens(USES) {
                continue;
            }
            let Some(session) = session(chance, layout, kiosk, start, stay.to) else { continue };
            free_from = Some(session.ended.plus_ms(5_000));
            sessions.push(session);
        }
    }
    sessions.sort_by_key(|session| session.ended);
    sessions
}

fn session(
    chance: &mut Chance,
    layout: &Layout,
    kiosk: Id,
    start: Timestamp,
    leaves: Timestamp,
) -> Option<KioskSession> {
    let (mut at, mut touches) = (start, Vec::new());
    let planned = chance.whole(2, TOUCHES_MAX);
    while at < leaves && touches.len() < planned as usize {
        touches.push((at, KioskInput { kiosk, id: chance.event_id(), action: action(chance, layout) }));
        at = at.plus_ms(i64::from(chance.whole(5_000, 20_000)));
    }
    let (last, _) = touches.last()?;
    let (mut end, mut ended) = (SessionEnd::Idle, last.plus_ms(i64::from(KIOSK_IDLE_S) * 1000));
    if chance.happens(ENDED) {
        ended = last.plus_ms(i64::from(chance.whole(2_000, 8_000)));
        touches.push((ended, KioskInput { kiosk, id: chance.event_id(), action: Action::SessionEnd }));
        end = SessionEnd::Ended;
    }
    Some(KioskSession { kiosk, touches, end, ended })
}

fn action(chance: &mut Chance, layout: &Layout) -> Action {
    let sku = |chance: &mut Chance| layout.facings[chance.index(layout.facings.len())].sku.clone();
    match chance.pick(&[8.0, 5.0, 4.0, 1.0, 2.0, 1.0, 0.5, 0.3, 0.3, 0.3]) {
        0 => Action::ProductView { sku: sku(chance) },
        1 => Action::Search { category: category(chance, layout), results: chance.whole(0, 40) },
        2 => Action::AvailabilityCheck { sku: sku(chance), in_stock: chance.happens(0.9) },
        3 => {
            let fulfilments = [Fulfilment::Here, Fulfilment::OtherStore, Fulfilment::Home];
            Action::Order { fulfilment: fulfilments[chance.index(fulfilments.len())] }
        }
        4 => Action::OfferShown { offer: layout.zones[chance.index(layout.zones.len())].department },
        5 => Action::Feedback { score: chance.whole(1, 5) as u8 },
        6 => Action::AssistanceRequest,
        7 => Action::ClickAndCollectPickup,
        8 => Action::StoreToWebHandoff,
        _ => Action::CheckIn,
    }
}

fn category(chance: &mut Chance, layout: &Layout) -> Option<Id> {
    let zone = &layout.zones[chance.index(layout.zones.len())];
    (zone.kind == ZoneKind::Sales).then_some(zone.department)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::shoppers;
    use std::collections::HashSet;

    #[test]
    fn sessions_of_a_kiosk_are_apart_and_their_touches_are_not() {
        let (layout, mut chance) = (Layout::default(), Chance::new(5));
        let visits = shoppers::day(&mut chance, 640).visits;
        let sessions = sessions(&mut chance, &layout, &visits);
        assert!(sessions.len() > 50, "{}", sessions.len());
        let idle_ms = i64::from(KIOSK_IDLE_S) * 1000;
        for &(kiosk, _) in &layout.kiosks {
            let mut last_end = None;
            for session in sessions.iter().filter(|session| session.kiosk == kiosk) {
                assert!(last_end < Some(session.touches[0].0));
                last_end = Some(session.ended);
                let gaps = session.touches.windows(2).map(|pair| pair[1].0.as_ms() - pair[0].0.as_ms());
                assert!(gaps.into_iter().all(|gap_ms| gap_ms < idle_ms / 2));
                assert!(session.interactions() > 0);
            }
        }
        let ids: HashSet<_> = sessions.iter().flat_map(|s| &s.touches).map(|(_, input)| input.id).collect();
        assert_eq!(ids.len(), sessions.iter().map(|session| session.touches.len()).sum::<usize>());
        let idle = sessions.iter().filter(|session| session.end == SessionEnd::Idle).count();
        assert!(idle > 10 && idle * 2 < sessions.len(), "{idle} of {}", sessions.len());
    }
}
