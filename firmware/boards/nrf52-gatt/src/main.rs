//! A Vitrine beacon on Nordic's SoftDevice Controller.
//!
//! The controller has a qualified link layer; the beacon hands it one advertising event at a time, so that identity,
//! slots and timing are the same as on the board without it. A plain broadcaster: it keeps nothing over a power cut
//! and so refuses configurations that rotate, and nobody can connect to it.
#![no_std]
#![no_main]

mod battery;
mod clock;
mod controller;
mod radio;

use embassy_executor::Spawner;
use embassy_futures::select::select;
use trouble_host::{HostResources, prelude::DefaultPacketPool};
use vitrine_firmware::{Beacon, Cipher, Config, NoStore, Parts, Start, image};
use vitrine_nrf52_parts::{flash::Flash, identity, watchdog};

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let (controller, entropy) = controller::start(&spawner);
    let config = match image::load(&mut Flash) {
        Ok(image) if !image.config.rotates() => image.config,
        _ => Config::unconfigured(identity::device_id()),
    };

    let mut resources: HostResources<DefaultPacketPool, 1, 0, 1> = HostResources::new();
    let stack = trouble_host::new(controller, &mut resources).build();
    let mut host = stack.runner();
    let parts = Parts {
        radio: radio::Events(&stack),
        entropy,
        battery: battery::Supply,
        store: NoStore,
        cipher: Cipher::SOFTWARE,
    };
    let mut beacon = Beacon::new(config, identity::address(), parts, Start::unlogged(0), 0);
    watchdog::start();
    let advertising = async {
        loop {
            // A failure is counted, and the next event comes; a radio that goes on failing ends in a reset.
            beacon.step_async(&mut clock::Time).await.unwrap_or(());
            if beacon.is_healthy() {
                watchdog::feed();
            }
        }
    };
    select(host.run(), advertising).await;
    cortex_m::peripheral::SCB::sys_reset()
}

/// Nothing panics after the controller was set up; if something does after all, the beacon starts anew.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
