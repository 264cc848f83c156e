//! The strategies: which rows, in which order, and why.

use anyhow::{Context, Result};
use tamis::artifact::{Progress, Stage};
use tamis::clustering::{self, KMeansParams, Resample, Within};
use tamis::embeddings::Embeddings;
use tamis::kcenter::{FacilityPick, FacilityPicks, Metric};

use super::quality::quality_of_rows;
use super::random::draw;
use super::{Candidates, Flags, Request, Strategy};
use crate::Bars;

/// A row that was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Picked {
    /// Its row in the embeddings.
    pub row: usize,
    /// k-center: its distance to what was chosen before, if anything was.
    pub radius: Option<f64>,
    /// facility-location and qdit: by how much it raised the facility value.
    pub gain: Option<f64>,
    /// Why.
    pub reason: String,
}

/// What a strategy chose.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Rows of the embeddings that were there already.
    pub initial: Vec<usize>,
    /// The rows chosen, in order.
    pub picks: Vec<Picked>,
    /// k-means: cluster of every row of the embeddings.
    pub clusters: Option<Vec<usize>>,
    /// k-center: after every pick, the largest distance of any row to the nearest one chosen.
    pub coverage: Vec<f64>,
    /// qdit: quality of every row of the embeddings.
    pub quality: Option<Vec<f64>>,
}

impl Choice {
    /// Chooses as the flags say.
    ///
    /// # Errors
    /// A row without a quality that needs one, and what the methods refuse.
    pub fn make(
        flags: &Flags,
        request: &Request,
        candidates: &Candidates,
        embeddings: &Embeddings,
    ) -> Result<Self> {
        let mut choice = Self { initial: request.initial.clone(), ..Self::default() };
        match flags.strategy {
            Strategy::KCenter => choice.k_center(flags, embeddings)?,
            Strategy::FacilityLocation => choice.facility_location(flags, embeddings)?,
            Strategy::Qdit => {
                let given = flags.quality.as_ref().zip(request.quality.as_ref());
                let (path, quality) = given.context("--quality is missing")?;
                choice.qdit(flags, quality_of_rows(path, quality, candidates)?, embeddings)?;
            }
            Strategy::KMeans => choice.k_means(flags, embeddings)?,
            Strategy::Random => choice.random(flags, embeddings.len()),
        }
        Ok(choice)
    }

    /// All rows that are there in the end: the initial ones and those chosen.
    pub fn rows(&self) -> Vec<usize> {
        self.initial.iter().copied().chain(self.picks.iter().map(|pick| pick.row)).collect()
    }

    /// Rows of the embeddings that were not there already, in order.
    pub fn left(&self, rows: usize) -> Vec<usize> {
        let mut there = vec![false; rows];
        self.initial.iter().for_each(|&row| there[row] = true);
        (0..rows).filter(|&row| !there[row]).collect()
    }

    fn k_center(&mut self, flags: &Flags, embeddings: &Embeddings) -> Result<()> {
        let mut bars = begin(flags);
        let found =
            flags.k_center().check()?.pick_with(embeddings, &self.initial, |_| bars.advance(1))?;
        bars.finish();
        let pick = |pick: &tamis::kcenter::Pick| {
            let reason = match pick.radius {
                Some(_) => "farthest from all chosen before",
                None => "the first row, with nothing chosen before",
            };
            let (row, radius) = (pick.index, pick.radius);
            Picked { row, radius, gain: None, reason: reason.to_owned() }
        };
        self.picks = found.picks.iter().map(pick).collect();
        self.coverage = found.coverage;
        Ok(())
    }

    fn facility_location(&mut self, flags: &Flags, embeddings: &Embeddings) -> Result<()> {
        let method = flags.facility_location().check()?;
        let mut bars = begin(flags);
        let found = method.pick_with(embeddings, &self.initial, |_| bars.advance(1))?;
        bars.finish();
        self.picks = with_gains(&found, "makes the choice most like the whole pool");
        Ok(())
    }

    fn qdit(&mut self, flags: &Flags, quality: Vec<f64>, embeddings: &Embeddings) -> Result<()> {
        let method = flags.qdit().check()?;
        let mut bars = begin(flags);
        let found = method.pick_with(embeddings, &quality, &self.initial, |_| bars.advance(1))?;
        bars.finish();
        let reason = format!("best of coverage and quality, alpha {}", method.params().alpha);
        self.picks = with_gains(&found, &reason);
        self.quality = Some(quality);
        Ok(())
    }

    fn k_means(&mut self, flags: &Flags, embeddings: &Embeddings) -> Result<()> {
        let (rows, seed) = (embeddings.len(), flags.seed);
        let k = flags.clusters.map_or((rows as f64).sqrt() as usize, std::num::NonZero::get);
        let metric = match flags.metric {
            Metric::Euclidean => clustering::Metric::Euclidean,
            Metric::Cosine => clustering::Metric::Cosine,
        };
        let params = KMeansParams { k, metric, seed, ..KMeansParams::default() };
        let fit = params.check()?.fit(embeddings)?;
        // Initial rows took part in the clustering, but are not drawn.
        let left = self.left(rows);
        let labels: Vec<usize> = left.iter().map(|&row| fit.labels[row]).collect();
        let distances: Vec<f32> = left.iter().map(|&row| fit.distances[row]).collect();
        let within = flags.within.unwrap_or(Within::Random);
        let resample = Resample { budget: flags.budget, within, seed };
        let drawn = resample.draw(&labels, None, Some(&distances))?;
        let pick = |place: usize| Picked {
            row: left[place],
            radius: None,
            gain: None,
            reason: format!("drawn from cluster {}", labels[place]),
        };
        self.picks = drawn.into_iter().map(pick).collect();
        self.clusters = Some(fit.labels);
        Ok(())
    }

    fn random(&mut self, flags: &Flags, rows: usize) {
        let reason = "drawn at random";
        let pick = |row| Picked { row, radius: None, gain: None, reason: reason.to_owned() };
        let drawn = draw(&self.left(rows), flags.budget, flags.seed, "choice");
        self.picks = drawn.into_iter().map(pick).collect();
    }
}

fn begin(flags: &Flags) -> Bars {
    let mut bars = Bars::default();
    bars.start(&Stage::new(flags.strategy.name(), "rows", flags.budget));
    bars
}

fn with_gains(found: &FacilityPicks, reason: &str) -> Vec<Picked> {
    let pick = |pick: &FacilityPick| {
        let (row, gain) = (pick.index, Some(pick.gain));
        Picked { row, radius: None, gain, reason: reason.to_owned() }
    };
    found.picks.iter().map(pick).collect()
}
