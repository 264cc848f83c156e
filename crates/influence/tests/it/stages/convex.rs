//! Small convex losses with their derivatives, trained to their optimum by Newton's method.

use nalgebra::{DMatrix, DVector};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// Value, gradient and Hessian at a point.
pub(crate) type Derivatives = (f64, DVector<f64>, DMatrix<f64>);

/// A loss over all parameters of a stage.
pub(crate) type Loss = Box<dyn Fn(&DVector<f64>) -> Derivatives>;

/// Random numbers between −1 and 1.
pub(crate) struct Numbers(ChaCha8Rng);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn vector(&mut self, size: usize) -> DVector<f64> {
        DVector::from_fn(size, |_, _| self.0.random_range(-1.0..1.0))
    }

    pub(crate) fn positive(&mut self, size: usize) -> DMatrix<f64> {
        let root = DMatrix::from_fn(size, size, |_, _| self.0.random_range(-1.0..1.0));
        &root * root.transpose() / size as f64
    }
}

/// `½ xᵀMx − vᵀx`.
pub(crate) fn quadratic(matrix: DMatrix<f64>, linear: DVector<f64>) -> Loss {
    Box::new(move |x| {
        let product = &matrix * x;
        (0.5 * x.dot(&product) - linear.dot(x), product - &linear, matrix.clone())
    })
}

/// `log(1 + exp(−y aᵀx))` of each row `a` with its label `y`.
pub(crate) fn logistic(rows: Vec<(DVector<f64>, f64)>) -> Loss {
    Box::new(move |x| {
        let size = x.len();
        let (mut value, mut first) = (0.0, DVector::zeros(size));
        let mut second = DMatrix::zeros(size, size);
        for (row, label) in &rows {
            let margin = label * row.dot(x);
            let missing = 1.0 / (1.0 + margin.exp());
            value += (-margin).exp().ln_1p();
            first -= row * (label * missing);
            second += row * row.transpose() * (missing * (1.0 - missing));
        }
        (value, first, second)
    })
}

/// `(λ/2)‖x‖²`.
pub(crate) fn decay(size: usize, strength: f64) -> Loss {
    quadratic(DMatrix::identity(size, size) * strength, DVector::zeros(size))
}

/// The sum of losses with their weights.
pub(crate) fn at(parts: &[(&Loss, f64)], x: &DVector<f64>) -> Derivatives {
    let size = x.len();
    let zero = (0.0, DVector::zeros(size), DMatrix::zeros(size, size));
    parts.iter().fold(zero, |(value, first, second), (loss, weight)| {
        let own = loss(x);
        (value + weight * own.0, first + own.1 * *weight, second + own.2 * *weight)
    })
}

/// The optimum over the parameters from `from` on; those before stay as in `start`.
pub(crate) fn minimum(parts: &[(&Loss, f64)], start: &DVector<f64>, from: usize) -> DVector<f64> {
    let (mut x, free) = (start.clone(), start.len() - from);
    let mut last = f64::INFINITY;
    for _ in 0..200 {
        let (value, first, second) = at(parts, &x);
        let gradient = first.rows(from, free).clone_owned();
        // Until rounding lets it fall no further.
        if gradient.norm() < 1e-15 || (gradient.norm() < 1e-11 && gradient.norm() >= last) {
            return x;
        }
        last = gradient.norm();
        let hessian = second.view((from, from), (free, free)).clone_owned();
        let mut step = hessian.cholesky().unwrap().solve(&gradient);
        // Far from the optimum a whole step may lead uphill.
        let mut next = x.clone();
        for _ in 0..60 {
            let moved = x.rows(from, free) - &step;
            next.rows_mut(from, free).copy_from(&moved);
            if last < 1e-6 || at(parts, &next).0 < value {
                break;
            }
            step *= 0.5;
        }
        x = next;
    }
    panic!("Newton's method has not converged: {last:e}");
}

/// `weight · −log p(next | token)` of each pair of tokens, `counts[(token, next)]` times: a softmax
/// regression on a vector a token, the parameters word after word.
pub(crate) fn softmax(inputs: &[DVector<f64>], counts: DMatrix<f64>, weight: f64) -> Loss {
    let inputs = inputs.to_vec();
    Box::new(move |x| {
        let (words, columns) = (counts.ncols(), inputs[0].len());
        let (mut value, mut first) = (0.0, DVector::zeros(x.len()));
        let mut second = DMatrix::zeros(x.len(), x.len());
        for (input, seen) in inputs.iter().zip(counts.row_iter()) {
            let total = seen.sum();
            if total == 0.0 {
                continue;
            }
            let logits = DVector::from_fn(words, |v, _| x.rows(v * columns, columns).dot(input));
            let top = logits.max();
            let sum = logits.map(|l| (l - top).exp()).sum().ln() + top;
            let p = logits.map(|l| (l - sum).exp());
            value += weight * (total * sum - seen.transpose().dot(&logits));
            first += (&p * total - seen.transpose()).kronecker(input) * weight;
            let bend = (DMatrix::from_diagonal(&p) - &p * p.transpose()) * (weight * total);
            second += bend.kronecker(&(input * input.transpose()));
        }
        (value, first, second)
    })
}

/// How often a token follows another.
pub(crate) fn pairs(data: &[tamis_dataset::Encoded], words: usize) -> DMatrix<f64> {
    let mut counts = DMatrix::zeros(words, words);
    for pair in data.iter().flat_map(|sample| sample.ids.windows(2)) {
        counts[(pair[0] as usize, pair[1] as usize)] += 1.0;
    }
    counts
}
