//! Tests of the engine as a whole, against what a window's visits were.

use super::*;
use crate::pipeline::Stay;
use expect_test::expect;
use std::collections::BTreeMap;
use vitrine_protocol::{
    Id,
    event::{Action, Clock, DoorCount, Facing, Interaction, OutOfStock},
};

const IDS: Ids = Ids::new([0; 16]);
/// 16:00 in Paris, when a window ends in UTC.
const START: i64 = 1_772_636_400_000;

fn now(second: i64) -> Now {
    Now {
        mono_ms: second.max(0) as u64 * 1000,
        utc: Timestamp::from_ms(START + second * 1000),
        source: Clock::Synced,
    }
}

fn plan() -> Arc<Plan> {
    Arc::new(crate::plan::parse(include_str!("../../../deploy/config/store.toml")).unwrap())
}

fn visit(plan: &Plan, stays: &[(&str, u64)]) -> Output {
    let zone = |name| plan.zones.iter().position(|zone| zone.id.as_str() == name).unwrap() as u16;
    let stays = stays.iter().map(|&(name, s)| Stay { zone: zone(name), dwell_ms: s * 1000 }).collect();
    Output::Visit(ClosedVisit { stays })
}

/// Prints what is released, but for notes, a line each.
fn drain(privacy: &mut Privacy) -> String {
    let mut text = String::new();
    while let Some(release) = privacy.poll_release() {
        if let Release::Event { event, hold_until } = release {
            let held = hold_until.map_or(String::new(), |hold| format!(" held until {hold}"));
            text += &format!("{} {}{held}\n", event.time, serde_json::to_string(&event.body).unwrap());
        }
    }
    text
}

fn event(n: u8, body: Body, at: Now) -> Output {
    Output::Event { id: EventId([n; 16]), at, body }
}

#[test]
fn times_are_floored_and_held_as_the_stream_demands() {
    let mut privacy = Privacy::new(plan(), IDS, now(0));
    let id = |text| Id::new(text).unwrap();
    let facing = Facing { shelf: id("s"), facing: id("f"), sku: "1".into(), gtin: None };
    let touch = Interaction { kiosk: id("k"), session: EventId([0; 16]), action: Action::CheckIn };
    privacy.handle(event(1, Body::OutOfStock(OutOfStock { facing }), now(1000)), now(1000));
    privacy.handle(event(2, Body::Interaction(touch.clone()), now(1000)), now(1000));
    // An idle session ends long after its last touch.
    privacy.handle(event(3, Body::Interaction(touch), now(1000)), now(1850));
    expect![[r#"
        2026-03-04T15:16:40.000Z {"type":"out_of_stock","shelf":"s","facing":"f","sku":"1"}
        2026-03-04T15:15:00.000Z {"type":"interaction","kiosk":"k","session":"00000000000000000000000000000000","kind":"check_in"} held until 2026-03-04T15:30:00.000Z
        2026-03-04T15:15:00.000Z {"type":"interaction","kiosk":"k","session":"00000000000000000000000000000000","kind":"check_in"} held until 2026-03-04T15:45:00.000Z
    "#]]
    .assert_eq(&drain(&mut privacy));
}

#[test]
fn a_window_is_released_at_its_end_without_anything_below_k() {
    let plan = plan();
    let mut privacy = Privacy::new(plan.clone(), IDS, now(0));
    for n in 0..12 {
        let last = if n < 3 { 2000 } else { 60 };
        privacy.handle(
            visit(&plan, &[("entrance", 20), ("shoes", 200), ("coats", 100), ("tills", last)]),
            now(0),
        );
    }
    for _ in 0..9 {
        privacy.handle(visit(&plan, &[("entrance", 20), ("tills", 60)]), now(0));
    }
    // Enough for an ordinary zone, not for a sensitive one.
    for _ in 0..19 {
        privacy.handle(visit(&plan, &[("health", 60)]), now(0));
    }
    let door = DoorCount { counter: Id::new("main-door").unwrap(), entries: 55, exits: 40 };
    privacy.handle(event(1, Body::DoorCount(door), now(0)), now(0));
    assert!(!privacy.handle_timeout(now(3599)));
    drain(&mut privacy);
    assert!(!privacy.handle_timeout(now(3600)));
    expect![[r#"
        2026-03-04T16:00:00.000Z {"type":"carriers","window":{"start":"2026-03-04T12:00:00.000Z","s":14400},"zone":"coats","visits":12,"dwell":[{"from_s":0,"to_s":null,"n":12}],"k":10}
        2026-03-04T16:00:00.000Z {"type":"carriers","window":{"start":"2026-03-04T12:00:00.000Z","s":14400},"zone":"entrance","visits":21,"dwell":[{"from_s":0,"to_s":null,"n":21}],"k":10}
        2026-03-04T16:00:00.000Z {"type":"carriers","window":{"start":"2026-03-04T12:00:00.000Z","s":14400},"zone":"shoes","visits":12,"dwell":[{"from_s":0,"to_s":null,"n":12}],"k":10}
        2026-03-04T16:00:00.000Z {"type":"carriers","window":{"start":"2026-03-04T12:00:00.000Z","s":14400},"zone":"tills","visits":21,"dwell":[{"from_s":0,"to_s":null,"n":21}],"k":10}
        2026-03-04T16:00:00.000Z {"type":"flow","window":{"start":"2026-03-04T12:00:00.000Z","s":14400},"from":"coats","to":"tills","n":12,"k":10}
        2026-03-04T16:00:00.000Z {"type":"flow","window":{"start":"2026-03-04T12:00:00.000Z","s":14400},"from":"entrance","to":"shoes","n":12,"k":10}
        2026-03-04T16:00:00.000Z {"type":"flow","window":{"start":"2026-03-04T12:00:00.000Z","s":14400},"from":"shoes","to":"coats","n":12,"k":10}
        2026-03-04T16:00:00.000Z {"type":"trace","window":{"start":"2026-03-04T12:00:00.000Z","s":14400},"rung":"department_path_4h","path":["entrance","fashion","checkout"],"n":12,"dwell":"5-15min","k":10}
        2026-03-04T16:00:00.000Z {"type":"coverage","window":{"start":"2026-03-04T12:00:00.000Z","s":14400},"carriers":40,"released":12,"lost_open":0,"door_in":55,"k":10}
    "#]]
    .assert_eq(&drain(&mut privacy));
}

#[test]
fn the_day_and_the_agent_end_windows_early_and_parts_are_numbered() {
    let plan = plan();
    let mut privacy = Privacy::new(plan.clone(), IDS, now(3600));
    assert!(!privacy.handle_timeout(now(4 * 3600 - 1)));
    assert!(privacy.handle_timeout(now(4 * 3600)), "the store closes at 20:00 in Paris");
    privacy.handle(visit(&plan, &[("shoes", 60)]), now(4 * 3600));
    privacy.close(now(4 * 3600));
    assert!(!privacy.handle_timeout(now(4 * 3600 + 1)));
    privacy.close(now(4 * 3600 + 60));
    privacy.handle(visit(&plan, &[("shoes", 60)]), now(4 * 3600 + 61));
    privacy.close(now(4 * 3600 + 120));
    expect![[r#"
        2026-03-04T19:00:00.000Z {"type":"coverage","window":{"start":"2026-03-04T16:00:00.000Z","s":14400},"carriers":null,"released":0,"lost_open":0,"door_in":0,"k":10}
        2026-03-04T19:00:00.000Z {"type":"coverage","window":{"start":"2026-03-04T16:00:00.000Z","s":14400,"part":2},"carriers":null,"released":0,"lost_open":0,"door_in":0,"k":10}
    "#]]
    .assert_eq(&drain(&mut privacy));
}

#[test]
fn a_restart_goes_on_counting_and_never_releases_a_window_twice() {
    let plan = plan();
    let mut before = Privacy::new(plan.clone(), IDS, now(0));
    for _ in 0..10 {
        before.handle(visit(&plan, &[("shoes", 60)]), now(0));
    }
    let kept: Kept = serde_json::from_str(&serde_json::to_string(&before.kept(3).unwrap()).unwrap()).unwrap();
    assert_eq!(before.kept(3), None, "nothing has changed since");
    let mut after = Privacy::new(plan.clone(), IDS, now(600));
    after.restore(kept.clone());
    assert!(!after.handle_timeout(now(3600)));
    let released = drain(&mut after);
    assert!(released.contains(r#""n":10"#) && released.contains(r#""lost_open":3"#), "{released}");
    // Killed after the release was durable, before the kept counts were replaced.
    let mut again = Privacy::new(plan, IDS, now(3600));
    again.restore(kept.clone());
    again.restore_note(WindowNote::Released { window: kept.tallies.window });
    assert!(!again.handle_timeout(now(3600)));
    expect![[r#"
        2026-03-04T16:00:00.000Z {"type":"coverage","window":{"start":"2026-03-04T12:00:00.000Z","s":14400,"part":1},"carriers":0,"released":0,"lost_open":3,"door_in":0,"k":10}
    "#]]
    .assert_eq(&drain(&mut again));
}

/// Whatever the visits, nothing below k is released, and all counts are of visits that were.
#[test]
fn random_windows_agree_with_a_simple_count() {
    let plan = plan();
    let names = ["entrance", "shoes", "coats", "health", "tills"];
    let mut seed = 1u64;
    let mut next = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    for _ in 0..50 {
        let mut privacy = Privacy::new(plan.clone(), IDS, now(0));
        let mut flows: BTreeMap<(String, String), u32> = BTreeMap::new();
        let visits = next(120);
        for _ in 0..visits {
            let stays: Vec<_> = (0..1 + next(3)).map(|_| (names[next(5) as usize], next(900))).collect();
            for pair in stays.windows(2) {
                *flows.entry((pair[0].0.into(), pair[1].0.into())).or_default() += 1;
            }
            privacy.handle(visit(&plan, &stays), now(0));
        }
        privacy.close(now(60));
        let mut released = 0;
        while let Some(release) = privacy.poll_release() {
            let Release::Event { event, .. } = release else { continue };
            match event.body {
                Body::Carriers(c) => assert!(c.visits >= c.k && c.dwell.iter().all(|band| band.n >= c.k)),
                Body::Flow(f) => {
                    assert!(f.n >= f.k);
                    assert_eq!(flows[&(f.from.to_string(), f.to.to_string())], f.n);
                    let sensitive = [f.from, f.to].iter().any(|zone| zone.as_str() == "health");
                    assert_eq!(f.k, if sensitive { 20 } else { 10 });
                }
                Body::Trace(t) => {
                    assert!(t.n >= t.k);
                    released += t.n;
                }
                Body::Coverage(c) => {
                    assert_eq!(c.released, released);
                    assert_eq!(c.carriers.is_none(), (1..10).contains(&visits));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn one_visit_that_goes_to_and_fro_is_no_flow() {
    let plan = plan();
    let mut privacy = Privacy::new(plan.clone(), IDS, now(0));
    let stays: Vec<_> = (0..22).map(|i| if i % 2 == 0 { ("shoes", 10) } else { ("coats", 10) }).collect();
    privacy.handle(visit(&plan, &stays), now(0));
    privacy.close(now(60));
    let released = drain(&mut privacy);
    assert!(!released.contains("flow"), "{released}");
}

#[test]
fn a_clock_that_was_ahead_for_a_moment_stops_no_release_and_no_window_is_named_twice() {
    let plan = plan();
    let mut privacy = Privacy::new(plan.clone(), IDS, now(0));
    let year_ahead = Now { utc: now(0).utc.plus_ms(365 * 86_400_000), ..now(10) };
    assert!(privacy.handle_timeout(year_ahead), "closing time has passed in that year");
    privacy.close(year_ahead);
    let mut closings = 0;
    for hour in 0..72 {
        (0..20).for_each(|_| privacy.handle(visit(&plan, &[("shoes", 60)]), now(hour * 3600)));
        if privacy.handle_timeout(now(hour * 3600)) {
            closings += 1;
            privacy.close(now(hour * 3600));
        }
    }
    assert_eq!(closings, 3);
    let mut windows = std::collections::BTreeSet::new();
    let mut visits = 0;
    while let Some(release) = privacy.poll_release() {
        if let Release::Event { event: Event { body: Body::Coverage(coverage), .. }, .. } = release {
            visits += coverage.carriers.unwrap_or(0);
            assert!(windows.insert((coverage.window.start, coverage.window.part)), "{:?}", coverage.window);
        }
    }
    assert!(visits > 68 * 20, "{visits}");
}

#[test]
fn open_visits_are_kept_and_counted_as_lost_also_when_the_window_was_released() {
    let plan = plan();
    let mut privacy = Privacy::new(plan.clone(), IDS, now(0));
    assert!(privacy.kept(7).is_some(), "visits are open, though none has closed");
    privacy.handle(visit(&plan, &[("shoes", 60)]), now(0));
    let kept = privacy.kept(7).unwrap();
    let mut again = Privacy::new(plan, IDS, now(3601));
    again.restore(kept.clone());
    again.restore_note(WindowNote::Released { window: kept.tallies.window });
    assert_eq!((again.tallies.lost_open, again.tallies.visits), (7, 0));
}

#[test]
fn no_window_and_part_is_released_twice_whatever_the_clock_and_crashes_do() {
    let plan = plan();
    let mut names = std::collections::BTreeSet::new();
    let mut take = |privacy: &mut Privacy| {
        let mut notes = Vec::new();
        while let Some(release) = privacy.poll_release() {
            match release {
                Release::Event { event: Event { body: Body::Coverage(c), .. }, .. } => {
                    assert!(names.insert((c.window.start, c.window.part)), "{:?}", c.window);
                }
                Release::Window(note) => notes.push(note),
                _ => {}
            }
        }
        notes
    };
    let mut privacy = Privacy::new(plan.clone(), IDS, now(-3600));
    let count =
        |privacy: &mut Privacy, at| (0..10).for_each(|_| privacy.handle(visit(&plan, &[("shoes", 60)]), at));
    // Stopped and started within the window; its end; the clock a second back, and on again.
    for (close, second) in [(true, -3600), (false, 3600), (false, 3599), (false, 3600), (true, 3700)] {
        count(&mut privacy, now(0));
        assert!(!privacy.handle_timeout(now(second)));
        if close {
            privacy.close(now(second));
        }
        take(&mut privacy);
    }
    // Two releases are durable that the kept counts do not know.
    count(&mut privacy, now(3700));
    let kept = privacy.kept(5).unwrap();
    privacy.close(now(3800));
    let five_hours = now(5 * 3600);
    let _closes = privacy.handle_timeout(five_hours);
    let notes = take(&mut privacy);
    let mut again = Privacy::new(plan.clone(), IDS, five_hours);
    again.restore(kept);
    notes.into_iter().for_each(|note| again.restore_note(note));
    count(&mut again, five_hours);
    again.close(five_hours);
    again.close(five_hours);
    take(&mut again);
}
