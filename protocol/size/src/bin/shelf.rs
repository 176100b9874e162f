//! A shelf controller's line: a reading sent, any message received.
#![no_std]
#![no_main]

use core::hint::black_box;
use vitrine_protocol::shelf::{Channel, Decoder, Message, Quantity, Reading, Report, Stamp};

vitrine_size::measure!({
    let Ok(channel) = Channel::new(3) else { loop {} };
    let stamp = Stamp { boot: 1, counter: black_box(2), age_ms: Some(0) };
    let reading = Reading { stamp, channel, quantity: Quantity::Grams(black_box(3500)), stable: true };
    let mut decoder = black_box(Decoder::new());
    let received = decoder.push(black_box(0));
    (Message::Report(Report::Reading(reading)).encode(), received, decoder.counts())
});
