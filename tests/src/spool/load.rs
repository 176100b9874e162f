//! Events that know who they are: what comes back can be told from everything else, to the last octet.

use std::sync::LazyLock;
use vitrine_agent::spool::{Context, Draft, Lane};
use vitrine_protocol::{Id, topic::Stream};

/// What events are filled up with: pieces of this, too far apart to be compressed by much more than a quarter.
static NOISE: LazyLock<String> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(0);
    std::iter::repeat_with(|| random.alphanumeric()).take(1 << 20).collect()
});
const NOISE_STEP: usize = 4096;

/// Two streams of every lane.
pub const STREAMS: [(Lane, [Stream; 2]); 3] = [
    (Lane::Critical, [Stream::Carriers, Stream::Flows]),
    (Lane::Facts, [Stream::Stock, Stream::Devices]),
    (Lane::Slots, [Stream::Kiosk, Stream::Shelf]),
];

/// The streams of a lane.
pub fn streams(lane: Lane) -> [Stream; 2] {
    let found = STREAMS.iter().find(|(of, _)| *of == lane);
    found.map(|&(_, streams)| streams).unwrap()
}

/// What all events' envelopes say.
pub fn context() -> Context {
    Context { plan: Id::new("7").unwrap(), business_date: "2026-03-04".parse().unwrap() }
}

/// Event `serial` of a stream, of `octets` and more, which hardly compress.
pub fn event(stream: Stream, serial: u64, octets: usize) -> Draft {
    Draft::Event { stream, hold_until: None, json: json(serial, octets).into() }
}

/// A note that belongs to a lane's events.
pub fn note(lane: Lane, text: &str) -> Draft {
    Draft::Note { lane, bytes: text.as_bytes().into() }
}

fn json(serial: u64, octets: usize) -> String {
    let mut json = format!("{{\"serial\":{serial},\"noise\":\"");
    let mut random = fastrand::Rng::with_seed(serial);
    while json.len() + 2 < octets {
        let length = (octets - 2 - json.len()).min(NOISE_STEP);
        let start = random.usize(..NOISE.len() - length);
        json.push_str(&NOISE[start..start + length]);
    }
    json.push_str("\"}");
    json
}

/// The serial number of an event, if each octet of it is as [`event`] made it.
pub fn serial(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("{\"serial\":")?.split_once(',')?.0;
    let serial = digits.parse().ok()?;
    (json(serial, text.len()) == text).then_some(serial)
}
