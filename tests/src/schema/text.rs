//! The text of a document, the same wherever it is made.

use serde_json::{Map, Value};

/// These come first, in this order; all else follows by name.
const FIRST: [&str; 14] = [
    "$schema",
    "$id",
    "asyncapi",
    "openapi",
    "info",
    "title",
    "summary",
    "description",
    "type",
    "const",
    "id",
    "time",
    "clock",
    "v",
];

/// JSON, indented, its fields in a fixed order.
pub(super) fn pretty(document: &Value) -> String {
    let mut text = String::new();
    write(document, 0, &mut text);
    text.push('\n');
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let entry = |(name, value): (&String, &Value), text: &mut String| {
                text.push_str(&format!("{}: ", Value::from(name.as_str())));
                write(value, depth + 1, text);
            };
            lines(('{', '}'), in_order(fields), depth, text, entry);
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            lines(('[', ']'), items, depth, text, |item, text| write(item, depth + 1, text));
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(Value::to_string).collect();
            text.push_str(&format!("[{}]", items.join(", ")));
        }
        plain => text.push_str(&plain.to_string()),
    }
}

fn lines<T>(
    (open, close): (char, char),
    entries: impl IntoIterator<Item = T>,
    depth: usize,
    text: &mut String,
    mut write_entry: impl FnMut(T, &mut String),
) {
    let indent = |depth: usize| format!("\n{}", "  ".repeat(depth));
    text.push(open);
    for (index, entry) in entries.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&indent(depth + 1));
        write_entry(entry, text);
    }
    text.push_str(&indent(depth));
    text.push(close);
}

fn in_order(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| (rank(name), *name));
    fields
}
