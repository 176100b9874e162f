//! What telemetry reports: the supply voltage, and the temperature of the die.

use crate::event;
use nrf_pac::{FICR, Interrupt, TEMP};
use vitrine_firmware::{BatteryMonitor, BatteryReading};
use vitrine_nrf52_parts::supply;

/// The chip's sensors.
pub(crate) struct Sensors(());

impl Sensors {
    /// Trims the thermometer: by itself it has the values of another chip (nRF52832 Errata, anomaly 66).
    pub(crate) fn new() -> Self {
        let factory = FICR.temp();
        let slopes = [
            factory.a0().read().0,
            factory.a1().read().0,
            factory.a2().read().0,
            factory.a3().read().0,
            factory.a4().read().0,
            factory.a5().read().0,
        ];
        let offsets = [
            factory.b0().read().0,
            factory.b1().read().0,
            factory.b2().read().0,
            factory.b3().read().0,
            factory.b4().read().0,
            factory.b5().read().0,
        ];
        let ends = [
            factory.t0().read().0,
            factory.t1().read().0,
            factory.t2().read().0,
            factory.t3().read().0,
            factory.t4().read().0,
        ];
        for (n, slope) in slopes.into_iter().enumerate() {
            TEMP.a(n).write_value(slope);
        }
        for (n, offset) in offsets.into_iter().enumerate() {
            TEMP.b(n).write_value(offset);
        }
        for (n, end) in ends.into_iter().enumerate() {
            TEMP.t(n).write_value(end);
        }
        Self(())
    }
}

impl BatteryMonitor for Sensors {
    fn sample(&mut self) -> BatteryReading {
        BatteryReading {
            battery_mv: Some(supply::millivolts()),
            temperature_c_256: Some(temperature_c_256()),
        }
    }
}

/// The register counts quarters of a degree.
fn temperature_c_256() -> i16 {
    TEMP.intenset().write(|w| w.set_datardy(true));
    TEMP.tasks_start().write_value(1);
    event::wait(TEMP.events_datardy(), Interrupt::TEMP);
    let quarters = TEMP.temp().read() as i32;
    TEMP.tasks_stop().write_value(1);
    (quarters * 64) as i16
}
