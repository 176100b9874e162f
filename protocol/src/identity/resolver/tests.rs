use super::*;
use proptest::prelude::*;

const P: u64 = 1024;
/// The start of a window of K = 10.
const T: u64 = 1_772_621_824;

fn key(n: u32) -> IdentityKey {
    let mut octets = [0x5a; 16];
    octets[..4].copy_from_slice(&n.to_be_bytes());
    IdentityKey::new(octets)
}

fn registration(n: u32, offset_s: u32) -> Registration {
    Registration { key: key(n), exponent: Exponent::SECURE, offset_s }
}

/// What beacon `n` sends when its clock shows `time_s`.
fn sent(n: u32, time_s: u64) -> [u8; 8] {
    identifier::<SoftwareAes>(&key(n), Exponent::SECURE, time_s as u32)
}

/// A resolver of one beacon, number 0, whose clock shows our time.
fn one() -> (Resolver, Handle) {
    let mut resolver = Resolver::new();
    let handle = resolver.register(registration(0, 0));
    catch_up(&mut resolver, T);
    (resolver, handle)
}

fn catch_up(resolver: &mut Resolver, now_s: u64) {
    resolver.handle_time(now_s);
    while resolver.poll_timeout().is_some_and(|due_s| due_s <= now_s) {
        resolver.handle_time(now_s);
    }
}

fn ahead(resolver: &Resolver, time_s: u64, now_s: u64) -> Option<i16> {
    resolver.resolve(&sent(0, time_s), now_s).map(|found| found.ahead_windows)
}

/// Hears beacon 0 with its clock at `time_s`, and believes it.
fn hear(resolver: &mut Resolver, time_s: u64, now_s: u64) -> bool {
    catch_up(resolver, now_s);
    let found = resolver.resolve(&sent(0, time_s), now_s);
    found.inspect(|found| resolver.confirm(found, now_s)).is_some()
}

#[test]
fn finds_the_window_before_the_current_and_the_next() {
    let (mut resolver, _) = one();
    for now_s in [T, T + P - 1, T + P, T + 7 * P + 5] {
        catch_up(&mut resolver, now_s);
        let start_s = now_s / P * P;
        let found: Vec<_> = [start_s - P - 1, start_s - P, start_s, start_s + P, start_s + 2 * P]
            .into_iter()
            .map(|time_s| ahead(&resolver, time_s, now_s))
            .collect();
        assert_eq!(found, [None, Some(-1), Some(0), Some(1), None], "{now_s}");
        assert_eq!(resolver.identifiers(), 3);
    }
}

#[test]
fn what_has_passed_is_not_found_though_handle_time_is_late() {
    let (resolver, _) = one();
    assert_eq!(ahead(&resolver, T, T + P), Some(-1));
    assert_eq!(ahead(&resolver, T, T + 2 * P), None);
    assert_eq!(ahead(&resolver, T + P, T + P), Some(0), "the next window is there already");
}

#[test]
fn many_beacons_are_done_in_bounded_parts_and_each_is_found() {
    let mut resolver: Resolver = Resolver::new();
    let handles: Vec<_> = (0..2000).map(|n| resolver.register(registration(n, n * 77_777))).collect();
    let mut calls = 0;
    for now_s in [T, T + 3 * P] {
        while resolver.poll_timeout().is_some_and(|due_s| due_s <= now_s) {
            let before = resolver.identifiers();
            resolver.handle_time(now_s);
            assert!(resolver.identifiers().abs_diff(before) <= WORK_MAX as usize + 3);
            calls += 1;
        }
        for (n, &handle) in (0..).zip(&handles) {
            let found = resolver.resolve(&sent(n, now_s + u64::from(n * 77_777)), now_s).unwrap();
            assert_eq!((found.beacon, found.ahead_windows), (handle, 0));
        }
        assert_eq!(resolver.identifiers(), 6000);
    }
    assert!(calls >= 6000 / WORK_MAX + 12_000 / WORK_MAX, "{calls}");
}

#[test]
fn a_clock_that_jumps_is_followed() {
    let (mut resolver, _) = one();
    for now_s in [T + 1000 * P, T - 5, T + 3, T - 50 * P] {
        catch_up(&mut resolver, now_s);
        assert_eq!(ahead(&resolver, now_s, now_s), Some(0));
        assert_eq!(resolver.identifiers(), 3);
    }
}

#[test]
fn beacon_time_goes_round() {
    let mut resolver: Resolver = Resolver::new();
    let to_wrap_s = 2 * P;
    let handle = resolver.register(registration(0, (to_wrap_s as u32 + T as u32).wrapping_neg()));
    for step in 0..5 {
        let now_s = T + step * P;
        catch_up(&mut resolver, now_s);
        let found = resolver.resolve(&sent(0, now_s.wrapping_sub(to_wrap_s + T)), now_s);
        let window_start_s = (step * P) as u32;
        let expected = Match {
            beacon: handle,
            window_start_s: window_start_s.wrapping_sub(to_wrap_s as u32),
            ahead_windows: 0,
        };
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn the_first_sighting_sets_the_clock_by_as_little_as_possible() {
    for (time_s, offset_s) in [(T + 700, 0_i32), (T + P, 1024 - 500), (T - 1, -501), (T - P, -501)] {
        let (mut resolver, handle) = one();
        assert!(hear(&mut resolver, time_s, T + 500));
        assert_eq!(resolver.offset_s(handle).map(|s| s as i32), Some(offset_s), "{time_s}");
    }
}

#[test]
fn drift_is_followed_for_years() {
    for ppm in [-150_i64, 150] {
        let (mut resolver, _) = one();
        for hour in (0..2 * 365 * 24).step_by(6) {
            let elapsed_s = hour * 3600;
            let now_s = T + elapsed_s as u64;
            let time_s = (now_s as i64 + elapsed_s * ppm / 1_000_000) as u64;
            assert!(hear(&mut resolver, time_s, now_s), "{ppm} ppm, hour {hour}");
        }
    }
}

#[test]
fn old_identifiers_played_back_do_not_drag_the_clock() {
    let (mut resolver, handle) = one();
    assert!(hear(&mut resolver, T, T));
    for now_s in T..T + 20 * P {
        // The oldest identifier that is accepted, every second, for almost six hours.
        catch_up(&mut resolver, now_s);
        if let Some(found) = resolver.resolve(&sent(0, now_s - P), now_s) {
            resolver.confirm(&found, now_s);
        }
    }
    assert!(resolver.offset_s(handle).is_some_and(|s| (-20..=0).contains(&(s as i32))));
    assert!(hear(&mut resolver, T + 20 * P, T + 20 * P), "the beacon itself is still found");
}

#[test]
fn a_beacon_whose_clock_stood_still_is_found_by_a_search() {
    let (mut resolver, handle) = one();
    assert!(hear(&mut resolver, T, T));
    let (late_s, day_s) = (70_000, 86_400);
    let now_s = T + 10 * P;
    assert!(!hear(&mut resolver, now_s - late_s, now_s));
    resolver.search(handle, day_s, 0, now_s);
    assert!(hear(&mut resolver, now_s - late_s, now_s));
    assert!(hear(&mut resolver, now_s + 5 * P - late_s, now_s + 5 * P));
    assert_eq!(resolver.identifiers(), 3, "the search is over");
}

#[test]
fn a_search_is_bounded() {
    let (mut resolver, handle) = one();
    resolver.search(handle, u32::MAX, u32::MAX, T);
    catch_up(&mut resolver, T);
    assert_eq!(resolver.identifiers(), 2 * usize::from(SEARCH_MAX) + 1);
    assert_eq!(ahead(&resolver, T - 100 * P, T), Some(-100));
    assert_eq!(ahead(&resolver, T - 101 * P, T), None);
}

proptest! {
    /// Against the obvious way: derive every beacon's three identifiers anew.
    #[test]
    fn finds_what_trying_all_keys_finds(
        beacons in proptest::collection::vec((0_u8..=15, any::<u32>()), 1..20),
        steps in proptest::collection::vec((0_u64..100_000, any::<prop::sample::Index>(), -3_i64..=3), 1..20),
    ) {
        let mut resolver: Resolver = Resolver::new();
        for (n, &(k, offset_s)) in (0..).zip(&beacons) {
            let exponent = Exponent::new(k).unwrap();
            resolver.register(Registration { key: key(n), exponent, offset_s });
        }
        let mut now_s = T;
        for (step_s, index, windows) in steps {
            now_s += step_s;
            catch_up(&mut resolver, now_s);
            let n = index.index(beacons.len());
            let (k, offset_s) = beacons[n];
            let shift_s = (windows << k) as u32;
            let time_s = (now_s as u32).wrapping_add(offset_s).wrapping_add(shift_s);
            let heard = identifier::<SoftwareAes>(&key(n as u32), Exponent::new(k).unwrap(), time_s);
            let found = resolver.resolve(&heard, now_s).map(|m| (m.beacon.index(), i64::from(m.ahead_windows)));
            prop_assert_eq!(found, (-1..=1).contains(&windows).then_some((n, windows)));
            prop_assert_eq!(resolver.identifiers(), 3 * beacons.len());
        }
    }
}
