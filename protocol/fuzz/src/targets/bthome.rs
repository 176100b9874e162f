//! BTHome: what is read can be written, in the clear and encrypted.

use vitrine_protocol::frame::{
    BtHome, Frame,
    bthome::{BTHOME_UUID16, BTHOME_V1_ENCRYPTED_UUID16, BTHOME_V1_UUID16, Builder, NotAuthentic, Version},
};

/// The service data of version 1, in the clear and encrypted.
pub(crate) fn version_1(data: &[u8]) {
    super::radio::service(BTHOME_V1_UUID16, &[], data);
    super::radio::service(BTHOME_V1_ENCRYPTED_UUID16, &[], data);
}

/// Key, address and service data: what is readable survives encryption, and one changed octet is noticed.
pub(crate) fn encrypted(data: &[u8]) {
    let Some((key, rest)) = data.split_first_chunk() else { return };
    let Some((address, rest)) = rest.split_first_chunk() else { return };
    match Frame::from_service_data(BTHOME_UUID16, rest) {
        Ok(Some(Frame::BtHomeEncrypted(sealed))) => {
            if let Ok(readable) = sealed.decrypt(key, address) {
                assert!(readable.encrypted());
                written_again(&readable);
            }
        }
        Ok(Some(Frame::BtHome(readable))) => {
            let Some(written) = write(&readable) else { return };
            let Some(sealed) = written.encrypt(key, address, 7) else { return };
            assert_same(&opened(sealed.as_bytes(), key, address).expect("it is authentic"), &readable);
            let mut changed = sealed.as_bytes().to_vec();
            *changed.last_mut().expect("it has a tag") ^= 1;
            assert_eq!(opened(&changed, key, address), Err(NotAuthentic));
        }
        _ => {}
    }
}

fn opened(service_data: &[u8], key: &[u8; 16], address: &[u8; 6]) -> Result<BtHome, NotAuthentic> {
    match Frame::from_service_data(BTHOME_UUID16, service_data) {
        Ok(Some(Frame::BtHomeEncrypted(sealed))) => sealed.decrypt(key, address),
        other => panic!("it is encrypted, not {other:?}"),
    }
}

/// What can be written reads as the same.
pub(crate) fn written_again(readable: &BtHome) {
    let Some(written) = write(readable) else { return };
    match Frame::from_service_data(BTHOME_UUID16, written.as_bytes()) {
        Ok(Some(Frame::BtHome(again))) => assert_same(&again, readable),
        other => panic!("what was written reads as {other:?}"),
    }
}

/// `None` for what only others write: version 1, objects out of order.
fn write(readable: &BtHome) -> Option<Builder> {
    let mut builder = Builder::new(readable.trigger_based());
    if let Some(packet_id) = readable.packet_id() {
        builder.packet_id(packet_id).ok()?;
    }
    for measurement in readable.measurements() {
        builder.push(measurement.object.id(), measurement.value).ok()?;
    }
    (readable.version() == Version::V2).then_some(builder)
}

fn assert_same(a: &BtHome, b: &BtHome) {
    assert_eq!(a.packet_id(), b.packet_id());
    assert_eq!(a.trigger_based(), b.trigger_based());
    assert!(a.measurements().eq(b.measurements()), "{a:?} is not {b:?}");
}
