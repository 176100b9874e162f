use super::*;
use crate::{Invalid, testing::Flash};
use expect_test::expect;
use proptest::prelude::*;
use std::vec::Vec;

fn every(ms: u32, content: Content) -> Slot {
    Slot::every(Interval::from_ms(ms).unwrap(), -4, content)
}

fn config(slots: impl IntoIterator<Item = Slot>) -> Config {
    let identity = Some(Identity::Device(DeviceKey::new(*b"0123456789abcdef")));
    Config::check(Settings { slots: slots.into_iter().collect(), identity, ..Settings::default() }).unwrap()
}

fn image(company: u16, serial: u32) -> Image {
    let config = config([every(2_000, Content::Secure { company }), every(30_000, Content::Etlm)]);
    Image { config, serial, time_s: 1_764_000_000 }
}

/// The format is what provisioning tools and beacons in the field agree on.
#[test]
fn version_1_is_frozen() {
    let mut settings = Settings {
        holds: Holds { motion_s: 60, button_s: 10, contact_s: 0, presence_s: 0x0102 },
        quiet: Some(QuietHours { from_min: 1_260, until_min: 480 }),
        low_battery: Some(LowBattery { below_mv: 2_300, stretch: 4 }),
        ..Settings::default()
    };
    let fast =
        Some(Fast { interval: Interval::from_ms(100).unwrap(), on: Triggers::MOTION | Triggers::BUTTON });
    settings.slots.push(Slot { fast, ..every(1_000, Content::fixed(&[2, 1, 6])) });
    settings.slots.push(Slot { interval: None, fast, ..every(1_000, Content::Tlm) });
    let fixed = Image { config: Config::check(settings).unwrap(), serial: 7, time_s: 0x6925_0000 };
    expect!["5674726201002b000700000000002569ec04e001fc08043c000a0000000201000201fce803000064000000030302010602fc0000000064000000033972c269ff"].assert_eq(&hex::encode(fixed.encode()));
    expect!["56747262010039000100000000812469ffffffff000000000000000000000001303132333435363738396162636465660205fcd00700000000000000ffff04fc307500000000000000884a8670ffffff"].assert_eq(&hex::encode(image(0xffff, 1).encode()));
}

#[test]
fn what_is_encoded_is_decoded() {
    let slots = [
        every(20, Content::fixed(&[2, 1, 6])),
        every(3_600_000, Content::Tlm),
        Slot {
            fast: Some(Fast { interval: Interval::MAX, on: Triggers::PRESENCE }),
            ..every(25, Content::Tlm)
        },
    ];
    for config in [
        config(slots),
        config([
            every(500, Content::Eid { tx_power_dbm: -20 }),
            every(500, Content::Secure { company: 0x1234 }),
        ]),
        Config::unconfigured(0xdead_beef),
    ] {
        let image = Image { config, serial: 9, time_s: u32::MAX };
        let decoded = Image::decode::<()>(&image.encode()).unwrap().unwrap();
        assert_eq!((decoded.serial, decoded.time_s), (9, u32::MAX));
        assert_eq!(decoded.config.slots, image.config.slots);
        assert_eq!(decoded.encode(), image.encode());
    }
}

#[test]
fn the_longest_configuration_fits() {
    let fast = Some(Fast { interval: Interval::MAX, on: Triggers::MOTION });
    let slot = Slot { fast, ..every(1_000, Content::fixed(&[30; 31])) };
    let slots = std::iter::repeat_n(slot, Settings::SLOTS_MAX).collect();
    let identity = Some(Identity::Eddystone(IdentityKey::new([7; 16]), Exponent::SECURE));
    let config = Config::check(Settings { slots, identity, ..Settings::default() }).unwrap();
    let image = Image { config, serial: 1, time_s: 0 };
    assert!(image.encode().len() <= IMAGE_MAX - 64, "{}", image.encode().len());
    assert!(Image::decode::<()>(&image.encode()).unwrap().is_some());
}

#[test]
fn a_bit_that_flips_is_noticed() {
    let bytes = image(0xffff, 1).encode();
    let checked = bytes.len() - bytes.iter().rev().take_while(|&&octet| octet == 0xff).count();
    for bit in 0..8 * checked {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Image::decode::<()>(&damaged).unwrap().is_none(), "bit {bit}");
    }
}

/// Whole by its CRC, and from other software: another version, a kind that is not known, a slot too many.
#[test]
fn what_is_not_known_is_refused() {
    let resealed = |change: fn(&mut [u8])| {
        let mut bytes: Vec<u8> = image(0xffff, 1).encode().to_vec();
        change(&mut bytes);
        let end = HEADER + usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
        let crc = CRC.checksum(&bytes[..end]).to_le_bytes();
        bytes[end..end + 4].copy_from_slice(&crc);
        Image::decode::<()>(&bytes).map(|image| image.is_some())
    };
    let slots_at = HEADER + 15 + 17;
    assert_eq!(resealed(|_| {}), Ok(true));
    assert_eq!(resealed(|bytes| bytes[4] = 2), Ok(false));
    assert_eq!(resealed(|bytes| bytes[HEADER + 15] = 3), Ok(false));
    assert_eq!(slots_at, 48);
    assert_eq!(resealed(|bytes| bytes[48] = 7), Ok(false));
    assert_eq!(resealed(|bytes| bytes[49] = 99), Ok(false));
    assert_eq!(resealed(|bytes| bytes[49] = 2), Ok(false), "then octets are left over");
    assert_eq!(resealed(|bytes| bytes[HEADER + 6] = 1), Err(Error::Configuration(Invalid::LowBattery)));
}

#[test]
fn an_empty_store_holds_none() {
    assert_eq!(load(&mut Flash::default()).map(drop), Err(Error::NoConfiguration));
}

fn company(store: &mut Flash) -> Option<u16> {
    match load(store).ok()?.config.slots[0].content {
        Content::Secure { company } => Some(company),
        _ => None,
    }
}

#[test]
fn the_newer_copy_counts_and_the_older_is_overwritten() {
    let mut store = Flash::default();
    for number in 1..6 {
        save(&mut store, image(number, 0).config, 0).unwrap();
        assert_eq!(company(&mut store), Some(number));
        assert_eq!(load(&mut store).unwrap().serial, u32::from(number));
    }
}

#[test]
fn a_copy_that_cannot_be_used_does_not_hide_the_other() {
    let mut store = Flash::default();
    save(&mut store, image(1, 0).config, 0).unwrap();
    save(&mut store, image(2, 0).config, 0).unwrap();
    store.pages[Page::ConfigB.index()][20] ^= 1;
    assert_eq!(company(&mut store), Some(1));
}

/// Power is cut after every word and every step of the erasure: one of the two configurations is whole.
#[test]
fn a_torn_write_falls_back() {
    for saved_before in 1..4 {
        for fuel in 0.. {
            let mut store = Flash::default();
            for number in 1..=saved_before {
                save(&mut store, image(number, 0).config, 0).unwrap();
            }
            store.fuel = fuel;
            let outcome = save(&mut store, image(99, 0).config, 0);
            store.fuel = usize::MAX;
            let expected = if outcome.is_ok() { 99 } else { saved_before };
            assert_eq!(company(&mut store), Some(expected), "{fuel} words");
            save(&mut store, image(100, 0).config, 0).unwrap();
            assert_eq!(company(&mut store), Some(100), "the next write is well");
            if outcome.is_ok() {
                break;
            }
        }
    }
}

proptest! {
    #[test]
    fn any_page_decodes_without_panic(bytes in proptest::collection::vec(0u8.., 0..600)) {
        prop_assert!(Image::decode::<()>(&bytes).map(|image| image.is_none()).unwrap_or(true));
    }

    #[test]
    fn any_body_decodes_without_panic(body in proptest::collection::vec(0u8..12, 0..200)) {
        let _ = decode_body(&body).map(Config::check);
    }
}
