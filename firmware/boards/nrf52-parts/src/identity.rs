//! Who the chip is, as the factory has written it down.

use nrf_pac::FICR;
use vitrine_firmware::Address;

/// The chip's own random static address (FICR.DEVICEADDR).
pub fn address() -> Address {
    let [low, high] = [0, 1].map(|n| FICR.deviceaddr(n).read().to_be_bytes());
    let [_, _, a, b] = high;
    let [c, d, e, f] = low;
    // Refused is only what no chip from the factory has.
    Address::random_static([a, b, c, d, e, f])
        .unwrap_or(const { Address::public([0x00, 0x00, 0x00, 0x00, 0x00, 0x01]) })
}

/// What tells this chip from others before it is configured (FICR.DEVICEID).
pub fn device_id() -> u32 {
    FICR.deviceid(0).read()
}
