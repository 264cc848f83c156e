//! Second moments of per-sample gradients, entry by entry: EK-FAC's eigenvalues, or the diagonal of
//! the Fisher matrix.
//!
//! In a basis, `λ_ij = (1 / draws) Σ_n (Q_Sᵀ G_n Q_A)²_ij` over the gradients `G_n` of the samples'
//! summed losses (arXiv 1806.03884, equation 8). The number of draws is that of the covariances, so
//! that both have one unit: where a token's gradients are independent of other tokens', `λ` is the
//! product of K-FAC's eigenvalues in expectation, whatever the length of the texts.

use tamis_gradients::{LayerTrace, gradient_columns};
use tamis_model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::eigen::wide;
use crate::sums::{Header, Stored, Sums, refuse_other_layers};
use crate::{Eigenbasis, KfacError, Tokens};

/// Gradients formed at a time: enough for one product a sample, few enough to be squared in the cache.
const FORMED_AT_ONCE: i64 = 8 << 20;

/// Sums of squared gradients of the chosen layers over `count` draws.
#[derive(Debug)]
pub struct SecondMoments {
    layers: Vec<LayerInfo>,
    /// `Q_S` and `Q_A` of each layer; `None` for the coordinates of the weights.
    rotations: Vec<Option<(Tensor, Tensor)>>,
    /// (out, in (+1)).
    sums: Vec<Tensor>,
    count: f64,
}

impl SecondMoments {
    /// Sums of zero for `layers`, in f64 if `kind` is f64 and in f32 otherwise, in `basis` or, without
    /// one, in the coordinates of the weights.
    ///
    /// # Errors
    /// A layer that the basis does not have, or what LibTorch reports.
    pub fn zeros(
        layers: &[LayerInfo],
        basis: Option<&Eigenbasis>,
        kind: Kind,
        device: Device,
    ) -> Result<Self, KfacError> {
        let kind = wide(kind);
        let places = basis.map(Eigenbasis::places);
        let (mut rotations, mut sums) = (Vec::new(), Vec::new());
        for layer in layers {
            rotations.push(match (basis, &places) {
                (Some(basis), Some(places)) => {
                    let entry = places.get(&layer.id).and_then(|&n| basis.layer(n));
                    let name = || KfacError::UnknownLayer { layer: layer.name.clone() };
                    let entry = entry.ok_or_else(name)?;
                    let to = |t: &Tensor| t.f_to_kind(kind)?.f_to_device(device);
                    Some((to(&entry.s.vectors)?, to(&entry.a.vectors)?))
                }
                _ => None,
            });
            let size = [layer.out_features, gradient_columns(layer)];
            sums.push(Tensor::f_zeros(size, (kind, device))?);
        }
        Ok(Self { layers: layers.to_vec(), rotations, sums, count: 0.0 })
    }

    /// The layers, in the order chosen.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// What the sums are kept in.
    pub fn kind(&self) -> Kind {
        self.sums.first().map_or(Kind::Float, Tensor::kind)
    }

    /// The mean square of layer number `n`, (out, in (+1)) in f64.
    ///
    /// # Errors
    /// No draw, or a layer that is not there.
    pub fn mean(&self, n: usize) -> Result<Tensor, KfacError> {
        if self.count <= 0.0 {
            return Err(KfacError::NoTokens { samples: 0 });
        }
        let sum =
            self.sums.get(n).ok_or_else(|| KfacError::UnknownLayer { layer: n.to_string() })?;
        Ok(sum.f_to_kind(Kind::Double)?.f_div_scalar(self.count)?)
    }

    /// Appends the moments of further layers over the same data.
    pub(crate) fn extend(&mut self, other: Self) {
        self.layers.extend(other.layers);
        self.rotations.extend(other.rotations);
        self.sums.extend(other.sums);
    }
}

impl Sums for SecondMoments {
    const STORED_AS: &'static str = "second-moments";

    fn add(
        &mut self,
        traces: &[LayerTrace],
        mask: &Tensor,
        tokens: Tokens,
    ) -> Result<(), KfacError> {
        let mut last = None;
        for (n, trace) in traces.iter().enumerate() {
            add_squares(&mut self.sums[n], trace, self.rotations[n].as_ref(), &mut last)?;
        }
        self.count += tokens.draws(mask)?;
        Ok(())
    }

    fn merge(&mut self, other: &Self) -> Result<(), KfacError> {
        refuse_other_layers(&self.layers, &other.layers)?;
        for (mine, theirs) in self.sums.iter_mut().zip(&other.sums) {
            let _ = mine.f_add_(theirs)?;
        }
        self.count += other.count;
        Ok(())
    }

    fn count(&self) -> f64 {
        self.count
    }

    fn finite(&self, layer: usize) -> Result<bool, KfacError> {
        Ok(self.sums[layer].f_sum(Kind::Double)?.f_double_value(&[])?.is_finite())
    }

    fn store(&self) -> Result<Stored, KfacError> {
        let named = self.layers.iter().zip(&self.sums);
        let tensors = named.map(|(l, sum)| (l.name.clone(), sum.shallow_clone())).collect();
        let shared_inputs = (0..self.layers.len()).collect();
        Ok(Stored { header: Header { count: self.count, shared_inputs }, tensors })
    }

    fn restore(
        layers: &[LayerInfo],
        header: Header,
        mut take: impl FnMut(&str) -> Result<Tensor, KfacError>,
    ) -> Result<Self, KfacError> {
        Ok(Self {
            layers: layers.to_vec(),
            rotations: layers.iter().map(|_| None).collect(),
            sums: layers.iter().map(|l| take(&l.name)).collect::<Result<_, _>>()?,
            count: header.count,
        })
    }
}

/// An input, its eigenvectors and the rotated input: layers that read one input share all three.
/// Keeping them alive keeps their addresses from being used again.
type LastInput = Option<[Tensor; 3]>;

/// Adds `Σ_n (Q_Sᵀ G_n Q_A)²` of one layer.
///
/// Either side may be rotated before the gradient is formed, which takes `time · out²` (or
/// `time · in²`) multiplications a sample, or after, which takes `out² · in` (or `out · in²`): before,
/// if there are fewer tokens than the other side is wide.
fn add_squares(
    sum: &mut Tensor,
    trace: &LayerTrace,
    rotation: Option<&(Tensor, Tensor)>,
    last: &mut LastInput,
) -> Result<(), KfacError> {
    let kind = sum.kind();
    let (rows, time) = trace.extent();
    let (out, columns) = sum.size2()?;
    let (mut g, mut after) = (trace.g().f_to_kind(kind)?, (None, None));
    let x = match rotation {
        None => trace.augmented()?.f_to_kind(kind)?,
        Some((s, a)) => {
            if time < columns {
                g = g.f_matmul(s)?;
            } else {
                after.0 = Some(s.f_transpose(0, 1)?);
            }
            if time < out {
                rotated_input(trace, a, last)?
            } else {
                after.1 = Some(a);
                trace.augmented()?.f_to_kind(kind)?
            }
        }
    };
    let at_once = (FORMED_AT_ONCE / (out * columns)).max(1);
    for first in (0..rows).step_by(at_once as usize) {
        let count = at_once.min(rows - first);
        let (g, x) = (g.f_narrow(0, first, count)?, x.f_narrow(0, first, count)?);
        let mut formed = g.f_transpose(1, 2)?.f_bmm(&x)?;
        if let Some(a) = after.1 {
            formed = formed.f_matmul(a)?;
        }
        if let Some(s) = &after.0 {
            formed = s.f_matmul(&formed)?;
        }
        let squares = formed.f_square_()?.f_sum_dim_intlist([0i64].as_slice(), false, kind)?;
        let _ = sum.f_add_(&squares)?;
    }
    Ok(())
}

/// `x̃ Q_A`, the 1 of a bias added as `Q_A`'s last row, without copying the input.
fn rotated_input(
    trace: &LayerTrace,
    a: &Tensor,
    last: &mut LastInput,
) -> Result<Tensor, KfacError> {
    let x = trace.x();
    if let Some([known_x, known_a, rotated]) = last
        && known_x.data_ptr() == x.data_ptr()
        && known_a.data_ptr() == a.data_ptr()
    {
        return Ok(rotated.shallow_clone());
    }
    let features = trace.info().in_features;
    let mut rotated = x.f_to_kind(a.kind())?.f_matmul(&a.f_narrow(0, 0, features)?)?;
    if trace.info().bias {
        rotated = rotated.f_add(&a.f_select(0, features)?)?;
    }
    *last = Some([x.shallow_clone(), a.shallow_clone(), rotated.shallow_clone()]);
    Ok(rotated)
}
