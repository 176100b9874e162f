//! The memory map.

#[path = "../memory.rs"]
mod memory;

fn main() {
    // The store's four pages are the last of flash.
    memory::write(
        &[("nrf52810", 192, 24), ("nrf52832", 512, 64), ("nrf52833", 512, 128), ("nrf52840", 1024, 256)],
        16,
    );
}
