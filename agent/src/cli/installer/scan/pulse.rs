//! How strong and how often a sender is heard, second by second. Pure.

/// Seconds that are remembered, the running one with them.
pub(super) const SECONDS: usize = 8;
/// Of these, how many a rate is taken over.
const RATE_S: u64 = 5;
/// And how many a signal strength.
const RSSI_S: u64 = 3;
/// The weakest signal, and how much stronger a signal is that makes the bar one step higher.
const FLOOR_DBM: i32 = -100;
const STEP_DB: i32 = 8;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What was heard in the last seconds.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    first_s: u64,
    latest_s: u64,
    /// By the second's number, modulo their count.
    cells: [Cell; SECONDS],
    last_dbm: Option<i8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    heard: u32,
    measured: u32,
    sum_dbm: i32,
}

impl Pulse {
    /// Of somebody who is heard from now on.
    pub(super) fn new(now_ms: u64) -> Self {
        let now_s = now_ms / 1000;
        Self { first_s: now_s, latest_s: now_s, cells: [Cell::default(); SECONDS], last_dbm: None }
    }

    /// Takes something heard.
    pub(super) fn add(&mut self, rssi_dbm: Option<i8>, now_ms: u64) {
        let now_s = self.latest_s.max(now_ms / 1000);
        for passed in (self.latest_s + 1..=now_s).take(SECONDS) {
            self.cells[passed as usize % SECONDS] = Cell::default();
        }
        if now_s - self.latest_s >= SECONDS as u64 {
            self.cells = [Cell::default(); SECONDS];
        }
        self.latest_s = now_s;
        let cell = &mut self.cells[now_s as usize % SECONDS];
        cell.heard = cell.heard.saturating_add(1);
        if let Some(rssi_dbm) = rssi_dbm {
            cell.measured += 1;
            cell.sum_dbm += i32::from(rssi_dbm);
            self.last_dbm = Some(rssi_dbm);
        }
    }

    /// How often it was heard, over the last whole seconds; over the running one if there is no other.
    pub(super) fn rate_per_s(&self, now_ms: u64) -> f64 {
        let now_s = now_ms / 1000;
        let seconds = (now_s - self.first_s.min(now_s)).min(RATE_S);
        if seconds == 0 {
            return self.cell(now_s, now_s).heard.into();
        }
        let heard: u32 = (1..=seconds).map(|ago| self.cell(now_s - ago, now_s).heard).sum();
        f64::from(heard) / seconds as f64
    }

    /// Signal strength in dBm: the mean of the last seconds, or the last one measured before.
    pub(super) fn rssi_dbm(&self, now_ms: u64) -> Option<i8> {
        let now_s = now_ms / 1000;
        let cells = (0..RSSI_S.min(now_s + 1)).map(|ago| self.cell(now_s - ago, now_s));
        let (measured, sum) = cells
            .fold((0, 0), |(n, sum), cell| (n + i64::from(cell.measured), sum + i64::from(cell.sum_dbm)));
        sum.checked_div(measured).map(|mean| mean as i8).or(self.last_dbm)
    }

    /// A bar a second, the running one last: as high as the signal was strong; a dot for a second in which nothing was
    /// heard.
    pub(super) fn bars(&self, now_ms: u64) -> String {
        let now_s = now_ms / 1000;
        let bar = |ago: u64| match now_s.checked_sub(ago) {
            Some(second) if second >= self.first_s => {
                bar(self.cell(second, now_s)).unwrap_or(if ago == 0 { ' ' } else { '·' })
            }
            _ => ' ',
        };
        (0..SECONDS as u64).rev().map(bar).collect()
    }

    fn cell(&self, second: u64, now_s: u64) -> Cell {
        let is_kept = second <= self.latest_s && second + SECONDS as u64 > self.latest_s.max(now_s);
        if is_kept { self.cells[second as usize % SECONDS] } else { Cell::default() }
    }
}

fn bar(cell: Cell) -> Option<char> {
    let mean = cell.sum_dbm.checked_div(i32::try_from(cell.measured).ok()?)?;
    let step = ((mean - FLOOR_DBM) / STEP_DB).clamp(0, BARS.len() as i32 - 1);
    BARS.get(step as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bars_follow_the_signal_and_gaps_are_seen() {
        let mut pulse = Pulse::new(10_000);
        for (second, rssi_dbm) in [(10, -100), (11, -80), (11, -84), (13, -60), (14, -30)] {
            pulse.add(Some(rssi_dbm), second * 1000);
        }
        assert_eq!(pulse.bars(14_999), "   ▁▃·▆█");
        assert_eq!(pulse.bars(16_000), " ▁▃·▆█· ");
        assert_eq!((pulse.rssi_dbm(14_000), pulse.rssi_dbm(60_000)), (Some(-45), Some(-30)));
        assert_eq!((pulse.rate_per_s(14_000), pulse.rate_per_s(16_000)), (1.0, 0.8));
        assert_eq!(pulse.rate_per_s(60_000), 0.0);
        assert_eq!(pulse.bars(60_000), "······· ");
    }

    #[test]
    fn the_first_second_has_a_rate_too() {
        let mut pulse = Pulse::new(10_000);
        (0..3).for_each(|n| pulse.add(None, 10_000 + n));
        assert_eq!((pulse.rate_per_s(10_500), pulse.rssi_dbm(10_500)), (3.0, None));
        assert_eq!(pulse.bars(10_500), "        ");
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(steps in proptest::collection::vec((0u64..3000, -120i8..20), 1..60), later in 0u64..9000) {
            let (mut now_ms, mut heard) = (50_000, Vec::new());
            let mut pulse = Pulse::new(now_ms);
            for (passed_ms, rssi_dbm) in steps {
                now_ms += passed_ms;
                pulse.add(Some(rssi_dbm), now_ms);
                heard.push((now_ms / 1000, rssi_dbm));
            }
            now_ms += later;
            let now_s = now_ms / 1000;
            let seconds = (now_s - 50).min(RATE_S);
            if seconds > 0 {
                let count = heard.iter().filter(|(s, _)| *s < now_s && *s >= now_s - seconds).count();
                prop_assert_eq!(pulse.rate_per_s(now_ms), count as f64 / seconds as f64);
            }
            let recent: Vec<_> = heard.iter().filter(|(s, _)| s + RSSI_S > now_s).map(|(_, r)| i64::from(*r)).collect();
            if !recent.is_empty() {
                let mean = recent.iter().sum::<i64>() / recent.len() as i64;
                prop_assert_eq!(pulse.rssi_dbm(now_ms), Some(mean as i8));
            }
            prop_assert_eq!(pulse.bars(now_ms).chars().count(), SECONDS);
        }
    }
}
