//! The command line of `compare`.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use clap::Parser;
use tamis::dataset::Format;
use tamis::embeddings::OpenOptions;
use tamis::kcenter::{Metric, Statistics, StatisticsParams};

/// Compare selections from one pool: coverage, diversity, lengths, repetitions, overlap.
#[derive(Parser, Clone, Debug)]
#[command(
    version,
    after_help = "\
A selection is one of
  a folder that a program here wrote (its scores.jsonl says what was chosen)
  a scores.jsonl, or any JSON lines with `id` or `index`, and `selected` if not all are chosen
  a data file with the chosen rows (with --data, whose rows they must be)
and may be given a name: random=out/random.

Coverage, diversity and near-duplicates need --embeddings, lengths and repeated texts --data.

Examples:
  compare --embeddings rows.npy --data rows.jsonl out/k-center out/random
  compare --data rows.jsonl gdig=out/gdig/selected.jsonl ifd=out/ifd/selected.jsonl --json"
)]
pub struct Flags {
    /// Selections: PATH or NAME=PATH
    #[arg(required = true, value_name = "[NAME=]PATH")]
    pub selections: Vec<Named>,
    /// Embeddings of the pool: .npy, .safetensors, .parquet, or the folder of an embedding run
    #[arg(long, value_name = "PATH", required_unless_present = "data")]
    pub embeddings: Option<PathBuf>,
    /// The rows of the pool
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// What coverage radius and nearest distance are measured by: euclidean or cosine
    #[arg(long, default_value_t)]
    pub metric: Metric,
    /// Cosine from which two rows are near-duplicates
    #[arg(long, default_value_t = 0.99)]
    pub near: f64,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,

    /// Embeddings and data have the same rows in the same order, whatever their ids
    #[arg(long, requires_all = ["data", "embeddings"])]
    pub in_order: bool,
    /// Tensor of a .safetensors file [default: the only one of two dimensions]
    #[arg(long)]
    pub tensor: Option<String>,
    /// Column of a Parquet file with the embeddings [default: the only one of lists of numbers]
    #[arg(long)]
    pub column: Option<String>,
    /// Column of a Parquet file with the ids [default: id, if there is one]
    #[arg(long)]
    pub id_column: Option<String>,
    /// Format of data files; told from extension and first row if not given
    #[arg(long)]
    pub format: Option<Format>,
    /// Leave rows of the data out that cannot be read instead of stopping at the first
    #[arg(long)]
    pub skip_bad_rows: bool,
}

/// A selection as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it is called in the tables.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl FromStr for Named {
    type Err = Infallible;

    /// A path that exists is one, whatever characters are in it.
    fn from_str(word: &str) -> Result<Self, Infallible> {
        let plain = || Self { name: word.to_owned(), path: word.into() };
        Ok(match word.split_once('=') {
            Some((name, path)) if !name.is_empty() && !Path::new(word).exists() => {
                Self { name: name.to_owned(), path: path.into() }
            }
            _ => plain(),
        })
    }
}

impl Flags {
    /// How embeddings are measured.
    ///
    /// # Errors
    /// A cosine that is none.
    pub fn statistics(&self) -> Result<Statistics> {
        anyhow::ensure!(
            (-1.0..=1.0).contains(&self.near),
            "--near is {}, expected a cosine from -1 to 1, such as 0.99",
            self.near
        );
        Ok(StatisticsParams { metric: self.metric, near: 1.0 - self.near }.check()?)
    }

    /// What to read of a file of embeddings.
    pub fn reading(&self) -> OpenOptions {
        OpenOptions {
            tensor: self.tensor.clone(),
            column: self.column.clone(),
            id_column: self.id_column.clone(),
        }
    }
}
