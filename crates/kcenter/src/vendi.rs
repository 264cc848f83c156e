//! The Vendi score (Friedman, Dieng, 2023; arXiv 2210.02410): how many different rows there are, in effect.

use nalgebra::DMatrix;
use rayon::prelude::*;
use tamis_selection::vectors::{Vectors, VectorsError};

use crate::points::{BLOCK, Points, check_numbers};
use crate::product::{Matrix, add_product};
use crate::{KCenterError, Metric};

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
pub fn vendi_score<V: Vectors + ?Sized>(rows: &V, chosen: &[usize]) -> Result<f64, KCenterError> {
    let form = if chosen.len() <= rows.width() { VendiForm::Primal } else { VendiForm::Dual };
    vendi_score_by(rows, chosen, form)
}

/// As [`vendi_score`], by the form given: the memory for `Primal` is n², for `Dual` d² numbers.
///
/// # Errors
/// As [`vendi_score`].
pub fn vendi_score_by<V: Vectors + ?Sized>(
    rows: &V,
    chosen: &[usize],
    form: VendiForm,
) -> Result<f64, KCenterError> {
    check_numbers("chosen rows", chosen, rows.len())?;
    let points = Points::new(rows, Metric::Cosine)?;
    vendi_of(&points, chosen, form)
}

/// The score of points for cosine.
pub(crate) fn vendi_of<V: Vectors + ?Sized>(
    points: &Points<'_, V>,
    chosen: &[usize],
    form: VendiForm,
) -> Result<f64, KCenterError> {
    if chosen.is_empty() {
        return Err(KCenterError::NothingChosen);
    }
    let width = points.width();
    let size = match form {
        VendiForm::Primal => chosen.len(),
        VendiForm::Dual => width,
    };
    let mut kernel = vec![0.0; size * size];
    match form {
        VendiForm::Primal => {
            let unit = unit_rows(points, chosen)?;
            add_products(Matrix::of_rows(&unit, width), size, &mut kernel);
        }
        VendiForm::Dual => {
            for rows in chosen.chunks(4 * BLOCK) {
                let unit = unit_rows(points, rows)?;
                add_products(Matrix::of_rows(&unit, width).turned(), size, &mut kernel);
            }
        }
    }
    let share = 1.0 / chosen.len() as f64;
    let kernel = DMatrix::from_vec(size, size, kernel) * share;
    // Rounding leaves some of the zeros below zero.
    let entropy: f64 =
        kernel.symmetric_eigenvalues().iter().filter(|&&x| x > 0.0).map(|x| -x * x.ln()).sum();
    Ok(entropy.exp())
}

/// Rows of length one in f64, one after the other.
fn unit_rows<V: Vectors + ?Sized>(
    points: &Points<'_, V>,
    rows: &[usize],
) -> Result<Vec<f64>, VectorsError> {
    let (columns, width) = (points.columns(), points.width());
    let mut unit = vec![0.0; rows.len() * width];
    let tasks = unit.par_chunks_mut(width).zip(rows).with_min_len(TASK);
    tasks.try_for_each_init(Vec::new, |scratch, (unit, &row)| {
        let scale = points.scale(row);
        if scale == 0.0 {
            unit[columns] = 1.0;
            return Ok(());
        }
        let given = points.given(row, scratch)?;
        unit.iter_mut().zip(given).for_each(|(unit, &x)| *unit = f64::from(x) * scale);
        Ok::<(), VectorsError>(())
    })?;
    Ok(unit)
}

/// Adds a aᵀ, which has `size` rows.
fn add_products(a: Matrix<'_, f64>, size: usize, into: &mut [f64]) {
    into.par_chunks_mut(TASK * size).enumerate().for_each(|(task, into)| {
        let first = task * TASK;
        add_product(a.rows(first..size.min(first + TASK)), a.turned(), into);
    });
}
