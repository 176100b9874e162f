//! `/metrics`: the agent's status for a monitoring system, in the OpenMetrics text format 1.0.
//!
//! Labels are names of the plan (receivers, streams, lanes) and fixed words, never a sender's.

use crate::health::Status;
use std::fmt::{Display, Write};

/// The media type of [`render`]'s text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of `status`.
pub(super) fn render(status: &Status) -> String {
    let Status { version, plan, up_s, radio, ears, pipeline, spool, uplink, .. } = status;
    let mut page = Page(String::new());
    page.family("vitrine", Kind::Info, "The agent's version, and the plan's.");
    page.sample("vitrine_info", &[("version", version), ("plan", plan)], 1);
    page.gauge("vitrine_up_seconds", "Time since the agent was started.", *up_s);

    page.family("vitrine_advertisements", Kind::Counter, "Advertisements heard, by what became of them.");
    let passed = radio.advertisements.saturating_sub(radio.not_in_plan).saturating_sub(radio.no_rssi);
    for (fate, count) in [("in_plan", passed), ("not_in_plan", radio.not_in_plan), ("no_rssi", radio.no_rssi)]
    {
        page.sample("vitrine_advertisements_total", &[("fate", &fate)], count);
    }
    page.counter(
        "vitrine_advertisements_malformed",
        "Advertisements malformed in some part.",
        radio.malformed,
    );
    page.counter("vitrine_advertisements_dropped", "Dropped for want of room.", radio.dropped);

    page.family("vitrine_receiver_scanning", Kind::Gauge, "Whether the receiver hears (1) or not (0).");
    for (id, receiver) in &ears.receivers {
        if let Some((state, _)) = receiver.state {
            let scanning = state == vitrine_protocol::event::RadioState::Scanning;
            page.sample("vitrine_receiver_scanning", &[("receiver", id)], u64::from(scanning));
        }
    }
    let help =
        "Whether static advertisements are filtered out as duplicates: then still beacons are hardly heard.";
    page.family("vitrine_receiver_duplicates_filtered", Kind::Gauge, help);
    for (id, receiver) in &ears.receivers {
        if let Some(filtered) = receiver.duplicates_filtered {
            page.sample("vitrine_receiver_duplicates_filtered", &[("receiver", id)], u64::from(filtered));
        }
    }
    page.family("vitrine_receiver_advertisements", Kind::Counter, "Advertisements that a receiver heard.");
    for (id, receiver) in &ears.receivers {
        page.sample("vitrine_receiver_advertisements_total", &[("receiver", id)], receiver.advertisements);
    }
    page.family(
        "vitrine_receiver_dropped",
        Kind::Counter,
        "Advertisements lost between a radio and the plan.",
    );
    for (id, receiver) in &ears.receivers {
        page.sample("vitrine_receiver_dropped_total", &[("receiver", id)], receiver.dropped);
    }
    page.family("vitrine_receiver_recoveries", Kind::Counter, "How often a receiver had to be helped.");
    for (id, receiver) in &ears.receivers {
        for (cause, &count) in &receiver.recoveries {
            page.sample("vitrine_receiver_recoveries_total", &[("receiver", id), ("cause", cause)], count);
        }
    }
    page.gauge(
        "vitrine_devices_silent",
        "Devices not heard for longer than they should.",
        ears.silent.len() as u64,
    );

    page.counter("vitrine_sightings", "Frames of carriers in the plan.", pipeline.sightings);
    page.counter("vitrine_visits", "Visits that ended.", pipeline.visits);
    page.counter("vitrine_repeats", "Inputs that had been taken before.", pipeline.repeats);

    page.counter("vitrine_spool_events", "Events made durable.", spool.events);
    page.counter("vitrine_spool_lost_events", "Events lost; gaps say which.", spool.lost_events);
    page.gauge("vitrine_spool_full", "Whether devices are told to come again.", u64::from(spool.is_full));
    page.family("vitrine_spool_backlog_records", Kind::Gauge, "Records that wait for acknowledgement.");
    for lane in &spool.lanes {
        page.sample("vitrine_spool_backlog_records", &[("lane", &lane.lane.name())], lane.backlog_records);
    }
    page.family("vitrine_spool_disk_bytes", Kind::Gauge, "Octets on the disk.");
    for lane in &spool.lanes {
        page.sample("vitrine_spool_disk_bytes", &[("lane", &lane.lane.name())], lane.disk_bytes);
    }

    page.gauge("vitrine_uplink_connected", "Whether a broker has accepted us.", u64::from(uplink.connected));
    page.counter(
        "vitrine_uplink_reconnects",
        "Connections lost and attempts that failed.",
        uplink.reconnects,
    );
    page.counter("vitrine_uplink_refused_events", "Events passed over.", uplink.refused_events);
    let refused_streams = uplink.refused_streams.len() as u64;
    page.gauge("vitrine_uplink_refused_streams", "Streams that the broker refuses for now.", refused_streams);
    page.counter("vitrine_uplink_ignored_marks", "Marks of the platform ignored.", uplink.ignored_marks);
    page.counter(
        "vitrine_uplink_no_subscribers_batches",
        "Batches acknowledged that nobody subscribes to.",
        uplink.no_subscribers_batches,
    );
    page.family("vitrine_uplink_events", Kind::Counter, "Events that the broker acknowledged, each once.");
    for (stream, published) in &uplink.published {
        page.sample("vitrine_uplink_events_total", &[("stream", stream)], published.events);
    }
    page.0.push_str("# EOF\n");
    page.0
}

struct Page(String);

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Info,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, Kind::Counter, help);
        self.sample(&format!("{name}_total"), &[], value);
    }

    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
        };
        self.line(format_args!("# TYPE {name} {kind}\n# HELP {name} {help}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: u64) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("{name}{labels} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").unwrap_or_else(|_| unreachable!("a String takes everything"));
    }
}
