//! `vitrine check`

use super::ConfigArgs;
use crate::{
    config::{self, Config, Role, relays::Relay, satellite::Satellite},
    document::Problems,
    plan::{self, Plan},
};
use std::{
    io::{self, Write},
    path::Path,
};
use vitrine_protocol::Id;

/// Check gateway.toml and store.toml, and tell every problem at once.
///
/// Exit code 0 if all is well, 64 if something is wrong; then each problem is a line with file, line, column, and what to
/// write instead.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let (config, plan) = match load_role(&args.config.config)? {
        Checked::Hub(config, plan) => (config, plan),
        Checked::Satellite(satellite) => {
            let (gateway, radios) = (satellite.gateway, satellite.radios.len());
            writeln!(io::stdout(), "{gateway}: a satellite with {radios} radios. All is well.")?;
            return Ok(());
        }
    };
    let (gateway, shelves) = (&config.gateway, plan.facings.len());
    writeln!(
        io::stdout(),
        "{}/{}/{}: plan {}: {} zones, {} receivers, {} carriers of {} beacons, {shelves} facings, {} kiosks, {} counters. All is well.",
        gateway.tenant,
        gateway.store,
        gateway.gateway,
        plan.version,
        plan.zones.len(),
        plan.receivers.len() + plan.mobile.len(),
        plan.carriers,
        plan.beacons.len(),
        plan.kiosks.len(),
        plan.counters.len(),
    )?;
    Ok(())
}

/// A gateway whose files are well.
pub(super) enum Checked {
    /// A hub and its plan.
    Hub(Box<Config>, Box<Plan>),
    /// A satellite; its plan is the hub's.
    Satellite(Satellite),
}

/// Reads both files, or a satellite's one, and checks that they agree.
pub(super) fn load_role(path: &Path) -> Result<Checked, Problems> {
    let config = match config::load_role(path) {
        Ok(Role::Satellite(satellite)) => return Ok(Checked::Satellite(satellite)),
        Ok(Role::Hub(config)) => Ok(config),
        Err(problems) => Err(problems),
    };
    // Where the first file is wrong, the second one's usual place is still worth a look.
    let plan_path = match &config {
        Ok(config) => config.plan.clone(),
        Err(_) => path.with_file_name("store.toml"),
    };
    match (config, plan::load(&plan_path)) {
        (Ok(config), Ok(plan)) => {
            let mut lines = unknown_receivers(&config, &plan);
            lines.extend(unknown_facings(&config, &plan));
            lines.extend(too_late(&config, &plan));
            if lines.is_empty() { Ok(Checked::Hub(config, Box::new(plan))) } else { Err(Problems { lines }) }
        }
        (config, plan) => {
            let problems = [config.err(), plan.err()].into_iter().flatten();
            Err(Problems { lines: problems.flat_map(|problems| problems.lines).collect() })
        }
    }
}

fn unknown_receivers(config: &Config, plan: &Plan) -> Vec<String> {
    let radios = config.radios.iter().map(|radio| (radio.backend.to_string(), radio.receiver));
    let relays = config.relays.iter().flat_map(|relay| {
        relay.receivers().into_iter().map(|receiver| (format!("relay {}", relay.id), receiver))
    });
    let unknown = radios.chain(relays).filter(|(_, receiver)| !plan.receivers.contains_key(receiver));
    let line = |(named_for, receiver)| {
        let path = config.plan.display();
        format!("{path}: [[receivers]] lacks `{receiver}`, which gateway.toml names for {named_for}: add it")
    };
    unknown.map(line).collect()
}

fn too_late(config: &Config, plan: &Plan) -> Vec<String> {
    let relays = config.relays.iter().filter(|relay| relay.late_ms >= plan.visits.silence_ms);
    let line = |relay: &Relay| {
        let (path, id) = (config.plan.display(), relay.id);
        format!("{path}: `silence_s` must be more than `late_s` of relay {id} in gateway.toml")
    };
    relays.map(line).collect()
}

fn unknown_facings(config: &Config, plan: &Plan) -> Vec<String> {
    let places = config.serial.places();
    let unknown = places.filter(|(place, _)| !plan.facings.contains_key(place));
    let line = |((shelf, facing), named_for): ((Id, Id), String)| {
        let path = config.plan.display();
        format!(
            "{path}: [[shelves]] lacks facing `{facing}` of `{shelf}`, which gateway.toml names for {named_for}: add it"
        )
    };
    unknown.map(line).collect()
}
