//! Refinement of solved seeds by preconditioned conjugate gradients.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tamis_artifact::{ParameterError, Progress, Stage};
use tamis_dataset::{Encoded, SampleId};
use tamis_gradients::GradientPass;
use tamis_kfac::{Curvature, Identity};
use tamis_model::LayerInfo;
use tch::{Kind, Tensor};

use crate::conjugate_gradient::{ConjugateGradient, Path, dot};
use crate::hessian::names;
use crate::{Hessian, InfluenceError, Seeds};

/// How far each seed is from solving its system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residuals {
    /// Ids of the seeds.
    pub ids: Vec<SampleId>,
    /// For each seed `‖∇L − (H + D) z‖ / ‖∇L‖`: of the preconditioner's solution first, then after
    /// every step, as the recurrence of the method has it. It may rise on the way: what falls with
    /// every step is the distance from the solution in the norm of `H + D`, which `gains` tell of.
    pub relative: Vec<Vec<f64>>,
    /// For each seed, as above, `2 ∇Lᵀz − zᵀ(H + D)z`. Every step raises it, and the solution has the
    /// most there is: the seed's exact self-influence `∇Lᵀ(H + D)⁻¹∇L`. Where the last steps gain
    /// little, more will not either; below zero, the preconditioner's answer is worse than none.
    pub gains: Vec<Vec<f64>>,
}

/// Solves `(H + D) z = ∇L(seed)` where a [`Curvature`] only approximates it: `H` is the matrix itself,
/// [`GaussNewton`](crate::GaussNewton) as a rule, over all layers together, and `D` adds the damping of
/// a layer to its diagonal.
///
/// Preconditioned conjugate gradients (Saad, *Iterative Methods for Sparse Linear Systems*,
/// algorithm 9.1). Without a step the answer is the preconditioner's own, `z₀ = M⁻¹ ∇L`; one product
/// measures its residual. That product is also what a step from zero along `z₀` takes, so the first
/// step asked for starts from the best multiple of `z₀`: never farther from the solution (in the norm
/// of `H + D`) than `z₀` itself, of which a poor preconditioner gets the length wrong before anything
/// else. `k` steps take `k + 1` products.
///
/// All seeds advance together, each with its own coefficients, so that one graph of a batch serves
/// them all. Four vectors a seed are kept in memory: four times [`Seeds::bytes`].
#[derive(Clone)]
pub struct Refinement<'a> {
    /// `H`.
    pub matrix: &'a dyn Hessian,
    /// The diagonal of `D`, one number a layer, in the units of `H`.
    pub damping: Vec<f64>,
    /// What `H + D` is approximated by.
    pub preconditioner: &'a dyn Curvature,
    /// How many steps.
    pub method: ConjugateGradient,
}

impl std::fmt::Debug for Refinement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refinement")
            .field("layers", &self.matrix.layers().len())
            .field("damping", &self.damping)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl<'a> Refinement<'a> {
    /// With the damping that the preconditioner itself was given, so that both solve one system. A
    /// factored damping is no multiple of the identity: its `γ` stands for it then. No curvature at
    /// all has none, and one must be set before the refinement can run.
    ///
    /// # Errors
    /// A layer that the preconditioner was not fitted for.
    pub fn new(
        matrix: &'a dyn Hessian,
        preconditioner: &'a dyn Curvature,
        method: ConjugateGradient,
    ) -> Result<Self, InfluenceError> {
        let layers = matrix.layers().iter();
        let damping = layers.map(|l| preconditioner.damping(l)).collect::<Result<_, _>>()?;
        Ok(Self { matrix, damping, preconditioner, method })
    }

    /// The refined seeds, taken with the same pass parameters as [`Seeds::new`], and what is left of
    /// their residuals.
    ///
    /// # Errors
    /// Layers or dampings that do not fit each other, a system that is not positive definite in the
    /// arithmetic at hand (the seed and the step are named), and what [`Seeds::new`] and
    /// [`Hessian::product`] report.
    pub fn run(
        &self,
        pass: &GradientPass<'_>,
        samples: &[Encoded],
        progress: &mut dyn Progress,
    ) -> Result<(Seeds, Residuals), InfluenceError> {
        self.check(pass.layers)?;
        self.solve_in_place(&Seeds::new(pass, samples, &Identity)?, progress)
    }

    /// The same for gradients that are taken already, or any other right-hand sides `b` of
    /// `(H + D) z = b`.
    ///
    /// # Errors
    /// As [`Refinement::run`].
    pub fn solve(
        &self,
        gradients: &Seeds,
        progress: &mut dyn Progress,
    ) -> Result<(Seeds, Residuals), InfluenceError> {
        self.solve_in_place(&gradients.copied()?, progress)
    }

    /// Leaves the residuals in the place of the gradients.
    fn solve_in_place(
        &self,
        gradients: &Seeds,
        progress: &mut dyn Progress,
    ) -> Result<(Seeds, Residuals), InfluenceError> {
        let method = self.method.check()?;
        self.check(gradients.layers())?;
        let _no_grad = tch::no_grad_guard();
        let (mut paths, solved) = self.start(gradients)?;
        let floor = match paths.first().and_then(|path| path.z.first()).map(Tensor::kind) {
            Some(Kind::Double) => f64::EPSILON,
            _ => f64::from(f32::EPSILON),
        };
        let enough = method.tolerance.max(floor);
        progress.start(&Stage::new("refinement", "steps", method.steps + 1));

        let all: Vec<usize> = (0..paths.len()).collect();
        let products = self.product(&paths, &all)?;
        for (path, product) in paths.iter_mut().zip(&products) {
            let mut residual = 0.0;
            for (b, product) in path.r.iter().zip(product) {
                residual +=
                    b.f_sub(product)?.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
            }
            // weight = ∇Lᵀz here, because p = z.
            let gain = 2.0 * path.weight - dot(&path.p, product)?;
            path.note(residual.sqrt(), gain, 0)?;
            if method.steps > 0 && path.residual() > enough {
                // The step from zero along the preconditioner's solution needs no further product.
                path.z.iter_mut().try_for_each(|z| z.f_zero_().map(drop))?;
                path.advance(product, |r| self.precondition(r), 0)?;
                let (left, gain) = (dot(&path.r, &path.r)?.sqrt(), path.gain);
                if left <= enough * path.norm {
                    // Only the length was wrong: there is no direction left to step along.
                    path.note(left, gain, 1)?;
                }
            }
        }
        progress.advance(1);
        for step in 1..=method.steps {
            let open: Vec<usize> =
                (0..paths.len()).filter(|&n| paths[n].residual() > enough).collect();
            let products = self.product(&paths, &open)?;
            for (&n, product) in open.iter().zip(&products) {
                paths[n].advance(product, |r| self.precondition(r), step)?;
                let residual = dot(&paths[n].r, &paths[n].r)?.sqrt();
                let gain = paths[n].gain;
                paths[n].note(residual, gain, step)?;
            }
            progress.advance(1);
        }
        progress.finish();
        let ids = gradients.ids().to_vec();
        let (relative, gains) = paths.into_iter().map(|path| (path.residuals, path.gains)).unzip();
        let seeds = Seeds::from_solved(ids.clone(), gradients.layers().to_vec(), solved)?;
        Ok((seeds, Residuals { ids, relative, gains }))
    }

    /// Every seed at the preconditioner's solution, which is also its first direction, and with its
    /// gradient in the place of the residual.
    fn start(&self, gradients: &Seeds) -> Result<(Vec<Path>, Solved), InfluenceError> {
        let mut solved = HashMap::new();
        let (mut z, mut r) = (Vec::new(), Vec::new());
        for layer in gradients.layers() {
            let Some(all) = gradients.layer(layer.id) else { continue };
            let start = self.preconditioner.solve(layer, all)?.f_to_kind(all.kind())?;
            // A curvature may hand back what it was given; the two are changed separately.
            let start =
                if start.data_ptr() == all.data_ptr() { start.f_detach_copy()? } else { start };
            r.push(all.shallow_clone());
            z.push(start.shallow_clone());
            solved.insert(layer.id, start);
        }
        let row = |all: &[Tensor], n: usize| {
            all.iter().map(|t| t.f_get(n as i64)).collect::<Result<Vec<_>, _>>()
        };
        let mut paths = Vec::with_capacity(gradients.ids().len());
        for (n, id) in gradients.ids().iter().enumerate() {
            let (id, z, r) = (id.clone(), row(&z, n)?, row(&r, n)?);
            let p = z.iter().map(Tensor::f_detach_copy).collect::<Result<Vec<_>, _>>()?;
            let (weight, norm) = (dot(&r, &p)?, dot(&r, &r)?.sqrt());
            let (residuals, gain, gains) = (Vec::new(), 0.0, Vec::new());
            paths.push(Path { id, z, r, p, weight, norm, residuals, gain, gains });
        }
        Ok((paths, solved))
    }

    /// `(H + D) p` for each of the paths in `which`.
    fn product(&self, paths: &[Path], which: &[usize]) -> Result<Vec<Vec<Tensor>>, InfluenceError> {
        if which.is_empty() {
            return Ok(Vec::new());
        }
        let share = |&n: &usize| paths[n].p.iter().map(Tensor::shallow_clone).collect();
        let vectors: Vec<Vec<Tensor>> = which.iter().map(share).collect();
        let mut products = self.matrix.product(&vectors)?;
        for (product, vector) in products.iter_mut().zip(&vectors) {
            for ((product, v), &damping) in product.iter_mut().zip(vector).zip(&self.damping) {
                let _ = product.f_add_(&v.f_mul_scalar(damping)?)?;
            }
        }
        Ok(products)
    }

    fn precondition(&self, r: &[Tensor]) -> Result<Vec<Tensor>, InfluenceError> {
        let layers = self.matrix.layers().iter().zip(r);
        layers
            .map(|(layer, r)| {
                let one = self.preconditioner.solve(layer, &r.f_unsqueeze(0)?)?.f_squeeze_dim(0)?;
                let one = one.f_to_kind(r.kind())?;
                Ok(if one.data_ptr() == r.data_ptr() { one.f_detach_copy()? } else { one })
            })
            .collect()
    }

    fn check(&self, layers: &[LayerInfo]) -> Result<(), InfluenceError> {
        if self.matrix.layers() != layers {
            return Err(InfluenceError::Mismatch {
                what: "layers of the seeds",
                found: names(layers),
                expected: names(self.matrix.layers()),
            });
        }
        if self.damping.len() != layers.len() {
            return Err(InfluenceError::Mismatch {
                what: "dampings of the layers",
                found: self.damping.len().to_string(),
                expected: layers.len().to_string(),
            });
        }
        // Without damping the matrix of a sub-sample is singular, and steps lead anywhere.
        for &damping in &self.damping {
            ParameterError::finite_above("damping of a layer", damping, 0.0)?;
        }
        Ok(())
    }
}

/// The solved tensors of all layers, as [`Seeds`] keeps them.
type Solved = HashMap<tamis_model::LayerId, Tensor>;
