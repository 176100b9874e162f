//! Beacon layouts: the text of one, and what it reads.

use vitrine_protocol::layout::{IDENTIFIERS_MAX, Layout, LayoutError};

/// A layout, a line's end, an advertisement. An error names a column of the text; what is read is as long as was said.
pub(crate) fn layout(data: &[u8]) {
    let mut parts = data.splitn(2, |&octet| octet == b'\n');
    let Ok(text) = str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let advertisement = parts.next().unwrap_or_default();
    let layout: Layout = match text.parse() {
        Ok(layout) => layout,
        Err(LayoutError { column, expected }) => {
            assert!((1..=text.len() + 1).contains(&column) && !expected.is_empty(), "column {column}");
            return;
        }
    };
    let lens = layout.identifier_lens();
    assert!(lens.len() <= IDENTIFIERS_MAX && (lens.len() > 0 || layout.is_extra()));
    if let Some(reading) = layout.read_advertisement(advertisement) {
        assert_eq!(reading.identifiers().len(), lens.len());
        for (identifier, len) in reading.identifiers().zip(lens) {
            assert!(len.contains(&identifier.len()), "{} octets", identifier.len());
        }
        let _ = (reading.power_dbm(), reading.data().count());
    }
}
