//! A store's devices, seeded; and what the platform has to receive of what they say, by a model that is as simple as
//! can be.

use crate::{COUNTERS, INTERACTIONS, READINGS, uuid};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The facings of the plan: shelf, facing, grams of a unit, capacity.
const FACINGS: [(&str, &str, i32, u32); 3] =
    [("shelf-1", "left", 350, 12), ("shelf-1", "right", 360, 12), ("shelf-2", "only", 900, 6)];
/// So many readings of a level in a row make it stable.
const STABLE: usize = 3;
const MOST_A_REQUEST: u64 = 4;

/// What one device posts, in order.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) path: &'static str,
    pub(super) requests: Vec<Vec<Value>>,
}

/// How often something is to come, by what it says.
pub(super) type Bag = BTreeMap<String, usize>;

/// What has to arrive: things that come in any order, and, for each facing, things that come in this one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) interactions: Bag,
    pub(super) counts: Bag,
    pub(super) steps: BTreeMap<String, Vec<String>>,
    pub(super) stock: BTreeMap<String, Vec<String>>,
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// About `size` inputs of devices, half of them readings, and what has to come of them.
pub(super) fn generate(seed: u64, size: usize) -> (Vec<Device>, Expected) {
    let mut random = Random(seed);
    let mut expected = Expected::default();
    let shelves = shelves(size / 2, &mut random, &mut expected);
    // The first kiosk's sessions end only when nobody touches it.
    let window = kiosk("kiosk-1", 0, size / 4, false, &mut random, &mut expected);
    let hall = kiosk("kiosk-2", size, size / 4, true, &mut random, &mut expected);
    let counts = counters(size / 20, &mut expected);
    let devices = [(READINGS, shelves), (INTERACTIONS, window), (INTERACTIONS, hall), (COUNTERS, counts)];
    let devices = devices.map(|(path, inputs)| Device { path, requests: split(inputs, &mut random) });
    (devices.into(), expected)
}

fn split(inputs: Vec<Value>, random: &mut Random) -> Vec<Vec<Value>> {
    let mut inputs = inputs.into_iter().peekable();
    let mut requests = Vec::new();
    while inputs.peek().is_some() {
        requests.push(inputs.by_ref().take(1 + random.below(MOST_A_REQUEST) as usize).collect());
    }
    requests
}

/// What lies on a facing at each of its readings; `None` while somebody leans on it.
fn script(capacity: u32, length: usize, random: &mut Random) -> Vec<Option<u32>> {
    let (mut script, mut level) = (vec![Some(capacity); STABLE], capacity);
    while script.len() < length {
        let passing = random.below(u64::from(capacity) + 1) as u32;
        match random.below(4) {
            0 => script.push(None),
            1 => script.extend(vec![Some(passing); random.below(STABLE as u64) as usize]),
            _ => {}
        }
        level = match random.below(4) {
            0 => 0,
            1 => random.below(u64::from(capacity) + 1) as u32,
            _ => level.saturating_sub(1 + random.below(2) as u32),
        };
        script.extend(vec![Some(level); STABLE + random.below(3) as usize]);
    }
    script
}

fn shelves(size: usize, random: &mut Random, expected: &mut Expected) -> Vec<Value> {
    let scripts = FACINGS.map(|(_, _, _, capacity)| script(capacity, size / FACINGS.len(), random));
    for ((shelf, facing, ..), script) in FACINGS.iter().zip(&scripts) {
        let place = format!("{shelf}/{facing}");
        let (steps, stock) = model(script);
        expected.steps.insert(place.clone(), steps);
        expected.stock.insert(place, stock);
    }
    let mut left = scripts.map(|script| script.into_iter().peekable());
    let (mut readings, mut counter) = (Vec::new(), 0);
    while left.iter_mut().any(|script| script.peek().is_some()) {
        let index = random.below(FACINGS.len() as u64) as usize;
        let Some(units) = left[index].next() else { continue };
        let (shelf, facing, unit_g, _) = FACINGS[index];
        let noise = random.below(unit_g as u64 / 2) as i32 - unit_g / 4;
        let grams = units.map_or(unit_g * 5 / 2, |units| units as i32 * unit_g + noise);
        counter += 1;
        readings
            .push(json!({ "shelf": shelf, "facing": facing, "boot": 7, "counter": counter, "grams": grams }));
    }
    readings
}

/// The steps between stable levels, and when the facing is empty.
fn model(script: &[Option<u32>]) -> (Vec<String>, Vec<String>) {
    let runs = script.chunk_by(|a, b| a == b).filter(|run| run.len() >= STABLE);
    let mut levels: Vec<u32> = runs.filter_map(|run| run[0]).collect();
    levels.dedup();
    let (mut steps, mut stock) = (Vec::new(), Vec::new());
    if levels.first() == Some(&0) {
        stock.push("out_of_stock".to_owned());
    }
    for pair in levels.windows(2) {
        let (before, level) = (pair[0], pair[1]);
        let kind = if level < before { "pick_up" } else { "put_back" };
        steps.push(format!("{kind} {} to {level}", before.abs_diff(level)));
        match (before, level) {
            (_, 0) => stock.push("out_of_stock".to_owned()),
            (0, level) => stock.push(format!("restock to {level}")),
            _ => {}
        }
    }
    (steps, stock)
}

fn kiosk(
    kiosk: &str,
    first: usize,
    size: usize,
    ends: bool,
    random: &mut Random,
    expected: &mut Expected,
) -> Vec<Value> {
    let mut interaction = |n: usize| {
        let (id, sku) = (uuid(n), format!("p-{n:04}"));
        let (value, says) = match random.below(8) {
            0 if ends => (json!({ "kind": "session_end" }), "session_end".to_owned()),
            0 | 1 => {
                (json!({ "kind": "search", "results": n, "query": "shoes for Ann" }), format!("search {n}"))
            }
            2 => (
                json!({ "kind": "availability_check", "sku": sku, "in_stock": n.is_multiple_of(2) }),
                format!("availability_check {sku} {}", n.is_multiple_of(2)),
            ),
            _ => (json!({ "kind": "product_view", "sku": sku }), format!("product_view {sku}")),
        };
        *expected.interactions.entry(format!("{kiosk} {says}")).or_default() += 1;
        let mut value = value;
        value["id"] = id.into();
        value["kiosk"] = kiosk.into();
        value
    };
    (first..first + size).map(&mut interaction).collect()
}

fn counters(size: usize, expected: &mut Expected) -> Vec<Value> {
    let mut count = |n: usize| {
        let id = uuid(n);
        let (value, says) = if n.is_multiple_of(2) {
            let says = format!("main-door {n} {}", 2 * n);
            (json!({ "id": id, "counter": "main-door", "in": n, "out": 2 * n }), says)
        } else {
            (json!({ "id": id, "counter": "till-1", "transactions": n }), format!("till-1 {n}"))
        };
        expected.counts.insert(says, 1);
        value
    };
    (1..=size).map(&mut count).collect()
}

impl Expected {
    /// Events of the kinds that are expected.
    pub(super) fn total(&self) -> usize {
        let lists = self.steps.values().chain(self.stock.values()).map(Vec::len);
        self.interactions.values().chain(self.counts.values()).sum::<usize>() + lists.sum::<usize>()
    }

    /// The same of what has arrived, in the order of the numbers.
    pub(super) fn from_events<'e>(events: impl IntoIterator<Item = &'e Value>) -> Self {
        let mut got = Self::default();
        for event in events {
            let text =
                |field: &str| event[field].as_str().unwrap_or_else(|| panic!("{field}: {event}")).to_owned();
            let number = |field: &str| event[field].as_u64().unwrap_or_else(|| panic!("{field}: {event}"));
            let place = || format!("{}/{}", text("shelf"), text("facing"));
            match text("type").as_str() {
                "interaction" => {
                    let says = match text("kind").as_str() {
                        "search" => format!("search {}", number("results")),
                        "availability_check" => {
                            format!("availability_check {} {}", text("sku"), event["in_stock"])
                        }
                        "product_view" => format!("product_view {}", text("sku")),
                        kind => kind.to_owned(),
                    };
                    *got.interactions.entry(format!("{} {says}", text("kiosk"))).or_default() += 1;
                }
                "door_count" => {
                    let says = format!("{} {} {}", text("counter"), number("in"), number("out"));
                    *got.counts.entry(says).or_default() += 1;
                }
                "till_count" => {
                    *got.counts
                        .entry(format!("{} {}", text("counter"), number("transactions")))
                        .or_default() += 1;
                }
                kind @ ("pick_up" | "put_back") => {
                    let says = format!("{kind} {} to {}", number("quantity"), number("level"));
                    got.steps.entry(place()).or_default().push(says);
                }
                "out_of_stock" => got.stock.entry(place()).or_default().push("out_of_stock".into()),
                "restock" => {
                    let says = format!("restock to {}", number("level"));
                    got.stock.entry(place()).or_default().push(says);
                }
                _ => {}
            }
        }
        got
    }
}
