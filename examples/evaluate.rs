//! BLEU, chrF, chrF++ and TER of one or two translations, and whether the two differ.
//!
//! ```text
//! cargo run --release -p tamis-examples --example evaluate -- \
//!     --hypotheses ours.txt --hypotheses2 baseline.txt --references ref.txt
//! ```
//!
//! Files are plain text, one segment a line. You should see a table of scores with their intervals,
//! for two systems a table of their differences with p of three tests, mean lengths (a gain
//! that comes with other lengths is not yet a gain in quality), and the signatures that make the scores
//! comparable with those of others. `--json` prints the same as one JSON object.

use anyhow::Result;
use clap::Parser;
use tamis::metrics::{BleuParams, ChrfParams, TerParams};
use tamis_examples::evaluate::{Flags, Found, Input, Significance, measure, measure_scores};
use tamis_examples::say;

fn main() -> Result<()> {
    let flags = Flags::parse();
    let input = Input::read(&flags)?;
    let lowercase = flags.lowercase;

    // The metrics.
    let bleu = BleuParams {
        tokenizer: flags.tokenize,
        smoothing: flags.smooth,
        lowercase,
        ..BleuParams::default()
    };
    let bleu = bleu.check()?;
    let chrf = ChrfParams { lowercase, ..ChrfParams::default() }.check()?;
    let chrf_plus_plus = ChrfParams { lowercase, ..ChrfParams::plus_plus() }.check()?;
    let ter = TerParams::default().check()?;

    // Scores, intervals, and tests if there are two systems.
    let tests = Significance::new(&flags)?;
    let mut measured = vec![
        measure("bleu", &bleu, &input, &tests)?,
        measure("chrf", &chrf, &input, &tests)?,
        measure("chrf++", &chrf_plus_plus, &input, &tests)?,
        measure("ter", &ter, &input, &tests)?,
    ];
    measured.extend(measure_scores(&flags.segment_scores_name, &input, &tests)?);
    let found = Found::new(&input, &bleu, measured)?;

    // What was found.
    if let Some(path) = &flags.sentences {
        found.write_sentences(path)?;
    }
    let text = if flags.json { found.json()? } else { found.tables() };
    say(text)
}
