//! Turns a beacon's settings into what is flashed beside the firmware:
//!
//! ```text
//! cargo run -p vitrine-firmware --example configure -- beacon.toml > beacon.hex
//! ```
//!
//! `examples/beacon.toml` shows every setting. The result is an Intel HEX file for the chip that the settings name, and
//! holds the beacon's key where it has one: keep it as you keep the key.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use serde::Deserialize;
use std::{env, fmt::Write, fs, process::ExitCode, time::SystemTime};
use vitrine_firmware::{
    Config, Content, Fast, Holds, Identity, Interval, LowBattery, QuietHours, Settings, Slot, Triggers,
    image::Image,
};
use vitrine_protocol::{
    frame::{AltBeacon, EddystoneUid, EddystoneUrl, EncodedUrl, IBeacon},
    identity::{DeviceKey, Exponent, IdentityKey},
};

/// Where the store begins on each chip: 16 KiB before the end of flash.
const CHIPS: [(&str, u32); 4] =
    [("nrf52810", 0x2_c000), ("nrf52832", 0x7_c000), ("nrf52833", 0x7_c000), ("nrf52840", 0xf_c000)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    chip: String,
    device_key: Option<String>,
    eddystone: Option<EddystoneFile>,
    #[serde(default)]
    holds: HoldsFile,
    quiet: Option<QuietFile>,
    low_battery: Option<LowBatteryFile>,
    slot: Vec<SlotFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EddystoneFile {
    identity_key: String,
    exponent: u8,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HoldsFile {
    motion_s: u16,
    button_s: u16,
    contact_s: u16,
    presence_s: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuietFile {
    from: String,
    until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LowBatteryFile {
    below_mv: u16,
    stretch: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotFile {
    interval_ms: Option<u32>,
    #[serde(default)]
    power_dbm: i8,
    fast_interval_ms: Option<u32>,
    #[serde(default)]
    on: Vec<String>,
    send: SendFile,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum SendFile {
    Ibeacon { uuid: String, major: u16, minor: u16, measured_power_dbm: i8 },
    EddystoneUid { namespace: String, instance: String, tx_power_dbm: i8 },
    EddystoneUrl { url: String, tx_power_dbm: i8 },
    Altbeacon { company: u16, id: String, measured_power_dbm: i8 },
    Advertisement { hex: String },
    EddystoneTlm {},
    EddystoneEid { tx_power_dbm: i8 },
    EddystoneEtlm {},
    Secure { company: u16 },
}

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(path), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: configure SETTINGS.toml > beacon.hex");
        return ExitCode::from(2);
    };
    match fs::read_to_string(&path).map_err(Error::from).and_then(|text| configure(&text)) {
        Ok(hex) => {
            print!("{hex}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn configure(text: &str) -> Result<String, Error> {
    let file: File = toml::from_str(text)?;
    let base = CHIPS.iter().find(|(chip, _)| *chip == file.chip).map(|(_, base)| *base).ok_or_else(|| {
        format!("chip = {:?}: it is one of {}", file.chip, CHIPS.map(|(chip, _)| chip).join(", "))
    })?;
    #[allow(clippy::disallowed_methods)] // a tool on a desk, not the agent
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let time_s = u32::try_from(now.as_secs())?;
    // Each configuration is newer than the one before: its serial number is when it was made.
    let image = Image { config: Config::check(settings(file)?)?, serial: time_s, time_s };
    Ok(intel_hex(base, &image.encode()))
}

fn settings(file: File) -> Result<Settings, Error> {
    let identity = match (file.device_key, file.eddystone) {
        (Some(_), Some(_)) => return Err("device_key and eddystone: a beacon has one identity".into()),
        (Some(key), None) => Some(Identity::Device(DeviceKey::new(octets("device_key", &key)?))),
        (None, Some(EddystoneFile { identity_key, exponent })) => Some(Identity::Eddystone(
            IdentityKey::new(octets("identity_key", &identity_key)?),
            Exponent::new(exponent).ok_or("exponent: 0 to 15")?,
        )),
        (None, None) => None,
    };
    let HoldsFile { motion_s, button_s, contact_s, presence_s } = file.holds;
    let mut settings = Settings {
        identity,
        holds: Holds { motion_s, button_s, contact_s, presence_s },
        low_battery: file.low_battery.map(|low| LowBattery { below_mv: low.below_mv, stretch: low.stretch }),
        ..Settings::default()
    };
    if let Some(QuietFile { from, until }) = file.quiet {
        settings.quiet = Some(QuietHours { from_min: minute(&from)?, until_min: minute(&until)? });
    }
    for (index, slot) in file.slot.into_iter().enumerate() {
        let slot = self::slot(slot).map_err(|error| format!("slot {index}: {error}"))?;
        settings
            .slots
            .try_push(slot)
            .map_err(|_| format!("a beacon has {} slots at most", Settings::SLOTS_MAX))?;
    }
    Ok(settings)
}

fn slot(file: SlotFile) -> Result<Slot, Error> {
    let interval = |ms: Option<u32>| ms.map(Interval::from_ms).transpose();
    let on = file.on.iter().try_fold(Triggers::NONE, |set, name| {
        Ok::<_, String>(
            set | match name.as_str() {
                "motion" => Triggers::MOTION,
                "button" => Triggers::BUTTON,
                "contact" => Triggers::CONTACT,
                "presence" => Triggers::PRESENCE,
                _ => return Err(format!("on: {name:?} is none of motion, button, contact, presence")),
            },
        )
    })?;
    let fast = interval(file.fast_interval_ms)?.map(|interval| Fast { interval, on });
    if fast.is_none() && !on.is_none() {
        return Err("on: there is no fast_interval_ms".into());
    }
    Ok(Slot {
        content: content(file.send)?,
        interval: interval(file.interval_ms)?,
        fast,
        power_dbm: file.power_dbm,
    })
}

fn content(send: SendFile) -> Result<Content, Error> {
    Ok(match send {
        SendFile::Ibeacon { uuid, major, minor, measured_power_dbm } => {
            let uuid = octets("uuid", &uuid.replace('-', ""))?;
            Content::fixed(&IBeacon { uuid, major, minor, measured_power_dbm }.encode())
        }
        SendFile::EddystoneUid { namespace, instance, tx_power_dbm } => Content::fixed(
            &EddystoneUid {
                tx_power_dbm,
                namespace: octets("namespace", &namespace)?,
                instance: octets("instance", &instance)?,
            }
            .encode(),
        ),
        SendFile::EddystoneUrl { url, tx_power_dbm } => {
            Content::Fixed(EddystoneUrl { tx_power_dbm, url: EncodedUrl::new(&url)? }.encode())
        }
        SendFile::Altbeacon { company, id, measured_power_dbm } => {
            let id = octets("id", &id)?;
            Content::fixed(&AltBeacon { company, id, measured_power_dbm, mfg_reserved: None }.encode())
        }
        SendFile::Advertisement { hex } => {
            let data = hex::decode(hex)?;
            Content::Fixed(data.as_slice().try_into().map_err(|_| "hex: more than 31 octets")?)
        }
        SendFile::EddystoneTlm {} => Content::Tlm,
        SendFile::EddystoneEid { tx_power_dbm } => Content::Eid { tx_power_dbm },
        SendFile::EddystoneEtlm {} => Content::Etlm,
        SendFile::Secure { company } => Content::Secure { company },
    })
}

fn octets<const N: usize>(name: &str, hex: &str) -> Result<[u8; N], Error> {
    let found = hex::decode(hex).map_err(|error| format!("{name}: {error}"))?;
    let length = found.len();
    found.try_into().map_err(|_| format!("{name}: {length} octets, not {N}").into())
}

/// Of `HH:MM`.
fn minute(time: &str) -> Result<u16, Error> {
    let parsed = time.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(60 * hour + minute)
    });
    parsed.ok_or_else(|| format!("quiet: {time:?} is no time of day, such as \"22:30\"").into())
}

/// Records of 16 octets after one with the upper half of the address.
fn intel_hex(base: u32, bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut record = |address: u16, kind: u8, data: &[u8]| {
        let mut octets = vec![data.len() as u8];
        octets.extend(address.to_be_bytes());
        octets.push(kind);
        octets.extend(data);
        let sum = octets.iter().fold(0_u8, |sum, octet| sum.wrapping_add(*octet));
        octets.push(sum.wrapping_neg());
        writeln!(out, ":{}", hex::encode_upper(octets)).expect("a string takes everything");
    };
    record(0, 4, &((base >> 16) as u16).to_be_bytes());
    for (index, data) in bytes.chunks(16).enumerate() {
        record((base as u16).wrapping_add(16 * index as u16), 0, data);
    }
    record(0, 1, &[]);
    out
}
