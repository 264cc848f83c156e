//! What a choice is worth: figures of the set, beside those of random choices of the same size.

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};
use tamis::embeddings::Embeddings;
use tamis::kcenter::{SetStatistics, Statistics, StatisticsParams};
use tamis::metrics::LengthSummary;
use tamis::report::Ordered;

use super::random::draw;
use super::{Candidates, Choice, Flags};

/// Figures of a set of rows; initial rows are in all of these sets.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// What it is called.
    pub name: String,
    /// How it covers the pool, how diverse it is, and duplicates in it.
    #[serde(flatten)]
    pub set: SetStatistics,
    /// Characters of its rows, if there is data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<LengthSummary>,
}

/// Figures of the choice and of the sets it is compared with.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The choice.
    pub choice: Measured,
    /// Random ones of the same size.
    pub random: Vec<Measured>,
    /// Characters of all rows, if there is data.
    pub pool: Option<LengthSummary>,
    /// Distance of every row of the embeddings to the nearest one of the choice.
    pub nearest: Vec<f64>,
    /// The same for the rows that are not in the first random choice, if there is one.
    pub nearest_random: Option<Vec<f64>>,
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Which direction is good.
    pub meaning: String,
    /// That of the choice.
    pub choice: f64,
    /// Mean, lowest and highest of the random choices, if there are any.
    pub random: Option<[f64; 3]>,
}

/// Measures the choice, and as many random ones as the flags say.
///
/// # Errors
/// What cannot be measured.
pub fn compare(
    flags: &Flags,
    candidates: &Candidates,
    embeddings: &Embeddings,
    choice: &Choice,
) -> Result<Compared> {
    let sets = 1 + flags.comparisons;
    crate::note!("compare: measuring {sets} sets");
    let statistics =
        StatisticsParams { metric: flags.metric, ..StatisticsParams::default() }.check()?;
    let measure = Measure { statistics, embeddings, lengths: candidates.lengths() };

    let own = choice.rows();
    let (measured, nearest) = measure.set(flags.strategy.name(), &own)?;

    let left = choice.left(embeddings.len());
    let (mut random, mut nearest_random) = (Vec::new(), None);
    for number in 0..flags.comparisons {
        let purpose = format!("comparison {number}");
        let mut rows = choice.initial.clone();
        rows.extend(draw(&left, choice.picks.len(), flags.seed, &purpose));
        let (measured, nearest) = measure.set(&format!("random {number}"), &rows)?;
        random.push(measured);
        if number == 0 {
            let there = membership(embeddings, &rows);
            let others = nearest.into_iter().zip(there).filter(|(_, there)| !there);
            nearest_random = Some(others.map(|(distance, _)| distance).collect());
        }
    }

    let pool = measure.lengths.as_deref().map(LengthSummary::of).transpose()?;
    Ok(Compared { choice: measured, random, pool, nearest, nearest_random })
}

/// Whether each row of the embeddings is one of these.
fn membership(embeddings: &Embeddings, rows: &[usize]) -> Vec<bool> {
    let mut there = vec![false; embeddings.len()];
    for &row in rows {
        there[row] = true;
    }
    there
}

/// What sets are measured by.
struct Measure<'a> {
    statistics: Statistics,
    embeddings: &'a Embeddings,
    /// Characters of every row of the embeddings.
    lengths: Option<Vec<usize>>,
}

impl Measure<'_> {
    /// The figures, and the distance of every row to the nearest one of the set.
    fn set(&self, name: &str, rows: &[usize]) -> Result<(Measured, Vec<f64>)> {
        let lengths = self.lengths.as_ref().map(|all| {
            let own: Vec<usize> = rows.iter().map(|&row| all[row]).collect();
            LengthSummary::of(&own)
        });
        let (set, nearest) = self.statistics.measure_with_nearest(self.embeddings, rows)?;
        let (name, characters) = (name.to_owned(), lengths.transpose()?);
        Ok((Measured { name, set, characters }, nearest))
    }
}

impl Compared {
    /// Every figure, with those of the sets compared with.
    pub fn figures(&self) -> Vec<Figure> {
        let figure = |name, meaning: &str, of: &dyn Fn(&Measured) -> f64| {
            let random: Vec<f64> = self.random.iter().map(of).collect();
            let mean = random.iter().sum::<f64>() / random.len() as f64;
            let low = random.iter().copied().fold(f64::INFINITY, f64::min);
            let high = random.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let random = (!random.is_empty()).then_some([mean, low, high]);
            Figure { name, meaning: meaning.to_owned(), choice: of(&self.choice), random }
        };
        let mut all = vec![
            figure("rows", "rows in the set, initial ones with them", &|m| m.set.chosen as f64),
            figure(
                "coverage radius",
                "distance of the farthest row to the nearest one chosen; low covers all",
                &|m| m.set.coverage_radius,
            ),
            figure(
                "mean nearest distance",
                "distance of a row to the nearest one chosen; low covers most",
                &|m| m.set.mean_nearest,
            ),
            figure(
                "Vendi score",
                "how many different rows the choice amounts to, by the cosine; high is diverse",
                &|m| m.set.vendi,
            ),
            figure(
                "facility value",
                "sum over all rows of the cosine to the likest one chosen; high stands for the pool",
                &|m| m.set.facility_value,
            ),
            figure("duplicates", "chosen rows equal to another chosen one", &|m| {
                m.set.exact_duplicates as f64
            }),
            figure("near-duplicates", "the same, or a cosine of at least 0.99", &|m| {
                m.set.near_duplicates as f64
            }),
        ];
        if let Some(pool) = &self.pool {
            let of = |measured: &Measured, figure: fn(&LengthSummary) -> f64| {
                measured.characters.as_ref().map_or(f64::NAN, figure)
            };
            let mean = format!("characters of a chosen row; {:.1} in the pool", pool.mean);
            all.push(figure("mean length", &mean, &|m| of(m, |all| all.mean)));
            let median = format!("the same of the middle one; {:.1} in the pool", pool.median);
            all.push(figure("median length", &median, &|m| of(m, |all| all.median)));
        }
        all
    }

    /// Puts all figures into the results of a run.
    pub fn record(&self, results: &mut Ordered<Value>) {
        results.set("choice", json!(self.choice)).set("random", json!(self.random));
        if let Some(pool) = &self.pool {
            results.set("pool", json!({ "characters": pool }));
        }
    }
}
