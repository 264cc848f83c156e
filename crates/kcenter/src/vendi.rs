//! The Vendi score (Friedman, Dieng, 2023; arXiv 2210.02410): how many different rows there are, in effect.

use nalgebra::DMatrix;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use crate::points::{BLOCK, Points, check_numbers};
use crate::{KCenterError, Metric, Rows};

/// Rows of a product per task.
const TASK: usize = 64;

/// Which matrix the eigenvalues are taken of. Both have the same ones, but for zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VendiForm {
    /// The cosines of all chosen rows with each other, n × n.
    Primal,
    /// The sums over the rows of products of their coordinates, d × d.
    Dual,
}

/// exp of the entropy −Σ λ ln λ of the eigenvalues of K / n, K the cosines of the n chosen rows with each
/// other: 1 if all have one direction, n if all are at right angles.
///
/// A row of zeros is like other rows of zeros (cosine 1) and at right angles to everything else.
/// Takes the smaller of both [forms](VendiForm); all arithmetic is f64.
///
/// # Errors
/// No chosen rows; numbers that do not exist or occur twice; no columns, and values that are not finite, by
/// row (of all rows, chosen or not).
pub fn vendi_score<R: Rows + ?Sized>(rows: &R, chosen: &[usize]) -> Result<f64, KCenterError> {
    let form = if chosen.len() <= rows.columns() { VendiForm::Primal } else { VendiForm::Dual };
    vendi_score_by(rows, chosen, form)
}

/// As [`vendi_score`], by the form given: the memory for `Primal` is n², for `Dual` d² numbers.
///
/// # Errors
/// As [`vendi_score`].
pub fn vendi_score_by<R: Rows + ?Sized>(
    rows: &R,
    chosen: &[usize],
    form: VendiForm,
) -> Result<f64, KCenterError> {
    check_numbers("chosen rows", chosen, rows.len())?;
    let points = Points::new(rows, Metric::Cosine)?;
    vendi_of(&points, chosen, form)
}

/// The score of points for cosine.
pub(crate) fn vendi_of<R: Rows + ?Sized>(
    points: &Points<'_, R>,
    chosen: &[usize],
    form: VendiForm,
) -> Result<f64, KCenterError> {
    if chosen.is_empty() {
        return Err(KCenterError::NothingChosen);
    }
    let kernel = match form {
        VendiForm::Primal => {
            let all = unit_rows(points, chosen);
            let mut kernel = Array2::zeros((chosen.len(), chosen.len()));
            add_products(&all, &mut kernel);
            kernel
        }
        VendiForm::Dual => {
            let mut kernel = Array2::zeros((points.width(), points.width()));
            for rows in chosen.chunks(4 * BLOCK) {
                let some = unit_rows(points, rows).reversed_axes();
                add_products(&some, &mut kernel);
            }
            kernel
        }
    };
    let share = 1.0 / chosen.len() as f64;
    let size = kernel.nrows();
    let kernel = DMatrix::from_fn(size, size, |i, j| kernel[[i, j]] * share);
    // Rounding leaves some of the zeros below zero.
    let entropy: f64 =
        kernel.symmetric_eigenvalues().iter().filter(|&&x| x > 0.0).map(|x| -x * x.ln()).sum();
    Ok(entropy.exp())
}

/// Rows of length one in f64.
fn unit_rows<R: Rows + ?Sized>(points: &Points<'_, R>, rows: &[usize]) -> Array2<f64> {
    let columns = points.columns();
    let mut unit = Array2::zeros((rows.len(), points.width()));
    let tasks: Vec<_> = unit.axis_chunks_iter_mut(Axis(0), TASK).zip(rows.chunks(TASK)).collect();
    tasks.into_par_iter().for_each_init(Vec::new, |scratch, (mut unit, rows)| {
        for (mut unit, &row) in unit.rows_mut().into_iter().zip(rows) {
            let scale = points.scale(row);
            if scale == 0.0 {
                unit[columns] = 1.0;
                continue;
            }
            let given = points.given(row, scratch);
            unit.iter_mut().zip(given).for_each(|(unit, &x)| *unit = f64::from(x) * scale);
        }
    });
    unit
}

/// Adds a aᵀ.
fn add_products(a: &Array2<f64>, into: &mut Array2<f64>) {
    let tasks: Vec<_> = into.axis_chunks_iter_mut(Axis(0), TASK).enumerate().collect();
    tasks.into_par_iter().for_each(|(task, mut into)| {
        let some = a.slice(s![task * TASK..task * TASK + into.nrows(), ..]);
        general_mat_mul(1.0, &some, &a.t(), 1.0, &mut into);
    });
}
