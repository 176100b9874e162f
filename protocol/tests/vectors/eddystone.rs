//! Eddystone: the AltBeacon library's and beacons-android's URLs, Google's validator, and advlib.

use super::{Agreement, Json, Vector, octets, same};
use vitrine_protocol::frame::{EncodedUrl, Frame};

pub(crate) fn compare(vector: &Vector) -> Agreement {
    let expected = &vector.expected;
    match &vector.source {
        _ if vector.url_bytes_hex.is_some() => url(vector),
        source if source.starts_with("google/eddystone") => {
            let flagged = expected["validator_flags_error"].as_bool().unwrap();
            same("flagged", validator_flags(vector)?, flagged)
        }
        _ => advlib(vector, expected),
    }
}

fn url(vector: &Vector) -> Agreement {
    let bytes = octets(vector.url_bytes_hex.as_ref().unwrap());
    let Some(url) = vector.expected["url"].as_str() else {
        return same("malformed", vector.read().1.is_some(), true);
    };
    if vector.expected["direction"] == "encode(canonical)" {
        let ours = EncodedUrl::new(url).map_err(|error| error.to_string())?;
        same("encoded", ours.octets(), &bytes[1..])?;
        return same("read again", decoded_url(vector)?.to_ascii_lowercase(), url.to_ascii_lowercase());
    }
    same("url", decoded_url(vector)?.as_str(), url)
}

fn decoded_url(vector: &Vector) -> Result<String, String> {
    match vector.frame()? {
        Frame::EddystoneUrl(frame) => Ok(frame.url.to_string()),
        other => Err(format!("{other:?}")),
    }
}

/// The limits of Google's validator for what a beacon may sensibly send, on what we decoded.
fn validator_flags(vector: &Vector) -> Result<bool, String> {
    const TWO_POINT_NINE_NINE_YEARS_DS: u32 = 946_080_000;
    match vector.frame()? {
        Frame::EddystoneTlm(tlm) => {
            let battery = tlm.battery_mv.is_some_and(|mv| !(500..=10_000).contains(&mv));
            let temperature = tlm.temperature_c_256.is_some_and(|t| !(0..=60 * 256).contains(&t));
            Ok(battery || temperature || tlm.uptime_ds > TWO_POINT_NINE_NINE_YEARS_DS)
        }
        Frame::EddystoneUid(uid) => {
            let data = octets(vector.svc_hex.as_ref().unwrap());
            same("namespace", uid.namespace.as_slice(), &data[2..12])?;
            same("instance", uid.instance.as_slice(), &data[12..18])?;
            Ok(!(-100..=20).contains(&uid.tx_power_dbm) || data[18..] != [0, 0])
        }
        other => Err(format!("{other:?}")),
    }
}

fn advlib(vector: &Vector, expected: &Json) -> Agreement {
    let text = |key: &str| expected[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| expected[key].as_f64();
    let frame = match (&vector.args, vector.format.as_str()) {
        (Some(args), "ll_packet") => {
            let advertisement = octets(args[0].as_str().unwrap());
            // It expects the service data as it is; its octets are ours too where we read and send the same.
            let data = expected["serviceData"][0]["data"].as_str().unwrap();
            same("service data", hex::encode(&advertisement[4..]), data.to_owned())?;
            super::read(&advertisement).0[0]
        }
        (Some(args), _) => {
            let uuid = u16::from_str_radix(args[0].as_str().unwrap(), 16).unwrap();
            Frame::from_service_data(uuid, &octets(args[1].as_str().unwrap())).unwrap().unwrap()
        }
        (None, _) => vector.frame()?,
    };
    match frame {
        Frame::EddystoneUrl(frame) if vector.format == "ll_packet" => {
            same("url", frame.url.to_string(), "http://reelyactive.com".to_owned())
        }
        Frame::EddystoneUrl(frame) => {
            same("power", Some(f64::from(frame.tx_power_dbm)), number("txPower"))?;
            same("url", frame.url.to_string(), text("uri"))
        }
        Frame::EddystoneUid(uid) => {
            let id = format!("{}/{}", hex::encode(uid.namespace), hex::encode(uid.instance));
            same("id", Some(id.as_str()), expected["deviceIds"][0].as_str())?;
            same("power", Some(f64::from(uid.tx_power_dbm)), number("txPower"))
        }
        Frame::EddystoneTlm(tlm) => {
            let battery_v = tlm.battery_mv.map(|mv| f64::from(mv) / 1000.0);
            same("battery", battery_v, number("batteryVoltage"))?;
            same("temperature", tlm.temperature_c_256.map(|t| f64::from(t) / 256.0), number("temperature"))?;
            same("count", Some(f64::from(tlm.advertisements)), number("txCount"))?;
            same("uptime in ms", Some(f64::from(tlm.uptime_ds) * 100.0), number("uptime"))
        }
        Frame::EddystoneEtlm(etlm) => {
            let expected = &expected["encrypted"];
            same("ciphertext", Some(hex::encode(etlm.ciphertext).as_str()), expected["data"].as_str())?;
            same("salt", Some(u16::from_be_bytes(etlm.salt).into()), expected["salt"].as_u64())?;
            same("mic", Some(u16::from_be_bytes(etlm.mic).into()), expected["checksum"].as_u64())
        }
        other => Err(format!("{other:?}")),
    }
}
