//! Version 1 of what satellites and hub exchange. Never edited, only added to.

use serde::{Serialize, de::DeserializeOwned};
use vitrine_protocol::{
    Id,
    sighting::{PLAN_TOPIC, Sightings, StorePlan, VERSION, satellite, topic},
};

/// `json` is read and, while version 1 is what is written, written as it is.
#[track_caller]
fn check<T: Serialize + DeserializeOwned>(json: &str) -> T {
    let read: T = serde_json::from_str(json).expect(json);
    if VERSION == 1 {
        assert_eq!(serde_json::to_string(&read).expect(json), json);
    }
    read
}

#[test]
fn sightings() {
    let read: Sightings = check(
        r#"{"v":1,"boot":4294967295,"counter":7,"plan":"12","sent_ms":90250,"dropped":3,"sightings":[{"at_ms":90007,"receiver":"door","beacon":"cart-1","rssi_dbm":-71}]}"#,
    );
    assert_eq!((read.sightings[0].rssi_dbm, read.dropped), (-71, 3));
    check::<Sightings>(r#"{"v":1,"boot":0,"counter":8,"plan":"12","sent_ms":0,"dropped":0,"sightings":[]}"#);
}

#[test]
fn sightings_with_what_a_later_writer_added() {
    let json = r#"{"v":1,"battery":3,"boot":1,"counter":8,"plan":"12","sent_ms":1,"dropped":0,"sightings":[{"at_ms":1,"receiver":"door","beacon":"cart-1","rssi_dbm":-71,"channel":37}]}"#;
    assert_eq!(serde_json::from_str::<Sightings>(json).expect(json).sightings.len(), 1);
}

#[test]
fn a_plan() {
    let read: StorePlan = check(r#"{"v":1,"plan":"12","toml":"version = 1\nplan = \"12\"\n"}"#);
    assert_eq!(read.toml.lines().count(), 2);
}

#[test]
fn topics() {
    assert_eq!(PLAN_TOPIC, "vitrine-local/v1/plan");
    let id = Id::new("sat-1").expect("an id");
    assert_eq!(topic(id), "vitrine-local/v1/sighting/sat-1");
    assert_eq!(satellite("vitrine-local/v1/sighting/sat-1"), Some(id));
    assert_eq!(satellite("vitrine-local/v1/sighting/a/b"), None);
    assert_eq!(satellite(PLAN_TOPIC), None);
}
