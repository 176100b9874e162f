//! `vitrine decode`: lines in, one JSON object a line out, in constant memory. What a line may be is `line`'s, how a
//! frame is printed `describe`'s, what decrypts it `keys`'.

mod bthome;
mod describe;
mod keys;
mod line;

use crate::lines::{self, LINE_MAX, Line};
use anyhow::Context;
use describe::Described;
use keys::Keys;
use line::Decoder;
use serde::{Serialize, Serializer};
use std::{
    io::{self, BufWriter, Write},
    path::Path,
};
use vitrine_protocol::frame::Frame;

/// Decode BLE advertisements, one JSON object a line
///
/// A line is a whole advertisement in hexadecimal digits, or a JSON object with `adv_hex`, or `svc_uuid` and `svc_hex`, or
/// `mfr_hex` (which starts with the company, little endian, unless `mfr_company` names it); for --key, it has the sender's
/// `address`. Other keys are ignored; an empty line gives nothing.
///
/// Formats: ibeacon, eddystone-uid, eddystone-url, eddystone-tlm, eddystone-etlm, eddystone-eid, altbeacon, ruuvi, kontakt,
/// minew, bthome, vitrine. Other payloads give no frame. What cannot be read gives an `error` with the offset of the octet
/// where reading failed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  vitrine decode 0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010002c5
  vitrine decode recording.jsonl.gz
  vitrine decode - < advertisements.txt")]
pub(super) struct Args {
    /// One line; or a file of lines, gzip-compressed if its name ends in .gz; or `-` for lines on stdin.
    #[arg(value_name = "HEX|FILE|-", default_value = "-")]
    input: String,
    #[command(flatten)]
    keys: Keys,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let out = io::stdout().lock();
    match args.input.as_str() {
        "-" => stream(lines::input(io::stdin()), args.keys, out)?,
        text if names_a_file(text) => {
            let input = lines::open(Path::new(text))
                .with_context(|| format!("{text}: no file that can be read, and no hexadecimal digits"))?;
            stream(input, args.keys, out)?;
        }
        text => stream(lines::input(io::Cursor::new(text.to_owned())), args.keys, out)?,
    }
    Ok(())
}

/// Whether the argument is no line: a file of that name is there, or it looks like one's name.
fn names_a_file(text: &str) -> bool {
    let is_line = text.starts_with('{') || !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    !is_line && (text.contains(['/', '.']) || Path::new(text).exists())
}

/// Decodes line after line. What was decoded is written out before more is waited for.
fn stream(mut input: lines::Input, keys: Keys, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(LINE_MAX, out);
    let (mut line, mut decoder) = (Vec::new(), Decoder::new(keys));
    while let Some(kind) = lines::next(&mut input, &mut line)? {
        match kind {
            Line::Whole => {
                let text = String::from_utf8_lossy(line.trim_ascii());
                if !text.is_empty() {
                    print(&mut out, decoder.decode(&text))?;
                }
            }
            Line::TooLong => print(&mut out, Err(format!("the line is longer than {LINE_MAX} octets")))?,
        }
        if input.buffer().is_empty() {
            out.flush()?;
        }
    }
    out.flush()
}

/// A line of output.
#[derive(Serialize)]
struct Decoded<'a> {
    #[serde(serialize_with = "described")]
    frames: &'a [Frame],
    error: Option<String>,
}

fn described<S: Serializer>(frames: &&[Frame], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(frames.iter().filter_map(Described::of))
}

fn print(out: &mut impl Write, line: Result<line::Frames<'_>, String>) -> io::Result<()> {
    let decoded = match line {
        Ok((frames, error)) => Decoded { frames, error },
        Err(error) => Decoded { frames: &[], error: Some(error) },
    };
    serde_json::to_writer(&mut *out, &decoded)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(lines: &str, expected: Expect) {
        let mut out = Vec::new();
        stream(lines::input(io::Cursor::new(lines.to_owned())), Keys::default(), &mut out).unwrap();
        expected.assert_eq(&String::from_utf8(out).unwrap());
    }

    #[test]
    fn each_line_gives_one_and_an_overlong_one_an_error() {
        let overlong = "0".repeat(3 * LINE_MAX);
        check(
            &format!("020106\r\n\n  {{\"adv_hex\":\"020106\"}} \n{overlong}\n020106"),
            expect![[r#"
            {"frames":[],"error":null}
            {"frames":[],"error":null}
            {"frames":[],"error":"the line is longer than 65536 octets"}
            {"frames":[],"error":null}
        "#]],
        );
    }

    #[test]
    fn errors_name_the_offset() {
        check(
            "02010609ff",
            expect![[r#"
            {"frames":[],"error":"a structure's length points past the end at offset 3"}
        "#]],
        );
        check(
            "05ff4c000215\n05ff4c00021517ffffff",
            expect![[r#"
            {"frames":[],"error":"the frame is cut short at offset 6"}
            {"frames":[],"error":"the frame is cut short at offset 6"}
        "#]],
        );
        check(
            "1216aafe00ee00112233445566778899aabbcc",
            expect![[r#"
            {"frames":[],"error":"the frame is cut short at offset 19"}
        "#]],
        );
    }

    #[test]
    fn what_names_a_file_is_no_line() {
        for (text, is_file) in [
            ("0201", false),
            ("020", false),
            ("02zz", false),
            ("", false),
            ("{\"adv_hex\":\"a.b\"}", false),
            ("heard.jsonl", true),
            ("./0201", true),
            ("src", true),
        ] {
            assert_eq!(names_a_file(text), is_file, "{text}");
        }
    }
}
