//! What a process asks of its files, in order, as `strace` sees it. No rights are needed to look at one's own process.
//!
//! Only what a power cut can undo is kept, and what the process said, which is what it must not undo.

use super::worker::{self, Said};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

const CALLS: &str = "trace=openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,\
                     rmdir,sync,syncfs,link,linkat,pwritev,pwritev2,writev,fallocate,copy_file_range,sendfile,msync";

/// Something that was asked for, and done.
#[derive(Clone, Debug)]
pub enum Call {
    /// A file was created, or there was one.
    Create(PathBuf),
    /// A directory was made.
    MakeDir(PathBuf),
    /// Octets were written at a place.
    Write(PathBuf, u64, Vec<u8>),
    /// The file got this length.
    SetLength(PathBuf, u64),
    /// The file's content was synced, or the directory's names.
    Sync(PathBuf),
    /// A name was changed; another file of the new name is gone.
    Rename(PathBuf, PathBuf),
    /// A file or an empty directory was removed.
    Remove(PathBuf),
    /// The process said something.
    Say(Said),
}

/// Runs `command` for a while, kills it, and returns what it did.
///
/// # Errors
/// Where `strace` is missing or not permitted, or the process did what this module does not know.
pub fn run(command: &[&str], log: &Path, lasting: Duration) -> Result<Vec<Call>, String> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-xx", "-s", "1048576", "-e", CALLS, "-o"]).arg(log).args(command);
    // It must not see the end of its input.
    let mut child = strace
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("strace: {error}"))?;
    thread::sleep(lasting);
    // Killing strace would set the process free.
    let text = fs::read_to_string(log).map_err(|error| format!("strace: {error}"))?;
    let pid =
        text.split_whitespace().next().ok_or("strace: nothing was seen: is ptrace permitted?")?.to_owned();
    super::disk::run(Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]))?;
    child.wait().map_err(|error| format!("strace: {error}"))?;
    let text = fs::read_to_string(log).map_err(|error| format!("strace: {error}"))?;
    parse(&text)
}

fn parse(log: &str) -> Result<Vec<Call>, String> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let mut offsets = HashMap::new();
    for line in log.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, start.trim_end());
            continue;
        }
        let joined;
        let call = match call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => {
                joined = format!("{}{end}", unfinished.remove(pid).unwrap_or_default());
                &joined
            }
            None => call,
        };
        let understood =
            one(call, &mut offsets).ok_or_else(|| format!("strace: {}", &call[..call.len().min(200)]))?;
        calls.extend(understood);
    }
    Ok(calls)
}

/// One line; `None` if it is not understood, nothing in it if it does not matter.
fn one(call: &str, offsets: &mut HashMap<String, u64>) -> Option<Option<Call>> {
    let Some((name, rest)) = call.split_once('(') else { return Some(None) };
    let Some((arguments, result)) = rest.rsplit_once(") ").or_else(|| rest.rsplit_once(')')) else {
        return Some(None);
    };
    let result = result.trim_start().strip_prefix('=').unwrap_or(result).trim_start();
    // Not done, or killed in between: what is half done was not done.
    if result.starts_with('-') || result.starts_with('?') || name.starts_with('+') {
        return Some(None);
    }
    let arguments: Vec<&str> = arguments.split(", ").collect();
    let argument = |index: usize| arguments.get(index).copied();
    let descriptor =
        |index: usize| argument(index)?.split_once('<').map(|(number, path)| (number, hex(path)));
    let path_of = |index: usize| descriptor(index).map(|(_, path)| PathBuf::from(path));
    let named = |index: usize| argument(index).map(hex).map(PathBuf::from);
    // A name relative to a directory's descriptor; an absolute one stays what it is.
    let below = |index: usize| Some(path_of(index)?.join(named(index + 1)?));
    Some(match name {
        "openat" => {
            let number = result.split('<').next()?.trim();
            offsets.insert(number.to_owned(), 0);
            argument(2)?.contains("O_CREAT").then(|| below(0).map(Call::Create)).flatten()
        }
        "write" => {
            let (number, path) = descriptor(0)?;
            let data = octets(argument(1)?);
            if number == "1" {
                let text = String::from_utf8_lossy(&data).into_owned();
                return Some(worker::parse(text.trim_end()).map(Call::Say));
            }
            let offset = offsets.entry(number.to_owned()).or_default();
            let at = *offset;
            *offset += data.len() as u64;
            Some(Call::Write(path.into(), at, data))
        }
        "pwrite64" => Some(Call::Write(path_of(0)?, argument(3)?.parse().ok()?, octets(argument(1)?))),
        "ftruncate" => Some(Call::SetLength(path_of(0)?, argument(1)?.parse().ok()?)),
        "fsync" | "fdatasync" => Some(Call::Sync(path_of(0)?)),
        "rename" => Some(Call::Rename(named(0)?, named(1)?)),
        "renameat" | "renameat2" => Some(Call::Rename(below(0)?, below(2)?)),
        "unlink" | "rmdir" => Some(Call::Remove(named(0)?)),
        "unlinkat" => Some(Call::Remove(below(0)?)),
        "mkdir" => Some(Call::MakeDir(named(0)?)),
        "mkdirat" => Some(Call::MakeDir(below(0)?)),
        // Whatever else changes files would have to be replayed.
        _ => return None,
    })
}

/// The text that is written as `\x2f\x74`, between whatever marks.
fn hex(text: &str) -> String {
    String::from_utf8_lossy(&octets(text)).into_owned()
}

fn octets(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits.filter_map(|pair| u8::from_str_radix(pair.get(..2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(log: &str, expected: &str) {
        assert_eq!(format!("{:?}", parse(log).unwrap()), expected);
    }

    #[test]
    fn calls_are_understood() {
        check(
            "1  openat(AT_FDCWD<\\x2f>, \"\\x2f\\x61\", O_WRONLY|O_CREAT, 0600) = 7<\\x2f\\x61>\n\
             1  write(7<\\x2f\\x61>, \"\\x41\\x42\", 2) = 2\n\
             1  write(7<\\x2f\\x61>, \"\\x43\", 1) = 1\n\
             1  fsync(7<\\x2f\\x61>) = 0",
            r#"[Create("/a"), Write("/a", 0, [65, 66]), Write("/a", 2, [67]), Sync("/a")]"#,
        );
        check("1  unlinkat(5<\\x2f\\x64>, \"\\x62\", 0) = 0", r#"[Remove("/d/b")]"#);
        check("1  rename(\"\\x61\", \"\\x62\") = -1 ENOENT (No such file or directory)", "[]");
    }

    #[test]
    fn a_call_that_takes_a_while_is_put_where_it_ends() {
        check(
            "1  fsync(7<\\x61> <unfinished ...>\n2  mkdir(\"\\x62\", 0700) = 0\n1  <... fsync resumed>) = 0",
            r#"[MakeDir("b"), Sync("a")]"#,
        );
    }

    #[test]
    fn what_is_not_known_is_not_passed_over() {
        assert!(parse("1  sync() = 0").is_err());
    }
}
