use super::*;
use std::string::ToString;

const SECOND: Interval = every_ms(1_000);
const FAST: Fast = Fast { interval: SECOND, on: Triggers::MOTION };

fn tlm() -> Slot {
    Slot::every(SECOND, 0, Content::Tlm)
}

fn secure() -> Slot {
    Slot::every(SECOND, 0, Content::Secure { company: 0xffff })
}

fn check(slots: &[Slot], change: impl FnOnce(&mut Settings)) -> Result<(), Invalid> {
    let mut settings = Settings { slots: slots.iter().cloned().collect(), ..Settings::default() };
    change(&mut settings);
    Config::check(settings).map(drop)
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let good = tlm();
    assert_eq!(check(&[], |_| {}), Err(Invalid::NoSlot));
    let never = Slot { interval: None, ..tlm() };
    assert_eq!(check(&[good.clone(), never.clone()], |_| {}), Err(Invalid::NeverSent { slot: 1 }));
    assert_eq!(check(&[Slot { fast: Some(FAST), ..never }], |_| {}), Ok(()));
    let untriggered = Slot { fast: Some(Fast { on: Triggers::NONE, ..FAST }), ..tlm() };
    assert_eq!(check(&[untriggered], |_| {}), Err(Invalid::NoTrigger { slot: 0 }));
    for data in [&[][..], &[3, 1, 6], &[2, 1, 6, 9]] {
        let content = Content::Fixed(data.try_into().unwrap());
        assert_eq!(
            check(&[Slot { content, ..tlm() }], |_| {}),
            Err(Invalid::Malformed { slot: 0 }),
            "{data:?}"
        );
    }
    for (from_min, until_min) in [(1_440, 0), (0, 1_440), (60, 60)] {
        let quiet = Some(QuietHours { from_min, until_min });
        assert_eq!(check(core::slice::from_ref(&good), |s| s.quiet = quiet), Err(Invalid::QuietHours));
    }
    let low_battery = Some(LowBattery { below_mv: 2_000, stretch: 1 });
    assert_eq!(check(&[good], |s| s.low_battery = low_battery), Err(Invalid::LowBattery));
}

#[test]
fn fixed_content_is_never_sent_beside_rotating_content() {
    let device = || Some(Identity::Device(DeviceKey::new([1; 16])));
    assert_eq!(check(&[secure(), tlm()], |s| s.identity = device()), Err(Invalid::Mixed));
    assert_eq!(check(&[tlm(), secure()], |s| s.identity = device()), Err(Invalid::Mixed));
    assert_eq!(check(&[secure()], |_| {}), Err(Invalid::NoKey));
    let eddystone = || Some(Identity::Eddystone(IdentityKey::new([1; 16]), Exponent::SECURE));
    assert_eq!(check(&[secure()], |s| s.identity = eddystone()), Err(Invalid::NoDeviceKey));
    let eid = Slot { content: Content::Eid { tx_power_dbm: 0 }, ..tlm() };
    assert_eq!(
        check(&[eid.clone(), Slot { content: Content::Etlm, ..tlm() }], |s| s.identity = eddystone()),
        Ok(())
    );
    assert_eq!(check(&[secure(), eid], |s| s.identity = device()), Ok(()));
}

#[test]
fn refusals_say_what_is_wrong_and_keys_are_not_printed() {
    assert_eq!(Invalid::NeverSent { slot: 3 }.to_string(), "slot 3: neither an interval nor a fast one");
    let identity = Identity::Device(DeviceKey::new([0xab; 16]));
    assert_eq!(std::format!("{identity:?}"), "Device(..)");
}

#[test]
fn quiet_hours_go_past_midnight() {
    let night = QuietHours { from_min: 22 * 60, until_min: 7 * 60 };
    let at =
        [21 * 60 + 59, 22 * 60, 0, 6 * 60 + 59, 7 * 60].map(|minute: u32| night.covers(86_400 + minute * 60));
    assert_eq!(at, [false, true, true, true, false]);
    assert!(QuietHours { from_min: 60, until_min: 120 }.covers(119 * 60 + 59));
}

#[test]
fn an_unconfigured_beacon_is_one_that_can_be_sent() {
    let config = Config::unconfigured(0x1234_5678);
    assert!(Config::check(config.0.clone()).is_ok());
    let Content::Fixed(data) = &config.slots[0].content else { panic!("an iBeacon is fixed") };
    assert_eq!(data[25..29], [0x12, 0x34, 0x56, 0x78]);
}
