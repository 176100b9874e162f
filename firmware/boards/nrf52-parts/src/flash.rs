//! The store: the last four pages of flash.

use core::{convert::Infallible, ptr};
use nrf_pac::{FICR, NVMC, nvmc::vals::Wen};
use vitrine_firmware::{Page, Store};

/// The chip's flash.
#[derive(Clone, Copy, Debug)]
pub struct Flash;

impl Store for Flash {
    type Error = Infallible;
    const PAGE_LEN: usize = 4_096;

    #[allow(unsafe_code)]
    fn read(&mut self, page: Page, offset: usize, out: &mut [u8]) -> Result<(), Infallible> {
        for (octet, at) in out.iter_mut().zip(address(page, offset)..) {
            // SAFETY: the store's pages are readable memory, in which no Rust object lies.
            *octet = unsafe { ptr::read_volatile(ptr::with_exposed_provenance(at)) };
        }
        Ok(())
    }

    #[allow(unsafe_code)]
    fn program(&mut self, page: Page, offset: usize, bytes: &[u8]) -> Result<(), Infallible> {
        NVMC.config().write(|w| w.set_wen(Wen::Wen));
        for (word, at) in bytes.as_chunks().0.iter().zip((address(page, offset)..).step_by(4)) {
            // SAFETY: as above; a word that is written starts the programming of it.
            unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(at), u32::from_le_bytes(*word)) };
            ready();
        }
        NVMC.config().write(|w| w.set_wen(Wen::Ren));
        Ok(())
    }

    fn erase(&mut self, page: Page) -> Result<(), Infallible> {
        NVMC.config().write(|w| w.set_wen(Wen::Een));
        NVMC.erasepage().write_value(address(page, 0) as u32);
        ready();
        NVMC.config().write(|w| w.set_wen(Wen::Ren));
        Ok(())
    }
}

/// Counted from the end of flash, which the factory has written down.
fn address(page: Page, offset: usize) -> usize {
    let pages = FICR.codesize().read() as usize;
    (pages - Page::COUNT + page.index()) * Flash::PAGE_LEN + offset
}

/// The processor stands still meanwhile if it runs from flash: 85 ms for a page.
fn ready() {
    while !NVMC.ready().read().ready() {}
}
