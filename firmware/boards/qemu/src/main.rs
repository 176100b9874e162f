//! A Vitrine beacon on QEMU's microbit (Cortex-M0) and mps2-an386 (Cortex-M4), with AES in software.
//!
//! Its radio is a serial line: a line of text for each transmission, `adv MS CHANNEL DBM HEX`. It plays a scenario
//! that the host plays too, says `end` and how much of the stack it needed, and ends QEMU.
#![no_std]
#![no_main]

mod clock;
mod scenario;
mod stack;
mod uart;

use core::fmt::Write;
use cortex_m_rt::entry;
use cortex_m_semihosting::debug;
use uart::Uart;
use vitrine_firmware::{Channel, Pdu, Radio};

/// A line for each transmission.
struct Air;

impl Radio for Air {
    type Error = core::fmt::Error;

    fn transmit(&mut self, channel: Channel, pdu: &Pdu, power_dbm: i8) -> Result<(), Self::Error> {
        write!(Uart, "adv {} {} {power_dbm} ", clock::now_ms(), channel.index())?;
        for octet in pdu.bytes() {
            write!(Uart, "{octet:02x}")?;
        }
        Uart.write_str("\n")
    }
}

#[entry]
fn main() -> ! {
    uart::start();
    let ticks = clock::Ticks::start().expect("the clock is started once");
    let (mut beacon, mut clock) = scenario::begin(Air, ticks);
    let mut failures = 0;
    while beacon.next_ms() < scenario::END_MS {
        failures += u32::from(beacon.step(&mut clock).is_err());
    }
    let told = writeln!(Uart, "end {failures} failures, {} octets of stack", stack::used());
    debug::exit(if failures == 0 && told.is_ok() { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    writeln!(Uart, "panic: {info}").unwrap_or(());
    debug::exit(debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}

#[allow(unsafe_code)]
#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    panic!("hard fault at {:#x}", frame.pc())
}
