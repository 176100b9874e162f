//! `vitrine check`

use super::ConfigArgs;
use crate::{
    config::{self, Config},
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
    let (config, plan) = load(&args.config.config)?;
    let (gateway, shelves) = (&config.gateway, plan.facings.len());
    writeln!(
        io::stdout(),
        "{}/{}/{}: plan {}: {} zones, {} receivers, {} carriers of {} beacons, {shelves} facings, {} kiosks, {} counters. All is well.",
        gateway.tenant,
        gateway.store,
        gateway.gateway,
        plan.version,
        plan.zones.len(),
        plan.receivers.len(),
        plan.carriers,
        plan.beacons.len(),
        plan.kiosks.len(),
        plan.counters.len(),
    )?;
    Ok(())
}

/// Reads both files and checks that they agree.
pub(super) fn load(path: &Path) -> Result<(Config, Plan), Problems> {
    let config = config::load(path);
    // Where the first file is wrong, the second one's usual place is still worth a look.
    let plan_path = match &config {
        Ok(config) => config.plan.clone(),
        Err(_) => path.with_file_name("store.toml"),
    };
    match (config, plan::load(&plan_path)) {
        (Ok(config), Ok(plan)) => {
            let mut lines = unknown_receivers(&config, &plan);
            lines.extend(unknown_facings(&config, &plan));
            if lines.is_empty() { Ok((config, plan)) } else { Err(Problems { lines }) }
        }
        (config, plan) => {
            let problems = [config.err(), plan.err()].into_iter().flatten();
            Err(Problems { lines: problems.flat_map(|problems| problems.lines).collect() })
        }
    }
}

fn unknown_receivers(config: &Config, plan: &Plan) -> Vec<String> {
    let unknown = config.radios.iter().filter(|radio| !plan.receivers.contains_key(&radio.receiver));
    let line = |radio: &config::Radio| {
        let (path, receiver) = (config.plan.display(), radio.receiver);
        format!(
            "{path}: [[receivers]] lacks `{receiver}`, which gateway.toml names for {}: add it",
            radio.backend
        )
    };
    unknown.map(line).collect()
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
