//! Says now and then what happens all the time.

const EVERY_MS: u64 = 60_000;

/// Lets one of many through a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rarely {
    next_ms: u64,
}

impl Rarely {
    /// Whether it is time to say it again.
    pub(super) fn is_due(&mut self, now_ms: u64) -> bool {
        let due = now_ms >= self.next_ms;
        if due {
            self.next_ms = now_ms + EVERY_MS;
        }
        due
    }
}
