//! The figures as a table in Markdown.

use crate::{
    contender::Contender,
    large,
    measure::median,
    rounds::{Figures, Rates},
    worker::Costs,
};

/// A figure that the design sets a target for.
enum Target {
    None,
    /// At least so much of the raw file's, or of the raw file's with zstd.
    OfRaw(f64),
    OfRawZstd(f64),
    /// At most.
    Most(f64),
}

struct Row {
    what: String,
    /// As [`Contender::ALL`]; what is not measured is not a number.
    figures: Vec<f64>,
    /// To the raw file, and to that with zstd.
    ratios: Option<[f64; 2]>,
    target: Target,
}

const SPOOL: usize = Contender::Spool as usize;
const RAW: usize = Contender::Raw as usize;
const RAW_ZSTD: usize = Contender::RawZstd as usize;
/// Two segments of 4 MiB.
const SEGMENTS_MIB: f64 = 8.0;

pub(crate) fn print_rounds(figures: &Figures) {
    let names: Vec<_> = Contender::ALL.iter().map(|contender| contender.name()).collect();
    println!("| what | {} | spool / raw, spool / raw + zstd | target | met |", names.join(" | "));
    println!("|---|{}---|---|---|", "---|".repeat(names.len()));
    let (rate, cost) = (Row::rate, Row::cost);
    let rows = [
        rate("durable append, 64 a commit, events/s", &figures.append_64, Target::OfRaw(0.5)),
        rate("durable append, 512 a commit, events/s", &figures.append_512, Target::None),
        rate("append under 50 ms group commit, events/s", &figures.append_grouped, Target::OfRawZstd(0.7)),
        rate("drain with cursor, events/s", &figures.drain, Target::OfRawZstd(0.75)),
        cost("written / payload, 64 a commit", &figures.costs_64, |c| c.written, Target::Most(1.5)),
        cost("the same, 512 a commit", &figures.costs_512, |c| c.written, Target::Most(1.5)),
        cost("the same, groups, and drained", &figures.costs_grouped, |c| c.written, Target::Most(1.5)),
        cost("disk / payload, 64 a commit", &figures.costs_64, |c| c.disk, Target::Most(0.65)),
        cost("the same, 512 a commit", &figures.costs_512, |c| c.disk, Target::Most(0.65)),
        cost("disk after drain, MiB", &figures.costs_grouped, |c| c.disk_mib, Target::Most(SEGMENTS_MIB)),
    ];
    rows.iter().for_each(Row::print);
}

/// More rows of the same table.
pub(crate) fn print_large(large: &[large::Figures]) {
    let row = |what: String, figure: fn(&large::Figures) -> Option<f64>, target| {
        let figures = large.iter().map(|figures| figure(figures).unwrap_or(f64::NAN)).collect();
        Row { what, figures, ratios: None, target }
    };
    let queued = large[SPOOL].filled.events as f64 / 1e6;
    let rows = [
        row(
            format!("resident memory, {queued} M queued, MiB"),
            |f| Some(f.filled.memory_max_mib),
            Target::Most(40.0),
        ),
        row("a backlog on the disk, MB".to_owned(), |f| Some(f.filled.disk_mb), Target::None),
        row("that opened after a kill, s".to_owned(), |f| Some(f.opened.as_ref()?.took_s), Target::Most(0.5)),
        row(
            "resident memory then, MiB".to_owned(),
            |f| Some(f.opened.as_ref()?.memory_max_mib),
            Target::Most(40.0),
        ),
    ];
    rows.iter().for_each(Row::print);
}

impl Row {
    fn cost(what: &str, costs: &[Costs], cost: fn(&Costs) -> f64, target: Target) -> Self {
        Self { what: what.to_owned(), figures: costs.iter().map(cost).collect(), ratios: None, target }
    }

    fn rate(what: &str, rates: &Rates, target: Target) -> Self {
        let of = |index: usize| median(rates.iter().map(|round| round[index]));
        let ratio = |to: usize| median(rates.iter().map(|round| round[SPOOL] / round[to]));
        let figures = (0..Contender::ALL.len()).map(of).collect();
        Self { what: what.to_owned(), figures, ratios: Some([ratio(RAW), ratio(RAW_ZSTD)]), target }
    }

    fn print(&self) {
        let figures: Vec<_> = self.figures.iter().map(|&figure| shown(figure)).collect();
        let ratios = self.ratios.map_or(String::new(), |[raw, zstd]| format!("{raw:.2}, {zstd:.2}"));
        let [raw, zstd] = self.ratios.unwrap_or([f64::NAN; 2]);
        let (target, is_met) = match self.target {
            Target::None => (String::new(), None),
            Target::OfRaw(least) => (format!(">= {least} of raw"), Some(raw >= least)),
            Target::OfRawZstd(least) => (format!(">= {least} of raw + zstd"), Some(zstd >= least)),
            Target::Most(most) => (format!("<= {most}"), Some(self.figures[SPOOL] <= most)),
        };
        let met = is_met.map_or("", |is_met| if is_met { "yes" } else { "no" });
        println!("| {} | {} | {ratios} | {target} | {met} |", self.what, figures.join(" | "));
    }
}

fn shown(figure: f64) -> String {
    match figure {
        _ if figure.is_nan() => String::new(),
        10_000.0.. => format!("{:.0} k", figure / 1000.0),
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
