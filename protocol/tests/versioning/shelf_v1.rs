//! Version 1 of the shelf line. Never edited, only added to.
//!
//! The octets were first written by another encoder, made from the specification in `shelf.rs` alone.

use vitrine_protocol::shelf::*;

/// `message` is read from `frame` and, while version 1 is what is written, written as `frame`.
#[track_caller]
fn check(message: Message, frame: &str) {
    let octets = hex::decode(frame).expect("hex");
    let heard: Vec<_> = Decoder::new().push_all(&octets).collect();
    assert_eq!(heard, [Ok(message.clone())]);
    if VERSION == 1 {
        assert_eq!(hex::encode(message.encode()), frame);
    }
}

fn report(report: Report, frame: &str) {
    check(Message::Report(report), frame);
}

fn command(command: Command, frame: &str) {
    check(Message::Command(command), frame);
}

fn channel(number: u8) -> Channel {
    Channel::new(number).expect("in range")
}

fn text(text: &str) -> Text {
    Text::from(text).expect("short")
}

#[test]
fn hello() {
    report(
        Report::Hello(Hello {
            serial: text("SN-0042"),
            hardware: text("scale-4 r2"),
            firmware: text("1.2.3"),
            boot: 0xdead_beef,
            configuration: Some(300),
            channels: [Unit::Grams, Unit::Grams, Unit::Count, Unit::DistanceMm].into_iter().collect(),
        }),
        "000201012307534e2d303034320a7363616c652d3420723205312e322e33effdb6f50d01ac0204010501024a5d00",
    );
    report(
        Report::Hello(Hello {
            serial: text(""),
            hardware: text("é"),
            firmware: text(""),
            boot: 0,
            configuration: None,
            channels: [].into_iter().collect(),
        }),
        "00020101010402c3a90101010350dd00",
    );
}

#[test]
fn readings() {
    let stamp = Stamp { boot: 7, counter: 4711, age_ms: Some(0) };
    let reading = Reading { stamp, channel: channel(0), quantity: Quantity::Grams(3500), stable: true };
    report(Report::Reading(reading), "000201060107e72401010106d8360180e200");
    let stamp = Stamp { boot: u32::MAX, counter: u64::MAX, age_ms: Some(u32::MAX) };
    let reading = Reading { stamp, channel: channel(15), quantity: Quantity::Grams(i32::MIN), stable: false };
    report(
        Report::Reading(reading),
        "0002011801ffffffff0fffffffffffffffffff0101ffffffff0f0f06ffffffff0f03b75f00",
    );
    let stamp = Stamp { boot: 0, counter: 1, age_ms: None };
    let reading = Reading { stamp, channel: channel(1), quantity: Quantity::Count(12), stable: true };
    report(Report::Reading(reading), "000201020102010701010c01853400");
    report(
        Report::Reading(Reading { quantity: Quantity::DistanceMm(127), ..reading }),
        "000201020102010701027f014d0100",
    );
    report(
        Report::Reading(Reading { quantity: Quantity::Grams(-1), ..reading }),
        "00020102010201020105010121de00",
    );
}

#[test]
fn events() {
    let stamp = Stamp { boot: 7, counter: 2, age_ms: Some(350) };
    let (before, after) = (Quantity::Grams(3500), Quantity::Grams(3000));
    let event = Event { stamp, channel: channel(3), change: Change::Step { before, after } };
    report(Report::Event(event), "0002010802070201de02030103d83605f02e013400");
    let change = Change::Tare { before: Quantity::Grams(-12), after: Quantity::Grams(0) };
    report(Report::Event(Event { change, ..event }), "0002010902070201de020301021701031a9c00");
}

#[test]
fn faults() {
    let stamp = Stamp { boot: 7, counter: 3, age_ms: Some(1) };
    let sensor = |fault| Report::Fault(FaultReport { stamp, channel: Some(channel(2)), fault, active: true });
    report(sensor(Fault::NoSignal), "00020108030703010101020401c70f00");
    report(sensor(Fault::Stuck), "0002010c0307030101010201011f1600");
    report(sensor(Fault::OutOfRange), "0002010c030703010101020201773c00");
    report(sensor(Fault::Unsettled), "0002010c030703010101020301af2500");
    let whole = |fault| Report::Fault(FaultReport { stamp, channel: None, fault, active: false });
    report(whole(Fault::Supply), "000201060307030101020403757e00");
    report(whole(Fault::LostReports), "000201060307030101020503ad6700");
    report(whole(Fault::Restarted), "000201060307030101020603c54d00");
    report(whole(Fault::Configuration), "0002010603070301010207031d5400");
}

#[test]
fn commands() {
    command(Command::Identify, "0003010103c88500");
    let config = ChannelConfig { sample_ms: 100, report_s: 5, settle_ms: 400, tolerance: 3, step: 20 };
    let off = ChannelConfig { sample_ms: 0, report_s: 0, settle_ms: 0, tolerance: 0, step: 0 };
    let configuration = Configuration { revision: 301, channels: [config, off].into_iter().collect() };
    command(Command::Configure(configuration), "000d010101ad0202640590030314010101010319f000");
    command(Command::Acknowledge(Acknowledgement { boot: 7, counter: 2 }), "000801010207022a0300");
    command(Command::Time { unix_ms: 1_772_622_000_000 }, "000c01010380df84c4cb33c15e00");
}
