//! A few octets held by value.

/// The most octets of a payload that are held. A legacy advertisement has room for 27 (31, less a structure's header
/// and the UUID); extended ones may carry more.
pub const CAPACITY: usize = 56;

/// Up to [`CAPACITY`] octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Octets {
    len: u8,
    /// Zero behind `len`.
    octets: [u8; CAPACITY],
}

impl Default for Octets {
    fn default() -> Self {
        Self { len: 0, octets: [0; CAPACITY] }
    }
}

impl Octets {
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&[])
    }

    #[cfg(feature = "crypto")]
    pub(super) fn as_mut_bytes(&mut self) -> &mut [u8] {
        self.octets.get_mut(..usize::from(self.len)).unwrap_or(&mut [])
    }

    /// All of `parts`, `None` if they do not fit.
    pub(super) fn holding(parts: &[&[u8]]) -> Option<Self> {
        let mut octets = Self::default();
        parts.iter().try_for_each(|part| octets.append(part))?;
        Some(octets)
    }

    /// Adds `more` whole, or `None` if it does not fit.
    pub(super) fn append(&mut self, more: &[u8]) -> Option<()> {
        let start = usize::from(self.len);
        self.octets.get_mut(start..start + more.len())?.copy_from_slice(more);
        self.len += more.len() as u8;
        Some(())
    }
}
