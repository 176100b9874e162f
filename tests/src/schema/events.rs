//! A schema for each type of event, out of the one of all events.

use serde_json::{Map, Value, json};
use vitrine_protocol::{event::Body, schema::LATER, topic::Stream};

/// The schema's name for events of an unknown type.
const LATER_EVENT: &str = "LaterEvent";

/// The schema's name for events of a type: `pick_up` is `PickUpEvent`.
pub(super) fn component(name: &str) -> String {
    name.split('_').map(capital).collect::<String>() + "Event"
}

/// The schema's name for batches of a stream.
pub(super) fn batch(stream: Stream) -> String {
    capital(stream.name()) + "Batch"
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// Replaces the schema of all events by one for each type and one for batches of each stream; drops what only it
/// referred to.
///
/// # Panics
/// Where the schemas are not those that the derive makes of [`vitrine_protocol::event::Event`].
pub(super) fn take_apart(schemas: &mut Map<String, Value>, refs: &str) {
    let event = schemas.remove("Event").expect("all events have a schema");
    let mut head = event.clone();
    let fields = head.as_object_mut().expect("a schema of fields");
    fields.remove("oneOf");
    for known in Body::TYPES {
        let forms = event["oneOf"].as_array().expect("a form for each type");
        let form = forms.iter().find(|form| form["properties"]["type"]["const"] == known.name);
        let form = form.expect("every type has a form");
        let body = form["allOf"][0]["$ref"].as_str().expect("a form refers to its body");
        let body = &schemas[body.trim_start_matches(refs)];
        let mut schema = join(&head, body);
        let draft = if known.is_published { "" } else { "\n\nA draft: no agent publishes it yet." };
        schema["description"] = json!(format!("{}{draft}", body["description"].as_str().unwrap_or_default()));
        schema["properties"]["type"] = json!({ "type": "string", "const": known.name });
        schemas.insert(component(known.name), schema);
    }
    let names: Vec<_> = Body::TYPES.iter().map(|known| known.name).collect();
    let mut later = head;
    later["description"] = json!(LATER);
    later["properties"]["type"] = json!({ "type": "string", "not": { "enum": names } });
    require(&mut later, "type");
    schemas.insert(LATER_EVENT.into(), later);

    let all: Vec<_> = Body::TYPES.iter().map(|known| component(known.name)).collect();
    schemas["Envelope"]["properties"]["events"]["items"] = any_of(&all, refs);
    for &stream in Stream::ALL {
        let of_stream = Body::TYPES.iter().filter(|known| known.stream == stream);
        let mut schema = schemas["Envelope"].clone();
        schema["description"] = json!(format!("A batch of events of the stream `{stream}`."));
        schema["properties"]["stream"] = json!({ "type": "string", "const": stream.name() });
        let types: Vec<_> = of_stream.map(|known| component(known.name)).collect();
        schema["properties"]["events"]["items"] = any_of(&types, refs);
        schemas.insert(batch(stream), schema);
    }
    drop_unused(schemas);
}

fn any_of(components: &[String], refs: &str) -> Value {
    let names = components.iter().map(String::as_str).chain([LATER_EVENT]);
    json!({ "oneOf": names.map(|name| json!({ "$ref": format!("{refs}{name}") })).collect::<Vec<_>>() })
}

/// The fields of both.
fn join(head: &Value, body: &Value) -> Value {
    let mut schema = body.clone();
    for (name, property) in head["properties"].as_object().into_iter().flatten() {
        schema["properties"][name] = property.clone();
        require(&mut schema, name);
    }
    require(&mut schema, "type");
    schema
}

fn require(schema: &mut Value, name: &str) {
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    if !required.iter().any(|known| known == name) {
        required.push(json!(name));
    }
    schema["required"] = required.into();
}

fn drop_unused(schemas: &mut Map<String, Value>) {
    let mut kept = vec![
        "Envelope".to_owned(),
        "Status".to_owned(),
        "Metrics".to_owned(),
        "Ack".to_owned(),
        "Stream".to_owned(),
    ];
    kept.extend(Stream::ALL.iter().map(|&stream| batch(stream)));
    let mut next = 0;
    while next < kept.len() {
        for name in super::references(&schemas[&kept[next]]) {
            if !kept.contains(&name) {
                kept.push(name);
            }
        }
        next += 1;
    }
    schemas.retain(|name, _| kept.contains(name));
}
