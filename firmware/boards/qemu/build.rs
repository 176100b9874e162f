//! The memory map: that of QEMU's machine.

#[path = "../memory.rs"]
mod memory;

fn main() {
    memory::write(&[("microbit", 256, 16), ("mps2-an386", 4096, 4096)], 0);
}
