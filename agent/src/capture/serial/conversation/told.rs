//! From a controller's reports to inputs.

use super::settings::Controller;
use crate::capture::{Input, ShelfChange, ShelfReading, ShelfTrouble, Trouble};
use vitrine_protocol::{
    Id,
    event::{self, ControllerFault, EventId, SensorFault},
    shelf::{Channel, Event, Fault, FaultReport, Reading, Stamp},
};

/// Which report of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) boot: u32,
    pub(super) counter: u64,
}

impl Key {
    pub(super) fn of(stamp: Stamp) -> Self {
        Self { boot: stamp.boot, counter: stamp.counter }
    }

    /// How many were left out between `last` and this one, which is the last from now on.
    pub(super) fn missed_since(self, last: &mut Option<Self>) -> u64 {
        match last.replace(self) {
            Some(last) if last.boot == self.boot => {
                self.counter.saturating_sub(last.counter.saturating_add(1))
            }
            _ => 0,
        }
    }

    /// Its name, which no report of another controller has.
    fn id(self, serial: &str) -> EventId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&crc32c::crc32c(serial.as_bytes()).to_be_bytes());
        id[4..8].copy_from_slice(&self.boot.to_be_bytes());
        id[8..].copy_from_slice(&self.counter.to_be_bytes());
        EventId(id)
    }
}

/// `None` where the channel has no facing.
pub(super) fn reading(controller: &Controller, serial: &str, reading: &Reading) -> Option<ShelfReading> {
    Some(ShelfReading {
        shelf: controller.shelf,
        facing: facing(controller, reading.channel)?,
        // Where a controller is replaced, the new one's counter is not the old one's, whatever number they draw.
        boot: reading.stamp.boot ^ crc32c::crc32c(serial.as_bytes()),
        counter: reading.stamp.counter,
        age_ms: reading.stamp.age_ms.unwrap_or(0),
        quantity: reading.quantity,
        settled: reading.stable,
    })
}

/// Nothing where the channel has no facing.
pub(super) fn event(controller: &Controller, serial: &str, event: &Event) -> Vec<Input> {
    let Some(facing) = facing(controller, event.channel) else { return Vec::new() };
    let (shelf, id, age_ms) = (controller.shelf, Key::of(event.stamp).id(serial), event.stamp.age_ms);
    vec![Input::ShelfChange(ShelfChange { shelf, facing, id, age_ms, change: event.change })]
}

/// A sensor's fault without a channel is that of every facing.
pub(super) fn fault(controller: &Controller, serial: &str, report: &FaultReport) -> Vec<Input> {
    let FaultReport { stamp, channel, fault, active } = *report;
    let shelf = controller.shelf;
    let input = |trouble| {
        let (id, age_ms) = (Key::of(stamp).id(serial), stamp.age_ms);
        Input::ShelfTrouble(ShelfTrouble { id, age_ms, trouble })
    };
    let fault = match fault {
        Fault::NoSignal => Ok(SensorFault::NoSignal),
        Fault::Stuck => Ok(SensorFault::Stuck),
        Fault::OutOfRange => Ok(SensorFault::OutOfRange),
        Fault::Unsettled => Ok(SensorFault::Unsettled),
        Fault::Supply => Err(ControllerFault::Supply),
        Fault::LostReports => Err(ControllerFault::LostReports),
        Fault::Restarted => Err(ControllerFault::Restarted),
        Fault::Configuration => Err(ControllerFault::Configuration),
    };
    match fault {
        Ok(fault) => {
            let facings: Vec<Id> = match channel {
                Some(channel) => facing(controller, channel).into_iter().collect(),
                None => controller.facings.iter().flatten().copied().collect(),
            };
            let input = |facing| input(Trouble::Facing(event::Fault { shelf, facing, fault, active }));
            facings.into_iter().map(input).collect()
        }
        Err(fault) => vec![input(Trouble::Shelf(event::ShelfFault { shelf, fault, active }))],
    }
}

/// Makes an input older; an age at the end of its range stays there.
pub(super) fn add_age(input: &mut Input, ms: u64) {
    let ms = u32::try_from(ms).unwrap_or(u32::MAX);
    let age_ms = match input {
        Input::Shelf(reading) => Some(&mut reading.age_ms),
        Input::ShelfChange(change) => change.age_ms.as_mut(),
        Input::ShelfTrouble(trouble) => trouble.age_ms.as_mut(),
        Input::Kiosk(_) | Input::Count(_) | Input::Notice(_) => None,
    };
    if let Some(age_ms) = age_ms {
        *age_ms = age_ms.saturating_add(ms);
    }
}

fn facing(controller: &Controller, channel: Channel) -> Option<Id> {
    *controller.facings.get(usize::from(channel.number()))?
}
