//! Whether a device that should be heard all the time is: said once when it falls silent, and once when it is back.

use crate::{
    capture::source::{Listener, Notice},
    clock::Now,
};
use vitrine_protocol::{Id, event::DeviceKind};

/// Watches one relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    device: Id,
    after_ms: u64,
    heard: Now,
    is_silent: bool,
}

impl Silence {
    /// `device` should be heard every `after_ms`, from `now` on.
    pub(super) fn new(device: Id, after_ms: u64, now: Now) -> Self {
        Self { device, after_ms, heard: now, is_silent: false }
    }

    /// It was heard.
    pub(super) fn heard(&mut self, now: Now, listener: &dyn Listener) {
        self.heard = now;
        if std::mem::take(&mut self.is_silent) {
            listener.notice(Notice::Back { kind: DeviceKind::Relay, device: self.device }, now);
        }
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Now, listener: &dyn Listener) {
        if !self.is_silent && now.mono_ms.saturating_sub(self.heard.mono_ms) >= self.after_ms {
            self.is_silent = true;
            // By the steady clock: the other one may have been set since.
            let since = now.earlier(now.mono_ms.saturating_sub(self.heard.mono_ms)).utc;
            listener.notice(Notice::Silent { kind: DeviceKind::Relay, device: self.device, since }, now);
        }
    }
}
