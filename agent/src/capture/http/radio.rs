//! What others heard, over HTTP: `POST /v1/relays/{id}` for scanners that post, `POST /v1/sightings` for receivers that
//! move with a person or a cart and tell of the fixed beacons around them.
//!
//! Radio is lossy anyway: 202 says that it was taken on, not that it is on disk. What is too old, or not in the plan, is
//! counted and dropped.

use super::{
    BODY_LIMIT, Problem,
    parse::{Item, items},
};
use crate::{
    capture::{
        relay::{Heard, MESSAGE_MAX, relays::Relays},
        source::{Advertisement, Content, Listener},
    },
    clock::{Clock, Now},
    plan::Plan,
};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::StatusCode,
    routing::post,
};
use serde::Deserialize;
use std::sync::Arc;
use vitrine_protocol::{
    Id,
    frame::{EddystoneUid, Frame, IBeacon},
    time::Timestamp,
};

/// Where relays post to.
pub const RELAYS: &str = "/v1/relays/{id}";
/// Where moving receivers post to.
pub const SIGHTINGS: &str = "/v1/sightings";

/// What a moving receiver heard longer ago is not taken: it has been without network for long.
const AGE_MAX_MS: u64 = 120_000;
/// The longest payload of an extended advertisement.
const PAYLOAD_MAX: usize = 1650;

#[derive(Clone)]
struct Api {
    plan: Arc<Plan>,
    relays: Arc<Relays>,
    listener: Arc<dyn Listener>,
    clock: Clock,
}

/// The routes. What comes in is dated by `clock` and told to `listener`.
pub fn router(plan: Arc<Plan>, relays: Arc<Relays>, listener: Arc<dyn Listener>, clock: Clock) -> Router {
    Router::new()
        .route(RELAYS, post(relay).layer(DefaultBodyLimit::max(MESSAGE_MAX)))
        .route(SIGHTINGS, post(sightings).layer(DefaultBodyLimit::max(BODY_LIMIT)))
        .with_state(Api { plan, relays, listener, clock })
}

async fn relay(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let body = body.map_err(|rejection| Problem::of_body(&rejection, MESSAGE_MAX))?;
    match api.relays.handle_post(&id, &body, api.clock.now(), &*api.listener) {
        Some(Ok(_)) => Ok(StatusCode::ACCEPTED),
        Some(Err(unreadable)) => Err(Problem::bad(String::new(), unreadable.to_string())),
        None => {
            let detail = "there is no such relay: name it under [[relays]] in gateway.toml";
            Err(Problem::new(404, "Not Found", detail))
        }
    }
}

async fn sightings(
    State(api): State<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let body = body.map_err(|rejection| Problem::of_body(&rejection, BODY_LIMIT))?;
    let now = api.clock.now();
    for Sighting { age_ms, receiver, rssi_dbm, said } in parse(&api.plan, &body, now)? {
        let content = match &said {
            Said::Payload(octets) => Content::Raw(octets),
            Said::Frame(frame) => Content::Frame(*frame),
        };
        let (at, rssi_dbm) = (Heard::Ago(age_ms).place(now), Some(rssi_dbm));
        if age_ms <= AGE_MAX_MS {
            api.listener.hear(&Advertisement { at, receiver, address: None, rssi_dbm, content });
        } else {
            api.listener.lost(receiver, 1);
        }
    }
    Ok(StatusCode::ACCEPTED)
}

/// A fixed beacon, as a moving receiver heard it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sighting {
    age_ms: u64,
    receiver: Id,
    rssi_dbm: i8,
    said: Said,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Payload(Vec<u8>),
    Frame(Frame),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSighting {
    receiver: Id,
    time: Option<Timestamp>,
    age_ms: Option<u64>,
    rssi_dbm: i8,
    adv_hex: Option<String>,
    ibeacon: Option<RawIBeacon>,
    eddystone_uid: Option<RawUid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIBeacon {
    uuid: String,
    major: u16,
    minor: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUid {
    namespace: String,
    instance: String,
}

/// The sightings of a body, the oldest first.
fn parse(plan: &Plan, body: &[u8], now: Now) -> Result<Vec<Sighting>, Problem> {
    let mut sightings = items(body, |item, raw: RawSighting| {
        let RawSighting { receiver, time, age_ms, rssi_dbm, adv_hex, ibeacon, eddystone_uid } = raw;
        if !plan.mobile.contains_key(&receiver) {
            return Err(item.problem("receiver", "the plan has no such receiver with mobile = true"));
        }
        let age_ms = match (time, age_ms) {
            // A clock that is ahead is not believed.
            (Some(time), None) => u64::try_from(now.utc.as_ms() - time.as_ms()).unwrap_or(0),
            (None, Some(age_ms)) => age_ms,
            _ => return Err(item.problem("age_ms", "a sighting has either `age_ms` or `time`")),
        };
        if !(-127..=20).contains(&rssi_dbm) {
            return Err(item.problem("rssi_dbm", "must be from -127 to 20"));
        }
        let said = match (adv_hex, ibeacon, eddystone_uid) {
            (Some(text), None, None) => Said::Payload(payload(item, &text)?),
            (None, Some(RawIBeacon { uuid, major, minor }), None) => {
                let uuid = octets(item, "ibeacon/uuid", &uuid)?;
                Said::Frame(Frame::IBeacon(IBeacon { uuid, major, minor, measured_power_dbm: 0 }))
            }
            (None, None, Some(RawUid { namespace, instance })) => {
                let namespace = octets(item, "eddystone_uid/namespace", &namespace)?;
                let instance = octets(item, "eddystone_uid/instance", &instance)?;
                Said::Frame(Frame::EddystoneUid(EddystoneUid { tx_power_dbm: 0, namespace, instance }))
            }
            _ => {
                let detail = "a sighting has one of `adv_hex`, `ibeacon` and `eddystone_uid`";
                return Err(item.problem("adv_hex", detail));
            }
        };
        Ok(Sighting { age_ms, receiver, rssi_dbm, said })
    })?;
    sightings.sort_by_key(|sighting| std::cmp::Reverse(sighting.age_ms));
    Ok(sightings)
}

fn payload(item: Item, text: &str) -> Result<Vec<u8>, Problem> {
    let octets = hex::decode(text).ok().filter(|octets| octets.len() <= PAYLOAD_MAX);
    octets.ok_or_else(|| item.problem("adv_hex", "must be the AD structures, as hexadecimal digits"))
}

/// Hexadecimal digits; the hyphens of a UUID are allowed.
fn octets<const N: usize>(item: Item, field: &str, text: &str) -> Result<[u8; N], Problem> {
    let mut octets = [0; N];
    match hex::decode_to_slice(text.replace('-', ""), &mut octets) {
        Ok(()) => Ok(octets),
        Err(_) => Err(item.problem(field, &format!("must be {} hexadecimal digits", 2 * N))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use vitrine_protocol::event::Clock;

    const PLAN: &str =
        "version = 1\nplan = '1'\n[[receivers]]\nid = 'scanner-1'\nmobile = true\ncarrier = 'cart'\n";

    fn check(body: &str, expected: Expect) {
        let plan = crate::plan::parse(PLAN).unwrap();
        let now = Now { mono_ms: 9_000, utc: Timestamp::from_ms(1_772_622_000_000), source: Clock::Synced };
        let text = match parse(&plan, body.as_bytes(), now) {
            Ok(sightings) => sightings.iter().fold(String::new(), |text, sighting| {
                let Sighting { age_ms, rssi_dbm, said, .. } = sighting;
                let said = match said {
                    Said::Payload(octets) => format!("{} octets", octets.len()),
                    Said::Frame(frame) => frame.format().to_string(),
                };
                text + &format!("{age_ms} ms ago {rssi_dbm} dBm {said}\n")
            }),
            Err(problem) => format!("{} {}\n", problem.pointer.unwrap_or_default(), problem.detail),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn good_sightings_are_taken_in_the_order_of_their_times() {
        check(
            r#"[{"receiver":"scanner-1","age_ms":20,"rssi_dbm":-60,"adv_hex":"020106"},
                {"receiver":"scanner-1","time":"2026-03-04T10:59:59.000Z","rssi_dbm":-61,"ibeacon":{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":2}},
                {"receiver":"scanner-1","time":"2026-03-04T12:00:00.000Z","rssi_dbm":-62,"eddystone_uid":{"namespace":"edd1ebeac04e5defa017","instance":"000000000002"}}]"#,
            expect![[r#"
                1000 ms ago -61 dBm ibeacon
                20 ms ago -60 dBm 3 octets
                0 ms ago -62 dBm eddystone-uid
            "#]],
        );
        check("[]", expect![[""]]);
    }

    #[test]
    fn problems_name_the_field() {
        check(
            r#"[{"receiver":"door","age_ms":20,"rssi_dbm":-60,"adv_hex":"020106"}]"#,
            expect![[r#"
            /0/receiver `receiver`: the plan has no such receiver with mobile = true
        "#]],
        );
        check(
            r#"[{"receiver":"scanner-1","rssi_dbm":-60,"adv_hex":"020106"}]"#,
            expect![[r#"
            /0/age_ms `age_ms`: a sighting has either `age_ms` or `time`
        "#]],
        );
        check(
            r#"[{"receiver":"scanner-1","age_ms":1,"rssi_dbm":127,"adv_hex":"020106"}]"#,
            expect![[r#"
            /0/rssi_dbm `rssi_dbm`: must be from -127 to 20
        "#]],
        );
        check(
            r#"[{"receiver":"scanner-1","age_ms":1,"rssi_dbm":-60}]"#,
            expect![[r#"
            /0/adv_hex `adv_hex`: a sighting has one of `adv_hex`, `ibeacon` and `eddystone_uid`
        "#]],
        );
        check(
            r#"[{"receiver":"scanner-1","age_ms":1,"rssi_dbm":-60,"adv_hex":"0"}]"#,
            expect![[r#"
            /0/adv_hex `adv_hex`: must be the AD structures, as hexadecimal digits
        "#]],
        );
        check(
            r#"[{"receiver":"scanner-1","age_ms":1,"rssi_dbm":-60,"ibeacon":{"uuid":"e2","major":1,"minor":2}}]"#,
            expect![[r#"
                /0/ibeacon/uuid `ibeacon/uuid`: must be 32 hexadecimal digits
            "#]],
        );
    }
}
