//! chrF (Popović, 2015) and chrF++ (Popović, 2017), as sacreBLEU 2 (Post, 2018) computes them.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::metric::VERSION;
use crate::ngrams::{clipped_matches, count};
use crate::text::{Numbering, is_space, words};
use crate::{Aggregate, Metric, MetricsError};

/// The longest n-grams of characters.
pub const CHAR_ORDER: usize = 6;
/// The longest n-grams of words.
pub const WORD_ORDER: usize = 2;

const ORDERS: usize = CHAR_ORDER + WORD_ORDER;

/// Settings of chrF, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChrfParams {
    /// The longest n-grams of characters, 1 to [`CHAR_ORDER`].
    pub char_order: usize,
    /// The longest n-grams of words, 0 (chrF) to [`WORD_ORDER`] (chrF++).
    pub word_order: usize,
    /// How many times more recall weighs than precision.
    pub beta: u32,
    /// Whether case is ignored.
    pub lowercase: bool,
    /// Whether n-grams of characters reach across the space between words.
    pub whitespace: bool,
    /// Whether every order counts, one without n-grams as almost 0, as in Popović's own program.
    /// As a rule only those orders count that hypothesis and reference both have.
    pub epsilon: bool,
}

impl Default for ChrfParams {
    /// chrF2: characters up to 6, no words, β = 2, case counts, space does not.
    fn default() -> Self {
        Self {
            char_order: CHAR_ORDER,
            word_order: 0,
            beta: 2,
            lowercase: false,
            whitespace: false,
            epsilon: false,
        }
    }
}

impl ChrfParams {
    /// chrF2++: as the default, with words and pairs of words.
    pub fn plus_plus() -> Self {
        Self { word_order: WORD_ORDER, ..Self::default() }
    }

    /// The metric with these settings.
    ///
    /// # Errors
    /// [`MetricsError::Parameter`] if an order is too high or there is none of characters, or `beta`
    /// is 0.
    pub fn check(self) -> Result<Chrf, MetricsError> {
        ParameterError::within("char_order", self.char_order, 1..=CHAR_ORDER)?;
        ParameterError::within("word_order", self.word_order, 0..=WORD_ORDER)?;
        ParameterError::require(self.beta > 0, "beta", self.beta, "at least 1")?;
        Ok(Chrf(self))
    }
}

/// chrF: the F-score of n-grams of characters (and of words, for chrF++).
///
/// With precision Pₙ = mₙ/hₙ and recall Rₙ = mₙ/rₙ of order n, from the clipped matches mₙ and the numbers
/// of n-grams of the whole corpus, and P and R their means over the orders,
///
/// chrF = 100 · (1 + β²) · P · R / (β² · P + R).
///
/// With several references a segment is compared with the one that gives it the highest score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chrf(ChrfParams);

/// N-grams of one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCounts {
    /// In the hypothesis; 0 if the reference has none.
    pub hypothesis: u64,
    /// In the reference.
    pub reference: u64,
    /// In both, each counted as often as where it is rarer.
    pub matches: u64,
}

/// What chrF is computed from; those of a corpus are the sum of those of its segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChrfStats {
    /// Orders of characters from 1 on, as many as the metric has, then those of words.
    pub orders: [OrderCounts; ORDERS],
}

impl AddAssign for ChrfStats {
    fn add_assign(&mut self, other: Self) {
        for (sum, counts) in self.orders.iter_mut().zip(other.orders) {
            sum.hypothesis += counts.hypothesis;
            sum.reference += counts.reference;
            sum.matches += counts.matches;
        }
    }
}

impl Chrf {
    /// Its settings.
    pub fn params(&self) -> &ChrfParams {
        &self.0
    }

    fn used(&self) -> usize {
        self.0.char_order + self.0.word_order
    }

    /// Counts of one hypothesis and one reference.
    fn counts(&self, hypothesis: &Line, reference: &Line) -> ChrfStats {
        let mut stats = ChrfStats::default();
        let (chars, more) = stats.orders.split_at_mut(self.0.char_order);
        fill(chars, &hypothesis.chars, &reference.chars);
        fill(&mut more[..self.0.word_order], &hypothesis.words, &reference.words);
        stats
    }

    fn line<'a>(&self, text: &'a str, numbering: &mut Numbering<'a>) -> Line {
        let keeps = |c: &char| self.0.whitespace || !is_space(*c);
        let words =
            if self.0.word_order > 0 { numbering.of(parted_words(text)) } else { Vec::new() };
        Line { chars: text.chars().filter(keeps).map(u32::from).collect(), words }
    }
}

/// Numbers for the characters and words of a line.
struct Line {
    chars: Vec<u32>,
    words: Vec<u32>,
}

fn fill(orders: &mut [OrderCounts], hypothesis: &[u32], reference: &[u32]) {
    let mut matches = [0; CHAR_ORDER];
    let matches = &mut matches[..orders.len()];
    clipped_matches(hypothesis, &[reference], matches);
    for ((n, counts), &mut matches) in (1..).zip(orders).zip(matches) {
        let reference = count(reference.len(), n);
        // What cannot be found is not looked for.
        let hypothesis = if reference > 0 { count(hypothesis.len(), n) } else { 0 };
        *counts = OrderCounts { hypothesis, reference, matches };
    }
}

/// Words with one ASCII punctuation mark set apart, the last character or else the first.
fn parted_words(text: &str) -> impl Iterator<Item = &str> {
    words(text).flat_map(|word| {
        let (first, last) = (word.chars().next(), word.chars().next_back());
        let mark = |c: Option<char>| c.filter(char::is_ascii_punctuation).map(char::len_utf8);
        let at = match (mark(first), mark(last)) {
            (_, Some(bytes)) => word.len() - bytes,
            (Some(bytes), None) => bytes,
            (None, None) => 0,
        };
        let (head, tail) = word.split_at(at);
        [head, tail].into_iter().filter(|part| !part.is_empty())
    })
}

impl Aggregate for Chrf {
    type Stats = ChrfStats;

    fn score(&self, stats: &ChrfStats) -> f64 {
        /// What stands for the precision or recall of an order without n-grams.
        const EPSILON: f64 = 1e-16;
        let beta2 = f64::from(self.0.beta).powi(2);
        let (mut summed, mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0, 0.0);
        for counts in &stats.orders[..self.used()] {
            let share = |of: u64| if of > 0 { counts.matches as f64 / of as f64 } else { EPSILON };
            let (p, r) = (share(counts.hypothesis), share(counts.reference));
            let below = beta2 * p + r;
            summed += if below > 0.0 { (1.0 + beta2) * p * r / below } else { EPSILON };
            if counts.hypothesis > 0 && counts.reference > 0 {
                precision += p;
                recall += r;
                orders += 1.0;
            }
        }
        if self.0.epsilon {
            return 100.0 * summed / self.used() as f64;
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let (p, r) = (precision / orders, recall / orders);
        100.0 * ((1.0 + beta2) * p * r / (beta2 * p + r))
    }
}

impl Metric for Chrf {
    fn name(&self) -> String {
        format!("chrF{}{}", self.0.beta, "+".repeat(self.0.word_order))
    }

    fn signature(&self, references: usize) -> String {
        let case = if self.0.lowercase { "lc" } else { "mixed" };
        let eff = if self.0.epsilon { "no" } else { "yes" };
        let space = if self.0.whitespace { "yes" } else { "no" };
        let (nc, nw) = (self.0.char_order, self.0.word_order);
        format!("nrefs:{references}|case:{case}|eff:{eff}|nc:{nc}|nw:{nw}|space:{space}|{VERSION}")
    }

    fn segment(&self, hypothesis: &str, references: &[&str]) -> ChrfStats {
        let cased = |text: &str| {
            if self.0.lowercase { text.to_lowercase() } else { text.to_owned() }
        };
        let hypothesis = cased(hypothesis);
        let references: Vec<String> = references.iter().map(|text| cased(text)).collect();
        let mut numbering = Numbering::default();
        let hypothesis = self.line(&hypothesis, &mut numbering);
        let mut best = (f64::NEG_INFINITY, ChrfStats::default());
        for reference in &references {
            let stats = self.counts(&hypothesis, &self.line(reference, &mut numbering));
            let score = self.score(&stats);
            if score > best.0 {
                best = (score, stats);
            }
        }
        best.1
    }
}
