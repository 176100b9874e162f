//! The tables `[[radios]]`: who hears beacons for this gateway, and which receivers they are in the plan.

use crate::{
    capture::ble::mgmt,
    document::{Report, Table},
};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use vitrine_protocol::Id;

/// A radio of this machine, or what stands in for one.
#[derive(Clone, Debug, PartialEq)]
pub struct Radio {
    /// What hears.
    pub backend: Backend,
    /// The receiver in the plan that it is.
    pub receiver: Id,
}

/// What hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Backend {
    /// A Bluetooth adapter, through BlueZ.
    Bluez {
        /// BlueZ' name of it, such as `hci0`.
        adapter: String,
    },
    /// A Bluetooth adapter, through the kernel's management socket, without D-Bus.
    Mgmt {
        /// The kernel's name of it, such as `hci0`.
        adapter: String,
    },
    /// A recording that is played.
    Replay {
        /// The recording.
        file: PathBuf,
        /// Times its own pace.
        speed: f64,
    },
}

impl Backend {
    /// The kernel's name of the adapter that hears.
    pub fn adapter(&self) -> Option<&str> {
        match self {
            Self::Bluez { adapter } | Self::Mgmt { adapter } => Some(adapter),
            Self::Replay { .. } => None,
        }
    }
}

/// As an error message names it.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bluez { adapter } | Self::Mgmt { adapter } => f.write_str(adapter),
            Self::Replay { file, .. } => write!(f, "{}", file.display()),
        }
    }
}

/// Reads the tables. Relative paths start from `dir`.
pub(super) fn read(tables: Vec<Table<'_>>, report: &mut Report, dir: &Path) -> Vec<Radio> {
    tables.into_iter().filter_map(|table| read_one(table, report, dir)).collect()
}

fn read_one(mut table: Table<'_>, report: &mut Report, dir: &Path) -> Option<Radio> {
    let name = table.converted("backend", report, |name| match name {
        "bluez" | "mgmt" | "replay" => Ok(name.to_owned()),
        _ => Err("write \"bluez\", \"mgmt\" for the kernel without D-Bus, or \"replay\"".into()),
    });
    let backend = match name.as_deref() {
        Some("replay") => read_replay(&mut table, report, dir),
        Some("mgmt") => read_mgmt(&mut table, report),
        _ => table
            .required::<String>("adapter", report)
            .map(|adapter| Backend::Bluez { adapter: adapter.into_inner() }),
    };
    let receiver = table.required::<Id>("receiver", report);
    table.finish(report);
    Some(Radio { backend: backend?, receiver: receiver?.into_inner() })
}

fn read_mgmt(table: &mut Table<'_>, report: &mut Report) -> Option<Backend> {
    let adapter = table.required::<String>("adapter", report)?;
    if mgmt::index(adapter.get_ref()).is_none() {
        report.at(adapter.span(), "`adapter`: write the kernel's name of it, such as \"hci0\"");
    }
    Some(Backend::Mgmt { adapter: adapter.into_inner() })
}

fn read_replay(table: &mut Table<'_>, report: &mut Report, dir: &Path) -> Option<Backend> {
    let file = table.required::<String>("file", report);
    let speed = table.optional::<f64>("speed", report);
    if let Some(speed) = &speed
        && !(speed.get_ref().is_finite() && *speed.get_ref() > 0.0)
    {
        report.at(speed.span(), "`speed` must be above 0: 1.0 is the recording's own pace");
    }
    let speed = speed.map_or(1.0, toml::Spanned::into_inner);
    Some(Backend::Replay { file: dir.join(file?.get_ref()), speed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{self, Problems};
    use expect_test::expect;

    fn parse(text: &str) -> Result<Vec<Radio>, Problems> {
        document::parse(Path::new("gateway.toml"), text, |table, report| {
            let radios = read(table.tables("radios", report), report, Path::new("/etc/vitrine"));
            table.finish(report);
            Some(radios)
        })
    }

    #[test]
    fn a_radio_is_an_adapter_unless_it_says_otherwise() {
        let radios = parse(
            "radios = [{ adapter = 'hci0', receiver = 'front' }, { backend = 'bluez', adapter = 'hci1', receiver = 'b' },
             { backend = 'mgmt', adapter = 'hci2', receiver = 'c' },
             { backend = 'replay', file = 'day.jsonl.gz', speed = 10, receiver = 'front' }]",
        );
        let backends: Vec<_> = radios.unwrap().into_iter().map(|radio| radio.backend).collect();
        let adapter = |name: &str| Backend::Bluez { adapter: name.into() };
        let replay = Backend::Replay { file: "/etc/vitrine/day.jsonl.gz".into(), speed: 10.0 };
        let mgmt = Backend::Mgmt { adapter: "hci2".into() };
        assert_eq!(backends, [adapter("hci0"), adapter("hci1"), mgmt, replay]);
    }

    #[test]
    fn the_examples_in_the_reference_file_are_right() {
        let text = include_str!("../../../deploy/config/gateway.toml");
        let is_toml = |line: &&str| line.starts_with("[[") || line.contains(" = ");
        let lines = text.lines().skip_while(|line| !line.contains("[[radios]]"));
        let lines = lines.take_while(|line| !line.is_empty());
        let examples: Vec<_> = lines.filter_map(|line| line.strip_prefix("# ")).filter(is_toml).collect();
        let radios = parse(&examples.join("\n")).unwrap();
        assert_eq!(radios.len(), 2, "{examples:?}");
    }

    #[test]
    fn problems_say_what_to_write() {
        let problems = parse(
            "[[radios]]\nbackend = 'usb'\nadapter = 'hci0'\nreceiver = 'a'\n[[radios]]\nbackend = 'replay'\nspeed = 0.0\nadapter = 'x'\n[[radios]]\nbackend = 'mgmt'\nadapter = 'usb'\nreceiver = 'a'\n",
        );
        expect![[r#"
            gateway.toml:2:11: `backend`: write "bluez", "mgmt" for the kernel without D-Bus, or "replay"
            gateway.toml:5:1: [[radios]] lacks `file`: write file = a text in quotes
            gateway.toml:5:1: [[radios]] lacks `receiver`: write receiver = a name of 1 to 40 characters out of a-z, 0-9, _ and -, in quotes
            gateway.toml:7:9: `speed` must be above 0: 1.0 is the recording's own pace
            gateway.toml:8:1: unknown key `adapter`: [[radios]] knows backend, file, speed, receiver
            gateway.toml:11:11: `adapter`: write the kernel's name of it, such as "hci0""#]]
        .assert_eq(&problems.unwrap_err().to_string());
    }
}
