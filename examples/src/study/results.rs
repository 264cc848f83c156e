//! The results of a study: a table, plots, lines for other programs, and the answers as text.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use tamis::artifact::write_atomic;
use tamis::dataset::Encoded;
use tamis::metrics::{
    Aggregate, Bleu, BleuParams, BleuStats, Bootstrap, BootstrapParams, ChrfParams, Comparison,
    Metric, Summary, paired_t_test, segment_means,
};
use tamis::report::{Align, LinePlot, Report, RunRecord, Table, write_jsonl};

use super::{Cell, Flags, Method, Texts};
use crate::outputs::{begin_results, end_results};
use crate::say_results;

const CONFIDENCE: f64 = 0.95;

/// All that was run.
#[derive(Debug)]
pub struct Cells {
    /// The starting point, without training.
    pub start: Cell,
    /// The grid.
    pub runs: Vec<Run>,
}

/// One training run.
#[derive(Debug)]
pub struct Run {
    /// How its rows were chosen.
    pub method: Method,
    /// How many.
    pub budget: usize,
    /// Its number, which is its seed.
    pub repeat: usize,
    /// What it led to.
    pub cell: Cell,
}

/// What is known of a method at a budget, over its repeats.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The method; `start` is the starting point without training.
    pub method: String,
    /// Chosen rows.
    pub budget: usize,
    /// Training runs.
    pub repeats: usize,
    /// Learning rate of all of them.
    pub learning_rate: Option<f64>,
    /// Mean corpus BLEU.
    pub bleu: f64,
    /// Standard deviation of BLEU over the runs, where there is more than one.
    pub bleu_std: Option<f64>,
    /// Where the mean would lie on other test sets (bootstrap over segments).
    pub bleu_interval: [f64; 2],
    /// Mean corpus chrF.
    pub chrf: f64,
    /// Mean validation loss, nats per token.
    pub validation: f64,
    /// Share of the chosen rows that had kept their own answer.
    pub clean: Option<f64>,
    /// Mean length of a chosen answer in tokens.
    pub answer_tokens: Option<f64>,
    /// Words of the model's answers per word of the references.
    pub length_ratio: f64,
    /// BLEU against the random choice of the same size, resampled over segments.
    pub against_random: Option<Comparison>,
    /// BLEU against the starting point without training, resampled over segments.
    pub against_start: Option<Comparison>,
    /// Sentence BLEU (mean over the runs) against the random choice, by segment.
    pub t_test: Option<Comparison>,
}

/// The numbers of one method at one budget on their way to an outcome.
struct Group<'a> {
    method: Option<Method>,
    budget: usize,
    cells: Vec<&'a Cell>,
    segments: Vec<Vec<BleuStats>>,
}

/// What a group is compared with.
struct Bases<'a, 'b> {
    random: Option<&'b Group<'a>>,
    start: Option<&'b Group<'a>>,
}

/// Scores all answers and writes `results.jsonl`, `table.md`, `report.html`, `run.json`, and the
/// answers below `answers/`.
///
/// # Errors
/// A file that cannot be written, naming it.
pub fn write(
    flags: &Flags,
    cells: &Cells,
    texts: &Texts,
    clean: &[bool],
    data: &[Encoded],
    mut record: RunRecord,
) -> Result<()> {
    let bleu = BleuParams::default().check()?;
    let bootstrap = BootstrapParams { confidence: CONFIDENCE, ..BootstrapParams::default() };
    let bootstrap = bootstrap.check()?;
    let groups = grouped(cells, texts, &bleu)?;
    let mut outcomes = Vec::new();
    for group in &groups {
        let random = groups
            .iter()
            .find(|other| other.budget == group.budget && other.method == Some(Method::RANDOM))
            .filter(|_| group.method.is_some_and(|method| method != Method::RANDOM));
        let start = groups.iter().find(|other| other.method.is_none());
        let start = start.filter(|_| group.method.is_some());
        let bases = Bases { random, start };
        outcomes.push(outcome(group, &bases, texts, clean, data, &bleu, &bootstrap)?);
    }
    record.notes.push(format!("BLEU: {}", bleu.signature(1)));

    let out = flags.results.as_ref().unwrap_or(&flags.out);
    begin_results(out)?;
    let mut files = write_answers(out, cells, texts)?;
    let lines = out.join("results.jsonl");
    write_jsonl(&lines, &outcomes)?;
    let table = table(&outcomes);
    let markdown = out.join("table.md");
    write_atomic(&markdown, table.markdown().as_bytes())?;
    files.extend([lines, markdown.clone()]);
    let page = |record: &RunRecord| Ok(page_of(&outcomes, table.clone(), record));
    let files = end_results(out, files, record, page)?;
    let first = files.iter().position(|file| *file == markdown).unwrap_or(0);
    say_results(table.markdown(), &files[first..])
}

/// The runs of each method and budget, in the order of the grid; the starting point first.
fn grouped<'a>(cells: &'a Cells, texts: &Texts, bleu: &Bleu) -> Result<Vec<Group<'a>>> {
    let score = |cell: &Cell| bleu.segments(&cell.answers, &[&texts.references]);
    let mut groups = vec![Group {
        method: None,
        budget: 0,
        cells: vec![&cells.start],
        segments: vec![score(&cells.start)?],
    }];
    for run in &cells.runs {
        let (method, budget) = (Some(run.method), run.budget);
        let place = groups.iter().position(|g| g.method == method && g.budget == budget);
        let place = place.unwrap_or_else(|| {
            groups.push(Group { method, budget, cells: Vec::new(), segments: Vec::new() });
            groups.len() - 1
        });
        groups[place].cells.push(&run.cell);
        groups[place].segments.push(score(&run.cell)?);
    }
    groups.sort_by_key(|group| group.budget);
    Ok(groups)
}

fn outcome(
    group: &Group<'_>,
    bases: &Bases<'_, '_>,
    texts: &Texts,
    clean: &[bool],
    data: &[Encoded],
    bleu: &Bleu,
    bootstrap: &Bootstrap,
) -> Result<Outcome> {
    let cells = &group.cells;
    let over = |value: &dyn Fn(&Cell) -> f64| {
        cells.iter().map(|cell| value(cell)).sum::<f64>() / cells.len() as f64
    };
    // Of rows of the pool, over all runs; nothing was chosen for the starting point.
    let trained = group.budget > 0;
    let of_rows = |value: &dyn Fn(usize) -> f64| {
        let mean = |cell: &Cell| {
            cell.chosen.iter().map(|&row| value(row)).sum::<f64>() / cell.chosen.len() as f64
        };
        trained.then(|| over(&mean))
    };
    let scores: Vec<f64> = group.segments.iter().map(|s| bleu.corpus_score(s)).collect();
    let estimate = bootstrap.estimate(bleu, &group.segments)?;
    let chrf = ChrfParams::default().check()?;
    let mut chrf_scores = Vec::new();
    for cell in cells {
        let segments = chrf.segments(&cell.answers, &[&texts.references])?;
        chrf_scores.push(chrf.corpus_score(&segments));
    }
    let words = |lines: &[String]| -> f64 {
        lines.iter().map(|line| line.split_whitespace().count()).sum::<usize>() as f64
    };
    let against = |base: Option<&Group<'_>>| {
        base.map(|base| bootstrap.compare_groups(bleu, &group.segments, &base.segments)).transpose()
    };
    let mut t_test = None;
    if let Some(random) = bases.random {
        let (here, there) = (sentences(bleu, group)?, sentences(bleu, random)?);
        t_test = Some(paired_t_test(&here, &there, CONFIDENCE)?);
    }
    let name = group.method.map_or_else(|| "start".to_owned(), |method| method.to_string());
    Ok(Outcome {
        method: name,
        budget: group.budget,
        repeats: cells.len(),
        learning_rate: trained.then(|| over(&|cell| cell.learning_rate)),
        bleu: estimate.score,
        bleu_std: if scores.len() > 1 { Some(Summary::of(&scores, CONFIDENCE)?.std) } else { None },
        bleu_interval: [estimate.interval.low, estimate.interval.high],
        chrf: chrf_scores.iter().sum::<f64>() / chrf_scores.len() as f64,
        validation: over(&|cell| cell.validation),
        clean: of_rows(&|row| f64::from(u8::from(clean[row]))),
        answer_tokens: of_rows(&|row| data[row].targets() as f64),
        length_ratio: over(&|cell| words(&cell.answers)) / words(&texts.references),
        against_random: against(bases.random)?,
        against_start: against(bases.start)?,
        t_test,
    })
}

/// Sentence BLEU of each segment, the mean over the runs.
fn sentences(bleu: &Bleu, group: &Group<'_>) -> Result<Vec<f64>> {
    let of_runs: Vec<Vec<f64>> = group
        .segments
        .iter()
        .map(|segments| segments.iter().map(|stats| bleu.segment_score(stats)).collect())
        .collect();
    Ok(segment_means(&of_runs)?)
}

/// One file a run and one of references, a segment a line.
fn write_answers(out: &Path, cells: &Cells, texts: &Texts) -> Result<Vec<PathBuf>> {
    let folder = out.join("answers");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let mut files = Vec::new();
    let mut put = |name: &str, lines: &[String]| -> Result<()> {
        let file = folder.join(format!("{name}.txt"));
        let mut text = lines.join("\n");
        text.push('\n');
        write_atomic(&file, text.as_bytes())?;
        files.push(file);
        Ok(())
    };
    put("references", &texts.references)?;
    put("start", &cells.start.answers)?;
    for Run { method, budget, repeat, cell } in &cells.runs {
        put(&format!("{method}-{budget}-{repeat}").replace([':', '='], "-"), &cell.answers)?;
    }
    Ok(files)
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new().column("rows", Align::Right).column("method", Align::Left);
    for name in ["BLEU", "± runs", "95 % interval", "chrF", "against random", "95 % interval", "p"]
    {
        table = table.column(name, Align::Right);
    }
    for name in
        ["p (t-test)", "against start", "p", "valid. loss", "clean %", "tokens", "length", "rate"]
    {
        table = table.column(name, Align::Right);
    }
    let none = || "–".to_owned();
    let p = |test: Option<&Comparison>| test.map_or_else(none, |test| shown_p(test.p));
    for outcome in outcomes {
        let [low, high] = outcome.bleu_interval;
        let against = outcome.against_random.as_ref();
        table.row([
            outcome.budget.to_string(),
            outcome.method.clone(),
            format!("{:.2}", outcome.bleu),
            outcome.bleu_std.map_or_else(none, |std| format!("{std:.2}")),
            format!("{low:.2} … {high:.2}"),
            format!("{:.2}", outcome.chrf),
            against.map_or_else(none, |test| format!("{:+.2}", test.difference)),
            against
                .and_then(|test| test.interval)
                .map_or_else(none, |i| format!("{:+.2} … {:+.2}", i.low, i.high)),
            p(against),
            p(outcome.t_test.as_ref()),
            outcome.against_start.map_or_else(none, |test| format!("{:+.2}", test.difference)),
            p(outcome.against_start.as_ref()),
            format!("{:.3}", outcome.validation),
            outcome.clean.map_or_else(none, |share| format!("{:.1}", 100.0 * share)),
            outcome.answer_tokens.map_or_else(none, |tokens| format!("{tokens:.1}")),
            format!("{:.2}", outcome.length_ratio),
            outcome.learning_rate.map_or_else(none, |rate| format!("{rate:e}")),
        ]);
    }
    table
}

fn shown_p(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

fn page_of(outcomes: &[Outcome], table: Table, record: &RunRecord) -> Report {
    let mut methods: Vec<&str> = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.budget > 0) {
        if !methods.contains(&&*outcome.method) {
            methods.push(&outcome.method);
        }
    }
    let of = |method: &str| -> Vec<&Outcome> {
        outcomes.iter().filter(|o| o.budget > 0 && o.method == method).collect()
    };
    let mut quality = LinePlot::new("BLEU of the trained model", "rows chosen", "BLEU")
        .caption("Mean over the runs; bars: 95 % bootstrap interval over test segments.");
    let mut gain = LinePlot::new("Against a random choice", "rows chosen", "BLEU difference")
        .caption("Bars: 95 % interval of the difference, resampled over test segments.");
    for method in &methods {
        let outcomes = of(method);
        let rows = |o: &Outcome| o.budget as f64;
        quality = quality
            .series(*method, outcomes.iter().map(|o| [rows(o), o.bleu]))
            .intervals(outcomes.iter().map(|o| [rows(o), o.bleu_interval[0], o.bleu_interval[1]]));
        let compared: Vec<(f64, Comparison)> =
            outcomes.iter().filter_map(|o| Some((rows(o), o.against_random?))).collect();
        if !compared.is_empty() {
            let intervals = compared.iter().filter_map(|(x, test)| Some((x, test.interval?)));
            gain = gain
                .series(*method, compared.iter().map(|(x, test)| [*x, test.difference]))
                .intervals(intervals.map(|(x, i)| [*x, i.low, i.high]));
        }
    }
    if let Some(start) = outcomes.iter().find(|outcome| outcome.budget == 0) {
        let mut budgets = outcomes.iter().map(|o| o.budget as f64).filter(|&b| b > 0.0);
        if let Some(first) = budgets.next() {
            let last = budgets.fold(first, f64::max);
            quality = quality.series("start", [[first, start.bleu], [last, start.bleu]]);
        }
    }
    let mut report = Report::new("What a choice of training data is worth");
    report.lead(format!(
        "{} ways to choose, each trained and tested as often as the table says.",
        methods.len()
    ));
    report.section("Results").plot(quality).plot(gain).table("All numbers", table);
    let notes = report.section("How it was run");
    for note in &record.notes {
        notes.paragraph(note.clone());
    }
    notes.paragraph(
        "± runs: standard deviation of BLEU over training runs. p: paired bootstrap over segments, \
         two-sided, for these trainings and without a correction for the number of comparisons; t-test: on \
         sentence BLEU averaged over the runs. Scores of methods are computed once: ± runs does not hold \
         what another adaptation would change. clean: share of the chosen rows \
         that kept their own answer. tokens: mean length of a chosen answer. length: words of the \
         model's answers per word of the references.",
    );
    report
}
