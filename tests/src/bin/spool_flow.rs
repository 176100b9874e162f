//! Lets events flow through a spool that is read all the while: `spool_flow DIR EVENTS`.
//!
//! It checks that each comes, in order, once, and prints `sample EVENTS MEMORY_KIB DISK_BYTES` now and then: events that were
//! acknowledged so far, and what the process and the spool take at this time. The last line comes when everything was drained.

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, time::sleep};
use vitrine_agent::spool::{Draft, Lane, Spool};
use vitrine_tests::spool::{
    disk, load,
    queue::{self, Queue, Settings},
};

/// So many events are a commit.
const COMMIT_EVENTS: u64 = 200;
/// So many events may be in the queue.
const QUEUE_EVENTS: usize = 20_000;
const SAMPLES: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    // As the agent does.
    vitrine_agent::memory::keep_small();
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, events] = arguments.as_slice() else { return Err("the arguments are: DIR EVENTS".into()) };
    let (dir, events): (PathBuf, u64) = (dir.into(), events.parse()?);
    // Segments large enough for what a store would have, small enough to come and go.
    let settings = Settings { segment_bytes: 1 << 20, ..Settings::ROOMY };
    let mut queue = Queue::open(&dir, settings)?;
    let room = Arc::new(Semaphore::new(QUEUE_EVENTS));
    let producer = tokio::spawn({
        let (spool, room) = (queue.spool(), room.clone());
        async move { produce(&spool, events, &room).await.map_err(|e| e.to_string()) }
    });
    let mut next_serial = [0; Lane::ALL.len()];
    let (mut done, mut sampled) = (0, 0);
    while done < events {
        let mut taken = 0;
        for (lane, next) in Lane::ALL.into_iter().zip(&mut next_serial) {
            let chunk = queue.read(lane).await;
            for record in &chunk.records {
                let [stream, _] = load::streams(lane);
                let expected = (stream, *next + 1, Some(*next));
                let found = (record.stream, record.seq, load::serial(&record.json));
                if found != expected {
                    return Err(format!("read {found:?}, where {expected:?} comes next").into());
                }
                *next += 1;
            }
            queue.acknowledge(lane);
            taken += chunk.records.len();
        }
        done += taken as u64;
        room.add_permits(taken);
        if taken == 0 {
            sleep(Duration::from_millis(2)).await;
        }
        if (done - sampled) * SAMPLES >= events && done < events {
            sampled = done;
            sample(done, &dir)?;
        }
        if producer.is_finished() && done < events && queue.spool().backlog() == 0 {
            break;
        }
    }
    producer.await??;
    queue.free().await?;
    queue.close().await?;
    sample(done, &dir)
}

/// Commits events to the lanes in turn, as far as there is room in the queue.
async fn produce(spool: &Spool, events: u64, room: &Semaphore) -> Result<(), Box<dyn Error>> {
    let mut serials = [0; Lane::ALL.len()];
    let mut drafts: Vec<Draft> = Vec::new();
    let mut committed = 0;
    for n in 0..events {
        let lane = Lane::ALL[(n % 3) as usize];
        let serial = &mut serials[lane as usize];
        let [stream, _] = load::streams(lane);
        drafts.push(load::event(stream, *serial, 150));
        *serial += 1;
        if drafts.len() as u64 == COMMIT_EVENTS || n + 1 == events {
            room.acquire_many(u32::try_from(drafts.len())?).await?.forget();
            queue::commit(spool, std::mem::take(&mut drafts)).await?;
            committed += 1;
            if committed % 64 == 0 {
                queue::checkpoint(spool, committed).await?;
            }
        }
    }
    Ok(())
}

fn sample(events: u64, dir: &Path) -> Result<(), Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    let memory_kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(writeln!(io::stdout(), "sample {events} {memory_kib} {}", disk::used_bytes(dir))?)
}
