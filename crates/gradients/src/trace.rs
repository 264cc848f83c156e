//! One forward and one activation-backward: everything per-sample gradients are made of.
//!
//! For a linear layer `y = x Wᵀ (+ b)` the gradient of sample `n` is `G_n = Σ_t g_{n,t} x̃_{n,t}ᵀ`
//! with `g = ∂L/∂y` and `x̃` the input, with a 1 appended where the layer has a bias. Only `g` is
//! asked of autograd; weights stay frozen and no weight gradient is formed.

use std::cell::{OnceCell, RefCell};

use serde::{Deserialize, Serialize};
use tamis_model::{Batch, CausalLm, LayerInfo, NoTap, Reduction};
use tch::{Kind, TchError, Tensor};

use crate::{Capture, GradientError, labels};

/// Numbers of a block of gradients: few enough to be met again in the cache.
const BLOCK: i64 = 1 << 20;

/// Which labels the loss is taken against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "labels")]
pub enum Labels {
    /// The tokens of the data.
    Data,
    /// Tokens drawn from the model's own softmax: what makes a Fisher matrix the true one.
    Sampled {
        /// Seed of the draws; each draw depends on it, on the sample's id and on the position alone.
        seed: u64,
    },
}

/// What one chosen layer saw of one batch.
#[derive(Debug)]
pub struct LayerTrace {
    info: LayerInfo,
    x: Tensor,
    g: Tensor,
    formed: OnceCell<Tensor>,
    squared_norms: OnceCell<Tensor>,
    /// Set by the reducer that is looking at the layer now.
    of_reducer: RefCell<Option<Tensor>>,
}

impl LayerTrace {
    /// A trace from its parts: `x` (batch, time, in), `g` (batch, time, out), both zero or finite at
    /// padded places and `g` zero there.
    pub fn new(info: LayerInfo, x: Tensor, g: Tensor) -> Self {
        let (formed, squared_norms) = (OnceCell::new(), OnceCell::new());
        Self { info, x, g, formed, squared_norms, of_reducer: RefCell::new(None) }
    }

    /// The layer.
    pub fn info(&self) -> &LayerInfo {
        &self.info
    }

    /// Inputs, (batch, time, in), without the 1 of a bias.
    pub fn x(&self) -> &Tensor {
        &self.x
    }

    /// Gradients of the samples' losses with respect to the outputs, (batch, time, out). Zero at
    /// padded positions.
    pub fn g(&self) -> &Tensor {
        &self.g
    }

    /// (batch, time).
    pub fn extent(&self) -> (i64, i64) {
        let size = self.x.size();
        (size[0], size[1])
    }

    /// Inputs with a 1 appended where the layer has a bias, (batch, time, in (+1)).
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn augmented(&self) -> Result<Tensor, GradientError> {
        Ok(self.augmented_inputs()?)
    }

    fn augmented_inputs(&self) -> Result<Tensor, TchError> {
        if !self.info.bias {
            return Ok(self.x.shallow_clone());
        }
        let (batch, time) = self.extent();
        let ones = Tensor::f_ones([batch, time, 1], (self.x.kind(), self.x.device()))?;
        Tensor::f_cat(&[&self.x, &ones], -1)
    }

    /// The per-sample gradients themselves, (batch, out, in (+1)): formed once, then shared.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn formed(&self) -> Result<&Tensor, GradientError> {
        if let Some(formed) = self.formed.get() {
            return Ok(formed);
        }
        let formed = self.g.f_transpose(1, 2)?.f_bmm(&self.augmented()?)?;
        Ok(self.formed.get_or_init(|| formed))
    }

    /// Forms the per-sample gradients a block of rows at a time, small enough to stay in the cache, and
    /// hands each block, (batch, rows, in (+1)), to `take` with the number of its first row. What looks at
    /// every entry once needs no more, and a batch's whole gradients are never in memory. The squared
    /// norms come with it, for [`SquaredNorms`](crate::SquaredNorms).
    ///
    /// # Errors
    /// What `take` or LibTorch reports.
    pub fn each_block<E: From<TchError>>(
        &self,
        mut take: impl FnMut(i64, &Tensor) -> Result<(), E>,
    ) -> Result<(), E> {
        let ((batch, _), out) = (self.extent(), self.info.out_features);
        let height = (BLOCK / (batch * gradient_columns(&self.info)).max(1)).clamp(1, out);
        let x = if self.is_formed() { None } else { Some(self.augmented_inputs()?) };
        let wide = if self.g.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let mut squares = Tensor::f_zeros([batch], (wide, self.g.device()))?;
        for first in (0..out).step_by(height as usize) {
            let rows = height.min(out - first);
            let block = match (&x, self.formed.get()) {
                (Some(x), None) => self.g.f_narrow(2, first, rows)?.f_transpose(1, 2)?.f_bmm(x)?,
                (_, Some(formed)) => formed.f_narrow(1, first, rows)?,
                (None, None) => break,
            };
            take(first, &block)?;
            let norms = block.f_norm_scalaropt_dim_dtype(2, [1i64, 2].as_slice(), false, wide)?;
            let _ = squares.f_add_(&norms.f_square()?)?;
        }
        let _ = self.squared_norms.set(squares);
        Ok(())
    }

    /// Squared norms of the layer's own gradients, (batch,), if [`each_block`](Self::each_block) has
    /// been through them.
    pub(crate) fn squared_norms(&self) -> Option<&Tensor> {
        self.squared_norms.get()
    }

    /// Sets the squared norms, (batch,), that the pass records beside the rows of the reducer that is
    /// adding this layer now: for one that looks at other gradients than the layer's own, such as an
    /// adapter's. Other reducers of the same pass keep theirs.
    pub fn set_squared_norms(&self, squares: Tensor) {
        self.of_reducer.replace(Some(squares));
    }

    /// What the reducer that has just added this layer has set, once.
    pub(crate) fn take_squared_norms(&self) -> Option<Tensor> {
        self.of_reducer.take()
    }

    /// Whether something has formed the per-sample gradients already.
    pub fn is_formed(&self) -> bool {
        self.formed.get().is_some()
    }

    /// The per-sample gradients if something has formed them already.
    pub(crate) fn formed_already(&self) -> Option<&Tensor> {
        self.formed.get()
    }
}

/// Columns of a layer's gradient: its inputs, and one more where it has a bias.
pub fn gradient_columns(layer: &LayerInfo) -> i64 {
    layer.in_features + i64::from(layer.bias)
}

/// Scalars in a layer's gradient.
pub fn gradient_size(layer: &LayerInfo) -> i64 {
    layer.out_features * gradient_columns(layer)
}

/// What one batch leaves behind.
#[derive(Debug)]
pub struct BatchTrace {
    /// Loss of each sample, (batch,), in f32 or wider.
    pub losses: Tensor,
    /// One entry a chosen layer, in the order asked for.
    pub layers: Vec<LayerTrace>,
}

/// Runs one batch forward and backward and returns what the chosen layers saw.
///
/// `ids` name the samples of the batch; they matter only where labels are sampled.
///
/// # Errors
/// What the model or LibTorch reports, or a chosen layer that the forward pass never reached.
pub fn trace_batch(
    model: &dyn CausalLm,
    batch: &Batch,
    ids: &[&str],
    layers: &[LayerInfo],
    reduction: Reduction,
    labels: Labels,
) -> Result<BatchTrace, GradientError> {
    tch::with_grad(|| trace_with_grad(model, batch, ids, layers, reduction, labels))
}

fn trace_with_grad(
    model: &dyn CausalLm,
    batch: &Batch,
    ids: &[&str],
    layers: &[LayerInfo],
    reduction: Reduction,
    labels: Labels,
) -> Result<BatchTrace, GradientError> {
    let mut capture = Capture::new(layers);
    let hidden = model.hidden(&batch.ids, &mut capture)?;
    let predicting = batch.predicting(&hidden)?;
    // The head sees only the positions that predict a target; its trace is laid out below.
    let logits = if layers.iter().any(|layer| layer.head) {
        model.logits(&predicting, &mut capture)?
    } else {
        model.logits(&predicting, &mut NoTap)?
    };
    let wide = if logits.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    let log_probs = logits.f_to_kind(wide)?.f_log_softmax(-1, None::<Kind>)?;
    drop(logits);
    let targets = match labels {
        Labels::Data => batch.targets.shallow_clone(),
        Labels::Sampled { seed } => labels::sample(&log_probs.detach(), &batch.counts, ids, seed)?,
    };
    let token_losses =
        log_probs.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?.f_neg()?;
    let rows = batch.len() as i64;
    let mut losses = Tensor::f_zeros([rows], (wide, token_losses.device()))?.f_index_add(
        0,
        &batch.rows,
        &token_losses,
    )?;
    if reduction == Reduction::Mean {
        let counts: Vec<f64> = batch.counts.iter().map(|&c| c as f64).collect();
        losses = losses.f_div(
            &Tensor::f_from_slice(&counts)?.f_to_kind(wide)?.f_to_device(losses.device())?,
        )?;
    }

    let mut kept = Vec::with_capacity(layers.len());
    for (layer, pair) in layers.iter().zip(capture.into_kept()) {
        kept.push(pair.ok_or_else(|| GradientError::LayerNotReached { name: layer.name.clone() })?);
    }
    let outputs: Vec<&Tensor> = kept.iter().map(|(_, y)| y).collect();
    let gradients = Tensor::f_run_backward(&[losses.f_sum(wide)?], &outputs, false, false)?;
    let mut traces = Vec::with_capacity(layers.len());
    for ((layer, (x, _)), g) in layers.iter().zip(kept).zip(gradients) {
        let (x, g) = if layer.head { (spread(batch, &x)?, spread(batch, &g)?) } else { (x, g) };
        traces.push(LayerTrace::new(layer.clone(), x, g.detach()));
    }
    Ok(BatchTrace { losses: losses.detach(), layers: traces })
}

/// Lays the head's rows, one a target, out over (batch, time) again; zero elsewhere.
fn spread(batch: &Batch, rows: &Tensor) -> Result<Tensor, GradientError> {
    let (b, t) = batch.ids.size2()?;
    let width = rows.size()[1];
    let all = Tensor::f_zeros([b * t, width], (rows.kind(), rows.device()))?;
    Ok(all.f_index_copy(0, &batch.positions, rows)?.f_view([b, t, width])?)
}

/// Texts of `each` tokens in a batch of `tokens`, the last of them begun.
pub(crate) fn most_texts(tokens: u64, each: u64) -> u64 {
    tokens.div_ceil(each)
}
