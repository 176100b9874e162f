//! How fast advertisements are resolved among 10 000 beacons that rotate.
//! `cargo bench -p vitrine-protocol --bench identity`
//!
//! Twelve windows pass; in each the resolver is brought up to date and then hears 100 000 advertisements of each
//! traffic. What is timed is all of that: `handle_time`, decoding the advertisement, resolving, confirming. Beside
//! it, the same traffic through decoding alone, in turns; the ratio says what identity adds. The last line is the
//! way without a table, deriving every beacon's identifiers until one fits.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads the clock and prints")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use vitrine_protocol::{
    frame::{Counter, DEVELOPMENT_COMPANY, Frame, SecureFrame},
    identity::{
        DeviceKey, Exponent, IdentityKey, Resolver, SoftwareAes,
        eid::identifier,
        resolver::Registration,
        seal::{self, Telemetry},
    },
};

const BEACONS: u32 = 10_000;
const HEARD: usize = 100_000;
const WINDOWS: u64 = 12;
const START_S: u64 = 1_772_621_824;
const PERIOD_S: u64 = 1024;
/// What the project promises.
const TARGET_PER_S: f64 = 1e6;

type Advertisement = [u8; SecureFrame::ENCODED];

fn main() {
    let keys: Vec<IdentityKey> = (0..BEACONS).map(key).collect();
    let mut rates = Vec::new();
    for (name, known_percent) in [("10 % known, 90 % unknown", 10), ("all known", 100)] {
        for (staggered, how) in [(true, "rotating one by one"), (false, "rotating all at once")] {
            let (resolving, decoding) = run(&keys, known_percent, staggered);
            let rate = per_second(resolving);
            println!(
                "{name}, {how}: {:.2} M advertisements/s, {:.2} of decoding alone",
                rate / 1e6,
                rate / per_second(decoding),
            );
            rates.push(rate);
        }
    }
    open_sealed();
    try_all(&keys);
    let lowest = rates.into_iter().fold(f64::INFINITY, f64::min);
    println!("lowest / target of 1 M/s: {:.1}", lowest / TARGET_PER_S);
}

/// Time spent on resolving, and on decoding alone.
fn run(keys: &[IdentityKey], known_percent: u64, staggered: bool) -> (Duration, Duration) {
    let mut random = Random(7);
    let offsets: Vec<u32> = keys.iter().map(|_| if staggered { random.next() as u32 } else { 0 }).collect();
    let mut resolver: Resolver = Resolver::new();
    for (key, &offset_s) in keys.iter().zip(&offsets) {
        resolver.register(Registration { key: key.clone(), exponent: Exponent::SECURE, offset_s });
    }
    catch_up(&mut resolver, START_S);

    let (mut resolving, mut decoding) = (Duration::ZERO, Duration::ZERO);
    for window in 1..=WINDOWS {
        let now_s = START_S + window * PERIOD_S;
        let sent: Vec<_> = keys
            .iter()
            .zip(&offsets)
            .map(|(key, &offset_s)| {
                identifier::<SoftwareAes>(key, Exponent::SECURE, (now_s as u32).wrapping_add(offset_s))
            })
            .collect();
        let mut known = 0;
        let heard: Vec<Advertisement> = (0..HEARD)
            .map(|_| {
                let identifier = if random.next() % 100 < known_percent {
                    known += 1;
                    sent[random.next() as usize % sent.len()]
                } else {
                    random.next().to_le_bytes()
                };
                advertisement(identifier)
            })
            .collect();

        let started = Instant::now();
        for second_s in now_s - PERIOD_S + 1..=now_s {
            catch_up(&mut resolver, second_s);
        }
        let found = heard.iter().filter(|bytes| resolve(&mut resolver, bytes, now_s)).count();
        resolving += started.elapsed();
        assert_eq!(found, known, "what is known is found, and nothing else");

        let started = Instant::now();
        let frames: usize = heard.iter().map(|bytes| Frame::decode(black_box(bytes)).flatten().count()).sum();
        decoding += started.elapsed();
        assert_eq!(frames, HEARD);
    }
    (resolving, decoding)
}

fn resolve(resolver: &mut Resolver, advertisement: &Advertisement, now_s: u64) -> bool {
    for frame in Frame::decode(advertisement).flatten() {
        if let Frame::Secure(secure) = frame
            && let Some(found) = resolver.resolve(&secure.identifier, now_s)
        {
            resolver.confirm(&found, now_s);
            return true;
        }
    }
    false
}

fn catch_up(resolver: &mut Resolver, now_s: u64) {
    while resolver.poll_timeout().is_some_and(|due_s| due_s <= now_s) {
        resolver.handle_time(now_s);
    }
}

fn open_sealed() {
    let device = DeviceKey::new([3; 16]);
    let (identity, sealing) = (device.identity::<SoftwareAes>(), device.sealing::<SoftwareAes>());
    let time_s = START_S as u32;
    let frames: Vec<_> = (0..HEARD as u32)
        .map(|n| {
            seal::seal::<SoftwareAes>(
                &identity,
                &sealing,
                time_s,
                Counter::wrapping(n),
                &Telemetry::default(),
            )
        })
        .collect();
    let started = Instant::now();
    for frame in &frames {
        assert!(seal::open::<SoftwareAes>(&sealing, time_s, frame).is_ok());
    }
    let took = started.elapsed();
    println!("opening sealed frames: {:.2} M/s", HEARD as f64 / took.as_secs_f64() / 1e6);
}

fn try_all(keys: &[IdentityKey]) {
    const TRIED: u32 = 20;
    let started = Instant::now();
    for unknown in 0..TRIED {
        let heard = black_box(u64::from(unknown).to_le_bytes());
        let fits = |key: &IdentityKey| {
            [0, 1, 2].iter().any(|window| {
                identifier::<SoftwareAes>(key, Exponent::SECURE, (START_S + window * PERIOD_S) as u32)
                    == heard
            })
        };
        assert!(!keys.iter().any(fits));
    }
    println!(
        "trying all keys instead: {:.0} advertisements/s",
        f64::from(TRIED) / started.elapsed().as_secs_f64()
    );
}

fn key(n: u32) -> IdentityKey {
    let mut octets = [0x42; 16];
    octets[..4].copy_from_slice(&n.to_le_bytes());
    IdentityKey::new(octets)
}

fn advertisement(identifier: [u8; 8]) -> Advertisement {
    SecureFrame { identifier, counter: Counter::default(), ciphertext: [0; 8], mic: [0; 4] }
        .encode(DEVELOPMENT_COMPANY)
}

fn per_second(took: Duration) -> f64 {
    HEARD as f64 * WINDOWS as f64 / took.as_secs_f64()
}

/// SplitMix64: the same traffic in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
