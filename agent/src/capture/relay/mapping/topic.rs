//! What the levels of a topic say: `scanners/{relay}/+/{address}`.

use std::str::FromStr;

/// A checked pattern of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    levels: Vec<Level>,
    filter: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    This(String),
    Any,
    Rest,
    Relay,
    Address,
}

impl FromStr for Topic {
    type Err = String;

    /// The error says what to write instead.
    fn from_str(text: &str) -> Result<Self, String> {
        let level = |level: &str| match level {
            "+" => Ok(Level::Any),
            "#" => Ok(Level::Rest),
            "{relay}" => Ok(Level::Relay),
            "{address}" => Ok(Level::Address),
            _ if level.contains(['+', '#', '{', '}']) => Err(format!(
                "`{level}` is no level: write a text, +, {{relay}} or {{address}}, and # at the end"
            )),
            _ => Ok(Level::This(level.to_owned())),
        };
        let levels = text.split('/').map(level).collect::<Result<Vec<_>, _>>()?;
        if levels.iter().rev().skip(1).any(|level| *level == Level::Rest) {
            return Err("# stands at the end only".into());
        }
        if [Level::Relay, Level::Address].iter().any(|name| levels.iter().filter(|l| *l == name).count() > 1)
        {
            return Err("{relay} and {address} stand there once at most".into());
        }
        let filter = text.replace("{relay}", "+").replace("{address}", "+");
        Ok(Self { levels, filter })
    }
}

impl Topic {
    /// The MQTT topic filter of what it fits.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) fn has_address(&self) -> bool {
        self.levels.contains(&Level::Address)
    }

    /// The relay and the address in a topic, where it fits.
    pub(super) fn names<'a>(&self, topic: &'a str) -> (Option<&'a str>, Option<&'a str>) {
        let (mut relay, mut address) = (None, None);
        let mut levels = topic.split('/');
        for level in &self.levels {
            let here = levels.next();
            match level {
                Level::Rest => return (relay, address),
                Level::Relay => relay = here,
                Level::Address => address = here,
                Level::Any if here.is_some() => {}
                Level::This(text) if here == Some(text) => {}
                Level::Any | Level::This(_) => return (None, None),
            }
        }
        if levels.next().is_some() { (None, None) } else { (relay, address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_where_the_pattern_says() {
        let topic: Topic = "scan/{relay}/+/{address}".parse().unwrap();
        assert_eq!(topic.filter(), "scan/+/+/+");
        assert_eq!(topic.names("scan/door/x/c3"), (Some("door"), Some("c3")));
        for other in ["", "scan", "other/door/x/c3", "scan/door/x/c3/more"] {
            assert_eq!(topic.names(other), (None, None), "{other}");
        }
        let topic: Topic = "{relay}/#".parse().unwrap();
        assert_eq!((topic.filter(), topic.names("door/x/y")), ("+/#", (Some("door"), None)));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["#/a", "a+/b", "{room}/x", "{relay}/{relay}", "a/{address"] {
            assert!(bad.parse::<Topic>().is_err(), "{bad}");
        }
    }
}
