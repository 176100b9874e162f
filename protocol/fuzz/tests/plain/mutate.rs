//! Blind mutations of seeds: bits, octets and numbers changed, stretches cut, repeated and spliced.

use fastrand::Rng;

/// Longest input, in octets.
const INPUT_MAX: usize = 4096;
/// Most mutations of one input.
const MUTATIONS_MAX: usize = 6;
/// Numbers at the edges of lengths, signs and sizes.
const INTERESTING: [u64; 14] =
    [0, 1, 2, 15, 16, 0x1f, 0x20, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fff_ffff, u64::MAX];

/// Makes inputs out of seeds, as a seed of its own determines.
#[derive(Debug)]
pub(crate) struct Mutator {
    rng: Rng,
    seeds: Vec<Vec<u8>>,
    input: Vec<u8>,
}

impl Mutator {
    /// `seeds` is not empty.
    pub(crate) fn new(rng: Rng, seeds: Vec<Vec<u8>>) -> Self {
        Self { rng, seeds, input: Vec::new() }
    }

    pub(crate) fn next_input(&mut self) -> &[u8] {
        let seed = &self.seeds[self.rng.usize(..self.seeds.len())];
        self.input.clone_from(seed);
        for _ in 0..self.rng.usize(1..=MUTATIONS_MAX) {
            self.mutate();
        }
        self.input.truncate(INPUT_MAX);
        &self.input
    }

    fn mutate(&mut self) {
        let at = self.rng.usize(..=self.input.len());
        let stretch = self.stretch();
        match self.rng.u8(..8) {
            0 => {
                if let Some(octet) = self.input.get_mut(at) {
                    *octet ^= 1 << self.rng.u8(..8);
                }
            }
            1 => {
                if let Some(octet) = self.input.get_mut(at) {
                    *octet = self.rng.u8(..);
                }
            }
            2 => self.number(at),
            3 => self.input.insert(at, self.rng.u8(..)),
            4 => drop(self.input.drain(stretch)),
            5 => {
                let copy = self.input[stretch].to_vec();
                self.input.splice(at..at, copy);
            }
            6 => self.input.truncate(at),
            _ => self.splice(at),
        }
    }

    /// An interesting number in 1, 2, 4 or 8 octets, in either order.
    fn number(&mut self, at: usize) {
        let number = self.rng.choice(INTERESTING).unwrap_or_default();
        let width = 1 << self.rng.u8(..4);
        let little = number.to_le_bytes();
        let mut octets = little[..width].to_vec();
        if self.rng.bool() {
            octets.reverse();
        }
        for (place, octet) in self.input[at..].iter_mut().zip(octets) {
            *place = octet;
        }
    }

    /// From `at` on, another seed's end.
    fn splice(&mut self, at: usize) {
        let other = &self.seeds[self.rng.usize(..self.seeds.len())];
        self.input.truncate(at);
        self.input.extend(&other[self.rng.usize(..=other.len())..]);
    }

    fn stretch(&mut self) -> std::ops::Range<usize> {
        let (a, b) = (self.rng.usize(..=self.input.len()), self.rng.usize(..=self.input.len()));
        a.min(b)..a.max(b)
    }
}
