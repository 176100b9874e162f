//! What all programs here have, and a chip's AES in place of one in software.
#![no_std]

use core::{hint::black_box, panic::PanicInfo};
use vitrine_protocol::identity::Aes128;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// The program's entry: makes `part` once, in a way that the compiler can neither foresee nor leave out.
#[macro_export]
macro_rules! measure {
    ($part:expr) => {
        #[unsafe(no_mangle)]
        extern "C" fn _start() -> ! {
            core::hint::black_box($part);
            loop {}
        }
    };
}

/// Stands for the registers of a chip's AES peripheral.
#[derive(Clone, Debug)]
pub struct ChipAes([u8; 16]);

impl Aes128 for ChipAes {
    fn new(key: &[u8; 16]) -> Self {
        Self(*key)
    }

    fn encrypt(&self, block: &mut [u8; 16]) {
        *block = black_box((self.0, *block)).1;
    }
}
