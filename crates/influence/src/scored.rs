//! Stored scores against queries, whose solved gradients are made only if scores are missing.

use std::path::Path;

use tamis_artifact::{Fingerprint, PassReport, Progress};
use tamis_dataset::Encodings;
use tamis_gradients::{GradientError, GradientPass, RowStore, RowType, Sink};

use crate::Seeds;

/// Scores of all `samples` against queries, kept in the folder `dir`, and the rows of `others` from the same pass.
///
/// `made_from` names all that decides the queries' solved gradients: the queries, the curvature, its damping. `seeds` makes
/// them, which is not cheap, and is called only if the folder is not finished. The rows of `others` come in their order.
///
/// # Errors
/// A folder made from something else, naming the field, and what `seeds` and the pass report.
pub fn scored<E: From<GradientError>>(
    pass: &GradientPass<'_>,
    samples: &Encodings<'_>,
    others: &[Sink<'_>],
    (dir, made_from): (&Path, Fingerprint),
    seeds: impl FnOnce() -> Result<Seeds, E>,
    progress: &mut dyn Progress,
) -> Result<(RowStore, Vec<RowStore>, PassReport), E> {
    const KIND: &str = "scores";
    let place = (KIND, dir, RowType::F32);
    if let Some(known) = pass.finished(samples, place, made_from.clone())? {
        let (rows, report) = pass.run(samples, others, progress)?;
        return Ok((known, rows, report));
    }
    let seeds = seeds()?.made_from(made_from);
    let mut sinks = others.to_vec();
    sinks.push(Sink::new(&seeds, KIND, dir, RowType::F32));
    let (mut rows, report) = pass.run(samples, &sinks, progress)?;
    let scores = rows.pop().ok_or(GradientError::NoRow { index: 0 })?;
    Ok((scores, rows, report))
}
