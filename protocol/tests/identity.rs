//! Identifiers and registrations against the reference implementation's, see `data/README.md`.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use serde::Deserialize;
use vitrine_protocol::identity::{
    Exponent, IdentityKey, SoftwareAes,
    eid::identifier,
    registration::{Application, Refused, Registrar},
};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Vector {
    Eid { ik: String, time: u32, exponent: u8, eid: String },
    RegistrationKx { service_pub: String, service_priv: String, beacon_pub: String, ik: String },
}

fn vectors() -> impl Iterator<Item = Vector> {
    let lines = include_str!("data/eddystone-eid-vectors.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap())
}

fn octets<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

#[test]
fn identifiers_are_those_of_the_reference() {
    let mut count = 0;
    for vector in vectors() {
        let Vector::Eid { ik, time, exponent, eid } = vector else { continue };
        let k = Exponent::new(exponent).unwrap();
        let found = identifier::<SoftwareAes>(&IdentityKey::new(octets(&ik)), k, time);
        assert_eq!(hex::encode(found), eid, "key {ik}, time {time} s, exponent {exponent}");
        count += 1;
    }
    assert_eq!(count, 1520);
}

#[test]
fn registrations_lead_to_the_keys_of_the_reference() {
    let mut count = 0;
    for vector in vectors() {
        let Vector::RegistrationKx { service_pub, service_priv, beacon_pub, ik } = vector else {
            continue;
        };
        let registrar = Registrar::new(octets(&service_priv));
        assert_eq!(hex::encode(registrar.public_key()), service_pub);

        // The beacon sends what the reference's key says, at some time of its.
        let (exponent, time_s) = (Exponent::SECURE, 65_280);
        let identifier = identifier::<SoftwareAes>(&IdentityKey::new(octets(&ik)), exponent, time_s);
        let application = Application { public_key: octets(&beacon_pub), exponent, time_s, identifier };
        let key = registrar.enrol::<SoftwareAes>(&application).unwrap();
        assert_eq!(hex::encode(key.expose()), ik);

        let later = Application { time_s: time_s + 1024, ..application };
        assert_eq!(registrar.enrol::<SoftwareAes>(&later).err(), Some(Refused::WrongIdentifier));
        count += 1;
    }
    assert_eq!(count, 3);
}
