//! The shelf controllers' serial line.

use vitrine_protocol::shelf::{Command, Counts, Decoder, Message};

/// Every octet is accounted for, messages survive being sent again, and the decoder is in step afterwards.
pub(crate) fn shelf(data: &[u8]) {
    let mut decoder = Decoder::new();
    let mut counts = Counts::default();
    // The last octets are ended by the delimiter that begins the next frame.
    for item in decoder.push_all(&[data, &[0]].concat()) {
        match item {
            Ok(message) => {
                counts.messages += 1;
                let frame = message.encode();
                assert_eq!(Decoder::new().push_all(&frame).collect::<Vec<_>>(), [Ok(message)]);
            }
            Err(discarded) => counts.discarded_octets += u64::from(discarded.octets),
        }
    }
    let met = decoder.counts();
    assert_eq!((met.messages, met.discarded_octets), (counts.messages, counts.discarded_octets));
    assert!(met.discarded_octets <= data.iter().filter(|&&octet| octet != 0).count() as u64);
    let next = Message::Command(Command::Identify);
    let heard: Vec<_> = decoder.push_all(&next.encode()).collect();
    assert_eq!(heard, [Ok(next)]);
}
