//! How much of the stack is used: start-up code paints it, and what is still painted was not.

use core::ptr;
use cortex_m_rt::STACK_PAINT_VALUE;

#[allow(unsafe_code)] // only their addresses are taken
unsafe extern "C" {
    /// The linker's: where the stack begins, and the lowest address that it may reach.
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Octets used at most since the start.
#[allow(unsafe_code)]
pub(crate) fn used() -> usize {
    let (top, bottom) = ((&raw const _stack_start).addr(), (&raw const _stack_end).addr());
    // SAFETY: this is memory of the stack; it is only read.
    let at = |address: usize| unsafe { ptr::with_exposed_provenance::<u32>(address).read_volatile() };
    top - (bottom..top).step_by(4).find(|&address| at(address) != STACK_PAINT_VALUE).unwrap_or(top)
}
