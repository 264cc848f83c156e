//! Greedy k-center over a tensor, on the device where it lies.
//!
//! The plain algorithm: every pick measures the distance of all rows to it and lowers the nearest distances. Where
//! one pass over the rows takes a millisecond, that needs none of what [`search`](crate::search) does.

use tch::{Device, Kind, TchError, Tensor, no_grad_guard};

use crate::points::{LONGEST, check_numbers};
use crate::{KCenter, KCenterError, Metric, Pick, Picks};

/// `compute_mode` of `cdist` that squares differences. The other ones multiply matrices, which makes the distances of
/// near-duplicates noise.
const DIFFERENCES: i64 = 2;

/// Stands for the distance of chosen rows, below that of all others.
const CHOSEN: f64 = -1.0;

impl KCenter {
    /// As [`pick`](Self::pick), over the rows of a tensor (rows × columns, any floating kind) on the device where it
    /// lies. Initial rows and picks are row numbers of it.
    ///
    /// Distances are computed from differences of the coordinates in f32, or in f64 if the tensor holds that, and
    /// compared as such: rows whose distances differ by less than rounding may be picked in another order than by
    /// [`pick`](Self::pick), the first of equally far ones first. Every pick reads all rows once; beside them there are
    /// three numbers a row and, for cosine or kinds narrower than f32, a copy of them.
    ///
    /// # Errors
    /// As [`pick`](Self::pick), tensors of another shape or kind, and what LibTorch refuses.
    pub fn pick_on_device(&self, rows: &Tensor, initial: &[usize]) -> Result<Picks, KCenterError> {
        let _no_grad = no_grad_guard();
        let metric = self.params().metric;
        let count = check_shape(rows)?;
        check_numbers("initial rows", initial, count)?;
        let (budget, left) = (self.params().budget, count - initial.len());
        if budget > left {
            return Err(KCenterError::Budget { budget, initial: initial.len(), left });
        }
        let mut nearest = Nearest::new(points(rows, metric)?, metric)?;
        for &row in initial {
            nearest.choose(row)?;
        }
        let mut picks = Vec::with_capacity(budget);
        for _ in 0..budget {
            let (index, distance) = nearest.farthest()?;
            let radius = distance.is_finite().then_some(distance);
            picks.push(Pick { index, radius });
            nearest.choose(index)?;
        }
        let nearest = nearest.finish()?;
        let mut coverage: Vec<f64> = picks.iter().skip(1).filter_map(|pick| pick.radius).collect();
        coverage.push(nearest.iter().copied().fold(0.0, f64::max));
        Ok(Picks { picks, coverage, nearest })
    }
}

/// How many rows there are.
fn check_shape(rows: &Tensor) -> Result<usize, KCenterError> {
    let (found, kind) = (rows.size(), rows.kind());
    let floating = matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double);
    match *found.as_slice() {
        [_, _] if !floating => Err(KCenterError::Kind { found: format!("{kind:?}") }),
        [0, _] => Err(KCenterError::NoRows),
        [rows, 0] => Err(KCenterError::NoColumns { rows: rows as usize }),
        [rows, _] => Ok(rows as usize),
        _ => Err(KCenterError::Shape { found }),
    }
}

/// The points worked in: checked, and for cosine of length one.
fn points(rows: &Tensor, metric: Metric) -> Result<Tensor, KCenterError> {
    let kind = if rows.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    // What is not finite stays so in the largest and the smallest number of a row.
    let highest = rows.f_amax(1_i64, true)?;
    let lowest = rows.f_amin(1_i64, true)?;
    let largest = highest.f_maximum(&lowest.f_neg()?)?.f_to_kind(kind)?;
    if let Some(row) = first(&largest.f_isfinite()?.f_logical_not()?)? {
        let given = numbers(&rows.f_get(row as i64)?)?;
        let column = given.iter().position(|x| !x.is_finite()).unwrap_or(0);
        return Err(KCenterError::NonFinite { row, column, value: given[column] as f32 });
    }
    let rows = rows.f_to_kind(kind)?;
    match metric {
        Metric::Euclidean => {
            let norms = rows.f_norm_scalaropt_dim(2, 1_i64, true)?;
            if let Some(row) = first(&norms.f_gt(LONGEST)?)? {
                let norm = norms.f_double_value(&[row as i64, 0])?;
                return Err(KCenterError::TooLong { row, norm, limit: LONGEST });
            }
            Ok(rows)
        }
        Metric::Cosine => {
            // By the largest number first, so that no square overflows or vanishes.
            let zero = largest.f_eq(0.0)?.f_to_kind(kind)?;
            let mut unit = rows.f_div(&largest.f_add(&zero)?)?;
            let norms = unit.f_norm_scalaropt_dim(2, 1_i64, true)?;
            let _ = unit.f_div_(&norms.f_add(&zero)?)?;
            // Rows of zeros have a direction of their own.
            if first(&zero)?.is_some() { Ok(Tensor::f_cat(&[&unit, &zero], 1)?) } else { Ok(unit) }
        }
    }
}

/// The first row of a column that is not zero.
fn first(column: &Tensor) -> Result<Option<usize>, KCenterError> {
    let row = column.f_to_kind(Kind::Uint8)?.f_argmax(None, false)?.f_int64_value(&[])?;
    let any = column.f_to_kind(Kind::Uint8)?.f_double_value(&[row, 0])? > 0.0;
    Ok(any.then_some(row as usize))
}

/// A row of numbers, brought here.
fn numbers(tensor: &Tensor) -> Result<Vec<f64>, KCenterError> {
    let here = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_contiguous()?;
    Ok(Vec::try_from(&here)?)
}

/// The distance of every row to the nearest chosen one.
struct Nearest {
    points: Tensor,
    metric: Metric,
    distances: Tensor,
}

impl Nearest {
    fn new(points: Tensor, metric: Metric) -> Result<Self, KCenterError> {
        let options = (points.kind(), points.device());
        let distances = Tensor::f_full(points.size()[0], f64::INFINITY, options)?;
        Ok(Self { points, metric, distances })
    }

    /// The row that is farthest, the first of equal ones.
    fn farthest(&self) -> Result<(usize, f64), KCenterError> {
        let row = self.distances.f_argmax(None, false)?.f_int64_value(&[])?;
        Ok((row as usize, self.distances.f_double_value(&[row])?))
    }

    fn choose(&mut self, row: usize) -> Result<(), KCenterError> {
        let center = self.points.f_narrow(0, row as i64, 1)?;
        let distances =
            Tensor::f_cdist(&self.points, &center, 2.0, DIFFERENCES)?.f_squeeze_dim(1)?;
        let distances = match self.metric {
            Metric::Euclidean => distances,
            // For unit vectors ½|x − c|² is one minus the cosine.
            Metric::Cosine => distances.f_square()?.f_mul_scalar(0.5)?,
        };
        self.distances = self.distances.f_minimum(&distances)?;
        let _ = self.distances.f_narrow(0, row as i64, 1)?.f_fill_(CHOSEN)?;
        Ok(())
    }

    fn finish(self) -> Result<Vec<f64>, KCenterError> {
        numbers(&self.distances.f_clamp_min(0.0)?)
    }
}

impl From<TchError> for KCenterError {
    fn from(error: TchError) -> Self {
        Self::Torch(error.to_string())
    }
}
