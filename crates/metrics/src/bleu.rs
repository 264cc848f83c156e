//! BLEU (Papineni et al., 2002), as sacreBLEU (Post, 2018) computes it.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::metric::VERSION;
use crate::ngrams::{clipped_matches, count};
use crate::text::{Numbering, words};
use crate::{Aggregate, Metric, MetricsError, Smoothing, Tokenizer};

/// The longest n-grams that BLEU looks at.
pub const BLEU_ORDER: usize = 4;

/// Settings of BLEU, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BleuParams {
    /// How a line becomes tokens.
    pub tokenizer: Tokenizer,
    /// What is done about an order without matches.
    pub smoothing: Smoothing,
    /// Whether case is ignored.
    pub lowercase: bool,
    /// Whether a corpus whose hypotheses are all shorter than [`BLEU_ORDER`] tokens is scored by the
    /// orders that it has. Off as a rule. The score of a single segment always is computed so.
    pub effective_order: bool,
}

impl BleuParams {
    /// The metric with these settings.
    ///
    /// # Errors
    /// [`MetricsError::Parameter`] if the value of the smoothing is not a finite number above 0.
    pub fn check(self) -> Result<Bleu, MetricsError> {
        self.smoothing.check()?;
        Ok(Bleu(self))
    }
}

/// BLEU: how many n-grams of the hypothesis are in the reference, for n of 1 to 4.
///
/// Let mₙ be the clipped number of matching n-grams of the whole corpus, tₙ the number of
/// n-grams of the hypotheses, c and r the lengths of hypotheses and references in tokens. Then
///
/// BLEU = 100 · min(1, exp(1 − r/c)) · exp(¼ Σₙ ln(mₙ/tₙ)).
///
/// With several references a match is clipped at the highest count of any of them, and r adds up the
/// lengths closest to those of the hypotheses (the shorter one of two that are equally close).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bleu(BleuParams);

/// What BLEU is computed from; those of a corpus are the sum of those of its segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BleuStats {
    /// Tokens of the hypothesis.
    pub hypothesis_length: u64,
    /// Tokens of the reference.
    pub reference_length: u64,
    /// Clipped matches of order 1, 2, 3, 4.
    pub matches: [u64; BLEU_ORDER],
    /// N-grams of the hypothesis of order 1, 2, 3, 4.
    pub totals: [u64; BLEU_ORDER],
}

impl AddAssign for BleuStats {
    fn add_assign(&mut self, other: Self) {
        self.hypothesis_length += other.hypothesis_length;
        self.reference_length += other.reference_length;
        for order in 0..BLEU_ORDER {
            self.matches[order] += other.matches[order];
            self.totals[order] += other.totals[order];
        }
    }
}

/// A BLEU score and the parts it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BleuScore {
    /// The score, 0 to 100 (a rounding error above 100 is possible).
    pub score: f64,
    /// Smoothed precisions of order 1, 2, 3, 4 in percent.
    pub precisions: [f64; BLEU_ORDER],
    /// What short hypotheses are multiplied with, 0 to 1.
    pub brevity_penalty: f64,
    /// Tokens of the hypotheses.
    pub hypothesis_length: u64,
    /// Tokens of the references.
    pub reference_length: u64,
}

impl Bleu {
    /// Its settings.
    pub fn params(&self) -> &BleuParams {
        &self.0
    }

    /// The score with the parts it is made of.
    pub fn detail(&self, stats: &BleuStats) -> BleuScore {
        self.compute(stats, self.0.effective_order)
    }

    fn compute(&self, stats: &BleuStats, effective_order: bool) -> BleuScore {
        let (c, r) = (stats.hypothesis_length, stats.reference_length);
        let brevity_penalty = match (c, r) {
            (c, r) if c >= r => 1.0,
            (0, _) => 0.0,
            _ => (1.0 - r as f64 / c as f64).exp(),
        };
        let mut done = BleuScore {
            score: 0.0,
            precisions: [0.0; BLEU_ORDER],
            brevity_penalty,
            hypothesis_length: c,
            reference_length: r,
        };
        if stats.matches == [0; BLEU_ORDER] {
            return done; // No smoothing makes something out of nothing.
        }
        let mut orders = BLEU_ORDER;
        let mut halved = 1.0;
        for order in 0..BLEU_ORDER {
            let added = match self.0.smoothing {
                Smoothing::AddK(k) if order > 0 => k,
                _ => 0.0,
            };
            let matches = stats.matches[order] as f64 + added;
            let total = stats.totals[order] as f64 + added;
            if total == 0.0 {
                break;
            }
            if effective_order {
                orders = order + 1;
            }
            done.precisions[order] = if matches > 0.0 {
                100.0 * matches / total
            } else {
                match self.0.smoothing {
                    Smoothing::Exp => {
                        halved *= 2.0;
                        100.0 / (halved * total)
                    }
                    Smoothing::Floor(value) => 100.0 * value / total,
                    Smoothing::AddK(_) | Smoothing::None => 0.0,
                }
            };
        }
        // The logarithm of a precision of 0 is −∞, and the score 0.
        let logs: f64 = done.precisions[..orders].iter().map(|p| p.ln()).sum();
        done.score = brevity_penalty * (logs / orders as f64).exp();
        done
    }

    /// The line as it is compared.
    fn prepare(&self, line: &str) -> String {
        if self.0.lowercase {
            self.0.tokenizer.part(&line.to_lowercase())
        } else {
            self.0.tokenizer.part(line)
        }
    }
}

impl Aggregate for Bleu {
    type Stats = BleuStats;

    fn score(&self, stats: &BleuStats) -> f64 {
        self.compute(stats, self.0.effective_order).score
    }
}

impl Metric for Bleu {
    fn name(&self) -> String {
        "BLEU".to_owned()
    }

    fn signature(&self, references: usize) -> String {
        let case = if self.0.lowercase { "lc" } else { "mixed" };
        let eff = if self.0.effective_order { "yes" } else { "no" };
        let (tok, smooth) = (self.0.tokenizer, self.0.smoothing.signature());
        format!("nrefs:{references}|case:{case}|eff:{eff}|tok:{tok}|smooth:{smooth}|{VERSION}")
    }

    fn segment(&self, hypothesis: &str, references: &[&str]) -> BleuStats {
        let hypothesis = self.prepare(hypothesis);
        let references: Vec<String> = references.iter().map(|line| self.prepare(line)).collect();
        let mut numbering = Numbering::default();
        let hypothesis = numbering.of(words(&hypothesis));
        let references: Vec<Vec<u32>> =
            references.iter().map(|line| numbering.of(words(line))).collect();
        let length = hypothesis.len();
        let closest = references
            .iter()
            .map(Vec::len)
            .min_by_key(|&of_it| (of_it.abs_diff(length), of_it))
            .unwrap_or(0);
        let references: Vec<&[u32]> = references.iter().map(Vec::as_slice).collect();
        let mut stats = BleuStats {
            hypothesis_length: length as u64,
            reference_length: closest as u64,
            totals: std::array::from_fn(|order| count(length, order + 1)),
            ..BleuStats::default()
        };
        clipped_matches(&hypothesis, &references, &mut stats.matches);
        stats
    }

    /// With effective order, as sacreBLEU's program scores sentences: a segment of less than four tokens
    /// has no n-grams of order 4, and would have no score.
    fn segment_score(&self, stats: &BleuStats) -> f64 {
        self.compute(stats, true).score
    }
}
