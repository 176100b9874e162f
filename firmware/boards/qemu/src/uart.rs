//! The machine's first serial port. Registers: nRF51 Series Reference Manual 3.0, chapter 29; ARM DDI 0479, CMSDK,
//! section 4.3. QEMU takes octets as fast as they come.

use core::fmt;

/// Writes text, with no wait.
pub(crate) struct Uart;

#[cfg(feature = "microbit")]
const REGISTERS: (usize, &[(usize, u32)]) = (
    0x4000_2000 + 0x51c,                                   // TXD
    &[(0x4000_2000 + 0x500, 4), (0x4000_2000 + 0x008, 1)], // ENABLE, TASKS_STARTTX
);
#[cfg(feature = "mps2-an386")]
const REGISTERS: (usize, &[(usize, u32)]) = (
    0x4000_4000,                                          // DATA
    &[(0x4000_4000 + 0x10, 16), (0x4000_4000 + 0x08, 1)], // BAUDDIV, CTRL
);
/// Where the port says that an octet may come, and what it says then.
#[cfg(feature = "microbit")]
const READY: (usize, u32) = (0x4000_2000 + 0x11c, 1); // TXDRDY
#[cfg(feature = "mps2-an386")]
const READY: (usize, u32) = (0x4000_4000 + 0x04, 0); // STATE: bit 0 is full

/// Starts the port.
pub(crate) fn start() {
    for &(register, value) in REGISTERS.1 {
        write(register, value);
    }
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for octet in text.bytes() {
            #[cfg(feature = "microbit")]
            write(READY.0, 0);
            write(REGISTERS.0, octet.into());
            while read(READY.0) & 1 != READY.1 {}
        }
        Ok(())
    }
}

#[allow(unsafe_code)]
fn write(register: usize, value: u32) {
    // SAFETY: a register of the serial port, which nothing else uses.
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(register).write_volatile(value) };
}

#[allow(unsafe_code)]
fn read(register: usize) -> u32 {
    // SAFETY: as above.
    unsafe { core::ptr::with_exposed_provenance::<u32>(register).read_volatile() }
}
