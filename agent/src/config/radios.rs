//! `[[radios]]`: the BLE adapters of this machine.

use crate::{
    capture::ble::mgmt,
    document::{Report, Table},
};
use vitrine_protocol::Id;

/// A BLE adapter of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radio {
    /// The system's name of it, such as `hci0`.
    pub adapter: String,
    /// The receiver in the plan.
    pub receiver: Id,
    /// The way to it.
    pub backend: Backend,
}

/// Who is asked for advertisements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// BlueZ, over D-Bus.
    #[default]
    Bluez,
    /// The kernel.
    Mgmt,
}

pub(super) fn read(tables: Vec<Table<'_>>, report: &mut Report) -> Vec<Radio> {
    tables.into_iter().filter_map(|table| read_one(table, report)).collect()
}

fn read_one(mut table: Table<'_>, report: &mut Report) -> Option<Radio> {
    let receiver = table.required::<Id>("receiver", report);
    let backend = if table.has("backend") {
        table.converted("backend", report, |text| match text {
            "bluez" => Ok(Backend::Bluez),
            "mgmt" => Ok(Backend::Mgmt),
            _ => Err("write \"bluez\", or \"mgmt\" for the kernel without D-Bus".into()),
        })
    } else {
        Some(Backend::default())
    };
    let adapter = table.required::<String>("adapter", report);
    table.finish(report);
    let (adapter, backend) = (adapter?, backend?);
    if backend == Backend::Mgmt && mgmt::index(adapter.get_ref()).is_none() {
        report.at(adapter.span(), "`adapter`: write the kernel's name of it, such as \"hci0\"");
    }
    Some(Radio { adapter: adapter.into_inner(), receiver: receiver?.into_inner(), backend })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use expect_test::{Expect, expect};
    use std::path::Path;

    fn check(text: &str, expected: Expect) {
        let read = |table: &mut Table<'_>, report: &mut Report| {
            let radios = read(table.tables("radios", report), report);
            table.finish(report);
            Some(radios)
        };
        let told = match document::parse(Path::new("gateway.toml"), text, read) {
            Ok(radios) => radios.iter().map(|radio| format!("{radio:?}\n")).collect(),
            Err(problems) => problems.to_string(),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn a_radio_is_bluez_unless_another_way_is_written() {
        check(
            "[[radios]]\nadapter = 'hci0'\nreceiver = 'front'\n[[radios]]\nadapter = 'hci1'\nreceiver = 'back'\nbackend = 'mgmt'\n",
            expect![[r#"
                Radio { adapter: "hci0", receiver: "front", backend: Bluez }
                Radio { adapter: "hci1", receiver: "back", backend: Mgmt }
            "#]],
        );
        check(
            "[[radios]]\nadapter = 'dongle'\nreceiver = 'front'\nbackend = 'mgmt'\n[[radios]]\nadapter = 'hci0'\nreceiver = 'front'\nbackend = 'dbus'\n",
            expect![[r#"
                gateway.toml:2:11: `adapter`: write the kernel's name of it, such as "hci0"
                gateway.toml:8:11: `backend`: write "bluez", or "mgmt" for the kernel without D-Bus"#]],
        );
    }
}
