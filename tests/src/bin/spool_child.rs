//! Uses a spool for all it is worth, and says what it was promised, until it is killed:
//! `spool_child DIR SERIAL follow|none roomy|tight`.
//!
//! Each line to standard output is one thing that has happened:
//!
//! ```text
//! open                           the spool is open
//! answered STREAM FROM TO        events with these serial numbers, without TO, are durable
//! read STREAM SEQ JSON           an event was read
//! upto LANE POS                  all events of the lane up to this position were read
//! wrong WHY                      it ends because of this
//! ```
//!
//! A line `LANE POS` on standard input acknowledges, as the platform would.

use std::{
    error::Error,
    io::{self, BufRead, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::time::sleep;
use vitrine_agent::spool::{Lane, Spool};
use vitrine_tests::spool::{
    load,
    queue::{self, Queue, Settings},
};

/// An event has at most so many octets, and a commit so many events.
const EVENT_OCTETS: usize = 3000;
const COMMIT_EVENTS: u64 = 40;
/// Notes are let go of after so many commits.
const CHECKPOINT_EVERY: u64 = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ended = run().await;
    if let Err(why) = &ended {
        say(&format!("wrong {}\n", why.to_string().replace('\n', " ")))?;
    }
    ended
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, serial, reading, room] = arguments.as_slice() else {
        return Err("the arguments are: DIR SERIAL follow|none roomy|tight".into());
    };
    let serial: u64 = serial.parse()?;
    let settings = if room == "tight" { Settings::TIGHT } else { Settings::ROOMY };
    let queue = Queue::open(&PathBuf::from(dir), settings)?;
    say("open\n")?;

    let commits = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for lane in Lane::ALL {
        let (spool, commits) = (queue.spool(), commits.clone());
        tasks.spawn(async move { produce(&spool, lane, serial, &commits).await.map_err(|e| e.to_string()) });
    }
    if reading == "follow" {
        let spool = queue.spool();
        thread::spawn(move || acknowledge(&spool));
        tasks.spawn(async move { consume(queue).await.map_err(|e| e.to_string()) });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Commits events of a lane's streams, as fast as they are answered.
async fn produce(spool: &Spool, lane: Lane, serial: u64, commits: &AtomicU64) -> Result<(), Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(serial + lane as u64);
    let mut next = load::streams(lane).map(|stream| (stream, serial));
    loop {
        let mut drafts = Vec::new();
        let before = next;
        for _ in 0..random.u64(1..=COMMIT_EVENTS) {
            let (stream, next_serial) = random.choice(&mut next).ok_or("a lane has streams")?;
            drafts.push(load::event(*stream, *next_serial, random.usize(..EVENT_OCTETS)));
            *next_serial += 1;
            if random.bool() {
                drafts.push(load::note(lane, "remember this"));
            }
        }
        queue::commit(spool, drafts).await?;
        for ((stream, from), (_, to)) in before.into_iter().zip(next).filter(|((_, from), (_, to))| from < to)
        {
            say(&format!("answered {} {from} {to}\n", stream.name()))?;
        }
        if commits.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKPOINT_EVERY) {
            queue::checkpoint(spool, serial).await?;
        }
        if random.u8(..8) == 0 {
            sleep(Duration::from_millis(random.u64(..20))).await;
        }
    }
}

/// Reads what comes, the most urgent first.
async fn consume(mut queue: Queue) -> Result<(), Box<dyn Error>> {
    loop {
        let mut quiet = true;
        for lane in Lane::ALL {
            let chunk = queue.read(lane).await;
            let mut lines = String::new();
            for record in &chunk.records {
                lines += &format!("read {} {} {}\n", record.stream.name(), record.seq, record.json);
            }
            if !lines.is_empty() {
                quiet = false;
                lines += &format!("upto {} {}\n", lane.name(), chunk.next_pos - 1);
                say(&lines)?;
            }
        }
        if quiet {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn acknowledge(spool: &Spool) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let Some((name, upto)) = line.split_once(' ') else { continue };
        let lane = Lane::ALL.into_iter().find(|lane| lane.name() == name);
        if let (Some(lane), Ok(upto)) = (lane, upto.parse()) {
            spool.acknowledge(lane, upto);
        }
    }
}

fn say(lines: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines.as_bytes())?;
    stdout.flush()
}
