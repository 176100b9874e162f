//! The limit: records with length and CRC-32C, appended to files of 8 MiB, `fdatasync` at each commit; with or without
//! zstd over a commit. It recovers nothing and bounds nothing.

use crate::contender::{CURSOR_EVERY, Queue};
use anyhow::ensure;
use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Instant,
};

const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
const HEADER: usize = 8;

pub(crate) struct Raw {
    dir: PathBuf,
    zstd: bool,
    segments: Vec<PathBuf>,
    file: File,
    bytes: u64,
}

impl Raw {
    pub(crate) fn create(dir: &Path, zstd: bool) -> anyhow::Result<Self> {
        let path = dir.join("0");
        let file = File::create(&path)?;
        File::open(dir)?.sync_all()?;
        Ok(Self { dir: dir.to_owned(), zstd, segments: vec![path], file, bytes: 0 })
    }

    fn rotate(&mut self) -> anyhow::Result<()> {
        let path = self.dir.join(self.segments.len().to_string());
        self.file = File::create(&path)?;
        File::open(&self.dir)?.sync_all()?;
        self.segments.push(path);
        self.bytes = 0;
        Ok(())
    }
}

impl Queue for Raw {
    fn append(&mut self, events: &[Box<str>]) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        if self.bytes >= SEGMENT_BYTES {
            self.rotate()?;
        }
        let mut plain = Vec::with_capacity(events.iter().map(|event| event.len() + HEADER).sum());
        for event in events {
            push(&mut plain, event.as_bytes());
        }
        if self.zstd {
            let packed = zstd::bulk::compress(&plain, 1)?;
            plain.clear();
            push(&mut plain, &packed);
        }
        self.file.write_all(&plain)?;
        self.file.sync_data()?;
        self.bytes += plain.len() as u64;
        Ok(())
    }

    fn drain(&mut self) -> anyhow::Result<(usize, usize)> {
        let (mut count, mut bytes, mut cursor) = (0, 0, 0_u64);
        let cursor_file = File::create(self.dir.join("cursor"))?;
        let mut saved = Instant::now();
        let segments = std::mem::take(&mut self.segments);
        for segment in segments {
            let mut content = Vec::new();
            File::open(&segment)?.read_to_end(&mut content)?;
            let mut rest = content.as_slice();
            while let Some(record) = pull(&mut rest)? {
                let inflated;
                let mut records = record;
                if self.zstd {
                    inflated = zstd::bulk::decompress(record, 64 * 1024 * 1024)?;
                    records = &inflated;
                } else {
                    (count, bytes) = (count + 1, bytes + hand_over(record)?);
                    records = &records[..0];
                }
                while let Some(record) = pull(&mut records)? {
                    (count, bytes) = (count + 1, bytes + hand_over(record)?);
                }
                cursor += record.len() as u64;
                if saved.elapsed() >= CURSOR_EVERY {
                    std::os::unix::fs::FileExt::write_all_at(&cursor_file, &cursor.to_le_bytes(), 0)?;
                    cursor_file.sync_data()?;
                    saved = Instant::now();
                }
            }
            fs::remove_file(&segment)?;
        }
        self.rotate()?;
        Ok((count, bytes))
    }
}

/// What any reader does with an event: owns it as text.
fn hand_over(record: &[u8]) -> anyhow::Result<usize> {
    let event: Box<str> = std::str::from_utf8(record)?.into();
    Ok(std::hint::black_box(event).len())
}

fn push(out: &mut Vec<u8>, record: &[u8]) {
    out.extend((record.len() as u32).to_le_bytes());
    out.extend(crc32c::crc32c(record).to_le_bytes());
    out.extend(record);
}

fn pull<'a>(rest: &mut &'a [u8]) -> anyhow::Result<Option<&'a [u8]>> {
    let Some((header, after)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
    let [a, b, c, d, crc @ ..] = *header;
    let (record, after) = after.split_at(u32::from_le_bytes([a, b, c, d]) as usize);
    ensure!(crc32c::crc32c(record) == u32::from_le_bytes(crc), "a checksum does not match");
    *rest = after;
    Ok(Some(record))
}
