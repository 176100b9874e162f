//! What a device is told whose request is wrong.

use crate::{COUNTERS, INTERACTIONS, READINGS, plan, uuid};
use serde_json::Value;
use vitrine_tests::{agent::Agent, http, mosquitto::free_port};

/// Path, body, status, and the place of the problem in the body.
const BAD: [(&str, &str, u16, Option<&str>); 10] = [
    (READINGS, "", 400, Some("")),
    (READINGS, "[{", 400, Some("")),
    (READINGS, "{}", 400, Some("")),
    (
        READINGS,
        r#"[{"shelf":"shelf-2","facing":"only","boot":1,"counter":1,"grams":"many"}]"#,
        400,
        Some("/0/grams"),
    ),
    (
        READINGS,
        r#"[{"shelf":"shelf-2","facing":"other","boot":1,"counter":1,"grams":1}]"#,
        400,
        Some("/0/facing"),
    ),
    (INTERACTIONS, r#"[{"id":"UUID","kiosk":"kiosk-1","kind":"dance"}]"#, 400, Some("/0/kind")),
    (INTERACTIONS, r#"[{"id":"UUID","kiosk":"kiosk-9","kind":"check_in"}]"#, 400, Some("/0/kiosk")),
    (
        INTERACTIONS,
        r#"[{"id":"UUID","kiosk":"kiosk-1","kind":"check_in"},{"id":"7","kiosk":"kiosk-1","kind":"check_in"}]"#,
        400,
        Some("/1/id"),
    ),
    (COUNTERS, r#"[{"id":"UUID","counter":"main-door","transactions":3}]"#, 400, Some("/0/in")),
    (COUNTERS, "LARGE", 413, None),
];

#[test]
fn a_bad_request_is_answered_with_the_place_of_its_problem() {
    // No broker is needed for this.
    let mut agent = Agent::new(free_port(), &plan(1));
    agent.start();
    for (path, body, status, pointer) in BAD {
        let large = format!("[{}]", " ".repeat(64 * 1024));
        let body = if body == "LARGE" { large } else { body.replace("UUID", &uuid(1)) };
        let answer = http::request(agent.port, "POST", path, body.as_bytes()).unwrap();
        let told = format!("{path} {body:.80}: {answer:?}");
        assert_eq!(answer.status, status, "{told}");
        assert!(answer.headers.contains("content-type: application/problem+json"), "{told}");
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], status, "{told}");
        assert_eq!(problem["pointer"].as_str(), pointer, "{told}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{told}");
    }
    let status = |method: &str, path: &str| http::request(agent.port, method, path, b"[]").unwrap().status;
    assert_eq!(status("POST", READINGS), 202);
    assert_eq!(status("GET", READINGS), 405);
    assert_eq!(status("PUT", INTERACTIONS), 405);
    assert_eq!(status("POST", "/v1/shelves"), 404);
    assert_eq!(status("GET", "/healthz"), 200);
}
