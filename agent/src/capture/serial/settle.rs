//! When a weight has come to rest, and whether that is news.

/// A weight that has not changed is told again after so long, in case its loss was not noticed.
const AGAIN_AFTER_MS: u64 = 60_000;

/// When a weight counts as at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settle {
    /// How far readings of a weight at rest may lie apart.
    pub tolerance_g: u32,
    /// How long they have to.
    pub settle_ms: u64,
}

/// A weight on its way to rest. Pure.
#[derive(Clone, Debug)]
pub struct Settling {
    settle: Settle,
    /// The least and most since it lies within the tolerance, and since when.
    span: Option<(i32, i32, u64)>,
    told: Option<(i32, u64)>,
}

impl Settling {
    /// One that nothing is known of.
    pub fn new(settle: Settle) -> Self {
        Self { settle, span: None, told: None }
    }

    /// The line was opened anew: what was read before tells nothing of now.
    pub fn reset(&mut self) {
        (self.span, self.told) = (None, None);
    }

    /// The scale says that it moves.
    pub fn handle_moving(&mut self) {
        self.span = None;
    }

    /// The scale reads `grams`, and says itself that it is at rest, if `is_resting`. The weight, where it is news.
    pub fn handle(&mut self, grams: i32, is_resting: bool, now_ms: u64) -> Option<i32> {
        let (least, most, since_ms) = self.span.unwrap_or((grams, grams, now_ms));
        let (least, most) = (least.min(grams), most.max(grams));
        if most.abs_diff(least) > self.settle.tolerance_g {
            self.span = Some((grams, grams, now_ms));
            if !is_resting {
                return None;
            }
        } else {
            self.span = Some((least, most, since_ms));
            if !is_resting && now_ms.saturating_sub(since_ms) < self.settle.settle_ms {
                return None;
            }
        }
        let is_news = self.told.is_none_or(|(told, told_ms)| {
            told.abs_diff(grams) > self.settle.tolerance_g || now_ms.saturating_sub(told_ms) >= AGAIN_AFTER_MS
        });
        is_news.then(|| {
            self.told = Some((grams, now_ms));
            grams
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(readings: &[(u64, i32)], is_resting: bool) -> Vec<(u64, i32)> {
        let mut settling = Settling::new(Settle { tolerance_g: 5, settle_ms: 1000 });
        let news = |&(ms, grams)| Some((ms, settling.handle(grams, is_resting, ms)?));
        readings.iter().filter_map(news).collect()
    }

    #[test]
    fn a_weight_is_told_when_it_has_come_to_rest_and_when_it_has_changed() {
        let readings = [(0, 0), (500, 2), (1000, 1), (1500, 300), (2000, 702), (2500, 700), (3000, 699)];
        assert_eq!(told(&readings, false), [(1000, 1), (3000, 699)]);
        assert_eq!(told(&readings, true), [(0, 0), (1500, 300), (2000, 702)]);
    }

    #[test]
    fn a_weight_that_creeps_is_not_at_rest_and_one_that_stays_is_told_once_a_minute() {
        let creeping: Vec<_> = (0..20).map(|n| (n * 500, n as i32 * 4)).collect();
        assert_eq!(told(&creeping, false), []);
        let staying: Vec<_> = (0..300).map(|n| (n * 500, 350)).collect();
        assert_eq!(told(&staying, false), [(1000, 350), (61_000, 350), (121_000, 350)]);
    }
}
