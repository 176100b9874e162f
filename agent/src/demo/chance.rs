//! Seeded randomness, in the shapes that the simulation draws.

use vitrine_protocol::event::EventId;

/// A source of draws that a seed determines.
#[derive(Clone, Debug)]
pub(super) struct Chance(fastrand::Rng);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A source of its own, so that one part's draws do not shift another's.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }

    /// Evenly between `low` and `high`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.f64()
    }

    /// A whole number, evenly between `low` and `high`, both included.
    pub(super) fn whole(&mut self, low: u32, high: u32) -> u32 {
        self.0.u32(low..=high)
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        self.0.usize(..length)
    }

    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// Normal, with mean 0 and standard deviation 1 (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.0.f64()).cos()
    }

    /// Lognormal: its logarithm is normal with standard deviation `sigma`.
    pub(super) fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// An index of `weights`, as likely as its weight.
    pub(super) fn pick(&mut self, weights: &[f64]) -> usize {
        let mut draw = self.between(0.0, weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            draw -= weight;
            if draw < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }

    pub(super) fn event_id(&mut self) -> EventId {
        EventId(self.0.u128(..).to_be_bytes())
    }
}

impl vitrine_firmware::Entropy for Chance {
    fn next_u32(&mut self) -> u32 {
        self.0.u32(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_shapes_they_claim() {
        let mut chance = Chance::new(1);
        let n = 100_000;
        let normal: Vec<f64> = (0..n).map(|_| chance.normal()).collect();
        let mean = normal.iter().sum::<f64>() / f64::from(n);
        let variance = normal.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let below_median = (0..n).filter(|_| chance.lognormal(80.0, 0.5) < 80.0).count();
        assert!((49_000..51_000).contains(&below_median), "{below_median}");
        let picks = (0..n).filter(|_| chance.pick(&[1.0, 0.0, 3.0]) == 2).count();
        assert!((74_000..76_000).contains(&picks), "{picks}");
    }
}
