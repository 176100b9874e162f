//! `[[radios]]`: BLE adapters of this machine, and the receivers that they are.

use crate::{
    capture::ble::mgmt,
    document::{Report, Table},
};
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
    /// The kernel, over its management socket.
    Mgmt,
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
        "mgmt" => Ok(Backend::Mgmt),
        _ => Err("write \"bluez\", or \"mgmt\" for the kernel without D-Bus".to_owned()),
    });
    table.finish(report);
    let backend = if written { backend? } else { Backend::Bluez };
    let adapter = adapter?;
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
        let radios = document::parse(Path::new("gateway.toml"), text, |table, report| {
            let radios = read(table.tables("radios", report), report);
            table.finish(report);
            Some(radios)
        });
        expected.assert_eq(&match radios {
            Ok(radios) => format!("{radios:#?}"),
            Err(problems) => problems.to_string(),
        });
    }

    #[test]
    fn the_example_is_read() {
        let file = include_str!("../../../deploy/config/gateway.toml");
        let example = file.split("# [[radios]]").nth(1).unwrap().replace("\n# ", "\n");
        check(
            &format!("[[radios]]{example}"),
            expect![[r#"
            [
                Radio {
                    adapter: "hci0",
                    receiver: "front",
                    backend: Bluez,
                },
            ]"#]],
        );
    }

    #[test]
    fn bluez_listens_unless_another_is_named() {
        check(
            "[[radios]]\nadapter = 'hci1'\nreceiver = 'till'\n",
            expect![[r#"
            [
                Radio {
                    adapter: "hci1",
                    receiver: "till",
                    backend: Bluez,
                },
            ]"#]],
        );
        check(
            "[[radios]]\nadapter = 'hci1'\nreceiver = 'till'\nbackend = 'hci'\n",
            expect![[
                r#"gateway.toml:4:11: `backend`: write "bluez", or "mgmt" for the kernel without D-Bus"#
            ]],
        );
        check(
            "[[radios]]\nadapter = 'usb'\nreceiver = 'till'\nbackend = 'mgmt'\n",
            expect![[r#"gateway.toml:2:11: `adapter`: write the kernel's name of it, such as "hci0""#]],
        );
        check(
            "[[radios]]\nadapter = 'hci1'\nreceiver = 'till'\nbackend = 'mgmt'\n",
            expect![[r#"
            [
                Radio {
                    adapter: "hci1",
                    receiver: "till",
                    backend: Mgmt,
                },
            ]"#]],
        );
    }
}
