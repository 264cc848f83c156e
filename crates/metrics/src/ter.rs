//! TER (Snover et al., 2006), as sacreBLEU (Post, 2018) computes it.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::metric::VERSION;
use crate::text::{
    Numbering, is_space, is_western_mark, part_stops, respaced, surround, unescape, words,
};
use crate::{Aggregate, Metric, MetricsError, shifts};

/// Settings of TER, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, as in the signature")]
pub struct TerParams {
    /// Whether case counts. As a rule it does not.
    pub case_sensitive: bool,
    /// Whether entities are resolved and punctuation is set apart. As a rule words are what lies between
    /// space.
    pub normalized: bool,
    /// Whether punctuation is left out.
    pub no_punctuation: bool,
    /// Whether `normalized` makes a word of every Chinese character, and `no_punctuation` leaves out
    /// Asian punctuation.
    pub asian: bool,
}

impl TerParams {
    /// The metric with these settings; all of them make sense.
    ///
    /// # Errors
    /// None so far.
    pub fn check(self) -> Result<Ter, MetricsError> {
        Ok(Ter(self))
    }
}

/// TER: how many edits make the reference of the hypothesis, in percent of the reference's length.
/// Lower is better.
///
/// An edit inserts, deletes or substitutes a word, or shifts a block of words to another place. Shifts
/// are chosen greedily, those first that save most (finding the fewest edits is NP-hard), within
/// the limits of Tercom: blocks of at most 10 words, at most 50 words away, distances within 25 of the
/// diagonal, and at most 1,000 shifts tried for a segment.
///
/// With several references, the edits to the nearest one are divided by the mean length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ter(TerParams);

/// What TER is computed from; those of a corpus are the sum of those of its segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TerStats {
    /// Edits, shifts among them.
    pub edits: u64,
    /// Words of the reference, the mean if there are several.
    pub reference_length: f64,
}

impl AddAssign for TerStats {
    fn add_assign(&mut self, other: Self) {
        self.edits += other.edits;
        self.reference_length += other.reference_length;
    }
}

impl Ter {
    /// Its settings.
    pub fn params(&self) -> &TerParams {
        &self.0
    }

    /// The line as it is compared.
    fn prepare(self, line: &str) -> String {
        let mut line = line.trim_end_matches(is_space).to_owned();
        if line.is_empty() {
            return line;
        }
        if !self.0.case_sensitive {
            line = line.to_lowercase();
        }
        if self.0.normalized {
            line = unescape(&line.replace("\n-", "").replace('\n', " "));
            line = surround(&format!(" {line} "), is_western_mark);
            line = part_stops(&line.replace("'s ", " 's "));
            if self.0.asian {
                line = surround(&line, |c| is_ideograph(c) || is_asian_mark(c));
            }
        }
        if self.0.no_punctuation {
            let asian = self.0.asian;
            let mark = |c| matches!(c, '.' | ',' | '?' | ':' | ';' | '!' | '"' | '(' | ')');
            line.retain(|c| !(mark(c) || asian && is_asian_mark(c)));
        }
        line
    }
}

/// Characters that are words of their own: Chinese characters, their parts and enclosed forms.
fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{2e80}'..='\u{2eff}'
        | '\u{31c0}'..='\u{31ef}'
        | '\u{3200}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe4f}'
    )
}

/// Punctuation of Asian languages, and Western punctuation in full width.
fn is_asian_mark(c: char) -> bool {
    matches!(c,
        '\u{3001}' | '\u{3002}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}' | '\u{30fb}'
        | '\u{ff01}' | '\u{ff02}' | '\u{ff08}' | '\u{ff09}' | '\u{ff0c}' | '\u{ff0e}'
        | '\u{ff1a}' | '\u{ff1b}' | '\u{ff1f}' | '\u{ff61}'..='\u{ff65}'
    )
}

impl Aggregate for Ter {
    type Stats = TerStats;

    fn score(&self, stats: &TerStats) -> f64 {
        if stats.reference_length > 0.0 {
            // In this order, so that the last bit is that of other programs too.
            return 100.0 * (stats.edits as f64 / stats.reference_length);
        }
        if stats.edits > 0 { 100.0 } else { 0.0 }
    }
}

impl Metric for Ter {
    fn name(&self) -> String {
        "TER".to_owned()
    }

    fn signature(&self, references: usize) -> String {
        let word = |yes| if yes { "yes" } else { "no" };
        let case = if self.0.case_sensitive { "mixed" } else { "lc" };
        let norm = word(self.0.normalized);
        let (punct, asian) = (word(!self.0.no_punctuation), word(self.0.asian));
        format!(
            "nrefs:{references}|case:{case}|tok:tercom|norm:{norm}|punct:{punct}|asian:{asian}|{VERSION}"
        )
    }

    fn segment(&self, hypothesis: &str, references: &[&str]) -> TerStats {
        let hypothesis = self.prepare(hypothesis);
        // sacreBLEU prepares references twice, which only tells with `normalized`, and there seldom.
        let twice = |line: &&str| self.prepare(&respaced(&self.prepare(line)));
        let references: Vec<String> = references.iter().map(twice).collect();
        let mut numbering = Numbering::default();
        let hypothesis = numbering.of(words(&hypothesis));
        let references: Vec<Vec<u32>> =
            references.iter().map(|line| numbering.of(words(line))).collect();
        let edits = references.iter().map(|reference| shifts::edits(&hypothesis, reference));
        let lengths: usize = references.iter().map(Vec::len).sum();
        TerStats {
            edits: edits.min().unwrap_or(0),
            reference_length: lengths as f64 / references.len().max(1) as f64,
        }
    }
}
