//! The short table that the demo ends with, read from what `gdig` wrote.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::pairs::Pair;

/// How many of the best and of the worst candidates are shown.
const EXAMPLES: usize = 4;

/// Width of a shown text.
const WIDTH: usize = 76;

/// What is read of `run.json`.
#[derive(Debug, Deserialize)]
struct Run {
    counts: Counts,
    /// Rules that had to be relaxed to fill the budget.
    relaxations: Vec<String>,
    stages: Vec<Stage>,
    peak_memory_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    read: usize,
    rejected: usize,
    scored: usize,
    helpful: usize,
    clusters: usize,
    selected: usize,
}

#[derive(Debug, Deserialize)]
struct Stage {
    name: String,
    seconds: f64,
    resumed: bool,
}

/// What is read of a line of `scores.jsonl`. A candidate that could not be scored has a reason
/// instead of scores.
#[derive(Debug, Deserialize)]
struct Score {
    id: String,
    mean_normalised: Option<f64>,
    share_helped: Option<f64>,
    selected: bool,
}

/// The table, from the output folder of `gdig` and the pool it was given.
pub(crate) fn of(out: &Path, pool: &[Pair]) -> Result<String> {
    let run: Run = from_json(&out.join("run.json"))?;
    let path = out.join("scores.jsonl");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut scores = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let score: Score = serde_json::from_str(line)
            .with_context(|| format!("{}, line {}", path.display(), index + 1))?;
        scores.push(score);
    }
    table(&run, scores, pool)
}

fn from_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn table(run: &Run, scores: Vec<Score>, pool: &[Pair]) -> Result<String> {
    let mut table = String::new();
    let counts = &run.counts;
    for (name, count) in [
        ("read", counts.read),
        ("rejected", counts.rejected),
        ("scored", counts.scored),
        ("helpful", counts.helpful),
        ("clusters", counts.clusters),
        ("chosen", counts.selected),
    ] {
        writeln!(table, "{name:<12}{count:>6}")?;
    }
    for relaxation in &run.relaxations {
        writeln!(table, "{:<12}{relaxation}", "relaxed")?;
    }

    let by_id: HashMap<_, _> = pool.iter().map(|pair| (pair.id.as_str(), pair)).collect();
    let mut ranked: Vec<_> = scores
        .into_iter()
        .filter_map(|score| score.mean_normalised.map(|mean| (mean, score)))
        .collect();
    // Equal scores stay in the order of the pool.
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let shown = EXAMPLES.min(ranked.len() / 2);
    for (title, examples) in
        [("most helpful", &ranked[..shown]), ("most harmful", &ranked[ranked.len() - shown..])]
    {
        writeln!(table, "\n{title} (score, share of seeds helped)")?;
        for (mean, score) in examples {
            let share = score
                .share_helped
                .map_or_else(|| "?".into(), |share| format!("{:.0} %", 100.0 * share));
            let chosen = if score.selected { ", chosen" } else { "" };
            writeln!(table, "  {mean:+.3e}  {share:>5}  {}{chosen}", score.id)?;
            let pair = by_id
                .get(score.id.as_str())
                .with_context(|| format!("the id {} is not in the pool", score.id))?;
            writeln!(table, "      de  {}", shortened(&pair.src))?;
            writeln!(table, "      en  {}", shortened(&pair.tgt))?;
        }
    }

    writeln!(table)?;
    for stage in &run.stages {
        let resumed = if stage.resumed { "  (done before)" } else { "" };
        writeln!(table, "{:<16}{}{resumed}", stage.name, duration(stage.seconds))?;
    }
    if let Some(bytes) = run.peak_memory_bytes {
        writeln!(table, "{:<16}{:.2} GiB", "peak memory", bytes as f64 / f64::from(1 << 30))?;
    }
    Ok(table)
}

/// `text` on one line of at most `WIDTH` characters.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WIDTH {
        return line;
    }
    let mut short: String = line.chars().take(WIDTH - 1).collect();
    short.push('…');
    short
}

/// Seconds as a person would say them.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_shows_counts_best_and_worst() {
        let dir = tempfile::tempdir().unwrap();
        let run = json!({
            "counts": {
                "read": 4, "rejected": 1, "scored": 3, "helpful": 2, "clusters": 2, "selected": 1,
            },
            "relaxations": ["all, to share:0.5"],
            "stages": [{"name": "gradients", "seconds": 75.2, "rows": 3, "resumed": false}],
            "peak_memory_bytes": 3_u64 << 29,
        });
        fs::write(dir.path().join("run.json"), run.to_string()).unwrap();
        let line = |id: &str, score: Option<f64>, share: Option<f64>, selected: bool| {
            json!({
                "id": id, "index": 0, "mean": score, "mean_normalised": score, "min": score,
                "share_helped": share, "cluster": null, "selected": selected, "reason": "-",
            })
        };
        let scores = [
            line("a:1", Some(0.5), Some(1.0), true),
            line("a:2", Some(-0.25), Some(0.25), false),
            line("a:3", None, None, false),
            line("a:4", Some(0.1), Some(0.75), false),
        ];
        let scores = scores.map(|line| line.to_string()).join("\n");
        fs::write(dir.path().join("scores.jsonl"), scores).unwrap();
        let pool: Vec<_> = (1..=4)
            .map(|i| Pair {
                id: format!("a:{i}"),
                src: format!("Satz\n{i}"),
                tgt: "word ".repeat(30),
            })
            .collect();
        let table = of(dir.path(), &pool).unwrap();
        let position =
            |text: &str| table.find(text).unwrap_or_else(|| panic!("{text} is not in\n{table}"));
        assert!(position("relaxed     all") < position("most helpful"));
        assert!(position("+5.000e-1  100 %  a:1, chosen") < position("-2.500e-1   25 %  a:2"));
        position("de  Satz 1");
        position("1 min 15 s");
        position("1.50 GiB");
        assert!(!table.contains("a:3"));
        assert!(table.lines().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn a_missing_count_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("run.json"),
            r#"{"counts": {"read": 4, "rejected": 0, "scored": 3, "selected": 1}}"#,
        )
        .unwrap();
        let error = format!("{:#}", of(dir.path(), &[]).unwrap_err());
        assert!(error.contains("run.json") && error.contains("helpful"), "{error}");
    }

    #[test]
    fn times_read_well() {
        assert_eq!(duration(2.52), "2.5 s");
        assert_eq!(duration(59.99), "60.0 s");
        assert_eq!(duration(125.0), "2 min 05 s");
    }
}
