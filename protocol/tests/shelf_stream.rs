//! A serial line as it is: cut, flipped, spliced. What arrives intact is found, and nothing else but by chance.

use proptest::{collection::vec, option, prelude::*, sample::Index};
use vitrine_protocol::shelf::*;

fn text() -> impl Strategy<Value = Text> {
    "[ -~]{0,32}".prop_map(|text| Text::from(&text).expect("at most 32 octets"))
}

fn channel() -> impl Strategy<Value = Channel> {
    (0..CHANNELS_MAX as u8).prop_map(|number| Channel::new(number).expect("in range"))
}

fn quantity() -> impl Strategy<Value = Quantity> {
    prop_oneof![
        any::<i32>().prop_map(Quantity::Grams),
        any::<u32>().prop_map(Quantity::Count),
        any::<u32>().prop_map(Quantity::DistanceMm),
    ]
}

fn unit() -> impl Strategy<Value = Unit> {
    prop_oneof![Just(Unit::Grams), Just(Unit::Count), Just(Unit::DistanceMm)]
}

fn stamp() -> impl Strategy<Value = Stamp> {
    any::<(u32, u64, Option<u32>)>().prop_map(|(boot, counter, age_ms)| Stamp { boot, counter, age_ms })
}

fn change() -> impl Strategy<Value = Change> {
    (any::<bool>(), quantity(), quantity()).prop_map(|(tare, before, after)| match tare {
        true => Change::Tare { before, after },
        false => Change::Step { before, after },
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::NoSignal),
        Just(Fault::Stuck),
        Just(Fault::OutOfRange),
        Just(Fault::Unsettled),
        Just(Fault::Supply),
        Just(Fault::LostReports),
        Just(Fault::Restarted),
        Just(Fault::Configuration),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    let hello = (text(), text(), text(), any::<u32>(), any::<Option<u32>>(), vec(unit(), 0..=CHANNELS_MAX));
    prop_oneof![
        hello.prop_map(|(serial, hardware, firmware, boot, configuration, channels)| {
            let channels = channels.into_iter().collect();
            Report::Hello(Hello { serial, hardware, firmware, boot, configuration, channels })
        }),
        (stamp(), channel(), quantity(), any::<bool>()).prop_map(|(stamp, channel, quantity, stable)| {
            Report::Reading(Reading { stamp, channel, quantity, stable })
        }),
        (stamp(), channel(), change()).prop_map(|(stamp, channel, change)| Report::Event(Event {
            stamp,
            channel,
            change
        })),
        (stamp(), option::of(channel()), fault(), any::<bool>()).prop_map(
            |(stamp, channel, fault, active)| {
                Report::Fault(FaultReport { stamp, channel, fault, active })
            }
        ),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let config =
        any::<(u16, u16, u16, u16, u16)>().prop_map(|(sample_ms, report_s, settle_ms, tolerance, step)| {
            ChannelConfig { sample_ms, report_s, settle_ms, tolerance, step }
        });
    prop_oneof![
        Just(Command::Identify),
        (any::<u32>(), vec(config, 0..=CHANNELS_MAX)).prop_map(|(revision, channels)| {
            Command::Configure(Configuration { revision, channels: channels.into_iter().collect() })
        }),
        any::<(u32, u64)>()
            .prop_map(|(boot, counter)| Command::Acknowledge(Acknowledgement { boot, counter })),
        any::<u64>().prop_map(|unix_ms| Command::Time { unix_ms }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![report().prop_map(Message::Report), command().prop_map(Message::Command)]
}

/// A stretch of the line.
#[derive(Clone, Debug)]
enum Stretch {
    Intact(Message),
    Garbage(Vec<u8>),
    Cut(Message, Index),
    Flipped(Message, Vec<Index>),
    Spliced(Message, Index, Vec<u8>),
}

fn stretch() -> impl Strategy<Value = Stretch> {
    prop_oneof![
        2 => message().prop_map(Stretch::Intact),
        1 => vec(any::<u8>(), 0..600).prop_map(Stretch::Garbage),
        1 => (message(), any::<Index>()).prop_map(|(message, at)| Stretch::Cut(message, at)),
        1 => (message(), vec(any::<Index>(), 1..9)).prop_map(|(message, bits)| Stretch::Flipped(message, bits)),
        1 => (message(), any::<Index>(), vec(any::<u8>(), 1..9))
            .prop_map(|(message, at, octets)| Stretch::Spliced(message, at, octets)),
    ]
}

impl Stretch {
    fn write(&self, line: &mut Vec<u8>) {
        match self {
            Self::Intact(message) => line.extend(message.encode()),
            Self::Garbage(octets) => line.extend(octets),
            Self::Cut(message, at) => {
                let frame = message.encode();
                line.extend(&frame[..at.index(frame.len())]);
            }
            Self::Flipped(message, bits) => {
                let mut frame = message.encode();
                for bit in bits {
                    let bit = bit.index(frame.len() * 8);
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
                line.extend(frame);
            }
            Self::Spliced(message, at, octets) => {
                let frame = message.encode();
                let (before, after) = frame.split_at(at.index(frame.len()));
                line.extend(before.iter().chain(octets).chain(after));
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(message in message()) {
        let frame = message.encode();
        let inside = &frame[1..frame.len() - 1];
        prop_assert!(frame.len() <= FRAME_MAX && !inside.contains(&0), "{frame:?}");
        let heard: Vec<_> = Decoder::new().push_all(&frame).collect();
        prop_assert_eq!(heard, [Ok(message)]);
    }

    #[test]
    fn every_intact_frame_is_found_and_every_octet_accounted_for(
        line in vec(stretch(), 0..12), pieces in vec(1usize..64, 1..8)
    ) {
        let mut octets = Vec::new();
        line.iter().for_each(|stretch| stretch.write(&mut octets));
        octets.push(0);

        let mut decoder = Decoder::new();
        let (mut heard, mut discarded_octets) = (Vec::new(), 0);
        let mut rest = &octets[..];
        for piece in pieces.into_iter().cycle() {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            for item in decoder.push_all(now) {
                match item {
                    Ok(message) => heard.push(message),
                    Err(discarded) => discarded_octets += u64::from(discarded.octets),
                }
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let mut remaining = heard.iter();
        for stretch in &line {
            if let Stretch::Intact(message) = stretch {
                prop_assert!(remaining.any(|heard| heard == message), "not found: {message:?}");
            }
        }
        let heard_octets: u64 = heard.iter().map(|message| message.encode().len() as u64 - 2).sum();
        let counts = decoder.counts();
        prop_assert_eq!(counts.messages, heard.len() as u64);
        prop_assert_eq!(counts.discarded_octets, discarded_octets);
        let on_line = octets.iter().filter(|&&octet| octet != 0).count() as u64;
        prop_assert_eq!(heard_octets + discarded_octets, on_line);
    }
}

/// A CRC of 16 bits lets one in 65536 damaged frames pass at most; the payload's form stops most of those.
#[test]
fn damaged_frames_pass_by_chance_only() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let damaged = prop_oneof![
        (message(), vec(any::<Index>(), 1..40)).prop_map(|(message, bits)| Stretch::Flipped(message, bits)),
        (message(), any::<Index>(), vec(any::<u8>(), 1..9))
            .prop_map(|(message, at, octets)| Stretch::Spliced(message, at, octets)),
    ];
    let (mut frames, mut passed) = (0, 0);
    for _ in 0..20_000 {
        let stretch = damaged.new_tree(&mut runner).expect("no filter").current();
        let (Stretch::Flipped(message, _) | Stretch::Spliced(message, ..)) = &stretch else { unreachable!() };
        let mut line = Vec::new();
        stretch.write(&mut line);
        line.push(0);
        let mut decoder = Decoder::new();
        passed += decoder
            .push_all(&line)
            .filter(|heard| heard.as_ref().is_ok_and(|heard| heard != message))
            .count();
        let counts = decoder.counts();
        frames += counts.messages
            + counts.too_long
            + counts.stuffing
            + counts.checksum
            + counts.version
            + counts.payload;
    }
    assert!(frames > 20_000, "{frames} frames are too few to tell");
    assert!(passed <= 3, "{passed} of {frames} damaged frames passed");
}
