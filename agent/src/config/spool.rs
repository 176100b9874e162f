//! The table `[spool]`: how much is kept while the line is down, and what gives way.

use crate::{
    document::{Report, Table},
    spool::{Bound, Config, Lane, WhenFull},
};
use std::{ops::RangeInclusive, path::Path, time::Duration};

const MIB: u64 = 1024 * 1024;
/// The least and the most that a lane may be bounded to.
const LANE_MIB: RangeInclusive<u64> = Config::BYTES_MIN.div_ceil(MIB)..=1024 * 1024;
const COMMIT_DELAY_MS: RangeInclusive<u64> = 0..=1000;

/// Reads the table; `state_dir` has the spool unless it says otherwise. Relative paths start from `dir`.
pub(super) fn read(table: Option<Table<'_>>, report: &mut Report, dir: &Path, state_dir: &Path) -> Config {
    let mut config = Config::new(state_dir.join("spool"));
    let Some(mut table) = table else { return config };
    if let Some(path) = table.optional::<String>("path", report) {
        config.dir = dir.join(path.get_ref());
    }
    let delay_ms = config.commit_delay.as_millis() as u64;
    config.commit_delay =
        Duration::from_millis(table.number("commit_delay_ms", delay_ms, COMMIT_DELAY_MS, report));
    for (key, bytes) in [
        ("free_space_floor_mib", &mut config.free_space_floor_bytes),
        ("quarantine_max_mib", &mut config.quarantine_bytes_max),
    ] {
        *bytes = table.number(key, *bytes / MIB, 0..=*LANE_MIB.end(), report) * MIB;
    }
    for lane in Lane::ALL {
        if let Some(lane_table) = table.table(lane.name(), report) {
            read_lane(lane_table, config.bound_mut(lane), report);
        }
    }
    table.finish(report);
    config
}

fn read_lane(mut table: Table<'_>, bound: &mut Bound, report: &mut Report) {
    bound.bytes_max = table.number("max_mib", bound.bytes_max / MIB, LANE_MIB, report) * MIB;
    let when_full = table.converted("when_full", report, |text| match text {
        "evict_oldest" => Ok(WhenFull::EvictOldest),
        "push_back" => Ok(WhenFull::PushBack),
        _ => Err("write \"evict_oldest\" or \"push_back\"".into()),
    });
    bound.when_full = when_full.unwrap_or(bound.when_full);
    table.finish(report);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use expect_test::expect;

    fn parse(text: &str) -> Result<Config, document::Problems> {
        document::parse(Path::new("gateway.toml"), text, |table, report| {
            let spool = table.table("spool", report);
            Some(read(spool, report, Path::new("/etc/vitrine"), Path::new("/var/lib/vitrine")))
        })
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(parse("").unwrap(), Config::new("/var/lib/vitrine/spool"));
        assert_eq!(parse("[spool]\n").unwrap(), Config::new("/var/lib/vitrine/spool"));
    }

    #[test]
    fn the_reference_file_says_what_is_the_default_anyway() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config/gateway.toml");
        let config = crate::config::load(&path).unwrap();
        assert_eq!(config.spool, Config::new("/var/lib/vitrine/spool"));
    }

    #[test]
    fn what_is_said_is_taken() {
        let text = "[spool]\npath = '/data/spool'\ncommit_delay_ms = 500\nfree_space_floor_mib = 64\nquarantine_max_mib = 0\n\
                    [spool.slots]\nmax_mib = 4096\nwhen_full = 'push_back'\n";
        let mut expected = Config::new("/data/spool");
        expected.commit_delay = Duration::from_millis(500);
        (expected.free_space_floor_bytes, expected.quarantine_bytes_max) = (64 * MIB, 0);
        *expected.bound_mut(Lane::Slots) = Bound { bytes_max: 4096 * MIB, when_full: WhenFull::PushBack };
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let text =
            "[spool]\ncommit_delay_ms = 5000\n[spool.slots]\nmax_mib = 1\nwhen_full = 'stop'\n[spool.fact]\n";
        expect![[r#"
            gateway.toml:2:19: `commit_delay_ms` must be from 0 to 1000
            gateway.toml:4:11: `max_mib` must be from 32 to 1048576
            gateway.toml:5:13: `when_full`: write "evict_oldest" or "push_back"
            gateway.toml:6:8: unknown key `fact`: did you mean `facts`?"#]]
        .assert_eq(&parse(text).unwrap_err().to_string());
    }
}
