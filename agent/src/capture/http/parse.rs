//! From a request's body to checked inputs, or the first problem with its place.

use super::Problem;
use crate::{
    capture::{Count, CountInput, Input, KioskInput, ShelfReading, is_sku},
    plan::{CounterKind, Plan},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use vitrine_protocol::{
    Id,
    event::{Action, EventId, Fulfilment},
    shelf::Quantity,
};

pub(super) fn shelf_readings(plan: &Plan, body: &[u8]) -> Result<Vec<Input>, Problem> {
    items(body, |item, raw: RawReading| {
        let RawReading { shelf, facing, boot, counter, grams } = raw;
        if !plan.facings.contains_key(&(shelf, facing)) {
            return Err(item.problem("facing", "the plan has no such facing on this shelf"));
        }
        let (age_ms, quantity, settled) = (0, Quantity::Grams(grams), false);
        Ok(Input::Shelf(ShelfReading { shelf, facing, boot, counter, age_ms, quantity, settled }))
    })
}

pub(super) fn kiosk_interactions(plan: &Plan, body: &[u8]) -> Result<Vec<Input>, Problem> {
    items(body, |item, raw: RawInteraction| {
        let Some(kiosk) = plan.kiosks.get(&raw.kiosk) else {
            return Err(item.problem("kiosk", "the plan has no such kiosk"));
        };
        if !kiosk.interactions.is_empty() && !kiosk.interactions.contains(&raw.kind) {
            return Err(item.problem("kind", "the plan does not let this kiosk send this kind"));
        }
        let id = item.id(&raw.id)?;
        Ok(Input::Kiosk(KioskInput { kiosk: raw.kiosk, id, action: action(item, raw)? }))
    })
}

pub(super) fn counts(plan: &Plan, body: &[u8]) -> Result<Vec<Input>, Problem> {
    items(body, |item, raw: RawCount| {
        let count = match (plan.counters.get(&raw.counter), raw.entries, raw.exits, raw.transactions) {
            (None, ..) => return Err(item.problem("counter", "the plan has no such counter")),
            (Some(CounterKind::Door), Some(entries), Some(exits), None) => Count::Door { entries, exits },
            (Some(CounterKind::Door), ..) => {
                return Err(item.problem("in", "a door counts `in` and `out`, and nothing else"));
            }
            (Some(CounterKind::Till), None, None, Some(transactions)) => Count::Till { transactions },
            (Some(CounterKind::Till), ..) => {
                return Err(item.problem("transactions", "a till counts `transactions`, and nothing else"));
            }
        };
        Ok(Input::Count(CountInput { counter: raw.counter, id: item.id(&raw.id)?, count }))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReading {
    shelf: Id,
    facing: Id,
    boot: u32,
    counter: u64,
    grams: i32,
}

/// Fields that are not here are dropped: a kiosk may send words or tokens along, and they stay out.
#[derive(Deserialize)]
struct RawInteraction {
    id: String,
    kiosk: Id,
    kind: String,
    sku: Option<String>,
    category: Option<Id>,
    results: Option<u32>,
    in_stock: Option<bool>,
    fulfilment: Option<Fulfilment>,
    offer: Option<Id>,
    score: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCount {
    id: String,
    counter: Id,
    #[serde(rename = "in")]
    entries: Option<u32>,
    #[serde(rename = "out")]
    exits: Option<u32>,
    transactions: Option<u32>,
}

fn action(item: Item, raw: RawInteraction) -> Result<Action, Problem> {
    let sku = || match &raw.sku {
        Some(sku) if is_sku(sku) => Ok(sku.clone()),
        _ => {
            Err(item.problem("sku", "needs a product: 1 to 40 letters, digits, dots, hyphens or underscores"))
        }
    };
    Ok(match raw.kind.as_str() {
        "product_view" => Action::ProductView { sku: sku()? },
        "search" => Action::Search { category: raw.category, results: item.needs("results", raw.results)? },
        "availability_check" => {
            Action::AvailabilityCheck { sku: sku()?, in_stock: item.needs("in_stock", raw.in_stock)? }
        }
        "order" => Action::Order { fulfilment: item.needs("fulfilment", raw.fulfilment)? },
        "click_and_collect_pickup" => Action::ClickAndCollectPickup,
        "check_in" => Action::CheckIn,
        "assistance_request" => Action::AssistanceRequest,
        "offer_shown" => Action::OfferShown { offer: item.needs("offer", raw.offer)? },
        "feedback" => match item.needs("score", raw.score)? {
            score @ 1..=5 => Action::Feedback { score },
            _ => return Err(item.problem("score", "must be 1 to 5")),
        },
        "store_to_web_handoff" => Action::StoreToWebHandoff,
        "session_end" => Action::SessionEnd,
        _ => return Err(item.problem("kind", "there is no such kind of interaction")),
    })
}

/// An item of the array, by index.
#[derive(Clone, Copy)]
pub(super) struct Item(usize);

impl Item {
    pub(super) fn problem(self, field: &str, detail: &str) -> Problem {
        Problem::bad(format!("/{}/{field}", self.0), format!("`{field}`: {detail}"))
    }

    fn needs<T>(self, field: &str, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| self.problem(field, "is missing for this kind"))
    }

    /// 32 hexadecimal digits; the hyphens of a UUID are allowed.
    fn id(self, text: &str) -> Result<EventId, Problem> {
        let mut id = [0; 16];
        match hex::decode_to_slice(text.replace('-', ""), &mut id) {
            Ok(()) => Ok(EventId(id)),
            Err(_) => Err(self.problem("id", "must be a UUID, the same whenever the same is sent again")),
        }
    }
}

/// The items of the array `body`, each by `convert`.
pub(super) fn items<T: DeserializeOwned, U>(
    body: &[u8],
    convert: impl Fn(Item, T) -> Result<U, Problem>,
) -> Result<Vec<U>, Problem> {
    let array: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|e| Problem::bad(String::new(), format!("the body must be a JSON array: {e}")))?;
    let item = |(index, raw): (usize, &RawValue)| {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let raw = serde_path_to_error::deserialize(&mut deserializer).map_err(|e| {
            let path = match e.path().to_string() {
                path if path == "." => String::new(),
                path => format!("/{path}"),
            };
            Problem::bad(format!("/{index}{path}"), e.inner().to_string())
        })?;
        convert(Item(index), raw)
    };
    array.into_iter().enumerate().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        crate::plan::parse(include_str!("../../../../deploy/config/store.toml")).unwrap()
    }

    type Parse = fn(&Plan, &[u8]) -> Result<Vec<Input>, Problem>;

    fn pointer(parse: Parse, body: &str) -> String {
        let problem = parse(&plan(), body.as_bytes()).unwrap_err();
        assert_eq!(problem.status, 400);
        format!("{} {}", problem.pointer.unwrap_or_default(), problem.detail)
    }

    const UUID: &str = "0190b6a5-7c4e-7cc5-8f3e-2f1f0a9d8e11";

    #[test]
    fn good_items_are_taken_in_order() {
        let readings = r#"[{"shelf":"shelf-1","facing":"left","boot":1,"counter":1,"grams":3500},
            {"shelf":"shelf-2","facing":"only","boot":1,"counter":2,"grams":-3}]"#;
        assert_eq!(shelf_readings(&plan(), readings.as_bytes()).unwrap().len(), 2);
        let counts_body = format!(r#"[{{"id":"{UUID}","counter":"till-1","transactions":4}}]"#);
        assert_eq!(counts(&plan(), counts_body.as_bytes()).unwrap().len(), 1);
        assert_eq!(shelf_readings(&plan(), b"[]").unwrap(), []);
    }

    #[test]
    fn free_text_and_tokens_of_a_kiosk_are_dropped() {
        let body = format!(
            r#"[{{"id":"{UUID}","kiosk":"kiosk-1","kind":"search","results":3,"query":"red shoes for Ann"}},
                {{"id":"{UUID}","kiosk":"kiosk-1","kind":"check_in","token":"4242"}}]"#
        );
        let inputs = kiosk_interactions(&plan(), body.as_bytes()).unwrap();
        let actions: Vec<_> = inputs
            .into_iter()
            .map(|input| match input {
                Input::Kiosk(input) => input.action,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(actions, [Action::Search { category: None, results: 3 }, Action::CheckIn]);
    }

    #[test]
    fn every_kind_of_interaction_is_taken() {
        let fields = r#""sku":"1","results":1,"in_stock":true,"fulfilment":"home","offer":"o","score":3"#;
        for kind in Action::KINDS {
            let body = format!(r#"[{{"id":"{UUID}","kiosk":"kiosk-1","kind":"{kind}",{fields}}}]"#);
            assert_eq!(
                kiosk_interactions(&plan(), body.as_bytes()).map(|inputs| inputs.len()),
                Ok(1),
                "{kind}"
            );
        }
    }

    #[test]
    fn problems_name_the_field() {
        let cases: [(Parse, &str, &str); 13] = [
            (shelf_readings, "{}", " the body must be a JSON array"),
            (shelf_readings, r#"[{"shelf":"shelf-1"}]"#, "/0 missing field `facing`"),
            (shelf_readings, r#"[{"shelf":"S"}]"#, "/0/shelf invalid value"),
            (
                shelf_readings,
                r#"[{"shelf":"shelf-1","facing":"left","boot":1,"counter":-1,"grams":1}]"#,
                "/0/counter invalid value",
            ),
            (
                shelf_readings,
                r#"[{"shelf":"shelf-1","facing":"left","boot":1,"counter":1,"gramms":1}]"#,
                "/0/gramms unknown field",
            ),
            (
                shelf_readings,
                r#"[{"shelf":"shelf-9","facing":"left","boot":1,"counter":1,"grams":1}]"#,
                "/0/facing `facing`: the plan",
            ),
            (
                kiosk_interactions,
                r#"[{"id":"x","kiosk":"kiosk-1","kind":"check_in"}]"#,
                "/0/id `id`: must be a UUID",
            ),
            (
                kiosk_interactions,
                r#"[{"id":"ID","kiosk":"kiosk-1","kind":"dance"}]"#,
                "/0/kind `kind`: there is no such kind",
            ),
            (
                kiosk_interactions,
                r#"[{"id":"ID","kiosk":"kiosk-1","kind":"check_in"},{"id":"ID","kiosk":"kiosk-1","kind":"feedback","score":6}]"#,
                "/1/score `score`: must be 1 to 5",
            ),
            (
                kiosk_interactions,
                r#"[{"id":"ID","kiosk":"kiosk-1","kind":"product_view","sku":"red shoes"}]"#,
                "/0/sku `sku`: needs a product",
            ),
            (
                kiosk_interactions,
                r#"[{"id":"ID","kiosk":"kiosk-1","kind":"order"}]"#,
                "/0/fulfilment `fulfilment`: is missing",
            ),
            (
                counts,
                r#"[{"id":"ID","counter":"till-1","in":1,"out":2}]"#,
                "/0/transactions `transactions`: a till counts",
            ),
            (counts, r#"[{"id":"ID","counter":"main-door","in":1}]"#, "/0/in `in`: a door counts"),
        ];
        for (parse, body, expected) in cases {
            let got = pointer(parse, &body.replace("ID", UUID));
            assert!(got.starts_with(expected), "{body}: {got}");
        }
    }
}
