use super::*;
use crate::{
    Content, Fast, Holds, Identity, Interval, LowBattery, Pdu, QuietHours, Settings, Slot,
    testing::{Battery, Flash, Recorder, Seeded, Virtual},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, vec::Vec};
use vitrine_protocol::{
    frame::{DEVELOPMENT_COMPANY, EddystoneTlm, Frame, IBeacon},
    identity::{DeviceKey, Exponent, eid, seal},
};

type TestBeacon = Beacon<Recorder, Seeded, Battery, Flash>;

const START_MS: u64 = 5_000;
const IBEACON: IBeacon = IBeacon { uuid: [0xe2; 16], major: 7, minor: 0xfffe, measured_power_dbm: -59 };
const KEY: [u8; 16] = *b"a device's key..";

fn interval(ms: u32) -> Interval {
    Interval::from_ms(ms).unwrap()
}

fn ibeacon(ms: u32) -> Slot {
    Slot::every(interval(ms), -4, Content::fixed(&IBEACON.encode()))
}

fn settings(slots: impl IntoIterator<Item = Slot>) -> Settings {
    Settings { slots: slots.into_iter().collect(), ..Settings::default() }
}

fn start(settings: Settings, store: Flash, time_s: u32) -> TestBeacon {
    let mut store = store;
    let start = Start::read(&mut store, time_s, None, START_MS).unwrap();
    let parts = Parts {
        radio: Recorder::default(),
        entropy: Seeded::new(1),
        battery: Battery(3_000, 0),
        store,
        cipher: Cipher::SOFTWARE,
    };
    let address = Address::random_static([1, 2, 3, 4, 5, 6]).unwrap();
    Beacon::new(Config::check(settings).unwrap(), address, parts, start, START_MS)
}

fn beacon(settings: Settings) -> TestBeacon {
    start(settings, Flash::default(), 0)
}

/// Sends what is due until `end_ms`, on time; returns when each event was sent, its PDU and its power.
fn play(beacon: &mut TestBeacon, end_ms: u64) -> Vec<(u64, Pdu, i8)> {
    let mut heard = Vec::new();
    while beacon.next_ms() < end_ms {
        let now_ms = beacon.next_ms();
        beacon.advertise(now_ms).unwrap();
        let sent: Vec<_> = beacon.radio_mut().sent.drain(..).collect();
        if sent.is_empty() {
            continue;
        }
        assert_eq!(sent.iter().map(|s| s.0).collect::<Vec<_>>(), Channel::ALL);
        assert!(sent.iter().all(|s| s.1 == sent[0].1), "an event is the same PDU on all channels");
        heard.push((now_ms, sent[0].1, sent[0].2));
    }
    heard
}

fn frame(pdu: &Pdu) -> Frame {
    let frames: Vec<_> = Frame::decode(pdu.advertising_data()).map(Result::unwrap).collect();
    assert_eq!(frames.len(), 1);
    frames[0]
}

fn times(heard: &[(u64, Pdu, i8)], format: &str) -> Vec<u64> {
    heard.iter().filter(|(_, pdu, _)| frame(pdu).format() == format).map(|(at_ms, ..)| *at_ms).collect()
}

/// From one to the next.
fn gaps(times: &[u64]) -> Vec<u64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn slots_keep_their_own_intervals_and_powers() {
    let tlm = Slot::every(interval(750), 4, Content::Tlm);
    let heard = play(&mut beacon(settings([ibeacon(100), tlm])), START_MS + 60_000);
    assert!(gaps(&times(&heard, "ibeacon")).iter().all(|gap| (100..=110).contains(gap)));
    assert!(gaps(&times(&heard, "eddystone-tlm")).iter().all(|gap| (750..=760).contains(gap)));
    assert!(heard.iter().all(|(_, pdu, power_dbm)| match frame(pdu) {
        Frame::IBeacon(frame) => frame == IBEACON && *power_dbm == -4,
        _ => *power_dbm == 4,
    }));
    assert!(heard.iter().all(|(_, pdu, _)| pdu.bytes()[2..8] == [6, 5, 4, 3, 2, 0xc1]));
}

#[test]
fn slots_that_are_due_together_are_all_sent() {
    let mut beacon = beacon(settings([ibeacon(100), ibeacon(100), ibeacon(100)]));
    for _ in 0..3 {
        beacon.advertise(START_MS + 150).unwrap();
    }
    assert_eq!(beacon.radio_mut().sent.len(), 9);
    assert!(beacon.next_ms() > START_MS + 150);
}

#[test]
fn telemetry_counts_pdus_before_it_and_time_since_power_up() {
    let heard = play(
        &mut beacon(settings([ibeacon(100), Slot::every(interval(500), 0, Content::Tlm)])),
        START_MS + 60_000,
    );
    let mut before = 0;
    for (at_ms, pdu, _) in &heard {
        if let Frame::EddystoneTlm(tlm) = frame(pdu) {
            let expected = EddystoneTlm {
                battery_mv: (before > 0).then_some(3_000),
                temperature_c_256: (before > 0).then_some(-640),
                advertisements: before,
                uptime_ds: ((at_ms - START_MS) / 100) as u32,
            };
            assert_eq!(tlm, expected);
        }
        before += 3;
    }
}

#[test]
fn the_battery_is_measured_after_an_event_once_a_minute() {
    let mut beacon = beacon(settings([ibeacon(100)]));
    play(&mut beacon, START_MS + 600_000);
    assert_eq!(beacon.parts.battery.1, 10);
}

#[test]
fn a_failing_channel_is_counted_and_the_others_are_used() {
    let mut beacon = beacon(settings([ibeacon(100)]));
    beacon.radio_mut().failing = Channel::ALL[..2].into();
    for _ in 0..2 {
        let due_ms = beacon.next_ms();
        let failed = Error::Radio { channel: Channel::Adv37, cause: Channel::Adv37 };
        assert_eq!(beacon.advertise(due_ms), Err(failed), "the first error");
        assert!(beacon.next_ms() >= due_ms + 100);
    }
    assert_eq!(beacon.counters(), Counters { pdus_sent: 2, pdus_failed: 4, ..Counters::default() });
    assert!(beacon.radio_mut().sent.drain(..).all(|s| s.0 == Channel::Adv39));
    assert!(beacon.is_healthy());
}

#[test]
fn a_radio_that_goes_on_failing_makes_the_beacon_ill_until_it_works_again() {
    let mut beacon = beacon(settings([ibeacon(100)]));
    beacon.radio_mut().failing = Channel::ALL.into();
    for event in 0..20 {
        assert_eq!(beacon.is_healthy(), event < 8);
        assert!(beacon.advertise(beacon.next_ms()).is_err());
    }
    beacon.radio_mut().failing.clear();
    beacon.advertise(beacon.next_ms()).unwrap();
    assert!(beacon.is_healthy());
}

#[test]
fn a_late_wake_up_is_one_event_and_not_a_burst() {
    let mut beacon = beacon(settings([ibeacon(100)]));
    let woken_ms = START_MS + 60_000;
    beacon.advertise(woken_ms).unwrap();
    assert_eq!(beacon.radio_mut().sent.len(), 3);
    assert!((woken_ms + 1..=woken_ms + 110).contains(&beacon.next_ms()));
    let missed = beacon.counters().events_missed;
    assert!((598..=600).contains(&missed), "{missed}");
}

#[test]
fn counters_wrap() {
    let mut beacon = beacon(settings([ibeacon(100)]));
    beacon.advertiser.counters =
        Counters { pdus_sent: u32::MAX, pdus_failed: u32::MAX, ..Counters::default() };
    beacon.radio_mut().failing = [Channel::Adv38].into();
    assert!(beacon.advertise(beacon.next_ms()).is_err());
    assert_eq!(beacon.counters(), Counters { pdus_sent: 1, ..Counters::default() });
}

#[test]
fn steps_keep_deadlines_though_every_wake_up_is_late_and_are_short_enough_for_a_watchdog() {
    let settings = settings([ibeacon(100), Slot::every(interval(60_000), 0, Content::Tlm)]);
    let mut twin = beacon(settings.clone());
    play(&mut twin, START_MS + 100_000);

    let mut beacon = beacon(settings);
    let mut clock = Virtual { now_ms: START_MS, oversleep_ms: 40, ..Virtual::default() };
    while beacon.next_ms() < START_MS + 100_000 {
        let before_ms = clock.now_ms;
        beacon.step(&mut clock).unwrap();
        assert!(clock.now_ms - before_ms <= STEP_MAX_MS + 40);
    }
    assert_eq!(beacon.next_ms(), twin.next_ms());
    assert_eq!(beacon.counters(), twin.counters());
}

#[test]
fn a_beacon_with_nothing_to_send_sleeps_in_steps() {
    let mut beacon = beacon(settings([ibeacon(3_600_000)]));
    let mut clock = Virtual { now_ms: START_MS, ..Virtual::default() };
    beacon.step(&mut clock).unwrap();
    assert_eq!(clock.now_ms, START_MS + STEP_MAX_MS);
}

fn on_motion(interval: Option<Interval>) -> Settings {
    let fast = Some(Fast { interval: self::interval(100), on: Triggers::MOTION });
    let holds = Holds { motion_s: 5, button_s: 5, ..Holds::default() };
    Settings { holds, ..settings([Slot { interval, fast, ..ibeacon(10_000) }]) }
}

#[test]
fn motion_brings_a_fast_event_at_once_and_lasts() {
    let mut beacon = beacon(on_motion(Some(interval(10_000))));
    let moved_ms = START_MS + 30_000;
    let mut sent = play(&mut beacon, moved_ms);
    beacon.trigger(Triggers::BUTTON, moved_ms);
    assert!(beacon.next_ms() > moved_ms + 10, "another input is not its concern");
    beacon.trigger(Triggers::MOTION, moved_ms);
    assert!(beacon.next_ms() <= moved_ms + 10);
    sent.extend(play(&mut beacon, moved_ms + 60_000));
    let at: Vec<_> = sent.iter().map(|(at_ms, ..)| *at_ms).filter(|at_ms| *at_ms >= moved_ms).collect();
    let fast = at.iter().filter(|at_ms| **at_ms < moved_ms + 5_000).count();
    assert!((45..=50).contains(&fast), "{fast}");
    let slow = at.iter().filter(|at_ms| **at_ms >= moved_ms + 5_200).count();
    assert!((5..=6).contains(&slow), "{slow}");
}

#[test]
fn a_slot_without_an_interval_is_sent_only_when_triggered() {
    let mut beacon = beacon(on_motion(None));
    assert_eq!(beacon.next_ms(), u64::MAX);
    let mut clock = Virtual {
        now_ms: START_MS,
        triggers: [(START_MS + 77_777, Triggers::MOTION)].into(),
        ..Virtual::default()
    };
    while clock.now_ms < START_MS + 120_000 {
        beacon.step(&mut clock).unwrap();
    }
    let events = beacon.counters().pdus_sent / 3;
    assert!((46..=50).contains(&events), "{events}");
    assert_eq!(beacon.next_ms(), u64::MAX);
}

const DAY_MS: u64 = 86_400_000;
const QUIET: QuietHours = QuietHours { from_min: 22 * 60, until_min: 7 * 60 + 30 };

#[test]
fn quiet_hours_are_silent_but_for_triggers() {
    let mut beacon = beacon(Settings { quiet: Some(QUIET), ..on_motion(Some(interval(1_000))) });
    let mut heard = play(&mut beacon, START_MS + DAY_MS + 3_600_000);
    let night_ms = beacon.next_ms();
    beacon.trigger(Triggers::MOTION, night_ms);
    heard.extend(play(&mut beacon, night_ms + 6_000));
    let minute = |at_ms: u64| (at_ms - START_MS) / 60_000 % 1_440;
    let (night, day): (Vec<_>, Vec<_>) =
        heard.iter().map(|(at_ms, ..)| *at_ms).partition(|at_ms| !(450..1_320).contains(&minute(*at_ms)));
    assert!(night.iter().all(|at_ms| *at_ms >= night_ms), "silent at night");
    assert!(night.len() > 45, "but for what motion triggers");
    assert!((51_000..=52_200).contains(&day.len()), "{}", day.len());
    assert!(beacon.counters().events_quiet < 4_500);
}

#[test]
fn a_beacon_that_does_not_know_the_time_is_not_silent() {
    let mut beacon = beacon(Settings { quiet: Some(QUIET), ..settings([ibeacon(1_000)]) });
    play(&mut beacon, START_MS + 3_600_000);
    assert_eq!(beacon.counters().pdus_sent, 0);
    let mut again =
        start(Settings { quiet: Some(QUIET), ..settings([ibeacon(1_000)]) }, beacon.parts.store, 0);
    assert!(!again.calendar().is_certain());
    assert!(play(&mut again, START_MS + 60_000).len() > 55);
}

#[test]
fn a_low_battery_stretches_intervals_until_it_is_well_again() {
    let low_battery = Some(LowBattery { below_mv: 2_400, stretch: 4 });
    let mut beacon = beacon(Settings { low_battery, ..settings([ibeacon(1_000)]) });
    let rate = |beacon: &mut TestBeacon, mv| {
        beacon.parts.battery.0 = mv;
        play(beacon, beacon.next_ms() + 130_000); // a sample is taken
        play(beacon, beacon.next_ms() + 100_000).len()
    };
    assert!((99..=101).contains(&rate(&mut beacon, 2_400)));
    assert!((24..=26).contains(&rate(&mut beacon, 2_399)));
    assert!((24..=26).contains(&rate(&mut beacon, 2_549)), "a rested battery is not a new one");
    assert!((99..=101).contains(&rate(&mut beacon, 2_550)));
}

fn secure(ms: u32) -> Slot {
    Slot::every(interval(ms), 0, Content::Secure { company: DEVELOPMENT_COMPANY })
}

fn rotating(slots: impl IntoIterator<Item = Slot>) -> Settings {
    Settings { identity: Some(Identity::Device(DeviceKey::new(KEY))), ..settings(slots) }
}

/// Every frame opens in the window of its time, no counter comes twice in a window, and address and identifier
/// change together.
#[test]
fn a_rotating_beacon_changes_identifier_address_and_rhythm_together() {
    let slots = [secure(1_000), Slot::every(interval(5_000), 0, Content::Eid { tx_power_dbm: -18 })];
    let time_s = 1_000_000 * 1_024 + 900;
    let mut beacon = start(rotating(slots), Flash::default(), time_s);
    let heard = play(&mut beacon, START_MS + 7_200_000);
    let (identity, sealing) =
        (DeviceKey::new(KEY).identity::<SoftwareAes>(), DeviceKey::new(KEY).sealing::<SoftwareAes>());
    let (mut seen, mut nonces) = (BTreeSet::new(), BTreeSet::new());
    for (at_ms, pdu, _) in &heard {
        let now_s = time_s + ((at_ms - START_MS) / 1_000) as u32;
        let window = now_s / 1_024;
        assert_eq!((pdu.bytes()[0], pdu.bytes()[7] >> 6), (0x42, 0), "a non-resolvable private address");
        let identifier = match frame(pdu) {
            Frame::Secure(frame) => {
                let telemetry = seal::open::<SoftwareAes>(&sealing, now_s, &frame).unwrap();
                assert!(!telemetry.state.clock_restored);
                assert!(nonces.insert((window, frame.counter.get())));
                frame.identifier
            }
            Frame::EddystoneEid(frame) => frame.eid,
            other => panic!("{other:?}"),
        };
        assert_eq!(identifier, eid::identifier::<SoftwareAes>(&identity, Exponent::SECURE, now_s));
        seen.insert((window, identifier, pdu.bytes()[2..8].to_vec()));
    }
    let windows = seen.iter().map(|(window, ..)| window).collect::<BTreeSet<_>>().len();
    let addresses = seen.iter().map(|(.., address)| address).collect::<BTreeSet<_>>().len();
    assert_eq!((windows, seen.len(), addresses), (8, 8, 8), "one address a window, and never again");
    let phases: BTreeSet<_> = heard
        .windows(2)
        .filter(|pair| pair[0].1.bytes()[2..8] != pair[1].1.bytes()[2..8])
        .map(|pair| (pair[1].0 - pair[0].0) / 100)
        .collect();
    assert!(phases.len() > 3, "the rhythm starts anew: {phases:?}");
}

/// Whatever the power does, no pair of window and counter comes twice, and time does not go back.
#[test]
fn no_nonce_repeats_over_power_cuts() {
    let mut nonces = BTreeSet::new();
    let mut last_s = 0;
    let mut store = Flash::default();
    let mut chance = Seeded::new(7);
    for cut in 0..200 {
        store.fuel = if cut % 3 == 0 { (chance.next_u32() % 8) as usize } else { usize::MAX };
        let mut beacon = start(rotating([secure(1_000)]), store, 50_000);
        beacon.parts.entropy = Seeded::new(cut);
        assert!(beacon.calendar().time_s(START_MS) >= last_s);
        let end_ms = START_MS + u64::from(chance.next_u32() % 900_000);
        for (at_ms, pdu, _) in play(&mut beacon, end_ms) {
            let Frame::Secure(frame) = frame(&pdu) else { panic!("only secure frames are sent") };
            let time_s = beacon.calendar().time_s(at_ms);
            assert!(nonces.insert((time_s / 1_024, frame.counter.get())), "after {cut} cuts");
        }
        last_s = beacon.log.and_then(|log| log.last()).map_or(last_s, |entry| entry.time_s);
        store = beacon.parts.store;
    }
    assert!(nonces.len() > 30_000, "{}", nonces.len());
}

#[test]
fn without_a_store_no_secure_frame_is_sent() {
    let mut beacon = beacon(rotating([secure(1_000)]));
    beacon.log = None;
    assert_eq!(play(&mut beacon, START_MS + 10_000).len(), 0);
}

#[test]
fn a_store_that_fails_is_counted_and_silences_secure_frames_alone() {
    let eid = Slot::every(interval(1_000), 0, Content::Eid { tx_power_dbm: 0 });
    let mut beacon = beacon(rotating([secure(1_000), eid]));
    beacon.parts.store.fuel = 0;
    let heard = play(&mut beacon, START_MS + 10_000);
    assert!(heard.iter().all(|(_, pdu, _)| frame(pdu).format() == "eddystone-eid"));
    assert!(heard.len() > 8 && beacon.counters().entries_failed > 8);
}

prop_compose! {
    /// One that a configuration takes: of the two kinds of content, that which `kind` says.
    fn any_slot(rotates: bool)(
        length in 0usize..30, kind in 0..3, ms in 4u32..1_000, fast in proptest::option::of(1u8..16), power_dbm: i8,
        regular: bool,
    ) -> Slot {
        let mut data = crate::AdvertisingData::new();
        data.extend([length as u8 + 1, 0xff].into_iter().chain(core::iter::repeat_n(0x5a, length)).take(31));
        let content = match (rotates, kind) {
            (false, 0) => Content::Tlm,
            (false, _) => Content::Fixed(data),
            (true, 0) => Content::Eid { tx_power_dbm: power_dbm },
            (true, 1) => Content::Etlm,
            (true, _) => Content::Secure { company: 0xffff },
        };
        let fast = fast.map(|bits| Fast { interval: self::interval(20), on: Triggers::from_bits(bits) });
        let interval = Some(self::interval(5 * ms)).filter(|_| regular || fast.is_none());
        Slot { content, interval, fast, power_dbm }
    }
}

fn any_slots() -> impl Strategy<Value = Vec<Slot>> {
    any::<bool>()
        .prop_flat_map(|rotates| proptest::collection::vec(any_slot(rotates), 1..=Settings::SLOTS_MAX))
}

proptest! {
    #[test]
    fn any_configuration_runs_and_keeps_fixed_and_rotating_apart(
        slots in any_slots(),
        wake_ups: [(u64, u8); 12],
        holds_s: u16,
    ) {
        let identity = Some(Identity::Device(DeviceKey::new(KEY)));
        let holds = Holds { motion_s: holds_s, button_s: 1, contact_s: holds_s, presence_s: 0 };
        let settings = Settings { identity, holds, ..settings(slots) };
        let mut beacon = beacon(settings);
        for (now_ms, bits) in wake_ups {
            beacon.trigger(Triggers::from_bits(bits), now_ms);
            beacon.advertise(now_ms).unwrap();
        }
        let sent = &beacon.parts.radio.sent;
        let rotates = |pdu: &Pdu| pdu.bytes()[7] >> 6 == 0;
        prop_assert!(sent.iter().all(|(_, pdu, _)| rotates(pdu) == rotates(&sent[0].1)));
        prop_assert!(sent.iter().all(|(_, pdu, _)| usize::from(pdu.bytes()[1]) + 2 == pdu.bytes().len()));
    }
}
