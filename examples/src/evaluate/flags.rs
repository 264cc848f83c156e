//! The flags of `evaluate`.

use std::path::PathBuf;

use clap::Parser;
use tamis::metrics::{Smoothing, Tokenizer};

/// Score translations against references: BLEU, chrF, chrF++ and TER as sacreBLEU computes them, with
/// intervals, and for two systems with tests of their difference.
#[derive(Parser, Clone, Debug)]
#[command(
    version,
    after_help = "\
Files are UTF-8 text, one segment a line; line n of each belongs to line n of the others. An
empty line is an empty segment.

Difference is system 1 (--hypotheses) minus system 2 (--hypotheses2). For TER lower is better,
for all others higher. Three tests say whether it could be chance, each with a two-sided p:
  bootstrap      draws test sets from this one; also gives the intervals
  randomisation  exchanges the systems' outputs of random segments
  t-test         compares the mean scores of segments, not the score of the corpus
They speak about other test segments, not about other trainings of the same system. Look at
the lengths too: raters and metrics often favour one length.

Scores that another program computed (COMET, BLEURT) are tested with --segment-scores: one
number a line, or JSON lines with `score` and, to match two files by name, `id`.

Examples:
  evaluate --hypotheses out.txt --references ref.txt
  evaluate --hypotheses a.txt --hypotheses2 b.txt --references ref.zh --tokenize zh --json
  evaluate --hypotheses a.txt --hypotheses2 b.txt --references ref.txt \\
      --segment-scores a.comet --segment-scores2 b.comet --segment-scores-name COMET"
)]
pub struct Flags {
    /// Translations of the system to score
    #[arg(long, value_name = "FILE")]
    pub hypotheses: PathBuf,
    /// Translations of another system, to compare with
    #[arg(long, value_name = "FILE")]
    pub hypotheses2: Option<PathBuf>,
    /// Reference translations; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    pub references: Vec<PathBuf>,

    /// How BLEU parts lines into tokens: 13a (most languages), zh (Chinese), char (every character),
    /// intl (all punctuation of Unicode) or none (at space only)
    #[arg(long, default_value = "13a")]
    pub tokenize: Tokenizer,
    /// What BLEU does about n-grams without a match: exp, floor, floor=VALUE, add-k, add-k=VALUE or none
    #[arg(long, default_value = "exp")]
    pub smooth: Smoothing,
    /// Ignore case in BLEU and chrF (TER always does)
    #[arg(long)]
    pub lowercase: bool,

    /// Test sets that the bootstrap draws
    #[arg(long, default_value_t = 1000)]
    pub resamples: usize,
    /// Exchanges that randomisation tries
    #[arg(long, default_value_t = 10_000)]
    pub trials: usize,
    /// Confidence of the intervals
    #[arg(long, default_value_t = 0.95)]
    pub confidence: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Scores of the first system's segments that another program computed
    #[arg(long, value_name = "FILE")]
    pub segment_scores: Option<PathBuf>,
    /// The same of the second system
    #[arg(long, value_name = "FILE", requires_all = ["segment_scores", "hypotheses2"])]
    pub segment_scores2: Option<PathBuf>,
    /// What these scores are called
    #[arg(long, value_name = "NAME", default_value = "segment scores")]
    pub segment_scores_name: String,

    /// Write the scores of every segment here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub sentences: Option<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
}
