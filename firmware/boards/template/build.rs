//! The memory map: your chip's flash and RAM in KiB, and how much of the flash is the store's.

#[path = "../memory.rs"]
mod memory;

fn main() {
    memory::write(&[("mps2-an386", 4096, 4096)], 0);
}
