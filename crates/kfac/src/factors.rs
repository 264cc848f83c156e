//! The two covariances of every layer, as sums and a count, so that parts merge by addition.

use std::collections::HashMap;

use tamis_gradients::{LayerTrace, Projection, gradient_columns};
use tamis_model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::sums::{Header, Stored, Sums, refuse_other_layers};
use crate::{KfacError, Tokens};

/// Widths from here on are multiplied out in blocks; below, one product is as fast.
const SPLIT: i64 = 512;

/// Sums of outer products of one layer.
#[derive(Debug)]
pub struct LayerFactors {
    /// `Σ x̃ x̃ᵀ`, (in (+1), in (+1)). Layers that read one input share the tensor.
    pub a: Tensor,
    /// `Σ g gᵀ`, (out, out).
    pub s: Tensor,
}

/// Covariance sums of the chosen layers over `count` draws.
#[derive(Debug)]
pub struct Factors {
    layers: Vec<LayerInfo>,
    /// For each layer, the first layer that reads the same input; itself if it is the first.
    shared: Vec<usize>,
    a: Vec<Option<Tensor>>,
    s: Vec<Tensor>,
    count: f64,
}

impl Factors {
    /// Sums of zero for `layers`, in f64 if `kind` is f64 and in f32 otherwise.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn zeros(layers: &[LayerInfo], kind: Kind, device: Device) -> Result<Self, KfacError> {
        let kind = if kind == Kind::Double { Kind::Double } else { Kind::Float };
        let square = |n: i64| Tensor::f_zeros([n, n], (kind, device));
        Ok(Self {
            shared: (0..layers.len()).collect(),
            a: layers
                .iter()
                .map(|l| square(gradient_columns(l)).map(Some))
                .collect::<Result<_, _>>()?,
            s: layers.iter().map(|l| square(l.out_features)).collect::<Result<_, _>>()?,
            layers: layers.to_vec(),
            count: 0.0,
        })
    }

    /// The layers, in the order chosen.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// What the sums are kept in.
    pub fn kind(&self) -> Kind {
        self.s.first().map_or(Kind::Float, Tensor::kind)
    }

    /// Where the sums lie.
    pub(crate) fn device(&self) -> Device {
        self.s.first().map_or(Device::Cpu, Tensor::device)
    }

    /// Appends the sums of further layers over the same data.
    pub(crate) fn extend(&mut self, other: Self) {
        let offset = self.layers.len();
        self.layers.extend(other.layers);
        self.shared.extend(other.shared.into_iter().map(|n| n + offset));
        self.a.extend(other.a);
        self.s.extend(other.s);
    }

    /// For each layer, the first layer that reads the same input.
    pub fn shared_inputs(&self) -> &[usize] {
        &self.shared
    }

    /// Sums of layer number `n` (in the order chosen).
    pub fn layer(&self, n: usize) -> Option<LayerFactors> {
        let a = self.a.get(*self.shared.get(n)?)?.as_ref()?;
        Some(LayerFactors { a: a.shallow_clone(), s: self.s.get(n)?.shallow_clone() })
    }

    /// Finds, on the first batch, layers that read the same input: query, key and value, say.
    fn note_shared(&mut self, traces: &[LayerTrace]) {
        if self.count > 0.0 {
            return;
        }
        let mut first = HashMap::new();
        for (n, trace) in traces.iter().enumerate() {
            let key = (trace.x().data_ptr() as usize, trace.x().numel(), trace.info().bias);
            self.shared[n] = *first.entry(key).or_insert(n);
            if self.shared[n] != n {
                self.a[n] = None;
            }
        }
    }

    /// The factors of two-sidedly projected gradients: `R_in A R_inᵀ` and `R_out S R_outᵀ` for every
    /// layer, whose projected gradient `R_out G R_inᵀ` is (p, q). The curvature of what a store
    /// keeps, as in arXiv 2405.13954: solving there keeps the noise of the projection out of the
    /// inverse, which solving first and projecting then does not. `None` if the projection is not
    /// two-sided.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn projected(&self, projection: &Projection) -> Result<Option<Self>, KfacError> {
        let (mut layers, mut a, mut s) = (Vec::new(), Vec::new(), Vec::new());
        for (n, info) in self.layers.iter().enumerate() {
            let (Some(sides), Some(sums)) = (projection.two_sided(info), self.layer(n)) else {
                return Ok(None);
            };
            let squeeze = |r: &Tensor, sum: &Tensor| -> Result<Tensor, KfacError> {
                let r = r.f_to_kind(sum.kind())?;
                Ok(r.f_matmul(sum)?.f_matmul(&r.f_transpose(0, 1)?)?)
            };
            a.push(Some(squeeze(sides.right, &sums.a)?));
            s.push(squeeze(sides.left, &sums.s)?);
            layers.push(LayerInfo {
                in_features: sides.right.size()[0],
                out_features: sides.left.size()[0],
                bias: false,
                ..info.clone()
            });
        }
        let shared = (0..layers.len()).collect();
        Ok(Some(Self { layers, shared, a, s, count: self.count }))
    }
}

impl Sums for Factors {
    const STORED_AS: &'static str = "kfac-factors";

    fn add(
        &mut self,
        traces: &[LayerTrace],
        mask: &Tensor,
        tokens: Tokens,
    ) -> Result<(), KfacError> {
        self.note_shared(traces);
        for (n, trace) in traces.iter().enumerate() {
            let kind = self.s[n].kind();
            let mask = mask.f_to_kind(kind)?.f_unsqueeze(-1)?;
            let g = trace.g().f_to_kind(kind)?;
            let g = match tokens {
                // Gradients are zero at padded positions already.
                Tokens::Expand => g.f_flatten(0, 1)?,
                Tokens::Reduce => g.f_sum_dim_intlist([1i64].as_slice(), false, kind)?,
            };
            add_gram(&mut self.s[n], &g)?;
            if let Some(a) = self.a[n].as_mut() {
                let x = trace.augmented()?.f_to_kind(kind)?.f_mul(&mask)?;
                let x = match tokens {
                    Tokens::Expand => x.f_flatten(0, 1)?,
                    Tokens::Reduce => {
                        let lengths = mask.f_sum_dim_intlist([1i64].as_slice(), false, kind)?;
                        x.f_sum_dim_intlist([1i64].as_slice(), false, kind)?.f_div(&lengths)?
                    }
                };
                add_gram(a, &x)?;
            }
        }
        self.count += tokens.draws(mask)?;
        Ok(())
    }

    fn count(&self) -> f64 {
        self.count
    }

    fn merge(&mut self, other: &Self) -> Result<(), KfacError> {
        refuse_other_layers(&self.layers, &other.layers)?;
        if self.count == 0.0 {
            self.shared.clone_from(&other.shared);
            for (n, &first) in self.shared.iter().enumerate() {
                if first != n {
                    self.a[n] = None;
                }
            }
        } else if self.shared != other.shared && other.count > 0.0 {
            let reason = "their layers share inputs differently".to_owned();
            return Err(KfacError::Merge { reason });
        }
        for (mine, theirs) in self.a.iter_mut().zip(&other.a) {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                let _ = mine.f_add_(theirs)?;
            }
        }
        for (mine, theirs) in self.s.iter_mut().zip(&other.s) {
            let _ = mine.f_add_(theirs)?;
        }
        self.count += other.count;
        Ok(())
    }

    fn finite(&self, layer: usize) -> Result<bool, KfacError> {
        // A value that is not finite in any row of a product is on its diagonal as well.
        let diagonal = |sum: &Tensor| -> Result<f64, KfacError> {
            Ok(sum.f_diagonal(0, 0, 1)?.f_sum(Kind::Double)?.f_double_value(&[])?)
        };
        let a = self.a[layer].as_ref().map_or(Ok(0.0), diagonal)?;
        Ok((a + diagonal(&self.s[layer])?).is_finite())
    }

    fn store(&self) -> Result<Stored, KfacError> {
        let mut tensors = Vec::new();
        for (n, layer) in self.layers.iter().enumerate() {
            if let Some(a) = &self.a[n] {
                tensors.push((format!("{}.a", layer.name), a.shallow_clone()));
            }
            tensors.push((format!("{}.s", layer.name), self.s[n].shallow_clone()));
        }
        let header = Header { count: self.count, shared_inputs: self.shared.clone() };
        Ok(Stored { header, tensors })
    }

    fn restore(
        layers: &[LayerInfo],
        header: Header,
        mut take: impl FnMut(&str) -> Result<Tensor, KfacError>,
    ) -> Result<Self, KfacError> {
        let shared = header.shared_inputs;
        let (mut a, mut s) = (Vec::new(), Vec::new());
        for (n, layer) in layers.iter().enumerate() {
            let first = shared.get(n) == Some(&n);
            a.push(if first { Some(take(&format!("{}.a", layer.name))?) } else { None });
            s.push(take(&format!("{}.s", layer.name))?);
        }
        Ok(Self { layers: layers.to_vec(), shared, a, s, count: header.count })
    }
}

/// Adds `rowsᵀ rows` to `sum`. The result is symmetric, so of a large one only three quarters are
/// multiplied out: both blocks on the diagonal and one beside them.
fn add_gram(sum: &mut Tensor, rows: &Tensor) -> Result<(), KfacError> {
    let n = rows.size()[1];
    if n < SPLIT {
        let _ = sum.f_addmm_(&rows.f_transpose(0, 1)?, rows)?;
        return Ok(());
    }
    let half = n / 2;
    let (left, right) = (rows.f_narrow(1, 0, half)?, rows.f_narrow(1, half, n - half)?);
    let block = |row: i64, height: i64, column: i64, width: i64| {
        sum.f_narrow(0, row, height)?.f_narrow(1, column, width)
    };
    let (mut first, mut last) = (block(0, half, 0, half)?, block(half, n - half, half, n - half)?);
    let (mut upper, mut lower) = (block(0, half, half, n - half)?, block(half, n - half, 0, half)?);
    let _ = first.f_addmm_(&left.f_transpose(0, 1)?, &left)?;
    let _ = last.f_addmm_(&right.f_transpose(0, 1)?, &right)?;
    let product = left.f_transpose(0, 1)?.f_matmul(&right)?;
    let _ = upper.f_add_(&product)?;
    let _ = lower.f_add_(&product.f_transpose(0, 1)?)?;
    Ok(())
}
