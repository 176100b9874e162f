//! A TOML document, read value by value, with every problem collected and placed.
//!
//! A reader asks a [`Table`] for the keys it knows; what is left when it says [`Table::finish`] is an unknown key. Nothing
//! stops at the first problem: the user sees all of them at once, each with file, line, column and what to write.

use std::{
    fmt, fs,
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
    str::FromStr,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a document; printed one problem a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines.join("\n"))]
pub struct Problems {
    /// One line each: `file:line:column: what is wrong, and what to write instead`.
    pub lines: Vec<String>,
}

/// Reads the file at `path` with `read`, which gets the document and the place to report problems to.
///
/// # Errors
/// [`Problems`], with those of the syntax first.
pub fn load<T>(
    path: &Path,
    read: impl FnOnce(&mut Table<'_>, &mut Report) -> Option<T>,
) -> Result<T, Problems> {
    let text = fs::read_to_string(path).map_err(|e| Problems {
        lines: vec![format!(
            "{}: cannot be read: {e}; name another file with --config or create it",
            path.display()
        )],
    })?;
    parse(path, &text, read)
}

/// [`load`] for a text that is already in memory; `path` is for messages only.
///
/// # Errors
/// [`Problems`]
pub fn parse<T>(
    path: &Path,
    text: &str,
    read: impl FnOnce(&mut Table<'_>, &mut Report) -> Option<T>,
) -> Result<T, Problems> {
    let mut report = Report { path: path.to_owned(), text: text.to_owned(), problems: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        report.at(error.span().unwrap_or_default(), error.message().to_owned());
    }
    let syntax_is_right = report.problems.is_empty();
    let mut table = Table::new(document.get_ref(), document.span(), "the file");
    let value = if syntax_is_right { read(&mut table, &mut report) } else { None };
    match value {
        Some(value) if report.problems.is_empty() => Ok(value),
        _ => Err(report.finish()),
    }
}

/// Collects problems.
#[derive(Debug)]
pub struct Report {
    path: PathBuf,
    text: String,
    problems: Vec<(usize, String)>,
}

impl Report {
    /// Notes a problem at a place of the text.
    pub fn at(&mut self, span: Range<usize>, problem: impl fmt::Display) {
        self.problems.push((span.start, problem.to_string()));
    }

    /// How many problems there are.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    fn finish(mut self) -> Problems {
        self.problems.sort();
        let line = |(offset, problem): &(usize, String)| {
            let before = self.text.get(..*offset).unwrap_or(&self.text);
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
            format!("{}:{line}:{column}: {problem}", self.path.display())
        };
        Problems { lines: self.problems.iter().map(line).collect() }
    }
}

/// A value that can be read from TOML.
pub trait FromToml: Sized {
    /// What to write, in a few words with an example.
    const EXPECTED: &'static str;

    /// The value, or `None` where something else is written.
    fn from_toml(value: &DeValue<'_>) -> Option<Self>;
}

impl FromToml for String {
    const EXPECTED: &'static str = "a text in quotes";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl FromToml for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl FromToml for $type {
            const EXPECTED: &'static str = concat!("a whole number that fits ", stringify!($type));

            fn from_toml(value: &DeValue<'_>) -> Option<Self> {
                let integer = value.as_integer()?;
                Self::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
            }
        }
    )*};
}
numbers!(i8, u8, u16, u32, u64);

impl FromToml for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let number = value.as_float().map(|float| float.as_str().replace('_', "").parse().ok());
        number.unwrap_or_else(|| u32::from_toml(value).map(Self::from))
    }
}

impl FromToml for vitrine_protocol::Id {
    const EXPECTED: &'static str = "a name of 1 to 40 characters out of a-z, 0-9, _ and -, in quotes";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_str(value.as_str()?).ok()
    }
}

impl<T: FromToml> FromToml for Vec<T> {
    const EXPECTED: &'static str = "a list in brackets";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_array()?.iter().map(|item| T::from_toml(item.get_ref())).collect()
    }
}

/// A table being read. Keys are taken out as they are asked for.
#[derive(Debug)]
pub struct Table<'a> {
    /// Where the table is.
    pub span: Range<usize>,
    name: String,
    items: Vec<(&'a str, Range<usize>, &'a Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    fn new(table: &'a DeTable<'a>, span: Range<usize>, name: impl Into<String>) -> Self {
        let items = table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
        Self { span, name: name.into(), items, known: Vec::new() }
    }

    /// The value of `key` and its place; a problem if it is missing or of another kind.
    pub fn required<T: FromToml>(&mut self, key: &'static str, report: &mut Report) -> Option<Spanned<T>> {
        if !self.has(key) {
            self.known.push(key);
            report
                .at(self.span.clone(), format!("{} lacks `{key}`: write {key} = {}", self.name, T::EXPECTED));
            return None;
        }
        self.optional(key, report)
    }

    /// The value of `key` and its place, if it is there; a problem if it is of another kind.
    pub fn optional<T: FromToml>(&mut self, key: &'static str, report: &mut Report) -> Option<Spanned<T>> {
        let value = self.take(key)?;
        let read = T::from_toml(value.get_ref());
        if read.is_none() {
            report.at(value.span(), format!("`{key}` must be {}", T::EXPECTED));
        }
        read.map(|read| Spanned::new(value.span(), read))
    }

    /// The value of `key`, or `default` if it is not there.
    pub fn or<T: FromToml>(&mut self, key: &'static str, default: T, report: &mut Report) -> T {
        self.optional(key, report).map_or(default, Spanned::into_inner)
    }

    /// The value of `key` converted by `convert`, whose error says what to write instead.
    pub fn converted<T>(
        &mut self,
        key: &'static str,
        report: &mut Report,
        convert: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.optional::<String>(key, report)?;
        convert(text.get_ref()).map_err(|e| report.at(text.span(), format!("`{key}`: {e}"))).ok()
    }

    /// The texts of `key`, one or a list of them, each converted by `convert`, whose error says what to write instead.
    pub fn texts<T>(
        &mut self,
        key: &'static str,
        report: &mut Report,
        convert: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let items = match value.get_ref().as_array() {
            Some(list) if list.is_empty() => {
                report.at(value.span(), format!("`{key}` must not be empty"));
                return Vec::new();
            }
            Some(list) => list.iter().collect(),
            None => vec![value],
        };
        let read = |item: &Spanned<DeValue<'_>>| {
            let converted = match item.get_ref().as_str() {
                Some(text) => convert(text),
                None => Err(format!("write {}, or a list of them in brackets", String::EXPECTED)),
            };
            converted.map_err(|e| report.at(item.span(), format!("`{key}`: {e}"))).ok()
        };
        items.into_iter().filter_map(read).collect()
    }

    /// The whole number of `key`, or `default` if it is not there; a problem if it lies outside `range`.
    pub fn number(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        report: &mut Report,
    ) -> u64 {
        let Some(number) = self.optional::<u64>(key, report) else { return default };
        if !range.contains(number.get_ref()) {
            report.at(number.span(), format!("`{key}` must be from {} to {}", range.start(), range.end()));
            return default;
        }
        number.into_inner()
    }

    /// The table of `key`, if it is there.
    pub fn table(&mut self, key: &'static str, report: &mut Report) -> Option<Table<'a>> {
        let value = self.take(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            report.at(value.span(), format!("`{key}` must be a table: write [{key}] and its keys below"));
        }
        table.map(|table| Table::new(table, value.span(), format!("[{key}]")))
    }

    /// The tables of the list `key`; none if it is not there.
    pub fn tables(&mut self, key: &'static str, report: &mut Report) -> Vec<Table<'a>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let tables: Option<Vec<_>> = value.get_ref().as_array().and_then(|array| {
            let table = |item: &'a Spanned<DeValue<'a>>| {
                item.get_ref().as_table().map(|table| Table::new(table, item.span(), format!("[[{key}]]")))
            };
            array.iter().map(table).collect()
        });
        if tables.is_none() {
            report.at(value.span(), format!("`{key}` must be a list of tables: write [[{key}]] above each"));
        }
        tables.unwrap_or_default()
    }

    /// All keys that were not asked for yet, and their values; a problem for each that is of another kind.
    pub fn rest<T: FromToml>(&mut self, report: &mut Report) -> Vec<(&'a str, Spanned<T>)> {
        let mut rest = Vec::new();
        for (key, _, value) in std::mem::take(&mut self.items) {
            match T::from_toml(value.get_ref()) {
                Some(read) => rest.push((key, Spanned::new(value.span(), read))),
                None => report.at(value.span(), format!("`{key}` must be {}", T::EXPECTED)),
            }
        }
        rest
    }

    /// A problem if `key` is written, which does not belong here.
    pub fn refuse(&mut self, key: &'static str, why: &str, report: &mut Report) {
        if let Some(index) = self.peek(key) {
            let (_, span, _) = self.items.swap_remove(index);
            report.at(span, format!("`{key}`: {why}"));
        }
    }

    /// What the table is called in messages, such as `[uplink]`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks `version = 1`, which every document starts with.
    pub fn version(&mut self, report: &mut Report) {
        if let Some(version) = self.required::<u32>("version", report)
            && *version.get_ref() != 1
        {
            report.at(version.span(), "this agent reads version = 1");
        }
    }

    /// Every key that was not asked for is a problem.
    pub fn finish(&mut self, report: &mut Report) {
        for (key, span, _) in std::mem::take(&mut self.items) {
            let nearest = self.known.iter().map(|known| (distance(key, known), known)).min();
            let hint = match nearest {
                Some((distance, known)) if distance <= 2 => format!("did you mean `{known}`?"),
                _ => format!("{} knows {}", self.name, self.known.join(", ")),
            };
            report.at(span, format!("unknown key `{key}`: {hint}"));
        }
    }

    /// Whether `key` is written and was not asked for yet.
    pub fn has(&self, key: &str) -> bool {
        self.peek(key).is_some()
    }

    fn peek(&self, key: &str) -> Option<usize> {
        self.items.iter().position(|(name, ..)| *name == key)
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        let index = self.peek(key)?;
        Some(self.items.swap_remove(index).2)
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.pop().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, problems: Expect) {
        let read = |table: &mut Table<'_>, report: &mut Report| {
            table.version(report);
            let name = table.required::<vitrine_protocol::Id>("tenant", report);
            table.or("k", 10u32, report);
            for mut zone in table.tables("zones", report) {
                zone.required::<vitrine_protocol::Id>("id", report);
                zone.finish(report);
            }
            table.finish(report);
            name
        };
        let lines = match parse(Path::new("store.toml"), text, read) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        };
        problems.assert_eq(&lines);
    }

    #[test]
    fn all_problems_are_told_at_once_with_their_places() {
        check(
            "version = 2\nk = \"ten\"\ntennant = \"acme\"\n\n[[zones]]\nid = \"Shoes\"\ncolour = 1\n",
            expect![[r#"
                store.toml:1:1: the file lacks `tenant`: write tenant = a name of 1 to 40 characters out of a-z, 0-9, _ and -, in quotes
                store.toml:1:11: this agent reads version = 1
                store.toml:2:5: `k` must be a whole number that fits u32
                store.toml:3:1: unknown key `tennant`: did you mean `tenant`?
                store.toml:6:6: `id` must be a name of 1 to 40 characters out of a-z, 0-9, _ and -, in quotes
                store.toml:7:1: unknown key `colour`: [[zones]] knows id"#]],
        );
        check("version = 1\ntenant = \"acme\"\n", expect![[""]]);
    }

    #[test]
    fn errors_of_the_syntax_come_alone() {
        check(
            "version = 1\ntenant = acme\n",
            expect![["store.toml:2:10: string values must be quoted, expected literal string"]],
        );
    }
}
