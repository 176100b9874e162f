//! Keeps one controller listening: decides, and does nothing itself.
//!
//! The kernel's discovery is a scan of some 10 s: it is begun again as soon as it ends. It filters out repeated
//! advertisements unless there is an advertisement monitor, so one is added first. What an operator has switched off stays
//! off, and is listened to again when it is on. Whatever goes wrong, the way back is the same: ask how the controller is,
//! and go on from there.

use super::packet::{self, Command, Event, Settings, Status};
use crate::capture::source::Notice;
use vitrine_protocol::{Id, event::RadioState};

/// A command without an answer after this: the socket is opened anew.
const ANSWER_MS: u64 = 5_000;
/// Nothing from the kernel for so long, in which two discoveries should have ended: something was missed.
const SILENCE_MS: u64 = 25_000;
/// Between two looks at a controller that is off or absent; the kernel also tells by itself.
const LOOK_MS: u64 = 5_000;
/// A controller that is pulled is off first: what it is, is asked so much later.
const SETTLE_MS: u64 = 300;
/// Somebody else's discovery is on, which serves as well as one's own.
const BUSY_MS: u64 = 2_000;
/// A discovery that ends sooner is not begun again at once.
const SHORTEST_MS: u64 = 500;
/// Longest wait after failures in a row.
const BACKOFF_MAX_MS: u64 = 30_000;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send it to the controller.
    Send(Command),
    /// Pass it on.
    Notice(Notice),
    /// Log it: what a notice cannot say.
    Warn(&'static str),
    /// Open the socket anew, and start over.
    Reopen,
    /// Give up: the process may not do what it must.
    Forbidden,
}

/// One controller, as far as is known.
#[derive(Debug)]
pub(super) struct Watch {
    receiver: Id,
    /// As it was told last.
    state: Option<RadioState>,
    /// What has to be overcome.
    trouble: Option<&'static str>,
    /// As it was told last.
    filtered: Option<bool>,
    /// The monitor that was added, which is to be removed in the end.
    monitor: Option<u16>,
    /// The discovery that is on was begun here.
    is_ours: bool,
    begun_ms: u64,
    /// What to send, and when.
    next: Option<(u64, Command)>,
    asked_ms: Option<u64>,
    told_ms: u64,
    failures: u32,
}

impl Watch {
    /// Knows nothing yet: [`Watch::start`] begins.
    pub(super) fn new(receiver: Id) -> Self {
        Self {
            receiver,
            state: None,
            trouble: None,
            filtered: None,
            monitor: None,
            is_ours: false,
            begun_ms: 0,
            next: None,
            asked_ms: None,
            told_ms: 0,
            failures: 0,
        }
    }

    /// There is a new socket, or some of what it said was lost: asks how the controller is.
    pub(super) fn start(&mut self, now_ms: u64) -> Vec<Action> {
        (self.next, self.asked_ms, self.told_ms, self.is_ours) = (None, None, now_ms, false);
        vec![self.ask(Command::ReadInfo, now_ms)]
    }

    /// The socket has failed, and another one is opened: nothing is heard until then.
    pub(super) fn closed(&mut self) -> Vec<Action> {
        self.stands(RadioState::Failing, "the kernel's socket failed")
    }

    /// There is no socket to be had: as good as no controller.
    pub(super) fn no_socket(&mut self) -> Vec<Action> {
        self.stands(RadioState::Absent, "the kernel had no Bluetooth")
    }

    /// An advertisement came.
    pub(super) fn heard(&mut self, now_ms: u64) {
        self.told_ms = now_ms;
    }

    /// Takes what the kernel says of the controller.
    pub(super) fn handle(&mut self, event: Event<'_>, now_ms: u64) -> Vec<Action> {
        self.told_ms = now_ms;
        match event {
            Event::Answer { opcode, status, parameters } => {
                self.asked_ms = None;
                self.answer(opcode, status, parameters, now_ms)
            }
            Event::Added => vec![self.ask(Command::ReadInfo, now_ms)],
            Event::Removed => {
                self.monitor = None;
                self.wait(RadioState::Absent, "the adapter was gone", now_ms)
            }
            Event::Settings(Settings { is_powered, .. }) => {
                if !is_powered {
                    return self.later(SETTLE_MS, Command::ReadInfo, now_ms);
                }
                let is_needed = self.state != Some(RadioState::Scanning);
                is_needed.then(|| self.ask(Command::ReadInfo, now_ms)).into_iter().collect()
            }
            Event::Discovering(true) => self.scanning(),
            Event::Discovering(false) => {
                self.is_ours = false;
                if self.state != Some(RadioState::Scanning) {
                    return Vec::new();
                }
                if now_ms.saturating_sub(self.begun_ms) < SHORTEST_MS {
                    return self.later(SHORTEST_MS, Command::StartDiscovery, now_ms);
                }
                self.next = None;
                vec![self.ask(Command::StartDiscovery, now_ms)]
            }
            Event::MonitorRemoved => vec![self.ask(Command::ReadMonitors, now_ms)],
            Event::Found(_) | Event::Other => Vec::new(),
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now_ms: u64) -> Vec<Action> {
        if self.asked_ms.is_some_and(|asked_ms| now_ms.saturating_sub(asked_ms) > ANSWER_MS) {
            let mut actions = self.stands(RadioState::Failing, "the kernel did not answer");
            actions.push(Action::Reopen);
            return actions;
        }
        if let Some((_, command)) = self.next.take_if(|(at_ms, _)| *at_ms <= now_ms) {
            return vec![self.ask(command, now_ms)];
        }
        if self.state == Some(RadioState::Scanning) && now_ms.saturating_sub(self.told_ms) > SILENCE_MS {
            let mut actions = self.stands(RadioState::Failing, "the kernel fell silent");
            actions.extend(self.start(now_ms));
            return actions;
        }
        Vec::new()
    }

    /// What leaves no trace behind.
    pub(super) fn leave(&self) -> Vec<Command> {
        let discovery = self.is_ours.then_some(Command::StopDiscovery);
        discovery.into_iter().chain(self.monitor.map(Command::RemoveMonitor)).collect()
    }

    fn answer(&mut self, opcode: u16, status: Status, parameters: &[u8], now_ms: u64) -> Vec<Action> {
        const READ_INFO: u16 = Command::ReadInfo.opcode();
        const START: u16 = Command::StartDiscovery.opcode();
        const READ_MONITORS: u16 = Command::ReadMonitors.opcode();
        const ADD_MONITOR: u16 = Command::AddMonitor.opcode();
        match (opcode, status) {
            (_, Status::NoPermission) => vec![Action::Forbidden],
            (_, Status::NoController) => self.wait(RadioState::Absent, "the adapter was gone", now_ms),
            (READ_INFO, Status::Success) => match packet::info(parameters) {
                Some(Settings { is_powered: false, .. }) => {
                    self.wait(RadioState::Off, "the adapter was off", now_ms)
                }
                Some(Settings { has_le: false, .. }) => {
                    self.fails("the adapter's low energy is off: `btmgmt le on`", now_ms)
                }
                Some(_) => vec![self.ask(Command::ReadMonitors, now_ms)],
                None => self.fails("the kernel's answer was cut short", now_ms),
            },
            (READ_MONITORS, Status::Success) if packet::monitors(parameters) == Some(0) => {
                vec![self.ask(Command::AddMonitor, now_ms)]
            }
            // Whose monitor it is does not matter.
            (READ_MONITORS, Status::Success) => self.discover(false, Command::StartDiscovery, now_ms),
            (ADD_MONITOR, Status::Success) => {
                self.monitor = packet::monitor(parameters);
                // The filter is chosen when a discovery begins.
                let next = if self.is_ours { Command::StopDiscovery } else { Command::StartDiscovery };
                self.discover(false, next, now_ms)
            }
            (READ_MONITORS | ADD_MONITOR, _) => self.discover(true, Command::StartDiscovery, now_ms),
            (START, Status::Success) => {
                (self.is_ours, self.begun_ms, self.failures) = (true, now_ms, 0);
                self.scanning()
            }
            (START, Status::Busy) => {
                let mut actions = self.scanning();
                actions.extend(self.later(BUSY_MS, Command::StartDiscovery, now_ms));
                actions
            }
            (START, Status::NotPowered) => self.later(SETTLE_MS, Command::ReadInfo, now_ms),
            (START | READ_INFO, Status::Failed(_) | Status::Busy | Status::NotPowered) => {
                self.fails("the kernel refused to scan", now_ms)
            }
            _ => Vec::new(),
        }
    }

    /// Goes on with a discovery, whose duplicates are `filtered` out or not.
    fn discover(&mut self, filtered: bool, command: Command, now_ms: u64) -> Vec<Action> {
        let is_new = self.filtered.replace(filtered) != Some(filtered);
        let notice = Action::Notice(Notice::Duplicates { receiver: self.receiver, filtered });
        is_new.then_some(notice).into_iter().chain([self.ask(command, now_ms)]).collect()
    }

    fn ask(&mut self, command: Command, now_ms: u64) -> Action {
        self.asked_ms.get_or_insert(now_ms);
        Action::Send(command)
    }

    fn later(&mut self, wait_ms: u64, command: Command, now_ms: u64) -> Vec<Action> {
        self.next = Some((now_ms + wait_ms, command));
        Vec::new()
    }

    fn wait(&mut self, state: RadioState, trouble: &'static str, now_ms: u64) -> Vec<Action> {
        self.is_ours = false;
        self.failures = 0;
        self.later(LOOK_MS, Command::ReadInfo, now_ms);
        self.stands(state, trouble)
    }

    fn fails(&mut self, why: &'static str, now_ms: u64) -> Vec<Action> {
        let backoff_ms = 1000u64.checked_shl(self.failures).unwrap_or(BACKOFF_MAX_MS).min(BACKOFF_MAX_MS);
        self.failures = (self.failures + 1).min(16);
        self.later(backoff_ms, Command::ReadInfo, now_ms);
        let is_new = self.state != Some(RadioState::Failing);
        let mut actions = self.stands(RadioState::Failing, "the scan failed");
        if is_new {
            actions.push(Action::Warn(why));
        }
        actions
    }

    fn scanning(&mut self) -> Vec<Action> {
        let mut actions = self.tell(RadioState::Scanning);
        let recovered = self.trouble.take().map(|cause| Notice::Recovered { receiver: self.receiver, cause });
        actions.extend(recovered.map(Action::Notice));
        actions
    }

    fn stands(&mut self, state: RadioState, trouble: &'static str) -> Vec<Action> {
        // The first one is the cause: an adapter that is plugged in again is off at first.
        self.trouble.get_or_insert(trouble);
        self.tell(state)
    }

    fn tell(&mut self, state: RadioState) -> Vec<Action> {
        let is_new = self.state.replace(state) != Some(state);
        let notice = Action::Notice(Notice::Radio { receiver: self.receiver, state });
        is_new.then_some(notice).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
