//! Rounds in which all contenders do the same little thing in turn, so that what else goes on falls on all of them.

use crate::{
    contender::Contender,
    worker::{Costs, Worker, Workload},
};
use std::path::Path;

/// Groups are drained every so many rounds: 300 000 events.
pub(crate) const DRAIN_EVERY: usize = 10;

/// Events a second in each round (draining: in each tenth) of each of [`Contender::ALL`].
pub(crate) type Rates = Vec<[f64; Contender::ALL.len()]>;

/// What all rounds have shown. Costs are as [`Contender::ALL`].
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) append_64: Rates,
    pub(crate) append_512: Rates,
    pub(crate) append_grouped: Rates,
    pub(crate) drain: Rates,
    pub(crate) costs_64: Vec<Costs>,
    pub(crate) costs_512: Vec<Costs>,
    /// Of groups, which were drained.
    pub(crate) costs_grouped: Vec<Costs>,
}

pub(crate) fn run(dir: &Path, rounds: usize) -> anyhow::Result<Figures> {
    let mut of_64 = Field::start(dir, Workload::Commits(64))?;
    let mut of_512 = Field::start(dir, Workload::Commits(512))?;
    let mut grouped = Field::start(dir, Workload::Groups)?;
    let [mut append_64, mut append_512, mut append_grouped, mut drain] = [const { Rates::new() }; 4];
    for round in 0..rounds {
        eprint!("\rround {} of {rounds}", round + 1);
        append_64.push(of_64.turns(round, Worker::append)?);
        append_512.push(of_512.turns(round, Worker::append)?);
        append_grouped.push(grouped.turns(round, Worker::append)?);
        if (round + 1) % DRAIN_EVERY == 0 {
            drain.push(grouped.turns(round / DRAIN_EVERY, Worker::drain)?);
        }
    }
    eprintln!();
    Ok(Figures {
        append_64,
        append_512,
        append_grouped,
        drain,
        costs_64: of_64.costs()?,
        costs_512: of_512.costs()?,
        costs_grouped: grouped.costs()?,
    })
}

/// All contenders under one workload.
struct Field(Vec<Worker>);

impl Field {
    fn start(dir: &Path, workload: Workload) -> anyhow::Result<Self> {
        let workers = Contender::ALL.into_iter().map(|contender| Worker::start(contender, workload, dir));
        Ok(Self(workers.collect::<Result<_, _>>()?))
    }

    /// Each has its turn; the first is another one each time.
    fn turns(
        &mut self,
        round: usize,
        work: fn(&mut Worker) -> anyhow::Result<f64>,
    ) -> anyhow::Result<[f64; Contender::ALL.len()]> {
        let mut rates = [0.0; Contender::ALL.len()];
        for turn in 0..rates.len() {
            let index = (round + turn) % rates.len();
            rates[index] = work(&mut self.0[index])?;
        }
        Ok(rates)
    }

    fn costs(self) -> anyhow::Result<Vec<Costs>> {
        self.0.into_iter().map(Worker::costs).collect()
    }
}
