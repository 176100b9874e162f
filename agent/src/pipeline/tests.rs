//! Tests of the heart as a whole, in the words of its plan.

use super::*;
use crate::{
    capture::replay::Recorded,
    capture::{Count, CountInput, KioskInput, ShelfChange, ShelfReading, ShelfTrouble, Trouble},
    ids::Ids,
    private::Address,
};
use expect_test::{Expect, expect};
use vitrine_protocol::{
    event::{Action, Clock, ControllerFault, Fault, SensorFault, ShelfFault},
    frame::{Frame, IBeacon},
    shelf::{Change, Quantity},
};

const PLAN: &str = include_str!("../../../deploy/config/store.toml");

fn now(second: u64) -> Now {
    let utc = Timestamp::from_ms(1_772_611_200_000 + second as i64 * 1000);
    Now { mono_ms: second * 1000, utc, source: Clock::Synced }
}

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn pipeline() -> Pipeline {
    let mut n = 0u8;
    let random = move || {
        n += 1;
        [n; 16]
    };
    Pipeline::new(Arc::new(crate::plan::parse(PLAN).unwrap()), Ids::new([0; 16]), Box::new(random))
}

fn heard(second: u64, minor: u16, receiver: &str, rssi_dbm: i8) -> Heard {
    let uuid = 0xe2c56db5_dffb_48d2_b060_d0f5a71096e0u128.to_be_bytes();
    let frame = Frame::IBeacon(IBeacon {
        uuid,
        major: if minor == 99 { 2 } else { 1 },
        minor: minor % 98,
        measured_power_dbm: -59,
    });
    Heard {
        at: now(second),
        receiver: id(receiver),
        address: Some(Address::new([1; 6])),
        rssi_dbm,
        frame: Some(frame),
        beacon: None,
    }
}

/// Prints outputs but for notes, a line each.
fn drain(pipeline: &mut Pipeline) -> String {
    let mut text = String::new();
    while let Some(output) = pipeline.poll_output() {
        match output {
            Output::Event { body, .. } => text += &(serde_json::to_string(&body).unwrap() + "\n"),
            Output::Visit(visit) => {
                let stays = visit.stays.iter();
                let stays: Vec<_> = stays
                    .map(|stay| format!("{} {}s", pipeline.plan.zone(stay.zone).id, stay.dwell_ms / 1000))
                    .collect();
                text += &format!("visit: {}\n", stays.join(", "));
            }
            Output::Note(_) => {}
        }
    }
    text
}

/// A walk: until each second the carrier is heard at the receiver with the RSSI.
fn walk(pipeline: &mut Pipeline, minor: u16, legs: &[(u64, &str, i8)]) {
    let mut second = 0;
    for &(until, receiver, rssi_dbm) in legs {
        while second < until {
            pipeline.handle_heard(&heard(second, minor, receiver, rssi_dbm));
            pipeline.handle_timeout(now(second));
            second += 2;
        }
    }
}

fn check_visits(legs: &[(u64, &str, i8)], expected: Expect) {
    let mut pipeline = pipeline();
    walk(&mut pipeline, 1, legs);
    let end = legs.last().unwrap().0;
    for second in (end..end + 1000).step_by(10) {
        pipeline.handle_timeout(now(second));
    }
    expected.assert_eq(&drain(&mut pipeline));
}

#[test]
fn a_visit_goes_from_the_bay_to_the_checkout_and_ends_when_it_is_left() {
    check_visits(
        &[
            (60, "front", -50),
            (120, "front", -75),
            (300, "middle", -55),
            (420, "back", -60),
            (500, "front", -50),
        ],
        expect![[r#"
            visit: entrance 56s, shoes 194s, tills 106s
        "#]],
    );
}

#[test]
fn a_visit_ends_after_silence_when_the_carrier_was_last_heard() {
    check_visits(
        &[(100, "front", -75), (200, "middle", -55)],
        expect![[r#"
        visit: entrance 100s, shoes 98s
    "#]],
    );
}

#[test]
fn carriers_in_the_bay_staff_and_strangers_make_no_visit() {
    check_visits(&[(1000, "front", -50)], expect![[""]]);
    let mut pipeline = pipeline();
    walk(&mut pipeline, 99, &[(100, "middle", -50)]);
    walk(&mut pipeline, 77, &[(100, "middle", -50)]);
    pipeline.close(now(100));
    assert_eq!(drain(&mut pipeline), "");
    assert_eq!((pipeline.counters().staff, pipeline.counters().not_in_plan), (50, 50));
}

#[test]
fn the_days_end_ends_every_visit() {
    let mut pipeline = pipeline();
    walk(&mut pipeline, 1, &[(100, "middle", -50)]);
    assert_eq!(pipeline.open_visits(), 1);
    pipeline.close(now(100));
    assert_eq!(drain(&mut pipeline), "visit: shoes 98s\n");
    assert_eq!(pipeline.open_visits(), 0);
}

fn reading(counter: u64, grams: i32) -> Input {
    let (shelf, facing) = (id("shelf-1"), id("left"));
    let quantity = Quantity::Grams(grams);
    Input::Shelf(ShelfReading { shelf, facing, boot: 1, counter, age_ms: 0, quantity, settled: false })
}

fn check_shelf(grams: &[i32], expected: Expect) {
    let mut pipeline = pipeline();
    for (counter, &grams) in grams.iter().enumerate() {
        pipeline.handle_inputs(vec![reading(counter as u64, grams)], now(counter as u64));
    }
    expected.assert_eq(&drain(&mut pipeline));
}

#[test]
fn steps_between_stable_levels_are_pick_ups_and_put_backs() {
    check_shelf(
        &[3500, 3500, 3500, 2900, 2800, 2804, 2797, 2800, 3150, 3150, 3151],
        expect![[r#"
            {"type":"pick_up","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":2,"level":8}
            {"type":"put_back","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":1,"level":9}
        "#]],
    );
}

#[test]
fn a_hand_on_the_shelf_and_odd_weights_are_no_steps() {
    check_shelf(
        &[3500, 3500, 3500, 8000, 3500, 3300, 3300, 3300, 3500, -400, i32::MIN, i32::MAX],
        expect![[""]],
    );
}

#[test]
fn an_empty_facing_is_told_and_its_refilling_with_the_time_it_took() {
    check_shelf(
        &[350, 350, 350, 0, 2, -3, 0, 700, 700, 700],
        expect![[r#"
            {"type":"pick_up","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":1,"level":0}
            {"type":"out_of_stock","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931"}
            {"type":"put_back","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":2,"level":2}
            {"type":"restock","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","level":2,"empty_s":4}
        "#]],
    );
}

fn touch(n: u8, action: Action) -> Input {
    Input::Kiosk(KioskInput { kiosk: id("kiosk-1"), id: EventId([n; 16]), action })
}

#[test]
fn kiosk_sessions_end_at_their_end_or_when_idle() {
    let mut pipeline = pipeline();
    pipeline.handle_inputs(vec![touch(1, Action::CheckIn)], now(0));
    pipeline.handle_inputs(vec![touch(2, Action::Feedback { score: 5 }), touch(1, Action::CheckIn)], now(30));
    pipeline.handle_inputs(vec![touch(3, Action::SessionEnd)], now(40));
    pipeline.handle_inputs(vec![touch(4, Action::AssistanceRequest)], now(50));
    pipeline.handle_timeout(now(109));
    pipeline.handle_timeout(now(110));
    expect![[r#"
        {"type":"interaction","kiosk":"kiosk-1","session":"01010101010101010101010101010101","kind":"check_in"}
        {"type":"interaction","kiosk":"kiosk-1","session":"01010101010101010101010101010101","kind":"feedback","score":5}
        {"type":"interaction","kiosk":"kiosk-1","session":"01010101010101010101010101010101","kind":"session_end"}
        {"type":"session","kiosk":"kiosk-1","session":"01010101010101010101010101010101","interactions":2,"duration_s":30,"end":"ended"}
        {"type":"interaction","kiosk":"kiosk-1","session":"02020202020202020202020202020202","kind":"assistance_request"}
        {"type":"session","kiosk":"kiosk-1","session":"02020202020202020202020202020202","interactions":1,"duration_s":0,"end":"idle"}
    "#]]
    .assert_eq(&drain(&mut pipeline));
    assert_eq!(pipeline.counters().repeats, 1);
}

/// Inputs, some of them sent again, with a crash at every possible place in between: what was handled but whose
/// notes were not kept is sent again, as a producer without an answer does.
#[test]
fn a_crash_between_any_two_inputs_changes_nothing_in_what_comes_out() {
    let grams = [700, 700, 700, 350, 350, 350, 0, 0, 0, 350, 350, 350];
    let mut inputs: Vec<Input> = (0..).zip(grams).map(|(counter, grams)| reading(counter, grams)).collect();
    inputs.insert(4, touch(1, Action::CheckIn));
    inputs.insert(
        7,
        Input::Count(CountInput {
            counter: id("main-door"),
            id: EventId([9; 16]),
            count: Count::Door { entries: 3, exits: 1 },
        }),
    );
    let events = |crash_at: usize| {
        let mut ids = Vec::new();
        let mut before = pipeline();
        let mut notes = Vec::new();
        let mut keep = |pipeline: &mut Pipeline, notes: &mut Vec<Note>| {
            while let Some(output) = pipeline.poll_output() {
                match output {
                    Output::Event { id, body, .. } if !matches!(body, Body::Session(_)) => {
                        ids.push((id, body));
                    }
                    Output::Note(note) => {
                        notes.push(serde_json::from_str(&serde_json::to_string(&note).unwrap()).unwrap());
                    }
                    _ => {}
                }
            }
        };
        for (n, input) in inputs.iter().take(crash_at).enumerate() {
            before.handle_inputs(vec![input.clone()], now(n as u64));
            keep(&mut before, &mut notes);
        }
        let mut after = pipeline();
        after.restore(serde_json::from_str(&serde_json::to_string(&State::default()).unwrap()).unwrap());
        notes.clone().into_iter().for_each(|note| after.restore_note(note));
        after.resume(now(crash_at as u64));
        for (n, input) in inputs.iter().enumerate().skip(crash_at.saturating_sub(2)) {
            after.handle_inputs(vec![input.clone()], now(n as u64));
            keep(&mut after, &mut notes);
        }
        // Sessions are random, and their times end with the process.
        ids.into_iter()
            .filter(|(_, body)| !matches!(body, Body::Interaction(_) | Body::Restock(_)))
            .collect::<Vec<_>>()
    };
    let whole = events(0);
    assert_eq!(whole.len(), 5);
    for crash_at in 1..=inputs.len() {
        assert_eq!(events(crash_at), whole, "crash before input {crash_at}");
    }
}

#[test]
fn a_checkpoint_holds_what_the_notes_held() {
    let mut pipeline = pipeline();
    pipeline
        .handle_inputs(vec![reading(1, 0), reading(2, 0), reading(3, 0), touch(1, Action::CheckIn)], now(0));
    let state: State = serde_json::from_str(&serde_json::to_string(&pipeline.state()).unwrap()).unwrap();
    let mut again = self::pipeline();
    again.restore(state.clone());
    assert_eq!(again.state(), state);
    again.handle_inputs(vec![reading(3, 350), touch(1, Action::CheckIn)], now(1));
    assert_eq!(again.counters().repeats, 2);
}

#[test]
fn what_was_not_said_before_a_crash_is_said_after_it() {
    let mut pipeline = pipeline();
    let state = FacingState { boot: 1, counter: 5, level: Some(0), ..FacingState::default() };
    pipeline.restore_note(Note::Facing { shelf: id("shelf-1"), facing: id("left"), state });
    let open = Some(OpenSession { session: EventId([7; 16]), interactions: 2 });
    pipeline.restore_note(Note::Kiosk { kiosk: id("kiosk-1"), open });
    pipeline.resume(now(0));
    expect![[r#"
        {"type":"out_of_stock","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931"}
        {"type":"session","kiosk":"kiosk-1","session":"07070707070707070707070707070707","interactions":2,"duration_s":null,"end":"interrupted"}
    "#]]
    .assert_eq(&drain(&mut pipeline));
}

#[test]
fn a_cart_that_stands_near_the_tills_is_not_many_visits() {
    let mut pipeline = pipeline();
    for second in 0..3600 {
        let near = (second / 20) % 2 == 0;
        pipeline.handle_heard(&heard(second, 1, "back", if near { -50 } else { -80 }));
        pipeline.handle_heard(&heard(second, 1, "middle", if near { -80 } else { -60 }));
        pipeline.handle_timeout(now(second));
    }
    pipeline.close(now(3600));
    assert!(drain(&mut pipeline).lines().count() <= 1);
}

#[test]
fn passing_by_is_no_visit() {
    check_visits(&[(20, "middle", -55)], expect![[""]]);
}

#[test]
fn a_new_make_of_beacon_needs_a_line_in_the_plan_and_no_code() {
    let layout = "
[[layouts]]
id = \"acme\"
layout = \"s:0-1=fd6f,m:2-3=a0c3,i:4-9,i:10-11l,p:12-12\"
[[beacons]]
id = \"cart-9\"
carrier = \"cart\"
layout = { id = \"acme\", identifiers = [\"00112233-4455\", 0x0102] }
";
    let plan = Arc::new(crate::plan::parse(&(PLAN.to_owned() + layout)).unwrap());
    let mut pipeline = Pipeline::new(plan.clone(), Ids::new([0; 16]), Box::new(|| [1; 16]));
    let mut hear = |adv_hex: &str, address| {
        let recorded = Recorded {
            at: now(1),
            receiver: id("front"),
            address: Some(Address::new(address)),
            rssi_dbm: Some(-50),
            payload: Some(hex::decode(adv_hex).unwrap()),
        };
        let (heard, malformed) = recorded.hear(&plan.layouts);
        assert_eq!(malformed, None);
        heard.iter().for_each(|heard| pipeline.handle_heard(heard));
        let Counters { sightings, not_in_plan, .. } = pipeline.counters();
        (sightings, not_in_plan)
    };
    // Its address changes; another one's identifier is not the plan's.
    assert_eq!(hear("0201060e166ffda0c30011223344550201c5", [1; 6]), (1, 0));
    assert_eq!(hear("0201060e166ffda0c30011223344550201c5", [2; 6]), (2, 0));
    assert_eq!(hear("0201060e166ffda0c30011223344550102c5", [1; 6]), (2, 1));
}

fn change(n: u8, age_ms: u32, change: Change) -> Input {
    let (shelf, facing, id) = (id("shelf-1"), id("left"), EventId([n; 16]));
    Input::ShelfChange(ShelfChange { shelf, facing, id, age_ms: Some(age_ms), change })
}

fn step(n: u8, age_ms: u32, before: i32, after: i32) -> Input {
    change(n, age_ms, Change::Step { before: Quantity::Grams(before), after: Quantity::Grams(after) })
}

fn settled(counter: u64, age_ms: u32, grams: i32) -> Input {
    let (shelf, facing) = (id("shelf-1"), id("left"));
    let quantity = Quantity::Grams(grams);
    Input::Shelf(ShelfReading { shelf, facing, boot: 1, counter, age_ms, quantity, settled: true })
}

fn check_changes(inputs: Vec<(u64, Input)>, expected: Expect) -> Counters {
    let mut pipeline = pipeline();
    for (second, input) in inputs {
        pipeline.handle_inputs(vec![input], now(second));
    }
    expected.assert_eq(&drain(&mut pipeline));
    pipeline.counters()
}

#[test]
fn what_a_controllers_change_and_its_readings_both_tell_is_one_step() {
    let counters = check_changes(
        vec![
            (0, settled(1, 0, 3500)),
            (10, step(1, 100, 3500, 2800)),
            (12, settled(2, 1000, 2801)),
            (13, step(1, 3100, 3500, 2800)),
            // The reading is there first: it overtook the change.
            (20, settled(3, 0, 2450)),
            (21, step(2, 1500, 2800, 2450)),
        ],
        expect![[r#"
            {"type":"pick_up","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":2,"level":8}
            {"type":"pick_up","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":1,"level":7}
        "#]],
    );
    assert_eq!((counters.repeats, counters.late_changes), (1, 1));
}

#[test]
fn changes_kept_by_a_controller_while_nobody_listened_are_all_told() {
    let mut pipeline = pipeline();
    let kept = [(3500, 2800), (2800, 0), (0, 4200)];
    for (n, (before, after)) in (1..).zip(kept) {
        let age_ms = 3_600_000 - u32::from(n) * 60_000;
        pipeline.handle_inputs(vec![step(n, age_ms, before, after)], now(7200));
    }
    let mut times = Vec::new();
    while let Some(output) = pipeline.poll_output() {
        if let Output::Event { at, body, .. } = output {
            times.push(format!("{} {}", at.mono_ms / 1000, serde_json::to_value(&body).unwrap()["type"]));
        }
    }
    expect![[r#"
        3660 "pick_up"
        3720 "pick_up"
        3720 "out_of_stock"
        3780 "put_back"
        3780 "restock""#]]
    .assert_eq(&times.join("\n"));
}

#[test]
fn a_tare_moves_the_level_and_nobody_took_anything() {
    let tare = |n, before, after| {
        change(n, 0, Change::Tare { before: Quantity::Grams(before), after: Quantity::Grams(after) })
    };
    check_changes(
        vec![
            (0, settled(1, 0, 3500)),
            (10, tare(1, 3500, 0)),
            (20, settled(2, 0, 350)),
            // To what is no level: the next reading is the first.
            (30, tare(2, 350, 200)),
            (40, settled(3, 0, 700)),
            (50, settled(4, 0, 350)),
        ],
        expect![[r#"
            {"type":"out_of_stock","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931"}
            {"type":"put_back","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":1,"level":1}
            {"type":"restock","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","level":1,"empty_s":10}
            {"type":"pick_up","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":1,"level":1}
        "#]],
    );
}

#[test]
fn pieces_that_a_controller_counts_are_units_and_distances_are_nothing_yet() {
    let of = |before, after| Change::Step { before, after };
    let counters = check_changes(
        vec![
            (0, change(1, 0, of(Quantity::Count(9), Quantity::Count(7)))),
            (1, change(2, 0, of(Quantity::Count(7), Quantity::DistanceMm(7)))),
            (2, change(3, 0, of(Quantity::Count(7), Quantity::Count(25)))),
        ],
        expect![[r#"
            {"type":"pick_up","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":2,"level":7}
        "#]],
    );
    assert_eq!(counters.odd_weights, 2);
}

#[test]
fn a_controllers_faults_are_told_once_also_over_a_crash() {
    let trouble =
        |n: u8, trouble| Input::ShelfTrouble(ShelfTrouble { id: EventId([n; 16]), age_ms: Some(0), trouble });
    let (shelf, facing, active) = (id("shelf-1"), id("left"), true);
    let inputs = vec![
        trouble(1, Trouble::Facing(Fault { shelf, facing, fault: SensorFault::Stuck, active })),
        trouble(2, Trouble::Shelf(ShelfFault { shelf, fault: ControllerFault::Supply, active })),
    ];
    let (mut before, mut notes, mut events) = (pipeline(), Vec::new(), String::new());
    before.handle_inputs(inputs.clone(), now(0));
    while let Some(output) = before.poll_output() {
        match output {
            Output::Note(note) => {
                assert_eq!(
                    note.lane(),
                    Lane::Facts,
                    "the event's lane: neither is durable without the other"
                );
                notes.push(note);
            }
            Output::Event { body, .. } => events += &(serde_json::to_string(&body).unwrap() + "\n"),
            Output::Visit(_) => panic!(),
        }
    }
    expect![[r#"
        {"type":"fault","shelf":"shelf-1","facing":"left","fault":"stuck","active":true}
        {"type":"shelf_fault","shelf":"shelf-1","fault":"supply","active":true}
    "#]]
    .assert_eq(&events);
    let mut after = pipeline();
    notes.into_iter().for_each(|note| after.restore_note(note));
    after.handle_inputs(inputs, now(1));
    assert_eq!((drain(&mut after).as_str(), after.counters().repeats), ("", 2));
}
