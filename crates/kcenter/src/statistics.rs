//! What any chosen rows can be compared by.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_selection::Vectors;

use crate::duplicates::Duplicates;
use crate::kcenter::nearest_distances;
use crate::points::Points;
use crate::vendi::{VendiForm, vendi_of};
use crate::{KCenterError, Metric};

/// Settings of the statistics of a set, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticsParams {
    /// What distances are measured by. Vendi score, facility value and near-duplicates go by the cosine.
    pub metric: Metric,
    /// One minus the cosine up to which two rows are near-duplicates.
    pub near: f64,
}

impl Default for StatisticsParams {
    /// Euclidean; near-duplicates have a cosine of at least 0.99.
    fn default() -> Self {
        Self { metric: Metric::Euclidean, near: 0.01 }
    }
}

/// The measurement with checked settings; made by [`StatisticsParams::check`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    params: StatisticsParams,
}

/// Numbers that describe a set of chosen rows and how it covers the pool.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetStatistics {
    /// Rows of the pool.
    pub rows: usize,
    /// Rows chosen.
    pub chosen: usize,
    /// What distances are measured by.
    pub metric: Metric,
    /// Largest distance of any row to the nearest row chosen. Lower covers better.
    pub coverage_radius: f64,
    /// Mean over all rows of the distance to the nearest row chosen. Lower covers better.
    pub mean_nearest: f64,
    /// [Vendi score](crate::vendi_score) of the rows chosen. Higher is more diverse; at most their number.
    pub vendi: f64,
    /// Σ over all rows of the largest cosine to a row chosen, 0 where negative: d of
    /// [`FacilityLocation`](crate::FacilityLocation). Higher covers better; at most the number of rows.
    pub facility_value: f64,
    /// Rows chosen that equal a row before them in the list, number by number.
    pub exact_duplicates: usize,
    /// Rows chosen that are near-duplicates, or duplicates, of a row before them in the list.
    pub near_duplicates: usize,
}

impl StatisticsParams {
    /// The measurement with these settings.
    ///
    /// # Errors
    /// [`KCenterError::Parameter`] if `near` is not in 0 to 2.
    pub fn check(self) -> Result<Statistics, KCenterError> {
        ParameterError::within("near", self.near, 0.0..=2.0)?;
        Ok(Statistics { params: self })
    }
}

impl Statistics {
    /// The settings.
    pub fn params(&self) -> &StatisticsParams {
        &self.params
    }

    /// Measures a set of chosen rows: a few passes over all rows, products of all rows with the chosen ones, and for
    /// the duplicates products of the chosen ones with each other.
    ///
    /// # Errors
    /// No chosen rows; numbers that do not exist or occur twice; no columns, values that are not finite and,
    /// for Euclidean distances, rows too long for f32, by row.
    pub fn measure<V: Vectors + ?Sized>(
        &self,
        rows: &V,
        chosen: &[usize],
    ) -> Result<SetStatistics, KCenterError> {
        Ok(self.measure_with_nearest(rows, chosen)?.0)
    }

    /// As [`measure`](Self::measure), with the distance of every row to the nearest one chosen.
    ///
    /// # Errors
    /// As [`measure`](Self::measure).
    pub fn measure_with_nearest<V: Vectors + ?Sized>(
        &self,
        rows: &V,
        chosen: &[usize],
    ) -> Result<(SetStatistics, Vec<f64>), KCenterError> {
        let StatisticsParams { metric, near } = self.params;
        let cosine = nearest_distances(rows, Metric::Cosine, chosen)?;
        let facility_value = cosine.iter().map(|distance| (1.0 - distance).max(0.0)).sum();
        let distances = match metric {
            Metric::Cosine => cosine,
            Metric::Euclidean => nearest_distances(rows, metric, chosen)?,
        };
        let points = Points::new(rows, Metric::Cosine)?;
        let form = if chosen.len() <= rows.width() { VendiForm::Primal } else { VendiForm::Dual };
        let duplicates = Duplicates::count(&points, chosen, near)?;
        let found = SetStatistics {
            rows: rows.len(),
            chosen: chosen.len(),
            metric,
            coverage_radius: distances.iter().copied().fold(0.0, f64::max),
            mean_nearest: distances.iter().sum::<f64>() / rows.len() as f64,
            vendi: vendi_of(&points, chosen, form)?,
            facility_value,
            exact_duplicates: duplicates.exact,
            near_duplicates: duplicates.near,
        };
        Ok((found, distances))
    }
}
