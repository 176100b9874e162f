//! What telemetry reports: the supply voltage. The temperature sensor is the controller's.

use vitrine_firmware::{BatteryMonitor, BatteryReading};
use vitrine_nrf52_parts::supply;

/// The supply voltage alone.
pub(crate) struct Supply;

impl BatteryMonitor for Supply {
    fn sample(&mut self) -> BatteryReading {
        BatteryReading { battery_mv: Some(supply::millivolts()), temperature_c_256: None }
    }
}
