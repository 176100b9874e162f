//! Conversations as they are said, a line each.

use super::*;
use expect_test::{Expect, expect};
use std::fmt::Write as _;
use vitrine_protocol::{
    Id,
    event::Clock,
    shelf::{Change, ChannelConfig, Event, Fault, FaultReport, Quantity, Text, Unit},
    time::Timestamp,
};

fn now(ms: u64) -> Now {
    Now { mono_ms: ms, utc: Timestamp::from_ms(1_772_611_200_000 + ms as i64), source: Clock::Synced }
}

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

/// A conversation, and what was said in it.
struct Talk {
    conversation: Conversation,
    ms: u64,
    said: String,
}

impl Talk {
    fn new(settings: Option<ChannelConfig>) -> Self {
        let controller = Controller {
            serial_number: Text::from("VS-1").unwrap(),
            shelf: id("shelf-1"),
            facings: vec![Some(id("left")), None, Some(id("right"))],
            settings,
        };
        let mut conversation = Conversation::new("tty".into(), [controller].into());
        conversation.handle_open(now(0));
        Self { conversation, ms: 0, said: String::new() }
    }

    /// Lets time pass, and notes what the gateway says and hands on.
    fn wait(&mut self, ms: u64) -> &mut Self {
        let until = self.ms + ms;
        loop {
            while let Some(frame) = self.conversation.poll_transmit(now(self.ms)) {
                let Some(Ok(Message::Command(command))) = Decoder::new().push_all(&frame).next() else {
                    panic!("{frame:?}")
                };
                writeln!(self.said, "{} > {}", self.ms, short(&format!("{command:?}"))).unwrap();
            }
            if self.conversation.handed.is_none()
                && let Some(inputs) = self.conversation.poll_input(now(self.ms))
            {
                for input in inputs {
                    writeln!(self.said, "{} * {}", self.ms, short(&format!("{input:?}"))).unwrap();
                }
            }
            if self.ms >= until {
                return self;
            }
            self.ms += 250;
        }
    }

    fn hear(&mut self, report: Report) -> &mut Self {
        let frame = Message::Report(report).encode();
        self.conversation.handle_octets(&frame, now(self.ms));
        self.wait(0)
    }

    fn durable(&mut self) -> &mut Self {
        self.conversation.handle_durable(now(self.ms));
        self.wait(0)
    }

    fn refused(&mut self) -> &mut Self {
        self.conversation.handle_refused(now(self.ms));
        self.wait(0)
    }

    fn check(&mut self, expected: Expect) -> &mut Self {
        expected.assert_eq(&std::mem::take(&mut self.said));
        self
    }
}

/// Without the words that are always the same.
fn short(text: &str) -> String {
    [
        ("ShelfReading ", ""),
        ("ShelfTrouble(ShelfTrouble", "Trouble("),
        ("ShelfChange(ShelfChange", "Change("),
        ("shelf: Id(\"shelf-1\"), ", ""),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn hello_of(serial: &str, boot: u32, configuration: Option<u32>) -> Report {
    let text = |text: &str| Text::from(text).unwrap();
    let channels = [Unit::Grams; 3].into_iter().collect();
    Report::Hello(Hello {
        serial: text(serial),
        hardware: text("h"),
        firmware: text("1.0"),
        boot,
        configuration,
        channels,
    })
}

fn hello(boot: u32) -> Report {
    hello_of("VS-1", boot, None)
}

fn stamp(boot: u32, counter: u64, age_ms: u32) -> Stamp {
    Stamp { boot, counter, age_ms: Some(age_ms) }
}

fn channel(number: u8) -> Channel {
    Channel::new(number).unwrap()
}

fn reading(counter: u64, number: u8, grams: i32, stable: bool) -> Report {
    let quantity = Quantity::Grams(grams);
    Report::Reading(Reading { stamp: stamp(7, counter, 20), channel: channel(number), quantity, stable })
}

fn step(counter: u64, number: u8, before: i32, after: i32) -> Report {
    let change = Change::Step { before: Quantity::Grams(before), after: Quantity::Grams(after) };
    Report::Event(Event { stamp: stamp(7, counter, 100), channel: channel(number), change })
}

fn fault(counter: u64, number: Option<u8>, fault: Fault) -> Report {
    let channel = number.map(channel);
    Report::Fault(FaultReport { stamp: stamp(7, counter, 0), channel, fault, active: true })
}

#[test]
fn one_is_asked_who_it_is_and_told_the_time_and_then_heard() {
    Talk::new(None)
        .wait(5000)
        .hear(hello(7))
        .hear(reading(1, 0, 3500, true))
        .hear(reading(2, 0, 3501, false))
        .hear(reading(3, 1, 1, true))
        .wait(1000)
        .hear(reading(4, 2, 720, true))
        .wait(1000)
        .check(expect![[r#"
            0 > Identify
            2000 > Identify
            4000 > Identify
            5000 > Time { unix_ms: 1772611205000 }
            6500 * Shelf({ shelf: "shelf-1", facing: "left", boot: 3996555755, counter: 1, age_ms: 1520, quantity: Grams(3500), settled: true })
            6500 * Shelf({ shelf: "shelf-1", facing: "right", boot: 3996555755, counter: 4, age_ms: 520, quantity: Grams(720), settled: true })
        "#]]);
}

#[test]
fn an_event_is_acknowledged_when_it_is_durable_and_so_is_a_repeat() {
    Talk::new(None)
        .hear(hello(7))
        .hear(step(1, 0, 3500, 2800))
        .wait(1000)
        .hear(step(1, 0, 3500, 2800))
        .durable()
        .wait(250)
        .hear(step(1, 0, 3500, 2800))
        .check(expect![[r#"
            0 > Time { unix_ms: 1772611200000 }
            0 * Change( { shelf: "shelf-1", facing: "left", id: ee3699ec000000070000000000000001, age_ms: Some(100), change: Step { before: Grams(3500), after: Grams(2800) } })
            1000 > Acknowledge(Acknowledgement { boot: 7, counter: 1 })
            1250 > Acknowledge(Acknowledgement { boot: 7, counter: 1 })
        "#]]);
}

#[test]
fn what_is_refused_is_not_acknowledged_and_comes_again() {
    let mut talk = Talk::new(None);
    talk.hear(hello(7)).hear(step(1, 0, 3500, 2800)).refused().wait(1000);
    talk.hear(step(1, 0, 3500, 2800)).durable().wait(500);
    talk.hear(reading(1, 0, 2800, true)).wait(1000).refused();
    talk.hear(reading(2, 0, 2801, true)).wait(1500).check(expect![[r#"
        0 > Time { unix_ms: 1772611200000 }
        0 * Change( { shelf: "shelf-1", facing: "left", id: ee3699ec000000070000000000000001, age_ms: Some(100), change: Step { before: Grams(3500), after: Grams(2800) } })
        1000 * Change( { shelf: "shelf-1", facing: "left", id: ee3699ec000000070000000000000001, age_ms: Some(100), change: Step { before: Grams(3500), after: Grams(2800) } })
        1000 > Acknowledge(Acknowledgement { boot: 7, counter: 1 })
        2500 * Shelf({ shelf: "shelf-1", facing: "left", boot: 3996555755, counter: 1, age_ms: 1020, quantity: Grams(2800), settled: true })
        3500 * Shelf({ shelf: "shelf-1", facing: "left", boot: 3996555755, counter: 2, age_ms: 1020, quantity: Grams(2801), settled: true })
    "#]]);
    assert_eq!(talk.conversation.counts().refused, 2);
}

#[test]
fn readings_wait_for_the_events_before_them() {
    let mut talk = Talk::new(None);
    talk.hear(hello(7)).hear(reading(1, 0, 2100, true)).hear(reading(2, 2, 720, true)).wait(1000);
    // The first change is younger than the reading of its channel, which therefore is no news.
    talk.hear(step(1, 0, 2100, 1750)).durable().wait(1000).hear(step(2, 0, 1750, 1400)).durable().wait(1500);
    talk.check(expect![[r#"
        0 > Time { unix_ms: 1772611200000 }
        1000 * Change( { shelf: "shelf-1", facing: "left", id: ee3699ec000000070000000000000001, age_ms: Some(100), change: Step { before: Grams(2100), after: Grams(1750) } })
        1000 > Acknowledge(Acknowledgement { boot: 7, counter: 1 })
        2000 * Change( { shelf: "shelf-1", facing: "left", id: ee3699ec000000070000000000000002, age_ms: Some(100), change: Step { before: Grams(1750), after: Grams(1400) } })
        2000 > Acknowledge(Acknowledgement { boot: 7, counter: 2 })
        3500 * Shelf({ shelf: "shelf-1", facing: "right", boot: 3996555755, counter: 2, age_ms: 3520, quantity: Grams(720), settled: true })
    "#]]);
}

#[test]
fn faults_are_those_of_a_facing_of_all_facings_or_of_the_shelf() {
    let mut talk = Talk::new(None);
    talk.hear(hello(7));
    let faults = [
        (Some(2), Fault::Stuck),
        (None, Fault::NoSignal),
        (Some(0), Fault::Configuration),
        (None, Fault::LostReports),
        (Some(1), Fault::OutOfRange),
    ];
    for (counter, (number, kind)) in (1..).zip(faults) {
        talk.hear(fault(counter, number, kind)).durable();
    }
    talk.check(expect![[r#"
        0 > Time { unix_ms: 1772611200000 }
        0 * Trouble( { id: ee3699ec000000070000000000000001, age_ms: Some(0), trouble: Facing(Fault { shelf: "shelf-1", facing: "right", fault: Stuck, active: true }) })
        0 > Acknowledge(Acknowledgement { boot: 7, counter: 1 })
        0 * Trouble( { id: ee3699ec000000070000000000000002, age_ms: Some(0), trouble: Facing(Fault { shelf: "shelf-1", facing: "left", fault: NoSignal, active: true }) })
        0 * Trouble( { id: ee3699ec000000070000000000000002, age_ms: Some(0), trouble: Facing(Fault { shelf: "shelf-1", facing: "right", fault: NoSignal, active: true }) })
        0 > Acknowledge(Acknowledgement { boot: 7, counter: 2 })
        0 * Trouble( { id: ee3699ec000000070000000000000003, age_ms: Some(0), trouble: Shelf(ShelfFault { shelf: "shelf-1", fault: Configuration, active: true }) })
        0 > Acknowledge(Acknowledgement { boot: 7, counter: 3 })
        0 * Trouble( { id: ee3699ec000000070000000000000004, age_ms: Some(0), trouble: Shelf(ShelfFault { shelf: "shelf-1", fault: LostReports, active: true }) })
        0 > Acknowledge(Acknowledgement { boot: 7, counter: 4 })
        0 > Acknowledge(Acknowledgement { boot: 7, counter: 5 })
    "#]]);
    assert_eq!(talk.conversation.counts().unplaced, 1);
}

#[test]
fn settings_are_sent_until_they_are_in_force_or_refused() {
    let settings = ChannelConfig { sample_ms: 100, report_s: 10, settle_ms: 500, tolerance: 5, step: 20 };
    let mut talk = Talk::new(Some(settings));
    // Lost on the line the first time.
    talk.hear(hello(7)).wait(2000).check(expect![[r#"
        0 > Configure(Configuration { revision: 2411756302, channels: [ChannelConfig { sample_ms: 100, report_s: 10, settle_ms: 500, tolerance: 5, step: 20 }, ChannelConfig { sample_ms: 0, report_s: 0, settle_ms: 0, tolerance: 0, step: 0 }, ChannelConfig { sample_ms: 100, report_s: 10, settle_ms: 500, tolerance: 5, step: 20 }] })
        0 > Time { unix_ms: 1772611200000 }
        2000 > Configure(Configuration { revision: 2411756302, channels: [ChannelConfig { sample_ms: 100, report_s: 10, settle_ms: 500, tolerance: 5, step: 20 }, ChannelConfig { sample_ms: 0, report_s: 0, settle_ms: 0, tolerance: 0, step: 0 }, ChannelConfig { sample_ms: 100, report_s: 10, settle_ms: 500, tolerance: 5, step: 20 }] })
    "#]]);
    let Peer::Known(Known { hello: said, .. }) = &talk.conversation.peer else { panic!() };
    let revision = talk.conversation.controllers[0].configuration(said).unwrap().revision;
    talk.hear(hello_of("VS-1", 7, Some(revision))).wait(5000).check(expect![[""]]);

    talk.hear(hello_of("VS-1", 8, Some(1))).hear(hello_of("VS-1", 8, Some(1)));
    talk.hear(hello_of("VS-1", 8, Some(1))).hear(hello_of("VS-1", 8, Some(1))).wait(5000);
    talk.check(expect![[r#"
        7000 > Configure(Configuration { revision: 2411756302, channels: [ChannelConfig { sample_ms: 100, report_s: 10, settle_ms: 500, tolerance: 5, step: 20 }, ChannelConfig { sample_ms: 0, report_s: 0, settle_ms: 0, tolerance: 0, step: 0 }, ChannelConfig { sample_ms: 100, report_s: 10, settle_ms: 500, tolerance: 5, step: 20 }] })
        7000 > Time { unix_ms: 1772611207000 }
        7000 > Configure(Configuration { revision: 2411756302, channels: [ChannelConfig { sample_ms: 100, report_s: 10, settle_ms: 500, tolerance: 5, step: 20 }, ChannelConfig { sample_ms: 0, report_s: 0, settle_ms: 0, tolerance: 0, step: 0 }, ChannelConfig { sample_ms: 100, report_s: 10, settle_ms: 500, tolerance: 5, step: 20 }] })
    "#]]);
    assert_eq!(talk.conversation.counts().configurations_refused, 1);
}

#[test]
fn strangers_are_not_listened_to_and_are_asked_seldom() {
    let mut talk = Talk::new(None);
    talk.hear(step(1, 0, 3500, 2800)).hear(hello_of("VS-9", 7, None)).hear(step(1, 0, 3500, 2800));
    talk.hear(reading(1, 0, 2800, true)).wait(20_000).check(expect![[r#"
        0 > Identify
        10000 > Identify
        20000 > Identify
    "#]]);
    assert_eq!(talk.conversation.counts().unidentified, 4);
    assert_eq!(talk.conversation.take_heard(), None);
}

#[test]
fn a_controller_that_starts_anew_is_asked_and_what_is_missing_is_counted() {
    let mut talk = Talk::new(None);
    talk.hear(hello(6)).hear(reading(1, 0, 0, true)).check(expect![[r#"
        0 > Time { unix_ms: 1772611200000 }
        0 > Identify
    "#]]);
    talk.hear(hello(7)).hear(reading(1, 0, 0, true)).hear(reading(5, 0, 0, true));
    talk.hear(step(2, 0, 0, 350)).durable().hear(step(9, 0, 350, 0)).durable();
    talk.check(expect![[r#"
        0 > Time { unix_ms: 1772611200000 }
        0 * Change( { shelf: "shelf-1", facing: "left", id: ee3699ec000000070000000000000002, age_ms: Some(100), change: Step { before: Grams(0), after: Grams(350) } })
        0 > Acknowledge(Acknowledgement { boot: 7, counter: 2 })
        0 * Change( { shelf: "shelf-1", facing: "left", id: ee3699ec000000070000000000000009, age_ms: Some(100), change: Step { before: Grams(350), after: Grams(0) } })
        0 > Acknowledge(Acknowledgement { boot: 7, counter: 9 })
    "#]]);
    let counts = talk.conversation.counts();
    assert_eq!((counts.readings_missed, counts.reports_missed, counts.reports), (3, 6, 2));
}

#[test]
fn garbage_is_counted_and_left_behind() {
    let mut talk = Talk::new(None);
    talk.hear(hello(7));
    talk.conversation.handle_octets(&[0x55; 1000], now(0));
    talk.hear(step(1, 0, 3500, 2800)).durable();
    // The line is lost within a frame, and found again.
    let frame = Message::Report(step(2, 0, 2800, 3500)).encode();
    talk.conversation.handle_octets(&frame[..9], now(0));
    talk.conversation.handle_open(now(0));
    talk.hear(hello(7)).hear(step(2, 0, 2800, 3500)).durable();
    assert_eq!(talk.conversation.counts().malformed, 1);
    assert_eq!(talk.conversation.counts().reports, 2);
}

#[test]
fn one_that_has_nothing_to_say_is_asked_whether_it_is_there() {
    let mut talk = Talk::new(None);
    talk.hear(hello(7)).wait(20_000).hear(hello(7)).wait(25_000).check(expect![[r#"
        0 > Time { unix_ms: 1772611200000 }
        20000 > Identify
        40000 > Identify
    "#]]);
    assert_eq!(talk.conversation.take_heard(), Some(0));
}
