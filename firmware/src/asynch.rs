//! The beacon for boards with an executor: the same steps, awaited. Feature `async`.
//!
//! Such boards often have a link layer of their own, which sends an advertising event as a whole: so the radio's
//! trait here is one of events and not of channels. Everything else is shared with [`Beacon`].

use crate::{BatteryMonitor, Beacon, Channel, Entropy, Error, Pdu, STEP_MAX_MS, Store, Triggers};
use vitrine_protocol::identity::Aes128;

/// Transmits advertising events.
#[allow(async_fn_in_trait)] // one executor on one core: nobody needs the futures to be `Send`
pub trait AsyncRadio {
    /// Why a transmission failed.
    type Error;

    /// Transmits `pdu` once on channels 37, 38 and 39 at `power_dbm`, or the nearest power the radio has, as soon as
    /// it can.
    ///
    /// # Errors
    /// The PDU was not sent on any channel.
    async fn advertise(&mut self, pdu: &Pdu, power_dbm: i8) -> Result<(), Self::Error>;
}

/// Tells the time since power-up, and sleeps; as [`Clock`](crate::Clock).
#[allow(async_fn_in_trait)]
pub trait AsyncClock {
    /// See [`Clock::now_ms`](crate::Clock::now_ms).
    fn now_ms(&mut self) -> u64;

    /// See [`Clock::sleep_until`](crate::Clock::sleep_until).
    async fn sleep_until(&mut self, deadline_ms: u64) -> Triggers;
}

impl<R: AsyncRadio, E: Entropy, B: BatteryMonitor, S: Store, A: Aes128> Beacon<R, E, B, S, A> {
    /// As [`advertise`](Self::advertise).
    ///
    /// # Errors
    /// [`Error::Radio`] with the first channel: none was used.
    pub async fn advertise_async(&mut self, now_ms: u64) -> Result<(), Error<R::Error>> {
        let mut outcome = Ok(());
        if let Some(event) = self.take(now_ms) {
            let channels = Channel::ALL.len() as u8;
            let [first, ..] = Channel::ALL;
            match self.radio_mut().advertise(&event.pdu, event.power_dbm).await {
                Ok(()) => self.finish(channels, 0, now_ms),
                Err(cause) => {
                    self.finish(0, channels, now_ms);
                    outcome = Err(Error::Radio { channel: first, cause });
                }
            }
        }
        self.keep_time(now_ms);
        outcome
    }

    /// As [`step`](Self::step).
    ///
    /// # Errors
    /// As [`advertise_async`](Self::advertise_async).
    pub async fn step_async<C: AsyncClock>(&mut self, clock: &mut C) -> Result<(), Error<R::Error>> {
        let deadline_ms = self.next_ms().min(clock.now_ms().saturating_add(STEP_MAX_MS));
        let fired = clock.sleep_until(deadline_ms).await;
        let now_ms = clock.now_ms();
        if !fired.is_none() {
            self.trigger(fired, now_ms);
        }
        self.advertise_async(now_ms).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Address, Cipher, Clock, Config, NoStore, Parts, Radio, Start,
        testing::{Battery, Recorder, Seeded, Virtual},
    };
    use core::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    /// Doubles that are ready at once.
    impl AsyncRadio for Recorder {
        type Error = Channel;

        async fn advertise(&mut self, pdu: &Pdu, power_dbm: i8) -> Result<(), Channel> {
            Channel::ALL.into_iter().try_for_each(|channel| self.transmit(channel, pdu, power_dbm))
        }
    }

    impl AsyncClock for Virtual {
        fn now_ms(&mut self) -> u64 {
            self.now_ms
        }

        async fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
            Clock::sleep_until(self, deadline_ms)
        }
    }

    fn ready<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("a double is ready at once"),
        }
    }

    fn beacon() -> Beacon<Recorder, Seeded, Battery> {
        let parts = Parts {
            radio: Recorder::default(),
            entropy: Seeded::new(1),
            battery: Battery(3_000, 0),
            store: NoStore,
            cipher: Cipher::SOFTWARE,
        };
        let address = Address::random_static([1; 6]).unwrap();
        Beacon::new(Config::unconfigured(7), address, parts, Start::unlogged(0), 0)
    }

    #[test]
    fn sends_what_the_other_sends() {
        let (mut awaited, mut called) = (beacon(), beacon());
        let (mut clock, mut same) = (Virtual::default(), Virtual::default());
        while clock.now_ms < 60_000 {
            ready(awaited.step_async(&mut clock)).unwrap();
            called.step(&mut same).unwrap();
        }
        assert!(awaited.radio_mut().sent.len() > 180);
        assert_eq!(awaited.radio_mut().sent, called.radio_mut().sent);
        assert_eq!(awaited.counters(), called.counters());
    }

    #[test]
    fn a_failure_is_counted_for_the_whole_event() {
        let mut beacon = beacon();
        beacon.radio_mut().failing = Channel::ALL.into();
        let failed = Error::Radio { channel: Channel::Adv37, cause: Channel::Adv37 };
        for event in 1..20 {
            assert_eq!(ready(beacon.advertise_async(beacon.next_ms())), Err(failed));
            assert_eq!(beacon.counters().pdus_failed, 3 * event);
        }
        assert!(!beacon.is_healthy());
    }
}
