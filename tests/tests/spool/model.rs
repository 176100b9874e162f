//! Whatever its two users do in whatever order, and whatever happens to the spool meanwhile, it does what a simple model in
//! memory does: numbers without holes, everything in order, notes and state given back, and nothing lost but by what was
//! injected.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use vitrine_agent::spool::{Lane, Record};
use vitrine_protocol::{
    event::{EventId, GapReason},
    topic::Stream,
};
use vitrine_tests::spool::{
    disk, effort,
    ledger::Ledger,
    load,
    queue::{self, Queue, Settings},
};

const STEPS: u64 = 60;
const COMMIT_EVENTS: u64 = 60;
const EVENT_OCTETS: usize = 3000;

/// What a step can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Append(Lane),
    Read(Lane),
    Acknowledge(Lane),
    Checkpoint,
    /// Closed and opened.
    Restart,
    /// Opened as a kill would have left it.
    Crash,
    /// A closed segment rots while the spool is closed.
    Rot(Lane),
    /// The small file of a lane rots while the spool is closed.
    RotLaneFile(Lane),
    /// The file that says which spool it is rots while the spool is closed.
    RotBirth,
}

/// What must be so.
#[derive(Debug, Default)]
struct Model {
    /// By stream, the serial number of each event, the first of which has number 1.
    given: BTreeMap<Stream, Vec<u64>>,
    /// By lane, the notes since the last checkpoint.
    notes: [Vec<String>; Lane::ALL.len()],
    state: Option<u64>,
    /// Everything up to here was acknowledged.
    cursors: [u64; Lane::ALL.len()],
    serial: u64,
    has_rotted: bool,
}

/// A spool beside its model.
struct Run {
    settings: Settings,
    id: EventId,
    dir: tempfile::TempDir,
    spool: PathBuf,
    queue: Option<Queue>,
    model: Model,
    ledger: Ledger,
    random: fastrand::Rng,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_does_what_a_simple_model_does() {
    let seed = effort::seed("model");
    let cases = effort::rounds(12, 300);
    let (mut received, mut lost) = (0, 0);
    for case in seed..seed + cases {
        let mut steps = Vec::new();
        let (came, went) = run(case, &mut steps).await.unwrap_or_else(|e| {
            panic!("{e}\nafter {steps:?}\nagain, this case first: VITRINE_TEST_SEED={case}")
        });
        received += came;
        lost += went;
    }
    println!("model: {cases} cases of {STEPS} steps; {received} events came, {lost} lie in gaps");
}

/// Returns how many events came, and how many did not.
async fn run(seed: u64, steps: &mut Vec<Step>) -> Result<(u64, u64), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    // Segments are filled by one commit or two.
    let lane_bytes_max = if random.bool() { Settings::TIGHT } else { Settings::ROOMY }.lane_bytes_max;
    let settings = Settings { lane_bytes_max, ..Settings::TIGHT };
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let queue = Queue::open(&spool, settings).map_err(|e| e.to_string())?;
    let mut run = Run {
        settings,
        id: queue.spool().id(),
        queue: Some(queue),
        dir,
        spool,
        model: Model::default(),
        // Eviction may come with any commit.
        ledger: if lane_bytes_max == Settings::TIGHT.lane_bytes_max {
            Ledger::of_harmed()
        } else {
            Ledger::default()
        },
        random,
    };
    for _ in 0..STEPS {
        let step = run.choose();
        steps.push(step);
        run.take(step).await?;
    }
    run.finish().await
}

impl Run {
    fn choose(&mut self) -> Step {
        let lane = Lane::ALL[self.random.usize(..Lane::ALL.len())];
        match self.random.u8(..100) {
            0..=44 => Step::Append(lane),
            45..=64 => Step::Read(lane),
            65..=77 => Step::Acknowledge(lane),
            78..=83 => Step::Checkpoint,
            84..=89 => Step::Restart,
            90..=94 => Step::Crash,
            95..=96 => Step::Rot(lane),
            97 => Step::RotBirth,
            _ => Step::RotLaneFile(lane),
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Append(lane) => self.append(lane).await,
            Step::Read(lane) => {
                let chunk = self.queue().read(lane).await;
                self.read(&chunk.records)
            }
            Step::Acknowledge(lane) => {
                let upto = self.queue().acknowledge(lane);
                let cursor = &mut self.model.cursors[lane as usize];
                *cursor = upto.max(*cursor);
                Ok(())
            }
            Step::Checkpoint => {
                self.model.state = Some(self.model.serial);
                self.model.notes = Default::default();
                let (spool, state) = (self.queue().spool(), self.model.serial);
                queue::checkpoint(&spool, state).await.map_err(|e| e.to_string())?;
                // A commit without anything waits for all before it.
                queue::commit(&spool, Vec::new()).await.map_err(|e| e.to_string())
            }
            Step::Restart => {
                self.close().await?;
                self.open()?;
                for lane in Lane::ALL {
                    let (found, expected) =
                        (self.queue().spool().cursor(lane), self.model.cursors[lane as usize]);
                    if found != expected && !self.model.has_rotted {
                        return Err(format!("{lane:?}: closed with cursor {expected}, opened with {found}"));
                    }
                }
                Ok(())
            }
            Step::Crash => {
                let copy = self.dir.path().join(format!("crash-{}", self.random.u64(..)));
                disk::snapshot(&self.spool, &copy);
                self.close().await?;
                fs::remove_dir_all(&self.spool).unwrap();
                self.spool = copy;
                self.open()?;
                // Of what was acknowledged, the last of it may come again.
                for lane in Lane::ALL {
                    let found = self.queue().spool().cursor(lane);
                    let cursor = &mut self.model.cursors[lane as usize];
                    if found > *cursor {
                        return Err(format!(
                            "{lane:?}: {cursor} is acknowledged, opened with cursor {found}"
                        ));
                    }
                    *cursor = found;
                }
                Ok(())
            }
            Step::Rot(lane) => {
                self.close().await?;
                if let Some(segment) = self.closed_segment(lane) {
                    self.harm();
                    self.flip(&segment.join("db"));
                }
                self.open()
            }
            Step::RotBirth => {
                self.close().await?;
                let file = self.spool.join("spool");
                self.flip(&file);
                self.open()
            }
            Step::RotLaneFile(lane) => {
                self.close().await?;
                let file = self.spool.join(lane.name()).join("lane");
                if file.exists() {
                    self.harm();
                    self.flip(&file);
                }
                self.open()
            }
        }
    }

    async fn append(&mut self, lane: Lane) -> Result<(), String> {
        let mut drafts = Vec::new();
        for _ in 0..self.random.u64(1..=COMMIT_EVENTS) {
            let stream = load::streams(lane)[self.random.usize(..2)];
            let serial = self.model.serial;
            self.model.serial += 1;
            drafts.push(load::event(stream, serial, self.random.usize(..EVENT_OCTETS)));
            self.model.given.entry(stream).or_default().push(serial);
            self.ledger.answered(stream, serial..serial + 1);
            if self.random.u8(..4) == 0 {
                let text = format!("{} {serial}", lane.name());
                drafts.push(load::note(lane, &text));
                self.model.notes[lane as usize].push(text);
            }
        }
        let spool = self.queue().spool();
        queue::commit(&spool, drafts).await.map_err(|e| e.to_string())
    }

    fn read(&mut self, records: &[Record]) -> Result<(), String> {
        for record in records {
            self.ledger.received(record)?;
            if record.stream == Stream::Gaps {
                continue;
            }
            let (stream, seq) = (record.stream, record.seq);
            let given =
                self.model.given.get(&stream).and_then(|given| given.get(usize::try_from(seq).ok()? - 1));
            let found = load::serial(&record.json);
            if given != found.as_ref() {
                return Err(format!("{stream} {seq} is event {found:?}; it was given to {given:?}"));
            }
        }
        Ok(())
    }

    fn queue(&mut self) -> &mut Queue {
        self.queue.as_mut().unwrap()
    }

    async fn close(&mut self) -> Result<(), String> {
        self.queue.take().unwrap().close().await.map_err(|e| e.to_string())
    }

    /// Opens the spool; it must be the same, and give back the state and the notes since.
    fn open(&mut self) -> Result<(), String> {
        let queue = Queue::open(&self.spool, self.settings).map_err(|e| e.to_string())?;
        if queue.spool().id() != self.id {
            return Err("the spool was given up for a new one".into());
        }
        if queue.recovery.state != self.model.state {
            return Err(format!("kept state {:?}, found {:?}", self.model.state, queue.recovery.state));
        }
        let found: Vec<String> =
            queue.recovery.notes.iter().map(|note| String::from_utf8_lossy(note).into_owned()).collect();
        for lane in Lane::ALL {
            let expected = &self.model.notes[lane as usize];
            let mut rest = expected.iter();
            let of_lane: Vec<_> = found.iter().filter(|note| note.starts_with(lane.name())).collect();
            let is_in_order = of_lane.iter().all(|&note| rest.any(|expected| expected == note));
            // Notes go with the segments that they are in.
            let may_miss = self.model.has_rotted || self.is_tight();
            if !is_in_order || (of_lane.len() != expected.len() && !may_miss) {
                return Err(format!("{lane:?}: {} notes were kept, {} found", expected.len(), of_lane.len()));
            }
        }
        self.queue = Some(queue);
        Ok(())
    }

    /// A segment of a lane that is not the newest.
    fn closed_segment(&mut self, lane: Lane) -> Option<PathBuf> {
        let mut segments = self.segments(lane);
        segments.pop();
        self.random.choice(segments)
    }

    /// The directories of a lane's segments, in order.
    fn segments(&self, lane: Lane) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.spool.join(lane.name())).unwrap().flatten();
        let is_segment =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-"));
        let mut segments: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_segment).collect();
        segments.sort();
        segments
    }

    /// Whether segments are evicted.
    fn is_tight(&self) -> bool {
        self.settings.lane_bytes_max == Settings::TIGHT.lane_bytes_max
    }

    fn harm(&mut self) {
        self.model.has_rotted = true;
        self.ledger.harmed();
    }

    fn flip(&mut self, path: &Path) {
        let mut octets = fs::read(path).unwrap();
        let at = self.random.usize(..octets.len());
        octets[at] ^= 1 << self.random.u8(..8);
        fs::write(path, octets).unwrap();
    }

    /// Reads what is left, and balances the account.
    async fn finish(mut self) -> Result<(u64, u64), String> {
        let mut ledger = std::mem::take(&mut self.ledger);
        self.queue().read_to_end(&mut ledger).await?;
        self.close().await?;
        let balance = ledger.balance()?;
        for hole in &balance.holes {
            let is_injected = match hole.reason {
                GapReason::Corrupt => self.model.has_rotted,
                GapReason::Evicted => self.is_tight(),
                _ => false,
            };
            let given = self.model.given.get(&hole.stream).map_or(0, Vec::len) as u64;
            if !is_injected || !hole.exact || (hole.last_seq > given && hole.stream != Stream::Gaps) {
                return Err(format!("a gap without a cause: {hole}; {given} numbers were given"));
            }
        }
        Ok((balance.received, balance.lost))
    }
}
