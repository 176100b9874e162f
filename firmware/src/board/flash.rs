//! A store over a driver of flash.

use crate::{Page, Store, store::WORD};
use core::fmt;
use embedded_storage::nor_flash::NorFlash;

/// A [`Store`] in four sectors of a [`NorFlash`], one after the other.
#[derive(Debug)]
pub struct FlashStore<F> {
    flash: F,
    base: u32,
}

/// Where the four sectors would lie is not in the flash, or not at the beginning of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Region;

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store's four sectors are not whole sectors of the flash")
    }
}

impl core::error::Error for Region {}

impl<F: NorFlash> FlashStore<F> {
    /// The store whose first sector begins `base` octets into `flash`. The linker's memory map has to leave it out.
    /// That the flash has words of [`WORD`] octets at most and sectors of 512 at least is checked when compiling.
    ///
    /// # Errors
    /// [`Region`]
    pub fn new(flash: F, base: u32) -> Result<Self, Region> {
        const {
            assert!(WORD.is_multiple_of(F::WRITE_SIZE) && WORD.is_multiple_of(F::READ_SIZE));
            assert!(F::ERASE_SIZE >= 512);
        }
        let sectors = (base as usize).checked_add(Page::COUNT * F::ERASE_SIZE);
        let fits = sectors.is_some_and(|end| end <= flash.capacity());
        if fits && (base as usize).is_multiple_of(F::ERASE_SIZE) {
            Ok(Self { flash, base })
        } else {
            Err(Region)
        }
    }

    /// Gives the flash back.
    pub fn release(self) -> F {
        self.flash
    }

    fn at(&self, page: Page, offset: usize) -> u32 {
        self.base.saturating_add((page.index() * F::ERASE_SIZE + offset) as u32)
    }
}

impl<F: NorFlash> Store for FlashStore<F> {
    type Error = F::Error;
    const PAGE_LEN: usize = F::ERASE_SIZE;

    fn read(&mut self, page: Page, offset: usize, out: &mut [u8]) -> Result<(), F::Error> {
        self.flash.read(self.at(page, offset), out)
    }

    fn program(&mut self, page: Page, offset: usize, bytes: &[u8]) -> Result<(), F::Error> {
        self.flash.write(self.at(page, offset), bytes)
    }

    fn erase(&mut self, page: Page) -> Result<(), F::Error> {
        self.flash.erase(self.at(page, 0), self.at(page, F::ERASE_SIZE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use embedded_storage::nor_flash::{ErrorType, NorFlashError, NorFlashErrorKind, ReadNorFlash};

    /// Six sectors of 1 KiB, in words of 8 octets.
    struct Sectors([u8; 6 * 1_024]);

    #[derive(Debug, PartialEq, Eq)]
    struct Misused;

    impl NorFlashError for Misused {
        fn kind(&self) -> NorFlashErrorKind {
            NorFlashErrorKind::Other
        }
    }

    impl ErrorType for Sectors {
        type Error = Misused;
    }

    impl ReadNorFlash for Sectors {
        const READ_SIZE: usize = 1;
        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Misused> {
            bytes.copy_from_slice(
                self.0.get(offset as usize..).and_then(|at| at.get(..bytes.len())).ok_or(Misused)?,
            );
            Ok(())
        }
        fn capacity(&self) -> usize {
            self.0.len()
        }
    }

    impl NorFlash for Sectors {
        const WRITE_SIZE: usize = 8;
        const ERASE_SIZE: usize = 1_024;
        fn erase(&mut self, from: u32, to: u32) -> Result<(), Misused> {
            let whole = |offset: u32| (offset as usize).is_multiple_of(Self::ERASE_SIZE);
            let sectors = self.0.get_mut(from as usize..to as usize).filter(|_| whole(from) && whole(to));
            sectors.ok_or(Misused)?.fill(0xff);
            Ok(())
        }
        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Misused> {
            let whole = (offset as usize).is_multiple_of(8) && bytes.len().is_multiple_of(8);
            let place = self.0.get_mut(offset as usize..).and_then(|at| at.get_mut(..bytes.len()));
            place
                .filter(|at| whole && at.iter().all(|&octet| octet == 0xff))
                .ok_or(Misused)?
                .copy_from_slice(bytes);
            Ok(())
        }
    }

    #[test]
    fn four_sectors_are_a_store_and_the_others_are_left_alone() {
        let mut store = FlashStore::new(Sectors([0x5a; 6 * 1_024]), 1_024).unwrap();
        assert_eq!(check::store(&mut store), Ok(()));
        let Sectors(octets) = store.release();
        assert_eq!(octets[..1_024], [0x5a; 1_024]);
        assert_eq!(octets[1_024..5 * 1_024], [0xff; 4 * 1_024]);
        assert_eq!(octets[5 * 1_024..], [0x5a; 1_024]);
    }

    #[test]
    fn a_region_that_is_no_four_sectors_is_refused() {
        for base in [1, 512, 3 * 1_024, 6 * 1_024, u32::MAX - 1_023] {
            assert!(FlashStore::new(Sectors([0; 6 * 1_024]), base).is_err(), "{base}");
        }
        assert!(FlashStore::new(Sectors([0; 6 * 1_024]), 2 * 1_024).is_ok());
    }
}
