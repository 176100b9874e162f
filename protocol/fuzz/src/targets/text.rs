//! JSON from the platform's side, and names.

use serde::{Serialize, de::DeserializeOwned};
use vitrine_protocol::{
    Id,
    envelope::{Envelope, Status},
};

pub(crate) fn envelope(data: &[u8]) {
    written_again::<Envelope>(data);
}

pub(crate) fn status(data: &[u8]) {
    written_again::<Status>(data);
}

/// What was read is read again from what we write of it. What a later version brought is read as `Unknown`, and never
/// written.
fn written_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(json: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(json) {
        let Ok(written) = serde_json::to_vec(&value) else {
            assert!(format!("{value:?}").contains("Unknown"), "all that is known can be written");
            return;
        };
        let again: T = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(again, value);
    }
}

/// An id is its text, and its text is safe everywhere.
pub(crate) fn id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = Id::new(text) {
        assert_eq!(id.as_str(), text);
        assert!(!text.contains(['/', '+', '#', '.', '\0']) && text.len() <= 40);
    }
}
