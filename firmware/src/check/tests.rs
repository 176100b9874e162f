use super::*;
use crate::{
    Triggers,
    board::DelayClock,
    testing::{Flash, Seeded, Virtual},
};
use std::string::ToString;
use vitrine_protocol::identity::SoftwareAes;

/// A source that is a function.
struct By<F>(F);

impl<F: FnMut() -> u32> Entropy for By<F> {
    fn next_u32(&mut self) -> u32 {
        self.0()
    }
}

#[test]
fn a_source_that_is_stuck_or_counts_is_found() {
    assert_eq!(entropy(&mut Seeded::new(1)), Ok(()));
    assert_eq!(entropy(&mut By(|| 0)), Err(Flaw::StuckBits(u32::MAX)));
    let mut narrow = Seeded::new(2);
    assert_eq!(entropy(&mut By(|| narrow.next_u32() & 0xff)), Err(Flaw::StuckBits(0xffff_ff00)));
    let mut count = 0_u32;
    let step = || {
        count = count.wrapping_add(0x9e37_79b9);
        count
    };
    assert_eq!(entropy(&mut By(step)), Err(Flaw::Counting));
}

/// Virtual time in which a look at the clock takes a microsecond.
#[derive(Default)]
struct Awake(Virtual, u64);

impl Clock for Awake {
    fn now_ms(&mut self) -> u64 {
        self.1 += 1;
        self.0.now_ms + self.1 / 1_000
    }

    fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
        self.0.sleep_until(deadline_ms)
    }
}

#[test]
fn a_clock_that_sleeps_wrong_is_found() {
    assert_eq!(clock(&mut Awake::default()), Ok(()));
    let late = Virtual { oversleep_ms: 11, ..Virtual::default() };
    assert_eq!(clock(&mut Awake(late, 0)), Err(Flaw::WokeLate { deadline_ms: 0, now_ms: 11 }));

    struct Insomniac(u64);
    impl Clock for Insomniac {
        fn now_ms(&mut self) -> u64 {
            self.0
        }
        fn sleep_until(&mut self, _: u64) -> Triggers {
            Triggers::NONE
        }
    }
    assert_eq!(clock(&mut Insomniac(7)), Err(Flaw::WokeEarly { deadline_ms: 8, now_ms: 7 }));

    struct Wrapping(u64);
    impl Clock for Wrapping {
        fn now_ms(&mut self) -> u64 {
            self.0 % 200
        }
        fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
            self.0 = deadline_ms;
            Triggers::NONE
        }
    }
    assert_eq!(clock(&mut Wrapping(190)), Err(Flaw::ClockWentBack { from_ms: 198, to_ms: 8 }));
}

/// It counts the time slept alone, as its documentation says.
#[test]
fn a_clock_that_stands_still_while_awake_is_found() {
    let delay = embedded_hal_mock::eh1::delay::NoopDelay::new();
    assert_eq!(clock(&mut DelayClock::new(delay)), Err(Flaw::ClockStandsStill));
}

#[test]
fn a_store_is_left_erased() {
    let mut flash = Flash { pages: [[7; 512]; 4], ..Flash::default() };
    assert_eq!(store(&mut flash), Ok(()));
    assert_eq!(flash.pages, [[0xff; 512]; 4]);
}

#[test]
fn a_store_that_takes_one_page_for_another_is_found() {
    struct Aliased(Flash);
    impl Aliased {
        fn page(page: Page) -> Page {
            if page == Page::TimeB { Page::TimeA } else { page }
        }
    }
    impl Store for Aliased {
        type Error = crate::testing::Dead;
        const PAGE_LEN: usize = 512;
        fn read(&mut self, page: Page, offset: usize, out: &mut [u8]) -> Result<(), Self::Error> {
            self.0.read(Self::page(page), offset, out)
        }
        fn program(&mut self, page: Page, offset: usize, bytes: &[u8]) -> Result<(), Self::Error> {
            for (place, octet) in self.0.pages[Self::page(page).index()][offset..].iter_mut().zip(bytes) {
                *place &= octet;
            }
            Ok(())
        }
        fn erase(&mut self, page: Page) -> Result<(), Self::Error> {
            self.0.erase(Self::page(page))
        }
    }
    assert_eq!(store(&mut Aliased(Flash::default())), Err(Flaw::NotProgrammed(Page::TimeA)));
}

#[test]
fn a_store_that_fails_is_found() {
    for fuel in 0..8 {
        let mut flash = Flash { fuel, ..Flash::default() };
        assert_eq!(store(&mut flash), Err(Flaw::StoreFailed(Page::ConfigA)));
    }
    assert_eq!(store(&mut crate::NoStore), Err(Flaw::StoreFailed(Page::ConfigA)));
}

#[test]
fn aes_is_told_from_what_is_not() {
    assert_eq!(cipher::<SoftwareAes>(), Ok(()));
    struct Clear;
    impl Aes128 for Clear {
        fn new(_: &[u8; 16]) -> Self {
            Self
        }
        fn encrypt(&self, _: &mut [u8; 16]) {}
    }
    assert_eq!(cipher::<Clear>(), Err(Flaw::Cipher));
    assert_eq!(Flaw::NotErased(Page::TimeA).to_string(), "store: TimeA was erased and does not read 0xff");
}
