use super::*;
use crate::testing::{Dead, Flash};

fn at(time_s: u32) -> Reservation {
    Reservation { ceiling: Counter::wrapping(time_s * 3), time_s }
}

fn open(store: &mut Flash) -> Log {
    Log::open(store).unwrap().expect("nothing destroyed it")
}

fn last(store: &mut Flash) -> Option<Reservation> {
    open(store).last()
}

#[test]
fn an_entry_is_frozen() {
    let entry = Reservation { ceiling: Counter::wrapping(0xab_cdef), time_s: 0x0102_0304 };
    assert_eq!(hex::encode(encode(entry)), "04030201efcdab0000000000978a956f");
}

#[test]
fn the_last_entry_counts_over_many_pages() {
    let mut store = Flash::default();
    assert_eq!(last(&mut store), None);
    let mut log = open(&mut store);
    for time_s in 1..1_000 {
        log.append(&mut store, at(time_s)).unwrap();
        assert_eq!(last(&mut store), Some(at(time_s)));
    }
    assert_eq!(store.erasures, 999 / 32, "32 entries a page; the first two pages were erased already");
}

#[test]
fn a_log_that_is_opened_again_goes_on() {
    let mut store = Flash::default();
    for time_s in 1..200 {
        open(&mut store).append(&mut store, at(time_s)).unwrap();
    }
    assert_eq!(last(&mut store), Some(at(199)));
}

#[test]
fn times_rise_though_the_clock_does_not() {
    let mut store = Flash::default();
    let mut log = open(&mut store);
    for _ in 0..100 {
        log.append(&mut store, Reservation { ceiling: Counter::wrapping(5), time_s: 10 }).unwrap();
    }
    assert_eq!(last(&mut store), Some(Reservation { ceiling: Counter::wrapping(5), time_s: 109 }));
}

/// Power is cut after every word and every step of an erasure: what was whole before is found.
#[test]
fn a_torn_entry_is_passed_over() {
    for before in [0, 1, 5, 31, 32, 33, 64, 65] {
        for fuel in 0.. {
            let mut store = Flash::default();
            let mut log = open(&mut store);
            for time_s in 1..=before {
                log.append(&mut store, at(time_s)).unwrap();
            }
            store.fuel = fuel;
            let outcome = log.append(&mut store, at(500));
            store.fuel = usize::MAX;
            let expected = if outcome.is_ok() { Some(at(500)) } else { (before > 0).then(|| at(before)) };
            assert_eq!(last(&mut store), expected, "{before} entries, {fuel} words");
            let mut log = open(&mut store);
            log.append(&mut store, at(600)).unwrap();
            assert_eq!(last(&mut store), Some(at(600)), "the next entry is well");
            if outcome.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn a_destroyed_log_is_not_gone_on_with() {
    for page in Page::TIME {
        let mut store = Flash::default();
        store.pages[page.index()] = [0xa5; 512];
        assert!(Log::open(&mut store).unwrap().is_none());
        assert_eq!(start(&mut store, 5_000, None), (5_000, false));
        let kept = Calendar::new(6_000, 0, true).keep(0);
        assert_eq!(
            start(&mut store, 5_000, Some(kept)),
            (6_000, true),
            "the time is known, the counters are not"
        );
        assert!(Start::read(&mut store, 5_000, Some(kept), 0).unwrap().log.is_none());
    }
}

/// A battery whose contacts bounce when it is put in.
#[test]
fn first_entries_that_are_cut_short_are_no_destroyed_log() {
    let mut store = Flash::default();
    for _ in 0..TORN_MAX {
        store.fuel = 2;
        assert!(open(&mut store).append(&mut store, at(1)).is_err());
    }
    store.fuel = usize::MAX;
    open(&mut store).append(&mut store, at(2)).unwrap();
    assert_eq!(last(&mut store), Some(at(2)));
}

#[test]
fn a_failure_keeps_what_is_there_and_later_entries_go_on() {
    let mut store = Flash::default();
    let mut log = open(&mut store);
    log.append(&mut store, at(1)).unwrap();
    store.fuel = 1;
    assert_eq!(log.append(&mut store, at(2)), Err(Error::Store { page: Page::TimeA, cause: Dead }));
    store.fuel = usize::MAX;
    assert_eq!(log.last(), Some(at(1)));
    log.append(&mut store, at(3)).unwrap();
    assert_eq!(last(&mut store), Some(at(3)));
}

fn start(store: &mut Flash, configured_s: u32, kept: Option<Kept>) -> (u32, bool) {
    let start = Start::read(store, configured_s, kept, 1_000).unwrap();
    (start.calendar.time_s(1_000), start.calendar.is_certain())
}

#[test]
fn time_starts_with_the_configuration_and_goes_on_from_the_log() {
    let mut store = Flash::default();
    assert_eq!(start(&mut store, 5_000, None), (5_000, true));
    open(&mut store).append(&mut store, at(5_000)).unwrap();
    assert_eq!(start(&mut store, 5_000, None), (5_001, false), "a battery was taken out");
    open(&mut store).append(&mut store, at(9_000)).unwrap();
    assert_eq!(start(&mut store, 5_000, None), (9_001, false));
    assert_eq!(start(&mut store, 9_001, None), (9_001, true), "a newer configuration");
    assert_eq!(start(&mut store, 20_000, None), (20_000, true));
}

#[test]
fn memory_that_was_kept_loses_nothing_and_noise_is_not_taken_for_it() {
    let mut store = Flash::default();
    open(&mut store).append(&mut store, at(9_000)).unwrap();
    let kept = |time_s, certain| Some(Calendar::new(time_s, 0, certain).keep(0));
    assert_eq!(start(&mut store, 0, kept(9_200, true)), (9_200, true));
    assert_eq!(start(&mut store, 0, kept(9_200, false)), (9_200, false));
    assert_eq!(start(&mut store, 0, kept(9_000, true)), (9_001, true), "the log is a second ahead");
    assert_eq!(start(&mut store, 0, kept(8_000, true)), (9_001, false), "time never goes back");
    assert_eq!(start(&mut store, 20_000, kept(9_200, true)), (20_000, true));
    for noise in [Kept { time_s: 0, certain: 0, check: 0 }, Kept { time_s: !0, certain: !0, check: !0 }] {
        assert_eq!(start(&mut store, 0, Some(noise)), (9_001, false));
    }
}

#[test]
fn a_calendar_counts_seconds_and_stands_still_at_its_end() {
    let calendar = Calendar::new(100, 5_500, true);
    assert_eq!([0, 5_500, 6_499, 6_500].map(|now_ms| calendar.time_s(now_ms)), [100, 100, 100, 101]);
    assert_eq!(calendar.time_s(u64::MAX), u32::MAX);
}
