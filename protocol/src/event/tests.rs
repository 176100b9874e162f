use super::*;
use crate::Id;
use expect_test::{Expect, expect};
use std::{collections::BTreeSet, string::ToString};

fn check(body: Body, wire: Expect) {
    let event = Event { id: EventId([0xab; 16]), time: Timestamp::from_ms(0), clock: Clock::Synced, body };
    let json = serde_json::to_string(&event).unwrap();
    wire.assert_eq(&json);
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
}

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

#[test]
fn a_trace_is_a_class() {
    let window = Window { start: Timestamp::from_ms(1_772_622_000_000), s: 14_400, part: 0 };
    let path = ["entrance", "shoes", "checkout"].map(id).to_vec();
    let dwell = Some("15-30min".into());
    check(
        Body::Trace(Trace {
            window,
            rung: Rung::DepartmentPath,
            path,
            n: 14,
            dwell,
            reached_checkout: None,
            k: 10,
        }),
        expect![[
            r#"{"id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"synced","type":"trace","window":{"start":"2026-03-04T11:00:00.000Z","s":14400},"rung":"department_path_4h","path":["entrance","shoes","checkout"],"n":14,"dwell":"15-30min","k":10}"#
        ]],
    );
}

#[test]
fn nested_parts_are_flat_on_the_wire() {
    let facing = Facing { shelf: id("s1"), facing: id("f2"), sku: "4711".into(), gtin: None };
    check(
        Body::PickUp(ShelfStep { facing, quantity: 2, level: 5 }),
        expect![[
            r#"{"id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"synced","type":"pick_up","shelf":"s1","facing":"f2","sku":"4711","quantity":2,"level":5}"#
        ]],
    );
    let action = Action::AvailabilityCheck { sku: "4711".into(), in_stock: false };
    check(
        Body::Interaction(Interaction { kiosk: id("k1"), session: EventId([1; 16]), action }),
        expect![[
            r#"{"id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"synced","type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"availability_check","sku":"4711","in_stock":false}"#
        ]],
    );
}

#[test]
fn every_kind_of_action_can_be_read() {
    let fields = r#""sku":"1","results":1,"in_stock":true,"fulfilment":"home","offer":"o","score":3"#;
    for kind in Action::KINDS {
        let action: Action =
            serde_json::from_str(&alloc::format!(r#"{{"kind":"{kind}",{fields}}}"#)).unwrap();
        assert!(serde_json::to_string(&action).unwrap().contains(kind));
    }
}

#[test]
fn readers_ignore_fields_that_they_do_not_know() {
    let json = r#"{"id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"file","type":"till_count","counter":"t1","transactions":3,"new":{"x":1}}"#;
    let event: Event = serde_json::from_str(json).unwrap();
    assert_eq!(event.body, Body::TillCount(TillCount { counter: id("t1"), transactions: 3 }));
}

/// An event of each type that no agent publishes yet, after its head. Those that are published are frozen in
/// `tests/versioning`.
const DRAFTS: &[&str] = &[
    r#""type":"queue","window":{"start":"2026-03-04T11:00:00.000Z","s":900},"queue":"tills","length":{"from":3,"to":6},"wait_s":{"from":300,"to":null},"crowding":"busy""#,
    r#""type":"visit","visit":"01010101010101010101010101010101","slot":"2026-03-04T11:00:00.000Z","stays":[{"zone":"shoes","dwell_s":{"from":120,"to":300}}],"length_s":{"from":300,"to":900},"reached_checkout":true"#,
    r#""type":"identified","subject":"p-1","basis":"contract","purposes":["click_and_collect"],"expires":"2026-03-11T00:00:00.000Z","consent_ref":"c-1","sealed":{"kid":"k1","enc":"AA","ct":"AA"}"#,
    r#""type":"audit_entry","number":1,"records":"release","digest":"00","previous":"00","hash":"00""#,
    r#""type":"audit_head","number":1,"hash":"00","kid":"k1","sig":"AA==""#,
    r#""type":"considered","shelf":"s1","facing":"f2","sku":"4711","quantity":1,"held_s":{"from":0,"to":30}"#,
    r#""type":"level","shelf":"s1","facing":"f2","sku":"4711","gtin":"4006381333931","level":4,"capacity":12"#,
    r#""type":"low_stock","shelf":"s1","facing":"f2","sku":"4711","level":2,"enough":3"#,
    r#""type":"misplaced","shelf":"s1","facing":"f2","sku":"4711","weight_g":-20"#,
    r#""type":"beacon_telemetry","beacon":"cart-1","battery_mv":2900,"battery_pct":80,"temperature_mdeg":-1500,"uptime_s":86400"#,
    r#""type":"battery_low","beacon":"cart-1","battery_mv":2100"#,
    r#""type":"clone_suspected","beacon":"cart-1""#,
    r#""type":"replay_suspected","beacon":"cart-1","count":3"#,
];

#[test]
fn every_draft_reads_itself_back_and_knows_its_stream() {
    let mut named = BTreeSet::new();
    for fields in DRAFTS {
        let json = alloc::format!(
            r#"{{"id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"synced",{fields}}}"#
        );
        let event: Event = serde_json::from_str(&json).expect(&json);
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
        let name = fields.split('"').nth(3).unwrap();
        let found = Body::TYPES.iter().find(|known| known.name == name).expect(name);
        assert_eq!((event.body.stream(), found.is_published), (Some(found.stream), false), "{name}");
        named.insert(name);
    }
    let drafts = Body::TYPES.iter().filter(|known| !known.is_published).map(|known| known.name);
    assert_eq!(drafts.collect::<BTreeSet<_>>(), named);
}

#[test]
fn every_stream_carries_a_type_and_every_type_has_its_own_name() {
    for stream in Stream::ALL {
        assert!(Body::TYPES.iter().any(|known| known.stream == *stream), "{stream}");
    }
    let names: BTreeSet<_> = Body::TYPES.iter().map(|known| known.name).collect();
    assert_eq!(names.len(), Body::TYPES.len());
}

#[test]
fn values_of_later_versions_are_unknown_and_cannot_be_written() {
    let head = r#""id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"file""#;
    let cases = [
        r#""type":"gap","stream":"till","first_seq":1,"last_seq":2,"reason":"flood","exact":true"#,
        r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"dance","steps":[1]"#,
        r#""type":"radio","receiver":"front","state":"melting""#,
        r#""type":"dance","steps":[1]"#,
    ];
    for fields in cases {
        let event: Event = serde_json::from_str(&alloc::format!("{{{head},{fields}}}")).expect(fields);
        assert!(serde_json::to_string(&event).is_err(), "{fields}");
    }
    let known_but_broken = alloc::format!(r#"{{{head},"type":"till_count","counter":"t1"}}"#);
    let error = serde_json::from_str::<Event>(&known_but_broken).unwrap_err();
    assert!(error.to_string().contains("transactions"), "{error}");
}
