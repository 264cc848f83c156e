//! `select` from outside: what it chooses by every strategy, from every kind of file, with its own
//! embeddings, and what it refuses.

mod bad;
mod embedding;
mod files;
mod lengths;
mod strategies;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamis::embeddings::Embeddings;

use crate::pools;
use crate::program::{Finished, refuse, succeed};

/// Rows of the pool of most tests.
const ROWS: usize = 60;
/// Numbers in an embedding there.
const COLUMNS: usize = 4;

/// The embedding of row `n`: four crowded corners, each row a little off, some of them twice.
fn embedding(n: usize) -> [f32; COLUMNS] {
    let n = if n % 12 == 11 { n - 4 } else { n };
    let corner = [[4.0, 0.0], [0.0, 4.0], [-4.0, 0.5], [1.0, -4.0]][n % 4];
    // Exact, and on a grid so fine that no two distances are the same.
    let off = |step: usize| ((n * n * step + 7 * n) % 1009) as f32 / 1024.0;
    [corner[0] + off(5), corner[1] + off(7), off(3), 1.0 + off(11)]
}

fn embeddings() -> Vec<f32> {
    (0..ROWS).flat_map(embedding).collect()
}

/// Rows with ids, some written in ways that a parser would not write them again.
fn rows() -> Vec<String> {
    (0..ROWS)
        .map(|n| {
            let (question, answer) = pools::pair(n);
            let row = json!({ "id": format!("r{n}"), "instruction": question, "output": answer });
            if n % 3 == 0 { row.to_string().replace("\",\"", "\" , \"") } else { row.to_string() }
        })
        .collect()
}

struct Select {
    flags: Vec<String>,
    out: PathBuf,
}

impl Select {
    /// Chooses 10 from the pool above, which it writes, with three random choices to compare with.
    fn new(folder: &Path, out: &str) -> Self {
        let (data, npy) = (folder.join("rows.jsonl"), folder.join("rows.npy"));
        if !npy.exists() {
            pools::write(folder, "rows.jsonl", &rows());
            Embeddings::from_rows(embeddings(), COLUMNS, None).unwrap().write_npy(&npy).unwrap();
        }
        Self::bare(folder, out).with(&[
            &format!("--embeddings={}", npy.display()),
            &format!("--data={}", data.display()),
        ])
    }

    /// Without embeddings and data.
    fn bare(folder: &Path, out: &str) -> Self {
        let out = folder.join(out);
        let flags = [format!("--out={}", out.display())];
        let select = Self { flags: flags.into(), out };
        select.with(&["--budget=10", "--comparisons=3", "--threads=1"])
    }

    /// Sets flags, in place of the values they had.
    fn with(mut self, flags: &[&str]) -> Self {
        for flag in flags {
            self = self.without(flag.split_once('=').map_or(flag, |(name, _)| name));
            self.flags.push((*flag).to_owned());
        }
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.flags.retain(|had| had.split_once('=').map_or(had.as_str(), |(had, _)| had) != name);
        self
    }

    fn arguments(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).collect()
    }

    fn succeed(&self) -> Finished {
        let printed = succeed("select", &self.arguments());
        Finished { out: self.out.clone(), printed }
    }

    fn refuse(&self, parts: &[&str]) {
        refuse("select", &self.arguments(), parts);
    }
}

/// Indices in the order in which they were picked.
fn picked(run: &Finished) -> Vec<usize> {
    let mut picks: Vec<(u64, u64)> = run
        .scores()
        .iter()
        .filter_map(|line| Some((line["order"].as_u64()?, line["index"].as_u64()?)))
        .collect();
    picks.sort_unstable();
    let orders: Vec<u64> = picks.iter().map(|pick| pick.0).collect();
    assert_eq!(orders, (0..picks.len() as u64).collect::<Vec<_>>());
    picks.into_iter().map(|pick| pick.1 as usize).collect()
}

/// Straight-line distance of two rows of the pool.
fn distance(a: usize, b: usize) -> f64 {
    let (a, b) = (embedding(a), embedding(b));
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
}

fn nearest(row: usize, chosen: &[usize]) -> f64 {
    chosen.iter().map(|&other| distance(row, other)).fold(f64::INFINITY, f64::min)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn write(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    path.display().to_string()
}
