//! What the flags say about single rows, read and checked before anything long begins.

use anyhow::{Result, ensure};
use tamis::kcenter::{FacilityParams, KCenterParams, QditParams};

use super::{Candidates, Flags, Strategy, read_quality};

/// Rows and qualities that the flags name.
#[derive(Clone, Debug)]
pub struct Request {
    /// Rows of the embeddings that are there already.
    pub initial: Vec<usize>,
    /// qdit: quality of every candidate, `None` where the file has none.
    pub quality: Option<Vec<Option<f64>>>,
}

impl Request {
    /// Reads what the flags name, of these candidates.
    ///
    /// # Errors
    /// A budget beyond what can be chosen, an alpha out of its range, initial rows that do not exist
    /// or are named twice, qualities that do not fit.
    pub fn read(flags: &Flags, candidates: &Candidates) -> Result<Self> {
        let initial = candidates.rows("--initial", &flags.initial)?;
        let (budget, rows) = (flags.budget, candidates.embedded());
        let left = rows - initial.len();
        ensure!(
            (1..=left).contains(&budget),
            "--budget is {budget}, but must be between 1 and {left}: {} rows, {} of them initial, \
             {} without an embedding",
            candidates.all().len(),
            initial.len(),
            candidates.without()
        );
        let clusters = flags.clusters.map_or(0, std::num::NonZero::get);
        ensure!(clusters <= rows, "--clusters is {clusters}, but there are only {rows} rows");
        if flags.strategy == Strategy::Qdit {
            flags.qdit().check()?;
        }
        let quality = flags.quality.as_ref();
        let quality =
            quality.map(|path| read_quality(path, flags.quality_field.as_deref(), candidates));
        Ok(Self { initial, quality: quality.transpose()? })
    }
}

impl Flags {
    /// Settings of k-center.
    pub fn k_center(&self) -> KCenterParams {
        KCenterParams { budget: self.budget, metric: self.metric }
    }

    /// Settings of facility location.
    pub fn facility_location(&self) -> FacilityParams {
        FacilityParams { budget: self.budget, similarity: self.similarity.unwrap_or_default() }
    }

    /// Settings of QDIT.
    pub fn qdit(&self) -> QditParams {
        let FacilityParams { budget, similarity } = self.facility_location();
        let alpha = self.alpha.unwrap_or(QditParams::default().alpha);
        QditParams { budget, similarity, alpha }
    }
}
