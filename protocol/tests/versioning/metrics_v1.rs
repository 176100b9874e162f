//! Version 1 of the metrics. Never edited, only added to.

use vitrine_protocol::{envelope::VERSION, metrics::Metrics, topic::Stream};

#[test]
fn metrics() {
    let json = r#"{"v":1,"tenant":"acme","store":"lyon-2","gateway":"gw-1","time":"2026-11-22T05:28:41.880Z","clock":"synced","spool_id":"28f3a4ee4c678dc839e538c77daf5fe2","version":"0.1.0","plan":"7","up_s":86400,"radio":{"advertisements":1000,"malformed":1,"not_in_plan":900,"dropped":2},"receivers":{"door":{"advertisements":400,"recoveries":0},"front":{"state":"scanning","advertisements":600,"recoveries":3}},"silent_devices":1,"spool":{"backlog":12,"disk_bytes":4194304,"events":5000,"lost_events":0,"is_full":false},"uplink":{"connections":2,"events":{"door":40,"stock":4948},"resent_events":7,"refused_events":0,"no_subscribers_batches":0,"resting_streams":0}}"#;
    let metrics: Metrics = serde_json::from_str(json).expect(json);
    assert_eq!(metrics.uplink.events[&Stream::Stock], 4948);
    if VERSION == 1 {
        assert_eq!(serde_json::to_string(&metrics).expect(json), json);
    }
}
