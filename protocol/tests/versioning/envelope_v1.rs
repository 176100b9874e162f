//! Version 1 of the messages to and from the platform. Never edited, only added to.

use serde::{Serialize, de::DeserializeOwned};
use vitrine_protocol::{
    envelope::{Ack, Capability, Envelope, Status, VERSION},
    event::Body,
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
fn a_batch() {
    let batch: Envelope = check(
        r#"{"v":1,"tenant":"acme","store":"lyon-2","gateway":"gw-1","stream":"till","spool_id":"28f3a4ee4c678dc839e538c77daf5fe2","first_seq":9007199254740990,"count":2,"sent_at":"2026-11-22T05:28:41.880Z","replayed":true,"plan":"7","business_date":"2026-11-22","events":[{"id":"f4726c4a93fb9c53308c48a8ed948060","time":"2026-11-22T05:15:00.000Z","clock":"synced","type":"till_count","counter":"till-1","transactions":4},{"id":"f4726c4a93fb9c53308c48a8ed948061","time":"2026-11-22T05:15:00.000Z","clock":"unsynced","type":"till_count","counter":"till-2","transactions":0}]}"#,
    );
    assert_eq!((batch.first_seq, batch.events.len(), batch.event_v), (9_007_199_254_740_990, 2, 0));
    assert!(batch.events.iter().all(|event| matches!(event.body, Body::TillCount(_))));
}

#[test]
fn a_batch_with_what_a_later_writer_added() {
    let json = r#"{"v":1,"signed":"x","tenant":"acme","store":"lyon-2","gateway":"gw-1","zone":{"a":[1]},"stream":"gaps","spool_id":"28f3a4ee4c678dc839e538c77daf5fe2","first_seq":1,"count":1,"sent_at":"2026-11-22T05:28:41.880Z","replayed":false,"plan":"7","business_date":"2026-11-22","events":[{"id":"f4726c4a93fb9c53308c48a8ed948060","time":"2026-11-22T05:28:41.741Z","clock":"synced","type":"tremor","richter":[4,2]}]}"#;
    let batch: Envelope = serde_json::from_str(json).expect(json);
    assert_eq!(batch.events[0].body, Body::Unknown);
}

#[test]
fn a_status() {
    for state in ["online", "offline", "lost"] {
        let json = r#"{"v":1,"tenant":"acme","store":"lyon-2","gateway":"gw-1","state":"STATE","session":"01010101010101010101010101010101","spool_id":"28f3a4ee4c678dc839e538c77daf5fe2","version":"0.1.0","plan":"7","clock":"synced"}"#;
        let _: Status = check(&json.replace("STATE", state));
    }
}

#[test]
fn a_status_that_tells_what_the_agent_can() {
    let json = r#"{"v":1,"tenant":"acme","store":"lyon-2","gateway":"gw-1","state":"online","session":"01010101010101010101010101010101","spool_id":"28f3a4ee4c678dc839e538c77daf5fe2","version":"0.1.0","plan":"7","clock":"synced","capabilities":["zstd","end_to_end","live_first","metered","metrics"],"mqtt":"VERSION"}"#;
    for version in ["5", "3.1.1"] {
        let _: Status = check(&json.replace("VERSION", version));
    }
    let later = json.replace("VERSION", "5").replace("metered", "telepathy");
    let status: Status = serde_json::from_str(&later).expect(&later);
    assert_eq!(status.capabilities[3], Capability::Unknown);
}

#[test]
fn an_acknowledgement() {
    let ack: Ack = check(r#"{"v":1,"spool_id":"28f3a4ee4c678dc839e538c77daf5fe2","seq":4711}"#);
    assert_eq!(ack.seq, 4711);
}
