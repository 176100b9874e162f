//! Where a value stands in a JSON text: `data.seen.0`, or a JSON pointer (RFC 6901) such as `/data/seen/0`.

use serde_json::Value;
use std::str::FromStr;

/// Most steps of a path.
const STEPS_MAX: usize = 8;

/// A checked path; `/` alone is the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl FromStr for Path {
    type Err = String;

    /// The error says what to write instead.
    fn from_str(text: &str) -> Result<Self, String> {
        let steps: Vec<String> = match text.strip_prefix('/') {
            Some("") => Vec::new(),
            Some(pointer) => pointer.split('/').map(unescape).collect::<Result<_, _>>()?,
            None => text.split('.').map(str::to_owned).collect(),
        };
        if steps.iter().any(String::is_empty) {
            return Err(
                "a path has a name between all dots: write one such as `data.mac` or `/data/mac`".into()
            );
        }
        if steps.len() > STEPS_MAX {
            return Err(format!("a path has at most {STEPS_MAX} steps"));
        }
        Ok(Self(steps))
    }
}

fn unescape(step: &str) -> Result<String, String> {
    let bad = step.split('~').skip(1).any(|after| !after.starts_with(['0', '1']));
    if bad {
        return Err("in a path that begins with `/`, write ~0 for ~ and ~1 for /".into());
    }
    Ok(step.replace("~1", "/").replace("~0", "~"))
}

impl Path {
    /// The value there.
    pub(super) fn find<'a>(&self, text: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(text, |value, step| match value {
            Value::Object(object) => object.get(step),
            Value::Array(array) => array.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_notations_find_the_same() {
        let text = json!({"a.b": 1, "a": {"b": [2, {"c~/": 3}]}});
        let find = |path: &str| path.parse::<Path>().unwrap().find(&text).cloned();
        assert_eq!(find("a.b.0"), Some(json!(2)));
        assert_eq!(find("/a/b/0"), Some(json!(2)));
        assert_eq!(find("/a.b"), Some(json!(1)));
        assert_eq!(find("/a/b/1/c~0~1"), Some(json!(3)));
        assert_eq!(find("/"), Some(text.clone()));
        for nowhere in ["a.c", "a.b.2", "a.b.x", "a.b.0.0"] {
            assert_eq!(find(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in ["", ".", "a..b", "//", "/a/", "/a~2", "/a~", "a.b.c.d.e.f.g.h.i"] {
            assert!(bad.parse::<Path>().is_err(), "{bad}");
        }
    }
}
