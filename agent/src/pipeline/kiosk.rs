//! Kiosk sessions: touches until the end, or until nobody touches the kiosk for its idle time.

use super::{Note, Output, Random};
use crate::{capture::KioskInput, clock::Now, ids::Ids, plan::Plan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use vitrine_protocol::{
    Id,
    event::{Action, Body, EventId, Interaction, Session, SessionEnd},
};

/// What is remembered of an open session over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The session.
    pub session: EventId,
    /// Its interactions so far.
    pub interactions: u32,
}

/// The kiosks' open sessions: at most one a kiosk.
#[derive(Debug)]
pub(super) struct Kiosks {
    ids: Ids,
    open: BTreeMap<Id, Open>,
}

#[derive(Debug)]
struct Open {
    session: OpenSession,
    /// First and last touch; `None` after a restart.
    touched: Option<(Now, Now)>,
}

pub(super) fn event_id(ids: Ids, input: &KioskInput) -> EventId {
    ids.derive(&[b"kiosk", input.kiosk.as_str().as_bytes(), &input.id.0])
}

impl Kiosks {
    pub(super) fn new(ids: Ids) -> Self {
        Self { ids, open: BTreeMap::new() }
    }

    pub(super) fn handle(
        &mut self,
        plan: &Plan,
        id: EventId,
        input: KioskInput,
        now: Now,
        random: &mut Random,
        outputs: &mut VecDeque<Output>,
    ) {
        let KioskInput { kiosk, action, .. } = input;
        self.close_if(kiosk, SessionEnd::Idle, now, outputs, |open| open.is_idle(plan, kiosk, now));
        let ends = action == Action::SessionEnd;
        let known = self.open.get(&kiosk).map(|open| open.session);
        let mut session =
            known.unwrap_or_else(|| OpenSession { session: EventId(random()), interactions: 0 });
        let body = Body::Interaction(Interaction { kiosk, session: session.session, action });
        outputs.push_back(Output::Event { id, at: now, body });
        if ends {
            self.close_if(kiosk, SessionEnd::Ended, now, outputs, |_| true);
            return;
        }
        session.interactions += 1;
        outputs.push_back(Output::Note(Note::Kiosk { kiosk, open: Some(session) }));
        let first = self.open.get(&kiosk).and_then(|open| open.touched).map_or(now, |(first, _)| first);
        self.open.insert(kiosk, Open { session, touched: Some((first, now)) });
    }

    pub(super) fn handle_timeout(&mut self, plan: &Plan, now: Now, outputs: &mut VecDeque<Output>) {
        self.close_all(SessionEnd::Idle, now, outputs, |kiosk, open| open.is_idle(plan, kiosk, now));
    }

    pub(super) fn close(&mut self, now: Now, outputs: &mut VecDeque<Output>) {
        self.close_all(SessionEnd::Interrupted, now, outputs, |_, _| true);
    }

    pub(super) fn restore(&mut self, kiosk: Id, open: Option<OpenSession>) {
        match open {
            Some(session) => self.open.insert(kiosk, Open { session, touched: None }),
            None => self.open.remove(&kiosk),
        };
    }

    /// Nobody knows how a session from before a crash went on.
    pub(super) fn resume(&mut self, now: Now, outputs: &mut VecDeque<Output>) {
        self.close(now, outputs);
    }

    pub(super) fn notes(&self) -> impl Iterator<Item = Note> {
        self.open.iter().map(|(&kiosk, open)| Note::Kiosk { kiosk, open: Some(open.session) })
    }

    fn close_all(
        &mut self,
        end: SessionEnd,
        now: Now,
        outputs: &mut VecDeque<Output>,
        condition: impl Fn(Id, &Open) -> bool,
    ) {
        let ending =
            self.open.iter().filter(|(kiosk, open)| condition(**kiosk, open)).map(|(kiosk, _)| *kiosk);
        for kiosk in ending.collect::<Vec<_>>() {
            self.close_if(kiosk, end, now, outputs, |_| true);
        }
    }

    fn close_if(
        &mut self,
        kiosk: Id,
        end: SessionEnd,
        now: Now,
        outputs: &mut VecDeque<Output>,
        condition: impl Fn(&Open) -> bool,
    ) {
        if !self.open.get(&kiosk).is_some_and(condition) {
            return;
        }
        let Some(Open { session, touched }) = self.open.remove(&kiosk) else { return };
        let OpenSession { session, interactions } = session;
        let (first, last) = touched.unwrap_or((now, now));
        let duration_s = touched.map(|_| last.mono_ms.saturating_sub(first.mono_ms) / 1000);
        let body = Body::Session(Session { kiosk, session, interactions, duration_s, end });
        outputs.push_back(Output::Event { id: self.ids.derive(&[b"session", &session.0]), at: last, body });
        outputs.push_back(Output::Note(Note::Kiosk { kiosk, open: None }));
    }
}

impl Open {
    fn is_idle(&self, plan: &Plan, kiosk: Id, now: Now) -> bool {
        let idle_ms = plan.kiosks.get(&kiosk).map_or(0, |kiosk| kiosk.idle_ms);
        self.touched.is_none_or(|(_, last)| now.mono_ms.saturating_sub(last.mono_ms) >= idle_ms)
    }
}
