//! What outlives a power cut: four pages of flash.
//!
//! The trait is flash as it is: octets of a page are programmed once between two erasures of the whole page. What
//! survives a write that is cut short is decided above it, in [`image`](crate::image) and [`time`](crate::time),
//! so that it is tested once for all boards.

/// Octets that are programmed at once at the least: flash whose own words are longer does not do.
pub const WORD: usize = 16;

/// Flash, by pages.
pub trait Store {
    /// Why an operation failed.
    type Error;

    /// Octets in a page: at least 512.
    const PAGE_LEN: usize;

    /// Reads into `out` from `offset` on. Both ends lie within the page.
    ///
    /// # Errors
    /// `out` is not valid.
    fn read(&mut self, page: Page, offset: usize, out: &mut [u8]) -> Result<(), Self::Error>;

    /// Programs `bytes` from `offset` on; there the page is erased (0xff). Both ends lie within the page and are
    /// multiples of [`WORD`].
    ///
    /// # Errors
    /// Some of `bytes` may have been programmed.
    fn program(&mut self, page: Page, offset: usize, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Erases the page: every octet reads 0xff.
    ///
    /// # Errors
    /// The page's content is not known.
    fn erase(&mut self, page: Page) -> Result<(), Self::Error>;
}

/// A page of the [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Page {
    /// One copy of the configuration.
    ConfigA,
    /// The other copy.
    ConfigB,
    /// The clock's log.
    TimeA,
    /// The clock's log goes on here when the other page is full.
    TimeB,
}

impl Page {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// The two copies of the configuration.
    pub const CONFIG: [Self; 2] = [Self::ConfigA, Self::ConfigB];
    /// The two pages of the clock's log.
    pub const TIME: [Self; 2] = [Self::TimeA, Self::TimeB];

    /// 0 to 3, in the order above: a board's four pages follow each other.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The store of a board that keeps nothing: it holds no configuration and takes no entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStore;

/// There is no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Absent;

impl core::fmt::Display for Absent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("this board has no store")
    }
}

impl core::error::Error for Absent {}

impl Store for NoStore {
    type Error = Absent;
    const PAGE_LEN: usize = 512;

    fn read(&mut self, _: Page, _: usize, _: &mut [u8]) -> Result<(), Absent> {
        Err(Absent)
    }

    fn program(&mut self, _: Page, _: usize, _: &[u8]) -> Result<(), Absent> {
        Err(Absent)
    }

    fn erase(&mut self, _: Page) -> Result<(), Absent> {
        Err(Absent)
    }
}
