use super::*;
use crate::testing::{Draining, Recorder, Seeded, Virtual};
use proptest::prelude::*;
use std::vec::Vec;
use vitrine_protocol::frame::Frame;

type TestBeacon = Beacon<Recorder, Seeded, Draining>;

const START_MS: u64 = 5_000;
const IBEACON: IBeacon = IBeacon { uuid: [0xe2; 16], major: 7, minor: 0xfffe, measured_power_dbm: -59 };

fn config(tlm_every: u16) -> Config {
    Config {
        address: Address::random_static([1, 2, 3, 4, 5, 6]).unwrap(),
        interval: Interval::from_ms(100).unwrap(),
        power_dbm: -4,
        ibeacon: IBEACON,
        tlm_every,
    }
}

fn beacon(config: Config) -> TestBeacon {
    Beacon::new(config, Recorder::default(), Seeded::new(1), Draining(3_000), START_MS)
}

/// Sends `events` on time and returns the frame of each.
fn advertise(beacon: &mut TestBeacon, events: usize) -> Vec<Frame> {
    (0..events).map(|_| advertise_one(beacon)).collect()
}

fn advertise_one(beacon: &mut TestBeacon) -> Frame {
    beacon.advertise(beacon.next_ms()).unwrap();
    let sent: Vec<_> = beacon.radio_mut().sent.drain(..).collect();
    assert_eq!(sent.iter().map(|s| s.0).collect::<Vec<_>>(), Channel::ALL);
    assert!(sent.iter().all(|s| s.1 == sent[0].1), "an event is the same PDU on all channels");
    let frames: Vec<_> = Frame::decode(sent[0].1.advertising_data()).map(Result::unwrap).collect();
    assert_eq!(frames.len(), 1);
    frames[0]
}

fn formats(tlm_every: u16) -> Vec<&'static str> {
    advertise(&mut beacon(config(tlm_every)), 7).iter().map(Frame::format).collect()
}

#[test]
fn every_nth_event_is_telemetry() {
    let (i, t) = ("ibeacon", "eddystone-tlm");
    assert_eq!(formats(0), [i; 7]);
    assert_eq!(formats(1), [t; 7]);
    assert_eq!(formats(3), [i, i, t, i, i, t, i]);
    assert_eq!(formats(u16::MAX), [i; 7]);
}

#[test]
fn identity_goes_on_air_as_configured() {
    let mut beacon = beacon(config(0));
    beacon.advertise(START_MS).unwrap();
    let (_, pdu, power_dbm) = beacon.radio_mut().sent[0];
    assert_eq!(power_dbm, -4);
    assert_eq!(pdu.bytes()[..8], [0x42, 36, 6, 5, 4, 3, 2, 0xc1]);
    assert_eq!(pdu.advertising_data(), IBEACON.encode());
}

#[test]
fn telemetry_counts_pdus_before_it_and_time_since_power_up() {
    let mut beacon = beacon(config(4));
    for round in 0..50 {
        advertise(&mut beacon, 3);
        let now_ms = beacon.next_ms();
        let expected = EddystoneTlm {
            battery_mv: Some(2_999 - round), // one sample for each telemetry frame
            temperature_c_256: Some(-640),
            advertisements: 3 * (4 * u32::from(round) + 3),
            uptime_ds: ((now_ms - START_MS) / 100) as u32,
        };
        assert_eq!(advertise_one(&mut beacon), Frame::EddystoneTlm(expected));
    }
}

#[test]
fn the_first_frame_reports_no_battery_where_nothing_was_sent_before() {
    let frames = advertise(&mut beacon(config(1)), 2);
    let battery = |frame: &Frame| match frame {
        Frame::EddystoneTlm(tlm) => tlm.battery_mv,
        other => panic!("{other:?}"),
    };
    assert_eq!(frames.iter().map(battery).collect::<Vec<_>>(), [None, Some(2_999)]);
}

#[test]
fn a_failing_channel_is_counted_and_the_others_are_used() {
    let mut beacon = beacon(config(3));
    beacon.radio_mut().failing = Channel::ALL[..2].into();
    for _ in 0..2 {
        let due_ms = beacon.next_ms();
        assert_eq!(beacon.advertise(due_ms), Err(Channel::Adv37), "the first error");
        assert!(beacon.next_ms() >= due_ms + 100);
    }
    assert_eq!(beacon.counters(), Counters { pdus_sent: 2, pdus_failed: 4, events_missed: 0 });
    assert!(beacon.radio_mut().sent.drain(..).all(|s| s.0 == Channel::Adv39));

    beacon.radio_mut().failing.clear();
    let Frame::EddystoneTlm(tlm) = advertise_one(&mut beacon) else { panic!("the third event is telemetry") };
    assert_eq!(tlm.advertisements, 2, "what was not sent is not reported as sent");
}

#[test]
fn a_late_wake_up_is_one_event_and_not_a_burst() {
    let mut beacon = beacon(config(0));
    let woken_ms = START_MS + 60_000;
    beacon.advertise(woken_ms).unwrap();
    assert_eq!(beacon.radio_mut().sent.len(), 3);
    assert!((woken_ms + 1..=woken_ms + 110).contains(&beacon.next_ms()));
    let missed = beacon.counters().events_missed;
    assert!((599..=600).contains(&missed), "{missed}");
}

#[test]
fn counters_wrap() {
    let mut beacon = beacon(config(1));
    beacon.counters = Counters { pdus_sent: u32::MAX, pdus_failed: u32::MAX, events_missed: u32::MAX };
    beacon.event = u32::MAX;
    beacon.radio_mut().failing = [Channel::Adv38].into();
    assert!(beacon.advertise(START_MS + 150).is_err());
    assert_eq!(beacon.counters(), Counters { pdus_sent: 1, pdus_failed: 0, events_missed: 0 });
    assert_eq!(beacon.event, 0);
}

#[test]
fn the_loop_keeps_deadlines_though_every_wake_up_is_late() {
    let mut twin = beacon(config(5));
    advertise(&mut twin, 1_000);

    let mut beacon = beacon(config(5));
    let mut clock = Virtual { now_ms: START_MS, oversleep_ms: 40 };
    let mut events = 0;
    let last_ms = beacon.run(&mut clock, |beacon, outcome| {
        assert_eq!(outcome, Ok(()));
        events += 1;
        if events == 1_000 { ControlFlow::Break(beacon.next_ms()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(last_ms, twin.next_ms());
    assert_eq!(beacon.counters(), Counters { pdus_sent: 3_000, ..Counters::default() });
    assert!(clock.now_ms < last_ms);
}

#[test]
fn the_loop_outlives_a_radio_that_fails() {
    let mut beacon = beacon(config(0));
    beacon.radio_mut().failing = Channel::ALL.into();
    let mut failures = 0;
    beacon.run(&mut Virtual { now_ms: START_MS, oversleep_ms: 0 }, |beacon, outcome| {
        match outcome {
            Err(_) => failures += 1,
            Ok(()) => return ControlFlow::Break(()),
        }
        if failures == 10 {
            beacon.radio_mut().failing.clear();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(beacon.counters(), Counters { pdus_sent: 3, pdus_failed: 30, events_missed: 0 });
}

prop_compose! {
    fn any_config()(
        octets: [u8; 6], random: bool, interval_ms: u16, power_dbm: i8,
        uuid: [u8; 16], major: u16, minor: u16, measured_power_dbm: i8, tlm_every in 0u16..4,
    ) -> Option<Config> {
        Some(Config {
            address: if random { Address::random_static(octets).ok()? } else { Address::public(octets) },
            interval: Interval::from_ms(interval_ms / 25 * 5).ok()?,
            power_dbm,
            ibeacon: IBeacon { uuid, major, minor, measured_power_dbm },
            tlm_every,
        })
    }
}

proptest! {
    #[test]
    fn any_accepted_configuration_gives_pdus_of_one_frame_and_at_most_39_octets(
        config in any_config().prop_filter_map("refused", |config| config),
        wake_ups: [u64; 8],
    ) {
        let mut beacon = beacon(config);
        for now_ms in wake_ups {
            beacon.advertise(now_ms).unwrap();
        }
        for (_, pdu, _) in &beacon.radio_mut().sent {
            prop_assert!(pdu.bytes().len() <= Pdu::MAX);
            prop_assert_eq!(usize::from(pdu.bytes()[1]) + 2, pdu.bytes().len());
            let frames: Vec<_> = Frame::decode(pdu.advertising_data()).collect();
            prop_assert!(matches!(frames[..], [Ok(Frame::EddystoneTlm(_))])
                || frames == [Ok(Frame::IBeacon(config.ibeacon))]);
        }
    }
}
