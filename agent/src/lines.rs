//! Files of lines: gzip-compressed or not, which their first octets say, and no line longer than [`LINE_MAX`], so that
//! memory stays bounded.

use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// The longest line, in octets.
pub const LINE_MAX: usize = 64 * 1024;

/// What a gzip-compressed file starts with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A source of lines.
pub type Input = BufReader<Box<dyn Read>>;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line.
    Whole,
    /// The start of a line that is longer than [`LINE_MAX`]; the rest was passed over.
    TooLong,
}

/// Opens a file.
///
/// # Errors
/// The file cannot be opened, or not be read.
pub fn open(path: &Path) -> io::Result<Input> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.starts_with(&GZIP) {
        return Ok(input(MultiGzDecoder::new(file)));
    }
    Ok(input(file))
}

/// Reads lines from `source`.
pub fn input(source: impl Read + 'static) -> Input {
    BufReader::with_capacity(LINE_MAX, Box::new(source))
}

/// Puts the next line, with its line feed, in place of what is in `line`; `None` at the end.
///
/// # Errors
/// The source cannot be read.
pub fn next(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Line>> {
    line.clear();
    let longest = LINE_MAX as u64 + 1; // with its line feed
    if input.by_ref().take(longest).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.len() <= LINE_MAX || line.ends_with(b"\n") {
        return Ok(Some(Line::Whole));
    }
    input.skip_until(b'\n')?;
    Ok(Some(Line::TooLong))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_told_once() {
        let longest = "a".repeat(LINE_MAX);
        let text = format!("{longest}\n{longest}b\nc\n{}{longest}", longest.repeat(3));
        let mut input = BufReader::with_capacity(100, text.as_bytes());
        let mut line = Vec::new();
        let mut read = Vec::new();
        while let Some(kind) = next(&mut input, &mut line).unwrap() {
            assert!(line.capacity() <= 4 * LINE_MAX);
            read.push((kind, line.trim_ascii_end().len()));
        }
        let too_long = (Line::TooLong, LINE_MAX + 1);
        assert_eq!(read, [(Line::Whole, LINE_MAX), too_long, (Line::Whole, 1), too_long]);
    }
}
