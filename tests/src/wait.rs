//! Waiting for something to come true, instead of sleeping and hoping.

use std::{thread, time::Duration};
use tokio::time::Instant;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks again and again until `look` finds what is waited for, or for `seconds`.
pub fn poll<T>(seconds: u64, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// [`poll`] for what must come.
///
/// # Panics
/// After `seconds`, naming `what` was waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, seconds: u64, look: impl FnMut() -> Option<T>) -> T {
    poll(seconds, look).unwrap_or_else(|| panic!("{what}: not within {seconds} s"))
}
