//! Decides what to do about one adapter: when to scan, when to wait, and what to say of it.
//!
//! Pure: what was seen goes in, with the time; what to do comes out. Three things are seen: every second a [`Look`] at the
//! adapter, the outcome of each attempt to scan, and that something was heard.
//!
//! The rules. Whoever switches an adapter off means it: it is left alone until it is on again. What is not there is waited
//! for. A scan belongs to the bluetoothd that it was asked of, and is asked for again where another one has taken its
//! place or it has ended. What fails is tried again, at growing intervals. What says that it scans and is not heard of for
//! long is helped: by a fresh scan, then by a fresh connection, and then it is reported.

use vitrine_protocol::event::RadioState;

/// The wait after a first failed attempt to scan; it doubles up to [`RETRY_MAX_MS`].
const RETRY_MS: u64 = 250;
const RETRY_MAX_MS: u64 = 5000;
/// BlueZ may be between two rounds of one scan: so long it may say that it does not scan.
const PAUSE_MS: u64 = 1500;
/// What is heard so soon after a silent scan was helped is heard because of that.
const PROOF_MS: u64 = 3000;
/// The longest silence before the next fresh scan, in a place where nobody sends.
const SILENCE_MAX_MS: u64 = 600_000;
/// A bluetoothd that was heard of so recently does not answer because it has much to do.
const BUSY_MS: u64 = 5000;
/// How long an advertisement monitor may take to come into force.
const MONITOR_MS: u64 = 3000;

/// What a look at an adapter found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// There is no bluetoothd on the bus.
    NoService,
    /// bluetoothd does not answer, or with an error that says nothing of the adapter.
    NoAnswer,
    /// bluetoothd knows no such adapter.
    NoAdapter,
    /// It is there.
    Adapter {
        /// The unique name of the bluetoothd that says so.
        owner: String,
        /// Whether it is switched on.
        powered: bool,
        /// Whether it scans, for whomever.
        discovering: bool,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask for a scan, and tell [`Watch::scanned`] what came of it.
    Scan {
        /// End the last one before.
        afresh: bool,
    },
    /// Open a new connection to the bus.
    Reconnect,
    /// Say in which state the radio is.
    Tell(RadioState),
    /// Say that it hears again, and what had been wrong.
    Recovered(&'static str),
    /// Say whether repeated advertisements are filtered out.
    Duplicates {
        /// Whether they are.
        filtered: bool,
    },
}

/// One adapter's state.
#[derive(Debug)]
pub(super) struct Watch {
    silence_ms: u64,
    told: Option<RadioState>,
    told_filtered: Option<bool>,
    /// What went wrong first since all was well.
    trouble: Option<&'static str>,
    /// The owner of the scan that was asked for.
    scan: Option<String>,
    scan_since_ms: u64,
    /// The owner of which a scan is being asked for.
    asking: Option<String>,
    /// A scan goes on that has to be ended first.
    stale: bool,
    failures: u32,
    retry_ms: u64,
    /// Since when BlueZ says that it does not scan, though it was asked to.
    paused_ms: Option<u64>,
    heard_ms: u64,
    helped_ms: u64,
    /// Times that a silence was helped since something was heard.
    silences: u32,
}

impl Watch {
    /// Of an adapter of which nothing is known; heard of nothing for `silence_ms` it is helped.
    pub(super) fn new(silence_ms: u64) -> Self {
        Self {
            silence_ms,
            told: None,
            told_filtered: None,
            trouble: None,
            scan: None,
            scan_since_ms: 0,
            asking: None,
            stale: false,
            failures: 0,
            retry_ms: 0,
            paused_ms: None,
            heard_ms: 0,
            helped_ms: 0,
            silences: 0,
        }
    }

    /// Whether it scans, as far as is known.
    pub(super) fn is_scanning(&self) -> bool {
        self.scan.is_some()
    }

    /// Takes a look. `monitored`: whether an advertisement monitor is in force.
    pub(super) fn look(&mut self, look: Look, monitored: bool, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        match look {
            Look::NoService => self.lose(RadioState::Failing, "bluetoothd was gone", &mut actions),
            Look::NoAnswer if self.is_scanning() && now_ms.saturating_sub(self.heard_ms) < BUSY_MS => {}
            // A scan may outlast it: whether it did is seen when there is an answer again.
            Look::NoAnswer => self.fall(RadioState::Failing, "bluetoothd did not answer", &mut actions),
            Look::NoAdapter => self.lose(RadioState::Absent, "the adapter was unplugged", &mut actions),
            Look::Adapter { powered: false, .. } => {
                self.lose(RadioState::Off, "the adapter was switched off", &mut actions);
            }
            Look::Adapter { owner, discovering, .. } => self.see(owner, discovering, now_ms, &mut actions),
        }
        if self.is_scanning() {
            self.judge_duplicates(monitored, now_ms, &mut actions);
        }
        actions
    }

    /// Takes the outcome of a [`Action::Scan`].
    pub(super) fn scanned(&mut self, ok: bool, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        let owner = self.asking.take();
        if ok {
            self.scan = owner;
            (self.stale, self.failures, self.paused_ms) = (false, 0, None);
            (self.scan_since_ms, self.helped_ms) = (now_ms, now_ms);
            if self.silences < 3 {
                self.rise(&mut actions);
            }
        } else {
            self.scan = None;
            let wait_ms = RETRY_MS.saturating_mul(1 << self.failures.min(10)).min(RETRY_MAX_MS);
            self.retry_ms = now_ms.saturating_add(wait_ms);
            self.failures = self.failures.saturating_add(1);
            // Once is nothing: another program may have been at it.
            if self.failures > 1 {
                self.fall(RadioState::Failing, "the scan could not be started", &mut actions);
            }
        }
        actions
    }

    /// Something was heard.
    pub(super) fn heard(&mut self, now_ms: u64) -> Vec<Action> {
        self.heard_ms = now_ms;
        let mut actions = Vec::new();
        if self.silences == 0 || !self.is_scanning() {
            return actions;
        }
        let because_of_help = now_ms.saturating_sub(self.helped_ms) <= PROOF_MS;
        if because_of_help || self.trouble.is_some() {
            self.trouble.get_or_insert("nothing was heard");
            self.rise(&mut actions);
        }
        self.silences = 0;
        actions
    }

    /// The connection to the bus is lost.
    pub(super) fn disconnected(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        (self.asking, self.stale) = (None, false);
        self.lose(RadioState::Failing, "the system bus was gone", &mut actions);
        actions
    }

    /// There is a connection. Scans of the last one go on, but what goes with them has to be set up anew.
    pub(super) fn connected(&mut self) {
        self.asking = None;
        self.stale = self.scan.take().is_some();
    }

    fn see(&mut self, owner: String, discovering: bool, now_ms: u64, actions: &mut Vec<Action>) {
        if self.asking.is_some() {
            return;
        }
        let same = self.scan.as_ref() == Some(&owner);
        if same && discovering {
            self.paused_ms = None;
            if self.silences < 3 {
                self.rise(actions);
            }
            self.mind_silence(owner, now_ms, actions);
            return;
        }
        if same {
            let since_ms = *self.paused_ms.get_or_insert(now_ms);
            if now_ms.saturating_sub(since_ms) < PAUSE_MS {
                return;
            }
        }
        if self.scan.take().is_some() {
            let cause = if same { "the scan had ended" } else { "bluetoothd was gone" };
            self.fall(RadioState::Failing, cause, actions);
        }
        if now_ms >= self.retry_ms {
            self.asking = Some(owner);
            actions.push(Action::Scan { afresh: self.stale || self.failures > 0 });
        }
    }

    fn mind_silence(&mut self, owner: String, now_ms: u64, actions: &mut Vec<Action>) {
        let patience_ms = match self.silences {
            0..3 => self.silence_ms,
            more => self.silence_ms.saturating_mul(1 << (more - 2).min(20)).min(SILENCE_MAX_MS),
        };
        if now_ms.saturating_sub(self.heard_ms.max(self.helped_ms)) < patience_ms {
            return;
        }
        (self.silences, self.helped_ms) = (self.silences.saturating_add(1), now_ms);
        if self.silences == 2 {
            actions.push(Action::Reconnect);
            return;
        }
        if self.silences == 3 {
            self.fall(RadioState::Failing, "nothing was heard", actions);
        }
        self.asking = Some(owner);
        actions.push(Action::Scan { afresh: true });
    }

    fn judge_duplicates(&mut self, monitored: bool, now_ms: u64, actions: &mut Vec<Action>) {
        let is_settled = monitored || now_ms.saturating_sub(self.scan_since_ms) >= MONITOR_MS;
        if is_settled && self.told_filtered != Some(!monitored) {
            self.told_filtered = Some(!monitored);
            actions.push(Action::Duplicates { filtered: !monitored });
        }
    }

    /// The scan is lost.
    fn lose(&mut self, state: RadioState, cause: &'static str, actions: &mut Vec<Action>) {
        self.scan = None;
        (self.failures, self.retry_ms, self.paused_ms, self.silences) = (0, 0, None, 0);
        self.fall(state, cause, actions);
    }

    fn fall(&mut self, state: RadioState, cause: &'static str, actions: &mut Vec<Action>) {
        self.trouble.get_or_insert(cause);
        self.tell(state, actions);
    }

    fn rise(&mut self, actions: &mut Vec<Action>) {
        self.tell(RadioState::Scanning, actions);
        actions.extend(self.trouble.take().map(Action::Recovered));
    }

    fn tell(&mut self, state: RadioState, actions: &mut Vec<Action>) {
        if self.told != Some(state) {
            self.told = Some(state);
            actions.push(Action::Tell(state));
        }
    }
}

#[cfg(test)]
mod tests;
