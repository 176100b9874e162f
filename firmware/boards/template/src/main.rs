//! A Vitrine beacon on a chip of your own: copy this folder, and put your chip in the place of `chip`.
//!
//! The core asks a chip for five parts: radio, clock, random numbers, battery and store. Each has a file here that says
//! what it must do; the store is made of any driver of flash. `chip` stands for your vendor's crate: it is a machine of
//! QEMU, whose radio prints what it sends and whose flash is memory. As it is, this runs:
//!
//! ```text
//! firmware/build template
//! qemu-system-arm -M mps2-an386 -nographic -semihosting -kernel firmware/boards/template/out/vitrine-template.elf
//! ```
#![no_std]
#![no_main]

mod battery;
mod chip;
mod clock;
mod entropy;
mod radio;

use cortex_m_rt::entry;
use vitrine_firmware::{Address, Beacon, Cipher, Config, Parts, Start, Store, board::FlashStore, image};

#[entry]
fn main() -> ! {
    let mut clock = clock::Millis::start();
    let mut entropy = entropy::Noise::start();
    let mut store =
        FlashStore::new(chip::Flash::new(), chip::STORE_BASE).expect("the memory map leaves it out");
    if cfg!(feature = "check") {
        check(&mut clock, &mut entropy, &mut store);
    }

    // What the beacon does is flashed into the store; without that it says that it is not configured.
    let (config, configured_s) = match image::load(&mut store) {
        Ok(image) => (image.config, image.time_s),
        Err(_) => (Config::unconfigured(chip::serial_number()), 0),
    };
    let start = Start::read(&mut store, configured_s, None, 0).unwrap_or(Start::unlogged(0));
    let address = Address::random_static(chip::address()).expect("the factory has programmed one");
    let parts = Parts {
        radio: radio::Air::start(),
        entropy,
        battery: battery::Cell,
        store,
        cipher: Cipher::SOFTWARE,
    };
    let mut beacon = Beacon::new(config, address, parts, start, 0);
    loop {
        // A failure is counted, and the next event comes; a radio that goes on failing ends in a reset.
        beacon.step(&mut clock).unwrap_or(());
        if beacon.is_healthy() {
            chip::feed_watchdog();
        }
    }
}

/// Says what is wrong with the parts; goes on only where nothing is.
fn check(clock: &mut clock::Millis, entropy: &mut entropy::Noise, store: &mut impl Store) {
    use vitrine_firmware::check;
    use vitrine_protocol::identity::SoftwareAes;

    let outcome = check::entropy(entropy)
        .and_then(|()| check::clock(clock))
        .and_then(|()| check::store(store))
        .and_then(|()| check::cipher::<SoftwareAes>());
    match outcome {
        Ok(()) => chip::say(format_args!("all parts are well")),
        Err(flaw) => panic!("{flaw}"),
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    chip::say(format_args!("{info}"));
    chip::reset()
}
