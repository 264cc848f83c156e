//! What is measured: scores, their intervals, and the difference of two systems.

use anyhow::Result;
use serde::Serialize;
use tamis::metrics::{
    Aggregate, Bootstrap, BootstrapParams, Comparison, Interval, Mean, Metric, Randomisation,
    RandomisationParams, paired_t_test,
};

use super::{Flags, Input};

/// The tests, with their settings.
#[derive(Clone, Debug)]
pub struct Significance {
    bootstrap: Bootstrap,
    randomisation: Randomisation,
    confidence: f64,
}

/// A system's score in one metric.
#[derive(Clone, Debug)]
pub struct Scored {
    /// Of the whole test set.
    pub score: f64,
    /// Where it would lie on other test sets; `None` for a single segment.
    pub interval: Option<Interval>,
    /// Of every segment.
    pub segments: Vec<f64>,
}

/// The difference of two systems in one metric.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tests {
    /// First minus second.
    pub difference: f64,
    /// Drawn test sets.
    pub bootstrap: Comparison,
    /// Exchanged outputs.
    pub randomisation: Comparison,
    /// Segment scores.
    pub t_test: Comparison,
}

/// Everything about one metric.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name among JSON keys.
    pub key: &'static str,
    /// Its name in tables.
    pub name: String,
    /// What the score depends on; `None` for scores that another program computed.
    pub signature: Option<String>,
    /// Of each system.
    pub systems: Vec<Scored>,
    /// Of two systems.
    pub tests: Option<Tests>,
}

impl Significance {
    /// The tests that the flags ask for.
    ///
    /// # Errors
    /// A number out of its range.
    pub fn new(flags: &Flags) -> Result<Self> {
        let (seed, confidence) = (flags.seed, flags.confidence);
        Ok(Self {
            bootstrap: BootstrapParams { resamples: flags.resamples, confidence, seed }.check()?,
            randomisation: RandomisationParams { trials: flags.trials, seed }.check()?,
            confidence,
        })
    }

    fn score<A: Aggregate>(
        &self,
        metric: &A,
        stats: &[A::Stats],
    ) -> Result<(f64, Option<Interval>)> {
        if stats.len() < 2 {
            return Ok((metric.corpus_score(stats), None));
        }
        let found = self.bootstrap.estimate(metric, &[stats])?;
        Ok((found.score, Some(found.interval)))
    }

    fn test<A: Aggregate>(
        &self,
        metric: &A,
        stats: [&[A::Stats]; 2],
        scores: [&[f64]; 2],
    ) -> Result<Tests> {
        let bootstrap = self.bootstrap.compare(metric, stats[0], stats[1])?;
        Ok(Tests {
            difference: bootstrap.difference,
            bootstrap,
            randomisation: self.randomisation.compare(metric, stats[0], stats[1])?,
            t_test: paired_t_test(scores[0], scores[1], self.confidence)?,
        })
    }

    /// Scores of one or two systems, and tests of two.
    fn measure<A: Aggregate>(
        &self,
        metric: &A,
        stats: &[Vec<A::Stats>],
        segment_score: impl Fn(&A::Stats) -> f64,
    ) -> Result<(Vec<Scored>, Option<Tests>)> {
        let mut systems = Vec::new();
        for stats in stats {
            let (score, interval) = self.score(metric, stats)?;
            let segments = stats.iter().map(&segment_score).collect();
            systems.push(Scored { score, interval, segments });
        }
        let tests = match (stats, &systems[..]) {
            ([a, b], [first, second]) => {
                Some(self.test(metric, [a, b], [&first.segments, &second.segments])?)
            }
            _ => None,
        };
        Ok((systems, tests))
    }
}

/// Scores the systems with a metric.
///
/// # Errors
/// As the tests have them.
pub fn measure<M: Metric>(
    key: &'static str,
    metric: &M,
    input: &Input,
    tests: &Significance,
) -> Result<Measured> {
    let references: Vec<&[String]> =
        input.references.iter().map(|file| file.lines.as_slice()).collect();
    let mut stats = Vec::new();
    for system in &input.systems {
        stats.push(metric.segments(&system.lines, &references)?);
    }
    let (systems, tests) = tests.measure(metric, &stats, |stats| metric.segment_score(stats))?;
    let signature = Some(metric.signature(references.len()));
    Ok(Measured { key, name: metric.name(), signature, systems, tests })
}

/// The same for scores that another program computed, if there are any.
///
/// # Errors
/// As the tests have them.
pub fn measure_scores(name: &str, input: &Input, tests: &Significance) -> Result<Option<Measured>> {
    let Some(scores) = &input.scores else { return Ok(None) };
    let mut stats = Vec::new();
    for scores in scores {
        stats.push(Mean::segments(scores)?);
    }
    let (systems, tests) = tests.measure(&Mean, &stats, |stats| stats.sum)?;
    Ok(Some(Measured {
        key: "segment_scores",
        name: name.to_owned(),
        signature: None,
        systems,
        tests,
    }))
}
