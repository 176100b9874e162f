//! The documents of `protocol/schema`: whether they are the types' own, hold before programs that others wrote, and say
//! what agents really publish and take.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use serde_json::Value;
use std::{collections::BTreeMap, fs, process::Command};
use vitrine_protocol::{
    envelope::{Envelope, Status},
    event::Body,
    metrics::Metrics,
};
use vitrine_tests::{
    agent::{Agent, STORE_TOML},
    day, http,
    mosquitto::{Mosquitto, free_port},
    schema::{directory, documents},
    subscriber::{Received, Subscriber},
    tools::{judge, node, python},
};

#[test]
fn the_committed_documents_are_what_the_types_say() {
    let mut kept = BTreeMap::new();
    for (path, content) in vitrine_tests::agent::files(&directory()) {
        let name = path.strip_prefix(directory()).unwrap().display().to_string();
        kept.insert(name, String::from_utf8(content).unwrap());
    }
    let current = documents();
    let differ: Vec<_> =
        current.keys().chain(kept.keys()).filter(|name| current.get(*name) != kept.get(*name)).collect();
    assert!(differ.is_empty(), "stale: {differ:?}; run: cargo run -p vitrine-tests --bin schema");
}

#[test]
fn validators_find_the_documents_well_and_would_find_faults() {
    let schemas: Vec<_> = documents().into_keys().filter(|name| !name.contains("api")).collect();
    let mut metaschema = python("check-jsonschema");
    metaschema.arg("--check-metaschema").args(schemas.iter().map(|name| directory().join(name)));
    accepts(&mut metaschema);
    accepts(node("asyncapi.cjs").arg(directory().join("asyncapi.json")));
    accepts(python("openapi-spec-validator").arg(directory().join("openapi.json")));

    let broken = tempfile::tempdir().unwrap();
    let damage = |name: &str, from: &str, to: &str| {
        let text = fs::read_to_string(directory().join(name)).unwrap();
        assert!(text.contains(from), "{name}: {from}");
        let path = broken.path().join(name);
        fs::write(&path, text.replace(from, to)).unwrap();
        path
    };
    let status = damage("status.json", r#""type": "object""#, r#""type": "thing""#);
    refuses(python("check-jsonschema").arg("--check-metaschema").arg(status));
    let asyncapi =
        damage("asyncapi.json", r##""$ref": "#/channels/stock""##, r##""$ref": "#/channels/none""##);
    refuses(node("asyncapi.cjs").arg(asyncapi));
    let openapi = damage("openapi.json", r#""responses""#, r#""answers""#);
    refuses(python("openapi-spec-validator").arg(openapi));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_publishes_in_a_day_is_as_documented() {
    let broker = Mosquitto::start("");
    let platform = Subscriber::start(&broker);
    let state = tempfile::tempdir().unwrap();
    day::play(broker.port, state.path()).await;
    let messages = vitrine_tests::wait::wait_for("the agent leaves", 30, || {
        let messages = platform.messages();
        messages.last().is_some_and(|last| last.payload["state"] == "offline").then_some(messages)
    });
    let (batches, others): (Vec<_>, Vec<_>) = messages
        .into_iter()
        .filter(|message| message.topic.starts_with("vitrine/v1/"))
        .partition(|message| message.topic.contains("/evt/"));
    let (statuses, metrics): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|message| message.topic.ends_with("/status"));
    let [statuses, mut metrics, batches] = [statuses, metrics, batches].map(payloads);
    metrics.truncate(20);
    assert!(!metrics.is_empty());
    let events: Vec<_> = batches.iter().flat_map(|batch| batch["events"].as_array().unwrap()).collect();

    // Of each type that a day without mishap has.
    let mut by_type: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    events.iter().for_each(|event| by_type.entry(event["type"].as_str().unwrap()).or_default().push(event));
    const MISHAPS: [&str; 3] = ["gap", "fault", "shelf_fault"];
    let expected = Body::TYPES.iter().filter(|known| known.is_published && !MISHAPS.contains(&known.name));
    let mut expected: Vec<_> = expected.map(|known| known.name).collect();
    expected.sort_unstable();
    assert_eq!(by_type.keys().copied().collect::<Vec<_>>(), expected);

    assert_eq!(invalid("status.json", &statuses.iter().collect::<Vec<_>>()), Vec::<&Value>::new());
    assert_eq!(invalid("metrics.json", &metrics.iter().collect::<Vec<_>>()), Vec::<&Value>::new());
    assert_eq!(invalid("envelope.json", &batches.iter().collect::<Vec<_>>()), Vec::<&Value>::new());
    for (name, events) in &by_type {
        let mut broken = events[0].clone();
        broken.as_object_mut().unwrap().remove("clock");
        let mut instances = events[..events.len().min(100)].to_vec();
        instances.push(&broken);
        assert_eq!(invalid(&format!("event/{name}.json"), &instances), [&broken]);
    }
    for batch in batches {
        let read: Envelope = serde_json::from_value(batch.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), batch, "not what the types say");
    }
    for metrics in metrics {
        let read: Metrics = serde_json::from_value(metrics.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), metrics, "not what the types say");
    }
    for status in statuses {
        let read: Status = serde_json::from_value(status.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), status, "not what the types say");
    }
}

/// Path, body, and what the OpenAPI document and the agent say of it. What the plan does not know has the right form.
const POSTS: [(&str, &str, bool, u16); 23] = [
    ("/v1/sightings", "[]", true, 202),
    ("/v1/sightings", r#"[{"receiver":"front","age_ms":1,"rssi_dbm":-60,"adv_hex":"020106"}]"#, true, 400),
    ("/v1/sightings", r#"[{"receiver":"front","age_ms":1,"rssi_dbm":100,"adv_hex":"020106"}]"#, false, 400),
    ("/v1/sightings", r#"[{"receiver":"front","ibeacon":{"uuid":"e2","major":1,"minor":2}}]"#, false, 400),
    ("/v1/shelf/readings", "[]", true, 202),
    (
        "/v1/shelf/readings",
        r#"[{"shelf":"shelf-1","facing":"left","boot":4294967295,"counter":1,"grams":-3}]"#,
        true,
        202,
    ),
    ("/v1/shelf/readings", r#"{"shelf":"shelf-1"}"#, false, 400),
    ("/v1/shelf/readings", r#"[{"shelf":"shelf-1","facing":"left","boot":1,"grams":1}]"#, false, 400),
    (
        "/v1/shelf/readings",
        r#"[{"shelf":"shelf-1","facing":"left","boot":4294967296,"counter":1,"grams":1}]"#,
        false,
        400,
    ),
    (
        "/v1/shelf/readings",
        r#"[{"shelf":"shelf-1","facing":"left","boot":1,"counter":1,"grams":1,"x":1}]"#,
        false,
        400,
    ),
    (
        "/v1/shelf/readings",
        r#"[{"shelf":"shelf-9","facing":"left","boot":1,"counter":1,"grams":1}]"#,
        true,
        400,
    ),
    ("/v1/kiosk/interactions", r#"[{"id":"ID","kiosk":"kiosk-1","kind":"search","results":1}]"#, true, 202),
    (
        "/v1/kiosk/interactions",
        r#"[{"id":"00000000000040008000000000000002","kiosk":"kiosk-1","kind":"check_in","token":"4242"}]"#,
        true,
        202,
    ),
    ("/v1/kiosk/interactions", r#"[{"id":"7","kiosk":"kiosk-1","kind":"check_in"}]"#, false, 400),
    ("/v1/kiosk/interactions", r#"[{"id":"ID","kiosk":"kiosk-1","kind":"dance"}]"#, false, 400),
    ("/v1/kiosk/interactions", r#"[{"id":"ID","kiosk":"kiosk-1","kind":"product_view"}]"#, false, 400),
    ("/v1/kiosk/interactions", r#"[{"id":"ID","kiosk":"kiosk-1","kind":"feedback","score":6}]"#, false, 400),
    (
        "/v1/kiosk/interactions",
        r#"[{"id":"ID","kiosk":"kiosk-1","kind":"order","fulfilment":"moon"}]"#,
        false,
        400,
    ),
    (
        "/v1/kiosk/interactions",
        r#"[{"id":"ID","kiosk":"kiosk-1","kind":"product_view","sku":"red shoes"}]"#,
        false,
        400,
    ),
    ("/v1/counters", r#"[{"id":"ID","counter":"main-door","in":1,"out":2}]"#, true, 202),
    ("/v1/counters", r#"[{"id":"ID","counter":"till-1","transactions":2}]"#, true, 202),
    ("/v1/counters", r#"[{"id":"ID","counter":"main-door","in":1}]"#, false, 400),
    ("/v1/counters", r#"[{"id":"ID","counter":"main-door","in":1,"out":2,"transactions":3}]"#, false, 400),
];

#[test]
fn the_agent_takes_what_the_openapi_document_says() {
    let document: Value = serde_json::from_str(&documents()["openapi.json"]).unwrap();
    let part = |pointer: &str| {
        let mut part = document.clone();
        part["$ref"] = pointer.into();
        part
    };
    let mut agent = Agent::new(free_port(), STORE_TOML);
    agent.start();
    let (mut bodies, mut problems): (BTreeMap<&str, Vec<_>>, _) = (BTreeMap::new(), Vec::new());
    for (index, (path, body, has_form, status)) in POSTS.into_iter().enumerate() {
        let body = body.replace("ID", &format!("0190b6a5-7c4e-4cc5-8f3e-{index:012x}"));
        let answer = http::request(agent.port, "POST", path, body.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        let answers = &document["paths"][path]["post"]["responses"][status.to_string()];
        assert!(answers.is_object(), "{path}: {status} is not documented");
        bodies.entry(path).or_default().push((body, has_form));
        if status != 202 {
            problems.push(answer.body);
        }
    }
    for (path, bodies) in bodies {
        let place = path.replace('/', "~1");
        let form = part(&format!("#/paths/{place}/post/requestBody/content/application~1json/schema"));
        let (bodies, has_form): (Vec<_>, Vec<_>) = bodies.into_iter().unzip();
        assert_eq!(are_valid(&form, &bodies), has_form, "{path} {bodies:#?}");
    }
    assert!(are_valid(&part("#/components/schemas/Problem"), &problems).into_iter().all(|is_valid| is_valid));
}

fn payloads(messages: Vec<Received>) -> Vec<Value> {
    assert!(!messages.is_empty());
    messages.into_iter().map(|message| message.payload).collect()
}

/// For which of `instances` (JSON texts) a schema holds.
fn are_valid(schema: &Value, instances: &[String]) -> Vec<bool> {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: String, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut command = python("check-jsonschema");
    command.args(["--output-format", "json", "--schemafile"]).arg(file("schema".into(), &schema.to_string()));
    let paths: Vec<_> =
        (0..).zip(instances).map(|(index, text)| file(format!("{index}.json"), text)).collect();
    let (_, says) = judge(command.args(&paths));
    let verdict: Value = serde_json::from_str(&says).unwrap_or_else(|_| panic!("{says}"));
    let errors = verdict["errors"].as_array().unwrap_or_else(|| panic!("{says}"));
    assert!(verdict["parse_errors"].as_array().is_none_or(Vec::is_empty), "{says}");
    let wrong: Vec<_> = errors.iter().filter_map(|error| error["filename"].as_str()).collect();
    paths.iter().map(|path| !wrong.contains(&path.to_str().unwrap())).collect()
}

/// Which of `instances` are not as a document of `protocol/schema` says.
fn invalid<'i>(name: &str, instances: &[&'i Value]) -> Vec<&'i Value> {
    let schema = serde_json::from_str(&documents()[name]).unwrap();
    let texts: Vec<_> = instances.iter().map(ToString::to_string).collect();
    let verdicts = are_valid(&schema, &texts);
    instances.iter().zip(verdicts).filter(|(_, is_valid)| !is_valid).map(|(instance, _)| *instance).collect()
}

fn accepts(command: &mut Command) {
    let (is_well, says) = judge(command);
    assert!(is_well, "{:?}: {says}", command.get_program());
}

fn refuses(command: &mut Command) {
    let (is_well, says) = judge(command);
    // It has an opinion, and did not just fail to run.
    assert!(
        !is_well && !says.contains("Traceback"),
        "{:?} {:?}: {says}",
        command.get_program(),
        command.get_args()
    );
}
