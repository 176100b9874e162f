//! Writes closed segments anew, in less room.
//!
//! A store where little happens commits single events: blocks of one record, which hardly compress, and of which sled writes
//! many twice. Once such a segment is closed and will not be sent soon, its records are packed into full blocks. Positions, numbers
//! and holds stay; where commits ended does not, which matters for the newest segment alone.

use super::{
    Context,
    block::{Codec, Content},
    dirs,
    mark::RecordBody,
    pack::{Entry, Packer},
    scan::Scan,
    segment::{Segment, SegmentError},
};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    thread::JoinHandle,
};
use vitrine_protocol::time::Timestamp;

/// Records are packed and written in batches of about so many octets.
const BATCH_BYTES: usize = 256 * 1024;

/// The segments of a lane that are to be written anew, one at a time.
#[derive(Debug, Default)]
pub(super) struct Dense {
    waiting: VecDeque<Task>,
    running: Option<(Task, JoinHandle<bool>)>,
}

#[derive(Clone, Debug)]
struct Task {
    first_pos: u64,
    dir: PathBuf,
    end: u64,
}

impl Dense {
    /// The closed segment from `first_pos` to `end` wastes room.
    pub(super) fn push(&mut self, first_pos: u64, dir: PathBuf, end: u64) {
        self.waiting.push_back(Task { first_pos, dir, end });
    }

    /// Starts on the next segment that lies beyond position `pos`, if none is being written.
    pub(super) fn start(&mut self, pos: u64) {
        if self.running.is_some() {
            return;
        }
        while let Some(task) = self.waiting.pop_front() {
            if task.first_pos > pos && task.dir.exists() {
                let of_thread = task.clone();
                let work = move || of_thread.run();
                let thread = std::thread::Builder::new().name("spool-dense".into()).spawn(work);
                self.running = thread.ok().map(|thread| (task, thread));
                return;
            }
        }
    }

    /// The segment beside whose directory a denser copy is complete.
    pub(super) fn poll(&mut self) -> Option<(u64, PathBuf)> {
        let (task, thread) = self.running.take_if(|(_, thread)| thread.is_finished())?;
        thread.join().unwrap_or(false).then_some((task.first_pos, task.dir))
    }

    /// Waits for what is being written, and drops it.
    pub(super) fn finish(&mut self) {
        self.waiting.clear();
        if let Some((task, thread)) = self.running.take() {
            drop(thread.join());
            dirs::remove_all(&dirs::new(&task.dir)).ok();
        }
    }
}

impl Task {
    /// Whether a denser copy is complete.
    fn run(&self) -> bool {
        let dense = dirs::new(&self.dir);
        let is_denser = match rewrite(&self.dir, self.first_pos, self.end, &dense) {
            Ok(is_complete) => is_complete && dirs::disk_bytes(&dense) < dirs::disk_bytes(&self.dir) * 4 / 5,
            Err(error) => {
                tracing::debug!(%error, segment = %self.dir.display(), "cannot be written anew");
                false
            }
        };
        if !is_denser {
            dirs::remove_all(&dense).ok();
        }
        is_denser
    }
}

/// Packs what is in `dir` anew, in `dense`. `false` if something is missing, which is the reader's to find out.
fn rewrite(dir: &Path, first_pos: u64, end: u64, dense: &Path) -> Result<bool, SegmentError> {
    let scan = Scan::of(dir)?;
    let Some(mut mark) = scan.mark().filter(|mark| mark.pos == first_pos) else { return Ok(false) };
    let Some(written_at) = scan.blocks().first().map(|block| block.written_at) else { return Ok(false) };
    if !scan.holes(first_pos, Some(end)).is_empty() {
        return Ok(false);
    }
    if dense.exists() {
        dirs::remove_all(dense)?;
    }
    let segment = Segment::create(dense)?;
    segment.begin(&mark, written_at)?;
    let (mut codec, mut packer) = (Codec::default(), Packer::default());
    let (mut batch, mut bytes, mut written_at) = (Vec::new(), 0, written_at);
    mark.exact = true;
    let mut flush = |batch: &mut Vec<(Context, Option<Timestamp>, RecordBody)>, written_at| {
        let entries: Vec<_> = batch
            .iter()
            .map(|(context, hold_until, body)| Entry {
                context: *context,
                hold_until: *hold_until,
                body: body.as_ref(),
            })
            .collect();
        segment.write(&packer.pack(&entries, &mut mark, written_at), written_at)?;
        batch.clear();
        Ok::<(), SegmentError>(())
    };
    for block in scan.octets(first_pos) {
        let Ok((header, content)) = block.and_then(|block| codec.decode(&block)) else { return Ok(false) };
        let Content::Records(context, records) = content else { continue };
        if header.pos >= end {
            break;
        }
        if batch.is_empty() {
            written_at = header.written_at;
        }
        bytes += records.iter().map(|record| record.as_ref().bytes().len()).sum::<usize>();
        batch.extend(records.into_iter().map(|body| (context, header.hold_until, body)));
        if bytes >= BATCH_BYTES {
            flush(&mut batch, written_at)?;
            bytes = 0;
        }
    }
    flush(&mut batch, written_at)?;
    Ok(true)
}
