//! What a choice is worth: figures of the set, beside those of random choices of the same size.

use anyhow::Result;
use serde_json::{Value, json};
use tamis::embeddings::Embeddings;
use tamis::kcenter::{SetStatistics, StatisticsParams, nearest_distances};
use tamis::report::Ordered;

use super::random::draw;
use super::{Choice, Flags};

/// Figures of the choice and of random ones; initial rows are in all of these sets.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The choice.
    pub choice: SetStatistics,
    /// Random ones.
    pub random: Vec<SetStatistics>,
    /// Distance of every row of the embeddings to the nearest one of the choice.
    pub nearest: Vec<f64>,
    /// The same for the rows that are not in the first random choice, if there is one.
    pub nearest_random: Option<Vec<f64>>,
}

/// One figure.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Which direction is good.
    pub meaning: &'static str,
    /// That of the choice.
    pub choice: f64,
    /// Mean, lowest and highest of the random choices, if there are any.
    pub random: Option<[f64; 3]>,
}

/// Measures the choice and as many random ones as the flags say.
///
/// # Errors
/// What cannot be measured.
pub fn compare(flags: &Flags, embeddings: &Embeddings, choice: &Choice) -> Result<Compared> {
    let statistics =
        StatisticsParams { metric: flags.metric, ..StatisticsParams::default() }.check()?;
    let own = choice.rows();
    let left = choice.left(embeddings.len());
    let (mut random, mut nearest_random) = (Vec::new(), None);
    for number in 0..flags.comparisons {
        let purpose = format!("comparison {number}");
        let mut other = choice.initial.clone();
        other.extend(draw(&left, choice.picks.len(), flags.seed, &purpose));
        random.push(statistics.measure(embeddings, &other)?);
        if number == 0 {
            let mut there = vec![false; embeddings.len()];
            other.iter().for_each(|&row| there[row] = true);
            let all = nearest_distances(embeddings, flags.metric, &other)?;
            let others = all.into_iter().zip(there).filter(|(_, there)| !there);
            nearest_random = Some(others.map(|(distance, _)| distance).collect());
        }
    }
    Ok(Compared {
        choice: statistics.measure(embeddings, &own)?,
        random,
        nearest: nearest_distances(embeddings, flags.metric, &own)?,
        nearest_random,
    })
}

impl Compared {
    /// Every figure, with those of the random choices.
    pub fn figures(&self) -> Vec<Figure> {
        let figure = |name, meaning, of: fn(&SetStatistics) -> f64| {
            let random: Vec<f64> = self.random.iter().map(of).collect();
            let mean = random.iter().sum::<f64>() / random.len() as f64;
            let low = random.iter().copied().fold(f64::INFINITY, f64::min);
            let high = random.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let random = (!random.is_empty()).then_some([mean, low, high]);
            Figure { name, meaning, choice: of(&self.choice), random }
        };
        vec![
            figure(
                "coverage radius",
                "distance of the farthest row to the nearest one chosen; low covers all",
                |set| set.coverage_radius,
            ),
            figure(
                "mean nearest distance",
                "distance of a row to the nearest one chosen; low covers most",
                |set| set.mean_nearest,
            ),
            figure(
                "Vendi score",
                "how many different rows the choice amounts to, by the cosine; high is diverse",
                |set| set.vendi,
            ),
            figure(
                "facility value",
                "sum over all rows of the cosine to the likest one chosen; high stands for the pool",
                |set| set.facility_value,
            ),
            figure("duplicates", "chosen rows equal to another chosen one", |set| {
                set.exact_duplicates as f64
            }),
            figure("near-duplicates", "the same, or a cosine of at least 0.99", |set| {
                set.near_duplicates as f64
            }),
        ]
    }

    /// Puts all figures into the results of a run.
    pub fn record(&self, results: &mut Ordered<Value>) {
        results.set("choice", json!(self.choice)).set("random", json!(self.random));
    }
}
