//! BLE advertisements through BlueZ, with btleplug.
//!
//! This is the part that does: it finds the adapters, starts their scans and asks BlueZ what an event leaves out.
//! What a report comes to is the `Translator`'s. Radio addresses go from a device's path on D-Bus straight into
//! [`Address`](crate::private::Address); an error of a call about one device is never passed on, because its text
//! may name the device.
//!
//! Left out: noticing that BlueZ fell silent (btleplug's events neither end nor fail when bluetoothd or the bus is
//! restarted, or the adapter is pulled or powered off) and starting anew after that; static payloads that the kernel
//! filters out in spite of the scan's wish for duplicates; choosing which beacons matter.

pub mod mgmt;
mod translator;

use self::translator::{Report, Translator};
use crate::{capture::Radio, clock::Clock, plan::Layouts};
use btleplug::{
    api::{Central, CentralEvent, Manager as _, Peripheral, PeripheralProperties, ScanFilter},
    platform::{self, Manager, PeripheralId},
};
use futures_util::{StreamExt, stream};
use std::{sync::atomic::Ordering, thread, time::Duration};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};
use vitrine_protocol::Id;

/// Longest wait for an answer of BlueZ.
const ANSWER: Duration = Duration::from_secs(5);

/// An adapter of this machine, and the receiver in the plan that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// BlueZ's name of the adapter, such as `hci0`.
    pub name: String,
    /// The receiver's name in the plan.
    pub receiver: Id,
}

/// Why nothing is heard.
#[derive(Debug, thiserror::Error)]
pub enum BleError {
    /// D-Bus or bluetoothd cannot be reached.
    #[error(
        "BlueZ does not answer on the system bus ({0}): install `bluez`, start it with \
         `systemctl start bluetooth`, and let this user talk to it (on Debian: group `bluetooth`)"
    )]
    NoBluez(#[source] btleplug::Error),
    /// A configured adapter is not there.
    #[error("no Bluetooth adapter is named {name}: {}", choice(available))]
    NoAdapter {
        /// The name in the configuration.
        name: String,
        /// The names of the adapters that are there.
        available: Vec<String>,
    },
    /// An adapter is there but does not do what it is told.
    #[error(
        "Bluetooth adapter {name}: {source}; see whether it is blocked (`rfkill list`) and what bluetoothd says \
         (`journalctl -u bluetooth`)"
    )]
    Radio {
        /// The adapter.
        name: String,
        /// What BlueZ answered.
        source: btleplug::Error,
    },
    /// The events of an adapter ended.
    #[error("BlueZ tells no more of Bluetooth adapter {name}: scan again")]
    Ended {
        /// The adapter.
        name: String,
    },
}

/// Scans on `adapters` until `shutdown`, and sends what they hear, read with the plan's `layouts` too, to `radio`. The
/// scans are stopped in the end, in whatever way it comes; if the future is dropped instead they go on until the process
/// leaves the bus.
///
/// Each call opens a connection to the system bus that btleplug does not close again.
///
/// # Errors
/// [`BleError`]: all of them before anything is heard, [`BleError::Radio`] and [`BleError::Ended`] also later.
pub async fn run(
    adapters: &[Adapter],
    layouts: &Layouts,
    radio: Radio,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BleError> {
    let manager = answer(connect()).await.map_err(BleError::NoBluez)?;
    let mut stations = find(&manager, adapters).await?;
    let outcome = tokio::select! {
        outcome = listen(&mut stations, layouts, &radio, &clock) => outcome,
        () = shutdown => Ok(()),
    };
    for station in &stations {
        if let Err(error) = answer(station.central.stop_scan()).await {
            tracing::debug!(adapter = station.name, %error, "the scan could not be stopped");
        }
    }
    outcome
}

/// An adapter in use.
struct Station {
    name: String,
    central: platform::Adapter,
    translator: Translator,
}

impl Station {
    fn failed(&self, source: btleplug::Error) -> BleError {
        BleError::Radio { name: self.name.clone(), source }
    }

    /// What BlueZ knows of a device; `None` where it has forgotten the device already.
    async fn look_up(&self, id: &PeripheralId) -> Result<Option<PeripheralProperties>, BleError> {
        let known = async {
            let peripheral = self.central.peripheral(id).await.ok()?;
            peripheral.properties().await.ok()?
        };
        answer(async { Ok(known.await) }).await.map_err(|source| self.failed(source))
    }

    /// The report in an event; `None` where the event says nothing of an advertisement.
    async fn report(&self, event: CentralEvent, layouts: &Layouts) -> Result<Option<Report>, BleError> {
        let (id, report) = match event {
            // A sender's first advertisement comes with this event, its content does not.
            CentralEvent::DeviceDiscovered(id) => {
                let properties = self.look_up(&id).await?;
                return Ok(properties.and_then(|known| Report::of_properties(known, layouts)));
            }
            CentralEvent::RssiUpdate { id, rssi } => return Ok(Report::of_rssi(&id.to_string(), rssi)),
            CentralEvent::ManufacturerDataAdvertisement { id, manufacturer_data } => {
                let report = Report::of_manufacturer_data(&id.to_string(), &manufacturer_data, layouts);
                (id, report)
            }
            CentralEvent::ServiceDataAdvertisement { id, service_data } => {
                let report = Report::of_service_data(&id.to_string(), &service_data, layouts);
                (id, report)
            }
            _ => return Ok(None),
        };
        let Some(report) = report else { return Ok(None) };
        if self.translator.knows_rssi(report.address) {
            return Ok(Some(report));
        }
        // BlueZ tells of an RSSI only when it changed: that of a forgotten device must be asked for.
        let rssi = self.look_up(&id).await?.and_then(|properties| properties.rssi);
        Ok(Some(report.with_rssi(rssi)))
    }
}

/// Connects to the bus, on a thread of its own: libdbus blocks, and for ever where the bus lets it in and then says
/// nothing. A thread of the runtime's would hold up the runtime's end as well.
async fn connect() -> btleplug::Result<Manager> {
    let (manager, connected) = oneshot::channel();
    let runtime = Handle::current();
    thread::spawn(move || manager.send(runtime.block_on(Manager::new())));
    connected.await.unwrap_or_else(|_| Err(btleplug::Error::RuntimeError("connecting panicked".to_owned())))
}

/// Finds each of `adapters`.
async fn find(manager: &Manager, adapters: &[Adapter]) -> Result<Vec<Station>, BleError> {
    let mut present = Vec::new();
    for central in answer(manager.adapters()).await.map_err(BleError::NoBluez)? {
        // "hci0 (usb:v1D6Bp0246d0542)"
        let info = answer(central.adapter_info()).await.map_err(BleError::NoBluez)?;
        present.push((info.split(' ').next().unwrap_or_default().to_owned(), central));
    }
    let station = |adapter: &Adapter| {
        let Some((name, central)) = present.iter().find(|(name, _)| *name == adapter.name) else {
            let mut available: Vec<_> = present.iter().map(|(name, _)| name.clone()).collect();
            available.sort();
            return Err(BleError::NoAdapter { name: adapter.name.clone(), available });
        };
        let translator = Translator::new(adapter.receiver);
        Ok(Station { name: name.clone(), central: central.clone(), translator })
    };
    adapters.iter().map(station).collect()
}

/// Starts the scans and hears what they bring; returns when one of them fails.
async fn listen(
    stations: &mut [Station],
    layouts: &Layouts,
    radio: &Radio,
    clock: &Clock,
) -> Result<(), BleError> {
    let mut streams = Vec::new();
    for (index, station) in stations.iter().enumerate() {
        // Events first: what BlueZ remembers of earlier scans then still has no RSSI and is not taken as heard.
        let events = answer(station.central.events()).await.map_err(|source| station.failed(source))?;
        // btleplug always asks for duplicates.
        let scan = station.central.start_scan(ScanFilter::default());
        answer(scan).await.map_err(|source| station.failed(source))?;
        tracing::info!(adapter = station.name, "scanning");
        let end = stream::once(async { None });
        streams.push(Box::pin(events.map(Some).chain(end).map(move |event| (index, event))));
    }
    let mut events = stream::select_all(streams);
    while let Some((index, event)) = events.next().await {
        let now = clock.now();
        let station = &mut stations[index];
        let Some(event) = event else { return Err(BleError::Ended { name: station.name.clone() }) };
        let Some(report) = station.report(event, layouts).await? else { continue };
        let Some(advertisement) = station.translator.handle(report, now) else { continue };
        radio.count(advertisement.malformed);
        radio.counters().no_rssi.fetch_add(u64::from(advertisement.no_rssi), Ordering::Relaxed);
        advertisement.heard.into_iter().for_each(|heard| radio.send(heard));
    }
    // No adapter is configured: there is nothing to hear, and that is as it should be.
    std::future::pending().await
}

/// Waits for an answer of BlueZ, but not for ever.
async fn answer<T>(call: impl Future<Output = btleplug::Result<T>>) -> btleplug::Result<T> {
    timeout(ANSWER, call).await.unwrap_or(Err(btleplug::Error::TimedOut(ANSWER)))
}

fn choice(available: &[String]) -> String {
    match available {
        [] => {
            "none is plugged in, or the kernel has no driver for it (`dmesg | grep -i bluetooth`)".to_owned()
        }
        names => format!("configure one of {}", names.join(", ")),
    }
}
