//! The AsyncAPI document: topics, who sends what on them, and how.

use super::events;
use serde_json::{Map, Value, json};
use vitrine_protocol::{
    Id,
    envelope::VERSION,
    event::{self, Body},
    topic::{Gateway, Stream},
};

const DESCRIPTION: &str = "\
What an agent in a store publishes to the central platform, over MQTT.\n\n\
**Batches.** A message on a topic `.../evt/...` is a batch of events of one stream. The sequence number of an event is \
`first_seq` plus its index.\n\n\
**Deduplicate** by (`spool_id`, `stream`, sequence number). A batch may be repeated, and cut differently when it is \
repeated; within a connection it is never reordered. `replayed` says that it may have been sent before.\n\n\
**Losses are stated.** The numbers of a stream are contiguous from 1 under one `spool_id`, but for ranges that a `gap` \
event on the stream `gaps` names: these will not come. A number that is missing otherwise has not arrived yet.\n\n\
**Compressed.** An agent that is told to compress publishes to `.../evt/{stream}-zst` instead: the same batch, as one zstd \
frame. Its status has the capability `zstd`.\n\n\
**Readers bear more.** Ignore fields that you do not know, and pass over events, kinds and values of later versions \
(their numbers count). A version of `v` or `event_v` that is not here needs a newer reader. Events are drafts as long as \
`event_v` is left out: their forms may still change.\n\n\
A stream without an operation is a draft too: its form is here, and no agent publishes it yet.";

/// The document.
pub(super) fn document(schemas: Map<String, Value>) -> Value {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for &stream in Stream::ALL {
        let name = stream.name();
        let message = events::batch(stream);
        messages.insert(message.clone(), message_of(&message, &format!("A batch of `{name}`.")));
        let topic = topic(|gateway| gateway.events(stream).to_string());
        let mut description = stream_description(&schemas, stream);
        if is_published(stream) {
            let title = format!("Batches of `{name}`");
            operations.insert(format!("publish_{name}"), operation(name, "send", &title, &message, false));
        } else {
            description.push_str("\n\nA draft: no agent publishes it yet.");
        }
        channels.insert(name.to_owned(), channel(&topic, name, &description, &message, &[]));
    }
    messages.insert("Status".into(), message_of("Status", "Whether an agent is connected."));
    let status = topic(|gateway| gateway.status().to_string());
    let description = "Retained. `online` with a new session at every connection; `offline` when the agent left in good \
        order; `lost` is its last will.";
    channels.insert("status".into(), channel(&status, "status", description, "Status", &[]));
    operations.insert(
        "publish_status".into(),
        operation("status", "send", "Birth, leave and last will", "Status", true),
    );

    messages.insert("Metrics".into(), message_of("Metrics", "How an agent is, in numbers."));
    let metrics = topic(|gateway| gateway.metrics().to_string());
    let description =
        "Every minute or so, as `metrics_every_s` in gateway.toml says. Counts are since the agent's start.";
    channels.insert("metrics".into(), channel(&metrics, "metrics", description, "Metrics", &[]));
    operations
        .insert("publish_metrics".into(), operation("metrics", "send", "How an agent is", "Metrics", false));

    messages.insert("Ack".into(), message_of("Ack", "How far the platform has got with a stream."));
    let ack = topic(|gateway| gateway.ack(Stream::Stock).to_string()).replace("/stock", "/{stream}");
    let description = "Retained, at quality of service 1: the number up to which the platform has committed a stream. An agent \
        whose status has the capability `end_to_end` listens, and keeps events until then. A mark of another spool, or beyond \
        what was ever sent, is ignored.";
    channels.insert("ack".into(), channel(&ack, "ack", description, "Ack", &["stream"]));
    operations.insert(
        "hear_ack".into(),
        operation("ack", "receive", "What the platform has committed", "Ack", true),
    );

    json!({
        "asyncapi": "3.0.0",
        "id": "urn:vitrine:platform",
        "info": {
            "title": "Vitrine: from the store to the platform",
            "version": format!("{VERSION}.{}.0", event::VERSION),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": { "broker": broker(&status) },
        "channels": channels,
        "operations": operations,
        "components": { "schemas": schemas, "messages": messages, "parameters": parameters() },
    })
}

/// Whether an agent publishes anything of a stream by now.
fn is_published(stream: Stream) -> bool {
    Body::TYPES.iter().any(|known| known.stream == stream && known.is_published)
}

/// An address with parameters, from the function that makes the topics.
fn topic(of: impl Fn(Gateway) -> String) -> String {
    let id = |name| Id::new(name).expect("a name");
    let gateway = Gateway { tenant: id("-tenant-"), store: id("-store-"), gateway: id("-gateway-") };
    ["tenant", "store", "gateway"]
        .into_iter()
        .fold(of(gateway), |topic, name| topic.replace(&format!("-{name}-"), &format!("{{{name}}}")))
}

fn stream_description(schemas: &Map<String, Value>, stream: Stream) -> String {
    let streams = schemas["Stream"]["oneOf"].as_array().expect("a value for each stream");
    let own = streams.iter().find(|value| value["const"] == stream.name()).expect("its value");
    own["description"].as_str().unwrap_or_default().to_owned()
}

fn message_of(name: &str, summary: &str) -> Value {
    json!({
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": { "$ref": format!("#/components/schemas/{name}") },
    })
}

fn channel(address: &str, title: &str, description: &str, message: &str, more: &[&str]) -> Value {
    let parameters = ["tenant", "store", "gateway"].iter().chain(more);
    let parameters: Map<String, Value> = parameters
        .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/parameters/{name}") })))
        .collect();
    json!({
        "address": address,
        "title": title,
        "description": description,
        "messages": { message: { "$ref": format!("#/components/messages/{message}") } },
        "parameters": parameters,
        "servers": [{ "$ref": "#/servers/broker" }],
    })
}

fn operation(channel: &str, action: &str, title: &str, message: &str, retain: bool) -> Value {
    json!({
        "action": action,
        "title": title,
        "channel": { "$ref": format!("#/channels/{channel}") },
        "messages": [{ "$ref": format!("#/channels/{channel}/messages/{message}") }],
        "bindings": { "mqtt": { "qos": 1, "retain": retain, "bindingVersion": "0.2.0" } },
    })
}

fn broker(status_topic: &str) -> Value {
    json!({
        "host": "{host}:{port}",
        "protocol": "mqtt",
        "protocolVersion": "5.0",
        "description": "The platform's broker, as `url` in gateway.toml names it. A message has at most 128 KiB, and most \
            have less than 32 KiB.",
        "variables": {
            "host": { "description": "Its name or address.", "default": "127.0.0.1" },
            "port": { "description": "Its port.", "default": "1883" },
        },
        "bindings": {
            "mqtt": {
                "clientId": "{tenant}:{store}:{gateway}",
                "cleanSession": true,
                "keepAlive": 30,
                "lastWill": { "topic": status_topic, "qos": 1, "retain": true, "message": "a Status whose state is `lost`" },
                "bindingVersion": "0.2.0",
            },
        },
    })
}

fn parameters() -> Value {
    let streams: Vec<_> = Stream::ALL.iter().map(|stream| stream.name()).collect();
    json!({
        "tenant": { "description": "The retailer: 1 to 40 characters out of a-z, 0-9, _ and -." },
        "store": { "description": "The store: 1 to 40 characters out of a-z, 0-9, _ and -." },
        "gateway": { "description": "The gateway within the store: 1 to 40 characters out of a-z, 0-9, _ and -." },
        "stream": { "description": "The stream.", "enum": streams },
    })
}
