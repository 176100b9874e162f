//! `[[radios]]`: BLE adapters of this machine, and the receivers that they are.

use crate::document::{Report, Table};
use vitrine_protocol::Id;

/// A BLE adapter of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radio {
    /// The kernel's name of it, such as `hci0`.
    pub adapter: String,
    /// The receiver in the plan.
    pub receiver: Id,
    /// Who listens on it.
    pub backend: Backend,
}

/// Who listens on an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// BlueZ's daemon, over D-Bus.
    Bluez,
}

pub(super) fn read(radios: Vec<Table<'_>>, report: &mut Report) -> Vec<Radio> {
    radios.into_iter().filter_map(|radio| read_radio(radio, report)).collect()
}

fn read_radio(mut table: Table<'_>, report: &mut Report) -> Option<Radio> {
    let adapter = table.required::<String>("adapter", report);
    let receiver = table.required::<Id>("receiver", report);
    let written = table.has("backend");
    let backend = table.converted("backend", report, |text| match text {
        "bluez" => Ok(Backend::Bluez),
        _ => Err("write \"bluez\"".to_owned()),
    });
    table.finish(report);
    let backend = if written { backend? } else { Backend::Bluez };
    Some(Radio { adapter: adapter?.into_inner(), receiver: receiver?.into_inner(), backend })
}
