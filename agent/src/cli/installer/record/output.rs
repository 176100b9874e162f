//! The file of a recording: new, for its owner's eyes alone, compressed if its name says so, and bounded.

use crate::capture::replay::jsonl::Line;
use flate2::{Compression, write::GzEncoder};
use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// The most that is written, before it is compressed.
const BYTES_MAX: u64 = 1 << 30;
const OWNER_ONLY: u32 = 0o600;

/// An open recording.
pub(super) struct Output {
    to: To,
    left_bytes: u64,
    line: Vec<u8>,
}

enum To {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Output {
    /// Creates the file; one that is there already only with `force`.
    pub(super) fn create(path: &Path, force: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).mode(OWNER_ONLY);
        if force {
            options.create(true).truncate(true);
        } else {
            options.create_new(true);
        }
        let file = options.open(path)?;
        // One that was there may have been readable to others.
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
        let file = BufWriter::new(file);
        let to = match path.extension() {
            Some(extension) if extension == "gz" => To::Gzip(GzEncoder::new(file, Compression::default())),
            _ => To::Plain(file),
        };
        Ok(Self { to, left_bytes: BYTES_MAX, line: Vec::new() })
    }

    /// Appends a line.
    pub(super) fn write(&mut self, line: &Line) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        let Some(left) = self.left_bytes.checked_sub(self.line.len() as u64) else {
            return Err(io::Error::other("the recording has grown to 1 GiB: go on in another file"));
        };
        self.left_bytes = left;
        match &mut self.to {
            To::Plain(file) => file.write_all(&self.line),
            To::Gzip(file) => file.write_all(&self.line),
        }
    }

    /// Ends the file; what was written is there to read.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.left_bytes = 0;
        match &mut self.to {
            To::Plain(file) => file.flush(),
            To::Gzip(file) => {
                file.try_finish()?;
                file.get_mut().flush()
            }
        }
    }
}
