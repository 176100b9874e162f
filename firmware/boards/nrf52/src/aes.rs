//! AES-128 in the chip (ECB): 7 µs a block.

use crate::event;
use core::sync::atomic::{AtomicU32, Ordering};
use nrf_pac::{ECB, Interrupt};
use vitrine_protocol::identity::Aes128;

/// The chip's AES under a key.
pub(crate) struct ChipAes([u8; 16]);

impl Aes128 for ChipAes {
    fn new(key: &[u8; 16]) -> Self {
        Self(*key)
    }

    fn encrypt(&self, block: &mut [u8; 16]) {
        // What the peripheral reads and writes: key, clear text, cipher text.
        let data = [const { AtomicU32::new(0) }; 12];
        let given = self.0.as_chunks().0.iter().chain(block.as_chunks().0);
        for (place, octets) in data.iter().zip(given) {
            place.store(u32::from_ne_bytes(*octets), Ordering::SeqCst);
        }
        ECB.ecbdataptr().write_value(data.as_ptr() as u32);
        ECB.intenset().write(|w| w.set_endecb(true));
        ECB.tasks_startecb().write_value(1);
        event::wait(ECB.events_endecb(), Interrupt::ECB);
        for (octets, place) in block.as_chunks_mut().0.iter_mut().zip(&data[8..]) {
            *octets = place.load(Ordering::SeqCst).to_ne_bytes();
        }
    }
}

impl Drop for ChipAes {
    fn drop(&mut self) {
        for octet in &mut self.0 {
            *octet = 0;
        }
        core::hint::black_box(&self.0);
    }
}
