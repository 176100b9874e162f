//! Starting a scan: the monitor first, so that the scan is not filtered, and then btleplug.

use super::{bus::Caller, signal::AdapterName};
use btleplug::{
    api::{Central, Manager as _, ScanFilter},
    platform::{self, Manager},
};
use std::time::Duration;
use tokio::{sync::watch, time::timeout};

/// Longest wait for btleplug.
const ANSWER: Duration = Duration::from_secs(5);

/// An attempt to scan.
pub(super) struct Scan {
    pub(super) caller: Caller,
    /// Tells when the monitor is in force.
    pub(super) monitored: watch::Sender<bool>,
    pub(super) manager: Manager,
    pub(super) name: AdapterName,
    /// btleplug's adapter, where it is known.
    pub(super) central: Option<platform::Adapter>,
    /// End the last scan before.
    pub(super) afresh: bool,
}

impl Scan {
    /// btleplug's adapter, where there is one, and what came of it.
    pub(super) async fn start(self) -> (Option<platform::Adapter>, Result<(), String>) {
        let Self { caller, monitored, manager, name, central, afresh } = self;
        if let Err(error) = caller.monitor(name, monitored).await {
            tracing::debug!(adapter = %name, %error, "no advertisement monitor");
        }
        let central = match central {
            Some(central) => Some(central),
            None => match answer(find(&manager, &name)).await {
                Ok(central) => central,
                Err(error) => return (None, Err(error)),
            },
        };
        let Some(central) = central else { return (None, Err("the adapter has gone".to_owned())) };
        if afresh {
            // There may be none.
            answer(central.stop_scan()).await.ok();
        }
        // The adapter was on a moment ago. btleplug switches it on, and asks for duplicates.
        let outcome = answer(central.start_scan(ScanFilter::default())).await;
        (Some(central), outcome)
    }
}

/// btleplug's adapter with this name.
async fn find(manager: &Manager, name: &str) -> btleplug::Result<Option<platform::Adapter>> {
    for central in manager.adapters().await? {
        // "hci0 (usb:v1D6Bp0246d0542)"; one that has gone meanwhile has none.
        let info = central.adapter_info().await.unwrap_or_default();
        if info.split(' ').next() == Some(name) {
            return Ok(Some(central));
        }
    }
    Ok(None)
}

/// Waits for btleplug, but not for ever.
async fn answer<T>(call: impl Future<Output = btleplug::Result<T>>) -> Result<T, String> {
    match timeout(ANSWER, call).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}
