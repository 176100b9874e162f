//! A bound on bytes per second: a token bucket. Pure.
//!
//! What is live may overdraw by one bucket, so that it does not wait behind a backlog; the debt is paid before the
//! backlog goes on.

use std::time::Duration;
use tokio::time::Instant;

/// The bucket holds what flows in within this time, and a whole batch at least.
const FULL_AFTER: Duration = Duration::from_secs(1);
const BYTES_MIN: f64 = 40_000.0;

/// Tokens are bytes.
#[derive(Debug)]
pub(super) struct Bucket {
    bytes_per_s: f64,
    capacity: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[allow(clippy::cast_precision_loss, reason = "a rate is far below 2^53")]
    pub(super) fn new(bytes_per_s: u64, now: Instant) -> Self {
        let bytes_per_s = bytes_per_s.max(1) as f64;
        let capacity = (bytes_per_s * FULL_AFTER.as_secs_f64()).max(BYTES_MIN);
        Self { bytes_per_s, capacity, level: capacity, at: now }
    }

    /// How long to wait until something may be sent; zero for now.
    pub(super) fn wait(&mut self, is_live: bool, now: Instant) -> Duration {
        self.fill(now);
        let wanted = if is_live { -self.capacity } else { 0.0 };
        Duration::from_secs_f64(((wanted - self.level) / self.bytes_per_s).max(0.0))
    }

    /// So many bytes were sent.
    #[allow(clippy::cast_precision_loss, reason = "a message is far below 2^53")]
    pub(super) fn take(&mut self, bytes: usize, now: Instant) {
        self.fill(now);
        self.level -= bytes as f64;
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.level = (self.level + passed.as_secs_f64() * self.bytes_per_s).min(self.capacity);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Never more than the rate, a bucket to begin with, another one overdrawn, and the message that overdraws.
        #[test]
        fn the_rate_is_kept_and_is_reached(
            rate in 1_000_u64..1_000_000, messages in prop::collection::vec((1_usize..40_000, any::<bool>()), 50..200),
        ) {
            let start = Instant::now();
            let (mut bucket, mut now, mut sent) = (Bucket::new(rate, start), start, 0);
            for (bytes, is_live) in messages {
                now += bucket.wait(is_live, now) + Duration::from_micros(1);
                bucket.take(bytes, now);
                sent += bytes;
                let passed = (now - start).as_secs_f64() * rate as f64;
                prop_assert!(sent as f64 <= passed + 2.0 * bucket.capacity + 40_000.0);
            }
            let took = (now - start).as_secs_f64();
            prop_assert!(took * rate as f64 <= sent as f64 + 1000.0, "idle although there was something to send");
        }
    }

    #[test]
    fn what_is_live_goes_ahead_of_a_backlog_that_waits() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10_000, now);
        bucket.take(50_000, now);
        assert_eq!(bucket.wait(false, now), Duration::from_secs(1));
        assert_eq!(bucket.wait(true, now), Duration::ZERO);
        bucket.take(40_000, now);
        assert_eq!(bucket.wait(true, now), Duration::from_secs(1), "not without a bound");
    }
}
