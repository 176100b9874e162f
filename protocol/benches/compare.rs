//! Decodes the advertisements on stdin (hexadecimal digits, one a line) as often as the argument says, and prints in
//! how many there was a frame. `tests/bench/decode.py` starts it beside other decoders and takes the time.
//!
//! Every value is read, as a caller would: BTHome's objects are decoded when they are asked for.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark's")]

use std::{hint::black_box, io};
use vitrine_protocol::frame::Frame;

fn main() {
    // `cargo bench` adds a flag of its own, and no number.
    let Some(repetitions) = std::env::args().skip(1).find_map(|arg| arg.parse::<u32>().ok()) else {
        println!("is started by tests/bench/decode.py");
        return;
    };
    let advertisements: Vec<Vec<u8>> =
        io::stdin().lines().map(|line| hex::decode(line.unwrap().trim()).unwrap()).collect();
    for _ in 0..repetitions {
        for advertisement in black_box(&advertisements) {
            black_box(read(advertisement));
        }
    }
    println!("{}", advertisements.iter().filter(|octets| read(octets)).count());
}

/// Whether there was a frame of a known format.
fn read(advertisement: &[u8]) -> bool {
    let mut known = false;
    for frame in Frame::decode(advertisement).flatten() {
        known = true;
        if let Frame::BtHome(bthome) = black_box(&frame) {
            for measurement in bthome.measurements() {
                black_box(measurement);
            }
        }
    }
    known
}
