//! `vitrine status`

use super::{
    DEFAULT_CONFIG,
    text::{self, Table},
};
use crate::{
    config,
    health::{Receiver, Status},
    local::{STATUS, socket},
};
use anyhow::bail;
use std::{fmt, path::PathBuf};
use vitrine_protocol::event::{Clock, RadioState};

/// Tell how the running agent is: what its radios hear, what is silent, what waits, and what to do about it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The gateway's configuration, which says where the agent's socket is.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The agent's socket, whatever the configuration says.
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let sockets = match args.socket {
        Some(socket) => vec![socket],
        None => {
            let config = config::load(&args.config)?;
            config.socket.map_or_else(|| socket::usual_paths(&config.state_dir), |socket| vec![socket])
        }
    };
    let mut whys = Vec::new();
    for socket in &sockets {
        match socket::ask::<Status>(socket, STATUS) {
            Ok(status) => return Ok(text::print(&status, args.json, Text(&status))?),
            Err(error) => whys.push(format!("{}: {error}", socket.display())),
        }
    }
    bail!(
        "no agent answers ({}); start it with `vitrine run`, or name its socket with --socket",
        whys.join(", ")
    )
}

/// A status for people.
struct Text<'a>(&'a Status);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { version, plan, up_s, clock, radio, ears, pipeline, spool, uplink, .. } = self.0;
        let clock = match clock {
            Clock::Synced => "clock synchronised",
            _ => "clock NOT synchronised",
        };
        let up = text::age(i64::try_from(*up_s).unwrap_or(i64::MAX / 1000) * 1000);
        writeln!(f, "vitrine {version}, plan {plan}, up {up}, {clock}\n")?;
        if !ears.receivers.is_empty() {
            let head =
                ["receiver", "state", "since", "advertisements", "dropped", "last heard"].map(str::to_owned);
            let rows = ears.receivers.iter().map(|(id, receiver)| self.row(&id.to_string(), receiver));
            writeln!(f, "{}", Table([head].into_iter().chain(rows).collect()))?;
        }
        writeln!(
            f,
            "radio: {} advertisements, {} of the plan; {} malformed, {} dropped, {} without signal strength",
            radio.advertisements,
            radio.advertisements - (radio.not_in_plan + radio.no_rssi).min(radio.advertisements),
            radio.malformed,
            radio.dropped,
            radio.no_rssi
        )?;
        let waiting: u64 = spool.lanes.iter().map(|lane| lane.backlog_records).sum();
        writeln!(f, "line: {} sightings, {} visits ended", pipeline.sightings, pipeline.visits)?;
        writeln!(f, "spool: {waiting} records wait, {} events lost", spool.lost_events)?;
        let connected = if uplink.connected { "connected" } else { "not connected" };
        let published: u64 = uplink.published.values().map(|published| published.events).sum();
        writeln!(f, "uplink: {connected}, {published} events acknowledged")?;
        self.troubles().iter().try_for_each(|trouble| write!(f, "\n! {trouble}"))?;
        if self.troubles().is_empty() { Ok(()) } else { writeln!(f) }
    }
}

impl Text<'_> {
    fn row(&self, id: &str, receiver: &Receiver) -> [String; 6] {
        let since = |time: vitrine_protocol::time::Timestamp| text::age(self.0.now.as_ms() - time.as_ms());
        let or_none = |text: Option<String>| text.unwrap_or("-".into());
        [
            id.to_owned(),
            or_none(receiver.state.map(|(state, _)| state_name(state).to_owned())),
            or_none(receiver.state.map(|(_, time)| since(time))),
            receiver.advertisements.to_string(),
            receiver.dropped.to_string(),
            or_none(receiver.last_heard.map(|time| since(time) + " ago")),
        ]
    }

    /// What is wrong, and what to do.
    fn troubles(&self) -> Vec<String> {
        let Status { ears, spool, uplink, clock, .. } = self.0;
        let mut troubles = Vec::new();
        for (id, receiver) in &ears.receivers {
            let remedy = match receiver.state.map(|(state, _)| state) {
                Some(RadioState::Off) => "switched off; `bluetoothctl power on` switches it on",
                Some(RadioState::Absent) => {
                    "its adapter is not there; plug it in, or see `dmesg | grep -i bluetooth`"
                }
                Some(RadioState::Failing) => {
                    "hears nothing; see `journalctl -u vitrine -u bluetooth` and `rfkill list`"
                }
                _ => continue,
            };
            troubles.push(format!("{id}: {remedy}"));
        }
        for (id, _) in
            ears.receivers.iter().filter(|(_, receiver)| receiver.duplicates_filtered == Some(true))
        {
            troubles.push(format!(
                "{id}: static advertisements are filtered out, a beacon that stands still is hardly heard; start \
                 bluetoothd with `--experimental` (deploy/bluetooth), or set backend = \"mgmt\""
            ));
        }
        for (id, receiver) in &ears.receivers {
            for (cause, times) in &receiver.recoveries {
                troubles.push(format!("{id}: had to be helped {times} times: {cause}"));
            }
        }
        for silent in &ears.silent {
            let since = text::age(self.0.now.as_ms() - silent.since.as_ms());
            let kind = format!("{:?}", silent.kind).to_lowercase();
            troubles.push(format!("{}: this {kind} has not been heard for {since}", silent.device));
        }
        if spool.is_full {
            troubles.push("the spool is full; `vitrine spool stat` says why".into());
        }
        if let Some(error) = uplink.last_error.as_ref().filter(|_| !uplink.connected) {
            troubles.push(format!("uplink: {error}"));
        }
        let refused = uplink.refused_streams.iter();
        troubles.extend(refused.map(|(stream, why)| format!("uplink: the broker refuses {stream}: {why}")));
        if *clock != Clock::Synced {
            troubles.push("the clock is not synchronised; see `timedatectl`".into());
        }
        troubles
    }
}

fn state_name(state: RadioState) -> &'static str {
    match state {
        RadioState::Scanning => "scanning",
        RadioState::Off => "off",
        RadioState::Absent => "absent",
        RadioState::Failing => "failing",
        RadioState::Unknown => "unknown",
    }
}
