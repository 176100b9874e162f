//! "Binary / Long": `BB 01`, length (32 bits), gateway's address, number of senders (16 bits); for each its address and
//! number of packets (16 bits); for each of these length, octets, response type and RSSI; `DD`. Big endian.
//!
//! The gateway counts equal packets once, so that a beacon at rest is heard once a message; there are no times in it.

use crate::{
    capture::{
        relay::{Heard, Items, Relayed, Unreadable, rssi_dbm},
        source::Content,
    },
    private::Address,
};

const HEAD: [u8; 2] = [0xbb, 0x01];
const TAIL: u8 = 0xdd;

pub(super) fn is_binary(payload: &[u8]) -> bool {
    payload.starts_with(&HEAD)
}

pub(super) fn read(payload: &[u8], items: &mut Items<'_>) -> Result<(), Unreadable> {
    let expected = Unreadable::OtherFormat { expected: "Binary / Long of Minew, of the lengths it says" };
    // Where the lengths do not add up nothing is believed: what looked like a sender could be anything.
    walk(payload, &mut |_| {}).ok_or(expected)?;
    let gateway = payload.get(6..12).map(hex::encode);
    walk(payload, &mut |Packet { address, octets, rssi }| {
        if items.cut() {
            return;
        }
        items.good(Relayed {
            relay: gateway.as_deref(),
            address: Some(Address::new(address)),
            rssi_dbm: rssi_dbm((rssi as i8).into()),
            content: if octets.is_empty() { Content::Nothing } else { Content::Raw(octets) },
            heard: Heard::Unknown,
        });
    });
    Ok(())
}

struct Packet<'a> {
    address: [u8; 6],
    octets: &'a [u8],
    rssi: u8,
}

/// Each packet; `None` where the lengths do not add up.
fn walk<'a>(payload: &'a [u8], each: &mut dyn FnMut(Packet<'a>)) -> Option<()> {
    let mut input = Input(payload);
    let (head, length, _gateway) = (input.take()?, input.take()?, input.take::<6>()?);
    if head != HEAD || usize::try_from(u32::from_be_bytes(length)) != Ok(payload.len()) {
        return None;
    }
    let senders = u16::from_be_bytes(input.take()?);
    for _ in 0..senders {
        let address = input.take()?;
        let packets = u16::from_be_bytes(input.take()?);
        for _ in 0..packets {
            let [length] = input.take()?;
            let octets = input.slice(length.into())?;
            let [_response, rssi] = input.take()?;
            each(Packet { address, octets, rssi });
        }
    }
    (input.0 == [TAIL]).then_some(())
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(slice)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::capture::relay::{Format, tests::check};
    use expect_test::expect;

    fn sample() -> Vec<u8> {
        let text = include_str!("../../../../../tests/data/relays/minew-binary-long.hex");
        hex::decode(text.split_whitespace().collect::<String>()).unwrap()
    }

    #[test]
    fn a_message_of_a_real_gateway_is_read() {
        check(
            &Format::Minew,
            "",
            &sample(),
            expect![[r#"
            ac233fc02f87: -49 dBm, now, addressed
            ac233fc02f87: -46 dBm, now, addressed
            ac233fc02f87: -47 dBm, now, addressed
            ac233fc02f87: -39 dBm, now, addressed, ibeacon
            ac233fc02f87: -39 dBm, now, addressed
            ac233fc02f87: -49 dBm, now, addressed, eddystone-uid
            ac233fc02f87: -46 dBm, now, addressed
            ac233fc02f87: -48 dBm, now, addressed
            ac233fc02f87: -46 dBm, now, addressed
            ac233fc02f87: -45 dBm, now, addressed
            ac233fc02f87: -44 dBm, now, addressed
            ac233fc02f87: -46 dBm, now, addressed
            ac233fc02f87: -49 dBm, now, addressed
            ac233fc02f87: -49 dBm, now, addressed
            ac233fc02f87: -48 dBm, now, addressed
            ac233fc02f87: -43 dBm, now, addressed
            ac233fc02f87: -46 dBm, now, addressed
            ac233fc02f87: -48 dBm, now, addressed
            ac233fc02f87: -47 dBm, now, addressed
            ac233fc02f87: -49 dBm, now, addressed
            ac233fc02f87: -49 dBm, now, addressed, minew
            ac233fc02f87: -49 dBm, now, addressed, minew
            ac233fc02f87: -44 dBm, now, addressed, ibeacon
            ac233fc02f87: -49 dBm, now, addressed
            ac233fc02f87: -49 dBm, now, addressed
            ac233fc02f87: -49 dBm, now, addressed
            ac233fc02f87: -49 dBm, now, addressed
            ac233fc02f87: -49 dBm, now, addressed
        "#]],
        );
    }

    #[test]
    fn where_lengths_do_not_add_up_nothing_is_believed() {
        let mut broken = sample();
        broken[22] = 0x20;
        let cut = &sample()[..100];
        let longer = [&sample()[..], &[0xdd]].concat();
        for payload in [&broken[..], cut, &longer] {
            check(
                &Format::Minew,
                "",
                payload,
                expect![[r#"
                the message is not of this format: expected Binary / Long of Minew, of the lengths it says
            "#]],
            );
        }
    }
}
