use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;

const SILENCE_MS: u64 = 30_000;

fn adapter(owner: &str, powered: bool, discovering: bool) -> Look {
    Look::Adapter { owner: owner.to_owned(), powered, discovering }
}

/// Plays a script: each line a time in ms, what is seen, and what is done about it.
fn check(script: &str, expected: Expect) {
    let mut watch = Watch::new(SILENCE_MS);
    let mut played = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (at_ms, seen) = line.split_once(' ').unwrap();
        let now_ms = at_ms.parse().unwrap();
        let actions = match seen.split(' ').collect::<Vec<_>>()[..] {
            ["gone"] => watch.look(Look::NoService, false, now_ms),
            ["mute"] => watch.look(Look::NoAnswer, true, now_ms),
            ["absent"] => watch.look(Look::NoAdapter, false, now_ms),
            ["off"] => watch.look(adapter(":1.1", false, false), false, now_ms),
            ["idle", owner] => watch.look(adapter(owner, true, false), true, now_ms),
            ["scans", owner] => watch.look(adapter(owner, true, true), true, now_ms),
            ["filtered"] => watch.look(adapter(":1.1", true, true), false, now_ms),
            ["ok"] => watch.scanned(true, now_ms),
            ["fails"] => watch.scanned(false, now_ms),
            ["heard"] => watch.heard(now_ms),
            ["disconnected"] => watch.disconnected(),
            ["connected"] => {
                watch.connected();
                Vec::new()
            }
            _ => panic!("{seen}?"),
        };
        played += &format!("{line}: {actions:?}\n");
    }
    expected.assert_eq(&played);
}

#[test]
fn a_scan_is_started_and_reported_once() {
    check(
        "0 idle :1.1
         10 idle :1.1
         20 ok
         1000 scans :1.1
         2000 scans :1.1",
        expect![[r#"
            0 idle :1.1: [Scan { afresh: false }]
            10 idle :1.1: []
            20 ok: [Tell(Scanning)]
            1000 scans :1.1: [Duplicates { filtered: false }]
            2000 scans :1.1: []
        "#]],
    );
}

#[test]
fn who_switches_it_off_means_it() {
    check(
        "0 off
         1000 off
         2000 idle :1.1
         2010 ok
         3000 off
         4000 off
         5000 idle :1.1
         5010 ok",
        expect![[r#"
            0 off: [Tell(Off)]
            1000 off: []
            2000 idle :1.1: [Scan { afresh: false }]
            2010 ok: [Tell(Scanning), Recovered("the adapter was switched off")]
            3000 off: [Tell(Off)]
            4000 off: []
            5000 idle :1.1: [Scan { afresh: false }]
            5010 ok: [Tell(Scanning), Recovered("the adapter was switched off")]
        "#]],
    );
}

#[test]
fn another_bluetoothd_is_asked_anew() {
    check(
        "0 idle :1.1
         10 ok
         1000 scans :1.1
         2000 scans :1.2
         2010 ok
         3000 gone
         4000 absent
         5000 idle :1.3
         5010 ok",
        expect![[r#"
            0 idle :1.1: [Scan { afresh: false }]
            10 ok: [Tell(Scanning)]
            1000 scans :1.1: [Duplicates { filtered: false }]
            2000 scans :1.2: [Tell(Failing), Scan { afresh: false }]
            2010 ok: [Tell(Scanning), Recovered("bluetoothd was gone")]
            3000 gone: [Tell(Failing)]
            4000 absent: [Tell(Absent)]
            5000 idle :1.3: [Scan { afresh: false }]
            5010 ok: [Tell(Scanning), Recovered("bluetoothd was gone")]
        "#]],
    );
}

#[test]
fn what_fails_is_tried_again_at_growing_intervals() {
    check(
        "0 idle :1.1
         10 fails
         100 idle :1.1
         260 idle :1.1
         270 fails
         500 idle :1.1
         770 idle :1.1
         780 fails
         1000 idle :1.1
         1780 idle :1.1
         1790 ok",
        expect![[r#"
            0 idle :1.1: [Scan { afresh: false }]
            10 fails: []
            100 idle :1.1: []
            260 idle :1.1: [Scan { afresh: true }]
            270 fails: [Tell(Failing)]
            500 idle :1.1: []
            770 idle :1.1: [Scan { afresh: true }]
            780 fails: []
            1000 idle :1.1: []
            1780 idle :1.1: [Scan { afresh: true }]
            1790 ok: [Tell(Scanning), Recovered("the scan could not be started")]
        "#]],
    );
}

#[test]
fn a_pause_of_bluez_is_no_end_and_an_end_is() {
    check(
        "0 idle :1.1
         10 ok
         1000 idle :1.1
         2000 scans :1.1
         3000 idle :1.1
         4000 idle :1.1
         4500 idle :1.1
         4510 ok",
        expect![[r#"
            0 idle :1.1: [Scan { afresh: false }]
            10 ok: [Tell(Scanning)]
            1000 idle :1.1: [Duplicates { filtered: false }]
            2000 scans :1.1: []
            3000 idle :1.1: []
            4000 idle :1.1: []
            4500 idle :1.1: [Tell(Failing), Scan { afresh: false }]
            4510 ok: [Tell(Scanning), Recovered("the scan had ended")]
        "#]],
    );
}

#[test]
fn a_silent_scan_is_helped_and_then_reported() {
    check(
        "0 idle :1.1
         10 ok
         1000 heard
         30000 scans :1.1
         31000 scans :1.1
         31010 ok
         61000 scans :1.1
         62000 scans :1.1
         62000 connected
         62100 scans :1.1
         62110 ok
         93000 scans :1.1
         93010 ok
         123010 scans :1.1
         153010 scans :1.1
         153020 ok
         160000 heard
         161000 heard",
        expect![[r#"
            0 idle :1.1: [Scan { afresh: false }]
            10 ok: [Tell(Scanning)]
            1000 heard: []
            30000 scans :1.1: [Duplicates { filtered: false }]
            31000 scans :1.1: [Scan { afresh: true }]
            31010 ok: []
            61000 scans :1.1: []
            62000 scans :1.1: [Reconnect]
            62000 connected: []
            62100 scans :1.1: [Scan { afresh: true }]
            62110 ok: []
            93000 scans :1.1: [Tell(Failing), Scan { afresh: true }]
            93010 ok: []
            123010 scans :1.1: []
            153010 scans :1.1: [Scan { afresh: true }]
            153020 ok: []
            160000 heard: [Tell(Scanning), Recovered("nothing was heard")]
            161000 heard: []
        "#]],
    );
}

#[test]
fn what_is_heard_long_after_the_help_is_no_recovery() {
    check(
        "0 idle :1.1
         10 ok
         31000 scans :1.1
         31010 ok
         32000 heard
         63000 scans :1.1
         63010 ok
         70000 heard",
        expect![[r#"
            0 idle :1.1: [Scan { afresh: false }]
            10 ok: [Tell(Scanning)]
            31000 scans :1.1: [Scan { afresh: true }, Duplicates { filtered: false }]
            31010 ok: []
            32000 heard: [Recovered("nothing was heard")]
            63000 scans :1.1: [Scan { afresh: true }]
            63010 ok: []
            70000 heard: []
        "#]],
    );
}

#[test]
fn a_bluetoothd_that_has_much_to_do_is_not_reported_and_one_that_hangs_is() {
    check(
        "0 idle :1.1
         10 ok
         1000 heard
         3000 mute
         7000 mute
         8000 scans :1.1",
        expect![[r#"
            0 idle :1.1: [Scan { afresh: false }]
            10 ok: [Tell(Scanning)]
            1000 heard: []
            3000 mute: [Duplicates { filtered: false }]
            7000 mute: [Tell(Failing)]
            8000 scans :1.1: [Tell(Scanning), Recovered("bluetoothd did not answer")]
        "#]],
    );
}

#[test]
fn a_lost_bus_takes_the_scan_and_the_attempt_with_it() {
    check(
        "0 idle :1.1
         10 ok
         1000 disconnected
         2000 disconnected
         3000 connected
         3010 idle :1.7
         3020 disconnected
         4000 connected
         4010 idle :1.9
         4020 ok",
        expect![[r#"
            0 idle :1.1: [Scan { afresh: false }]
            10 ok: [Tell(Scanning)]
            1000 disconnected: [Tell(Failing)]
            2000 disconnected: []
            3000 connected: []
            3010 idle :1.7: [Scan { afresh: false }]
            3020 disconnected: []
            4000 connected: []
            4010 idle :1.9: [Scan { afresh: false }]
            4020 ok: [Tell(Scanning), Recovered("the system bus was gone")]
        "#]],
    );
}

#[test]
fn filtering_is_told_when_it_is_settled() {
    check(
        "0 idle :1.1
         10 ok
         1000 filtered
         3010 filtered
         4000 filtered
         5000 scans :1.1",
        expect![[r#"
            0 idle :1.1: [Scan { afresh: false }]
            10 ok: [Tell(Scanning)]
            1000 filtered: []
            3010 filtered: [Duplicates { filtered: true }]
            4000 filtered: []
            5000 scans :1.1: [Duplicates { filtered: false }]
        "#]],
    );
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    Look(u8),
    Scanned(bool),
    Heard,
    Disconnected,
}

proptest! {
    /// Whatever happens: at most one attempt is under way, nothing is asked of an adapter that is off, and a state and a
    /// recovery are told only when they are news.
    #[test]
    fn keeps_its_rules(steps in proptest::collection::vec(
        (0u64..20_000, prop_oneof![
            (0u8..6).prop_map(Seen::Look),
            any::<bool>().prop_map(Seen::Scanned),
            Just(Seen::Heard),
            Just(Seen::Disconnected),
        ]),
        0..80,
    )) {
        let (mut watch, mut now_ms, mut told, mut asking) = (Watch::new(SILENCE_MS), 0, None, false);
        for (passed_ms, seen) in steps {
            now_ms += passed_ms;
            let actions = match seen {
                Seen::Look(0) => watch.look(Look::NoService, false, now_ms),
                Seen::Look(1) => watch.look(Look::NoAnswer, false, now_ms),
                Seen::Look(2) => watch.look(Look::NoAdapter, false, now_ms),
                Seen::Look(3) => watch.look(adapter(":1.1", false, false), false, now_ms),
                Seen::Look(4) => watch.look(adapter(":1.1", true, true), true, now_ms),
                Seen::Look(_) => watch.look(adapter(":1.2", true, false), true, now_ms),
                Seen::Scanned(_) if !asking => continue,
                Seen::Scanned(ok) => {
                    asking = false;
                    watch.scanned(ok, now_ms)
                }
                Seen::Heard => watch.heard(now_ms),
                Seen::Disconnected => {
                    asking = false;
                    watch.disconnected()
                }
            };
            for action in actions {
                match action {
                    Action::Scan { .. } => {
                        prop_assert!(!asking && matches!(seen, Seen::Look(4 | 5)), "{seen:?}");
                        asking = true;
                    }
                    Action::Tell(state) => prop_assert!(told.replace(state) != Some(state)),
                    Action::Recovered(_) => prop_assert_eq!(told, Some(RadioState::Scanning)),
                    Action::Reconnect | Action::Duplicates { .. } => {}
                }
            }
        }
    }
}
