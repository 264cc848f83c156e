//! Exact L2 norms of per-sample gradients, without forming them where that is dearer.
//!
//! `‖G‖² = ‖Σ_t g_t x̃_tᵀ‖² = Σ_{t,s} (g_t·g_s)(x̃_t·x̃_s)`: the sum over the entrywise product of two
//! Gram matrices. Per sample that takes `time² (in + out)` multiplications against
//! `time · in · out` for forming `G`, so it wins for short texts and wide layers.

use tch::{Kind, Tensor};

use crate::{GradientError, LayerTrace};

/// Adds up squared norms over layers.
#[derive(Debug)]
pub struct SquaredNorms {
    total: Option<Tensor>,
    /// The last layer's input and its Gram matrix: layers that read one input share it. Keeping
    /// the input alive keeps its address from being used again.
    last: Option<(Tensor, bool, Tensor)>,
}

impl SquaredNorms {
    /// Nothing added yet.
    pub fn new() -> Self {
        Self { total: None, last: None }
    }

    /// Adds the squared norm of one layer's gradients.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn add(&mut self, trace: &LayerTrace) -> Result<(), GradientError> {
        let squares = self.squares(trace)?;
        self.add_squares(&squares)
    }

    /// Adds squared norms, (batch,), that are known.
    pub(crate) fn add_squares(&mut self, squares: &Tensor) -> Result<(), GradientError> {
        self.total = Some(match self.total.take() {
            None => squares.shallow_clone(),
            Some(total) => total.f_add(squares)?,
        });
        Ok(())
    }

    /// Squared norms of one layer's own gradients, (batch,).
    pub(crate) fn squares(&mut self, trace: &LayerTrace) -> Result<Tensor, GradientError> {
        let squared = if let Some(known) = trace.squared_norms() {
            known.shallow_clone()
        } else if let Some(formed) = trace.formed_already() {
            sum_of_squares(formed)?
        } else if gram_is_cheaper(trace) {
            // Products of half-precision numbers leave their range.
            let g = trace.g().f_to_kind(wide(trace.g().kind()))?;
            let product = g.f_bmm(&g.f_transpose(1, 2)?)?.f_mul(&self.input_gram(trace)?)?;
            product.f_sum_dim_intlist([1i64, 2].as_slice(), false, wide(product.kind()))?
        } else {
            sum_of_squares(trace.formed()?)?
        };
        // A sum of products of Gram matrices can round to just below zero.
        Ok(squared.f_clamp_min(0.0)?)
    }

    fn input_gram(&mut self, trace: &LayerTrace) -> Result<Tensor, GradientError> {
        let (x, bias) = (trace.x(), trace.info().bias);
        if let Some((last, last_bias, gram)) = &self.last
            && last.data_ptr() == x.data_ptr()
            && *last_bias == bias
        {
            return Ok(gram.shallow_clone());
        }
        let augmented = trace.augmented()?;
        let augmented = augmented.f_to_kind(wide(augmented.kind()))?;
        let gram = augmented.f_bmm(&augmented.f_transpose(1, 2)?)?;
        self.last = Some((x.shallow_clone(), bias, gram.shallow_clone()));
        Ok(gram)
    }

    /// Norms (not squared), (batch,), in f64; `None` if no layer was added.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn finish(self) -> Result<Option<Tensor>, GradientError> {
        self.total.map(|t| Ok(t.f_to_kind(Kind::Double)?.f_sqrt()?)).transpose()
    }
}

impl Default for SquaredNorms {
    fn default() -> Self {
        Self::new()
    }
}

fn wide(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

fn sum_of_squares(formed: &Tensor) -> Result<Tensor, GradientError> {
    // A batched product of every row with itself looks leaner, and is eight times slower.
    let (dims, kind) = ([1i64, 2], wide(formed.kind()));
    let norms = formed.f_norm_scalaropt_dim_dtype(2, dims.as_slice(), false, kind)?;
    Ok(norms.f_square()?)
}

fn gram_is_cheaper(trace: &LayerTrace) -> bool {
    let (_, time) = trace.extent();
    let info = trace.info();
    time * (info.in_features + info.out_features) < info.in_features * info.out_features
}
