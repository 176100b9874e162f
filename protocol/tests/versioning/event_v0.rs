//! Version 0 of the events, the draft. Never edited, only added to. A type comes in when an agent publishes it; version
//! 0 may go as a whole when version 1 is frozen.

use std::collections::BTreeSet;
use vitrine_protocol::event::{Action, Body, Event, VERSION};

/// Each event after its head.
const EVENTS: &[&str] = &[
    r#""type":"carriers","window":{"start":"2026-03-04T11:00:00.000Z","s":14400},"zone":"shoes","visits":61,"dwell":[{"from_s":0,"to_s":120,"n":23},{"from_s":120,"to_s":null,"n":38}],"k":10"#,
    r#""type":"flow","window":{"start":"2026-03-04T11:00:00.000Z","s":14400,"part":2},"from":"shoes","to":"fitting","n":42,"k":20"#,
    r#""type":"trace","window":{"start":"2026-03-04T11:00:00.000Z","s":14400},"rung":"department_path_4h","path":["entrance","shoes","checkout"],"n":14,"dwell":"15-30min","k":10"#,
    r#""type":"trace","window":{"start":"2026-03-04T11:00:00.000Z","s":14400},"rung":"department_path_4h","path":[],"n":14,"k":10"#,
    r#""type":"coverage","window":{"start":"2026-03-04T11:00:00.000Z","s":14400},"carriers":610,"released":531,"lost_open":0,"door_in":1480,"k":10"#,
    r#""type":"coverage","window":{"start":"2026-03-04T11:00:00.000Z","s":14400},"carriers":null,"released":0,"lost_open":3,"door_in":0,"k":10"#,
    r#""type":"gap","stream":"stock","first_seq":5,"last_seq":8,"reason":"corrupt","exact":true"#,
    r#""type":"gap","stream":"till","first_seq":5,"last_seq":5,"reason":"refused","exact":true"#,
    r#""type":"pick_up","shelf":"shelf-1","facing":"left","sku":"4711-42","gtin":"4006381333931","quantity":2,"level":5"#,
    r#""type":"put_back","shelf":"shelf-2","facing":"only","sku":"coat-1","quantity":1,"level":6"#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"product_view","sku":"4711-42""#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"search","category":"shoes","results":3"#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"search","results":0"#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"availability_check","sku":"4711-42","in_stock":false"#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"order","fulfilment":"other_store""#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"click_and_collect_pickup""#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"check_in""#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"assistance_request""#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"offer_shown","offer":"spring""#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"feedback","score":5"#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"store_to_web_handoff""#,
    r#""type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"session_end""#,
    r#""type":"session","kiosk":"k1","session":"01010101010101010101010101010101","interactions":4,"duration_s":37,"end":"idle""#,
    r#""type":"session","kiosk":"k1","session":"01010101010101010101010101010101","interactions":1,"duration_s":null,"end":"interrupted""#,
    r#""type":"door_count","counter":"main-door","in":12,"out":9"#,
    r#""type":"till_count","counter":"till-1","transactions":4"#,
    r#""type":"out_of_stock","shelf":"shelf-1","facing":"right","sku":"4711-43""#,
    r#""type":"restock","shelf":"shelf-1","facing":"right","sku":"4711-43","level":12,"empty_s":5400"#,
    r#""type":"capture_gap","capture":"radio","device":"front","from":"2026-03-04T11:00:00.000Z","to":"2026-03-04T11:05:00.000Z","reason":"capture_down","exact":false"#,
    r#""type":"capture_gap","capture":"all","from":"2026-03-04T11:00:00.000Z","to":"2026-03-04T11:05:00.000Z","reason":"restart","exact":true"#,
    r#""type":"device_silent","kind":"relay","device":"ap-3","since":"2026-03-04T11:00:00.000Z""#,
    r#""type":"device_back","kind":"shelf","device":"s1""#,
    r#""type":"radio","receiver":"front","state":"off""#,
    r#""type":"fault","shelf":"shelf-1","facing":"left","fault":"out_of_range","active":true"#,
    r#""type":"fault","shelf":"shelf-1","facing":"left","fault":"no_signal","active":false"#,
    r#""type":"shelf_fault","shelf":"shelf-1","fault":"lost_reports","active":true"#,
    r#""type":"shelf_fault","shelf":"shelf-1","fault":"configuration","active":false"#,
];

#[test]
fn every_event_is_read_and_written() {
    for fields in EVENTS {
        let json = format!(
            r#"{{"id":"abababababababababababababababab","time":"2026-03-04T15:00:00.000Z","clock":"synced",{fields}}}"#
        );
        let event: Event = serde_json::from_str(&json).expect(&json);
        assert_ne!(event.body, Body::Unknown, "{json}");
        if VERSION == 0 {
            assert_eq!(serde_json::to_string(&event).expect(&json), json);
        }
    }
}

#[test]
fn every_type_and_kind_that_is_published_is_here() {
    let named_in = |type_: &str, key: &str| -> BTreeSet<String> {
        let value = |fields: &&str| Some(fields.split_once(key)?.1.split('"').next()?.to_owned());
        EVENTS.iter().filter(|fields| fields.contains(type_)).filter_map(value).collect()
    };
    let published = Body::TYPES.iter().filter(|known| known.is_published);
    assert_eq!(named_in("", r#""type":""#), published.map(|known| known.name.to_owned()).collect());
    assert_eq!(named_in(r#""type":"interaction""#, r#""kind":""#), Action::KINDS.map(str::to_owned).into());
}
