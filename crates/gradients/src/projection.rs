//! Per-sample gradients in few numbers: full, two-sided projection, sparse sketch.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tamis_artifact::{Fingerprint, ParameterError};
use tamis_model::{LayerId, LayerInfo, row_major, visit_bytes};
use tch::{Device, Kind, Tensor};

use crate::seeded::{Entries, random_matrix};
use crate::sparse::SparseSketch;
use crate::trace::{gradient_columns, gradient_size};
use crate::{GradientError, LayerTrace, Reducer};

/// Which form per-sample gradients are kept in.
///
/// Written `full`, `16x16` (two-sided, Rademacher), `gaussian:16x16`, `pca:16x16` or `sparse:8192`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "form")]
pub enum ProjectionSpec {
    /// Every entry of every chosen layer's gradient: for small models.
    Full,
    /// `R_out G R_inᵀ` for every layer, computed as `Σ_t (R_out g_t)(R_in x̃_t)ᵀ`: the gradient `G`
    /// itself is never formed.
    TwoSided {
        /// Rows kept of each layer's gradient.
        out: usize,
        /// Columns kept of each layer's gradient.
        r#in: usize,
        /// Distribution of the matrices' entries.
        entries: Entries,
    },
    /// Two-sided onto the leading eigenvectors of the curvature's factors. Which these are, the model and
    /// its data decide: `tamis_kfac::Eigenbasis::projection` makes it, [`build`](Self::build) cannot.
    Pca {
        /// Rows kept of each layer's gradient.
        out: usize,
        /// Columns kept of each layer's gradient.
        r#in: usize,
    },
    /// A sparse Johnson–Lindenstrauss transform of all layers' gradients together: every entry is
    /// added, with a random sign, to one random place. Forms `G`, so it suits short, narrow layers.
    Sparse {
        /// Numbers kept in all.
        dim: usize,
    },
}

impl Default for ProjectionSpec {
    fn default() -> Self {
        Self::TwoSided { out: 16, r#in: 16, entries: Entries::Rademacher }
    }
}

impl ProjectionSpec {
    /// Numbers in a row for the given layers.
    pub fn width(&self, layers: &[LayerInfo]) -> usize {
        match *self {
            Self::Full => layers.iter().map(|l| gradient_size(l) as usize).sum(),
            Self::TwoSided { out, r#in, .. } | Self::Pca { out, r#in } => {
                layers.iter().map(|l| sides(l, out, r#in)).map(|(p, q)| (p * q) as usize).sum()
            }
            Self::Sparse { dim } => dim,
        }
    }

    /// Makes the projection for `layers`.
    ///
    /// # Errors
    /// A size of zero, a projection onto eigenvectors (which needs them), or what LibTorch reports.
    pub fn build(
        &self,
        layers: &[LayerInfo],
        seed: u64,
        kind: Kind,
        device: Device,
    ) -> Result<Projection, GradientError> {
        let mut sides_of = HashMap::new();
        let mut offset = 0;
        for layer in layers {
            let (columns, name) = (gradient_columns(layer), layer.name.as_str());
            let (form, width) = match *self {
                Self::Full => (Form::Full, gradient_size(layer)),
                Self::TwoSided { out, r#in, entries } => {
                    if out == 0 || r#in == 0 {
                        return Err(ParameterError::new("projection", self, "at least 1x1").into());
                    }
                    let (p, q) = sides(layer, out, r#in);
                    let at = (kind, device);
                    let left =
                        random_matrix(entries, p, layer.out_features, seed, ("out", name), at)?;
                    let right = random_matrix(entries, q, columns, seed, ("in", name), at)?;
                    (Form::TwoSided { left, right }, p * q)
                }
                Self::Pca { .. } => {
                    let expected =
                        "one that needs no curvature, or made from a curvature's eigenvectors";
                    return Err(ParameterError::new("projection", self, expected).into());
                }
                Self::Sparse { dim } => {
                    let count = gradient_size(layer) as usize;
                    let at = (kind, device);
                    (Form::Sparse(SparseSketch::new(name, count, dim, seed, at)?), 0)
                }
            };
            sides_of.insert(layer.id, Placed { form, offset, width });
            offset += width;
        }
        let fingerprint = Fingerprint::from(json!({ "projection": self, "seed": seed }));
        Ok(Projection { width: self.width(layers), layers: sides_of, fingerprint })
    }
}

/// Sizes of a two-sided projection, never above the layer's own.
pub(crate) fn sides(layer: &LayerInfo, out: usize, r#in: usize) -> (i64, i64) {
    ((out as i64).min(layer.out_features), (r#in as i64).min(gradient_columns(layer)))
}

impl fmt::Display for ProjectionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::TwoSided { out, r#in, entries: Entries::Rademacher } => write!(f, "{out}x{in}"),
            Self::TwoSided { out, r#in, entries: Entries::Gaussian } => {
                write!(f, "gaussian:{out}x{in}")
            }
            Self::Pca { out, r#in } => write!(f, "pca:{out}x{in}"),
            Self::Sparse { dim } => write!(f, "sparse:{dim}"),
        }
    }
}

impl FromStr for ProjectionSpec {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let expected =
                "full, OUTxIN (16x16), gaussian:OUTxIN, pca:OUTxIN or sparse:DIM, sizes at least 1";
            GradientError::from(ParameterError::new("projection", text, expected))
        };
        let size = |s: &str| s.parse::<usize>().ok().filter(|&n| n > 0).ok_or_else(wrong);
        if text == "full" {
            return Ok(Self::Full);
        }
        if let Some(dim) = text.strip_prefix("sparse:") {
            return Ok(Self::Sparse { dim: size(dim)? });
        }
        let sides = |shape: &str| {
            let (out, r#in) = shape.split_once('x').ok_or_else(wrong)?;
            Ok::<_, GradientError>((size(out)?, size(r#in)?))
        };
        if let Some(shape) = text.strip_prefix("pca:") {
            let (out, r#in) = sides(shape)?;
            return Ok(Self::Pca { out, r#in });
        }
        let (entries, shape) = match text.split_once(':') {
            None | Some(("rademacher", _)) => {
                (Entries::Rademacher, text.strip_prefix("rademacher:").unwrap_or(text))
            }
            Some(("gaussian", shape)) => (Entries::Gaussian, shape),
            Some(_) => return Err(wrong()),
        };
        let (out, r#in) = sides(shape)?;
        Ok(Self::TwoSided { out, r#in, entries })
    }
}

#[derive(Debug)]
enum Form {
    Full,
    TwoSided { left: Tensor, right: Tensor },
    Sparse(SparseSketch),
}

#[derive(Debug)]
struct Placed {
    form: Form,
    offset: i64,
    width: i64,
}

/// A [`ProjectionSpec`] with its matrices, ready to reduce batches.
#[derive(Debug)]
pub struct Projection {
    width: usize,
    layers: HashMap<LayerId, Placed>,
    fingerprint: Fingerprint,
}

/// The matrices of one layer under a two-sided projection.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// `R_out`, (p, out).
    pub left: &'a Tensor,
    /// `R_in`, (q, in (+1)).
    pub right: &'a Tensor,
    /// Where the layer's `p · q` numbers begin in a row.
    pub offset: i64,
}

impl Projection {
    /// A two-sided projection with given matrices, `R_out` (p, out) and `R_in` (q, in (+1)), for each
    /// layer.
    ///
    /// # Errors
    /// Matrices that do not fit their layer.
    pub fn from_sides(
        layers: impl IntoIterator<Item = (LayerInfo, (Tensor, Tensor))>,
    ) -> Result<Self, GradientError> {
        let (mut placed, mut offset) = (HashMap::new(), 0);
        let mut hasher = blake3::Hasher::new();
        for (layer, (left, right)) in layers {
            let ((p, out), (q, columns)) = (left.size2()?, right.size2()?);
            if (out, columns) != (layer.out_features, gradient_columns(&layer)) {
                let found = format!("{p}x{out} and {q}x{columns} for layer {}", layer.name);
                let expected = "matrices as wide as the layer's output and input (with its bias)";
                return Err(ParameterError::new("projection", found, expected).into());
            }
            let (left, right) = (row_major(&left)?, row_major(&right)?);
            for side in [&left, &right] {
                visit_bytes(side, |bytes| {
                    hasher.update(bytes);
                    Ok::<(), GradientError>(())
                })?;
            }
            let form = Form::TwoSided { left, right };
            placed.insert(layer.id, Placed { form, offset, width: p * q });
            offset += p * q;
        }
        let sides = hasher.finalize().to_hex().to_string();
        let fingerprint = Fingerprint::from(json!({ "sides": sides }));
        Ok(Self { width: offset as usize, layers: placed, fingerprint })
    }

    /// The same with another name for what decides its matrices: by default it is a hash of them, and the last bits of
    /// eigenvectors, say, may depend on the machine and its number of threads.
    #[must_use]
    pub fn made_from(self, fingerprint: Fingerprint) -> Self {
        Self { fingerprint, ..self }
    }

    /// Where its matrices lie.
    pub fn device(&self) -> Device {
        let of = |placed: &Placed| match &placed.form {
            Form::TwoSided { left, .. } => Some(left.device()),
            Form::Sparse(sketch) => Some(sketch.device()),
            Form::Full => None,
        };
        self.layers.values().find_map(of).unwrap_or(Device::Cpu)
    }

    /// The matrices of `layer`, if the projection is two-sided and was made for it.
    pub fn two_sided(&self, layer: &LayerInfo) -> Option<Sides<'_>> {
        let placed = self.layers.get(&layer.id)?;
        match &placed.form {
            Form::TwoSided { left, right } => Some(Sides { left, right, offset: placed.offset }),
            Form::Full | Form::Sparse(_) => None,
        }
    }

    fn placed(&self, layer: &LayerInfo) -> Result<&Placed, GradientError> {
        self.layers
            .get(&layer.id)
            .ok_or_else(|| GradientError::LayerNotReached { name: layer.name.clone() })
    }

    /// Adds the projection of already formed gradients `g` (rows, out, in (+1)) of `layer`, for
    /// instance preconditioned ones of seeds, to `rows` (rows, width).
    ///
    /// # Errors
    /// A layer the projection was not made for, or what LibTorch reports.
    pub fn add_formed(
        &self,
        layer: &LayerInfo,
        g: &Tensor,
        rows: &mut Tensor,
    ) -> Result<(), GradientError> {
        let placed = self.placed(layer)?;
        match &placed.form {
            Form::Full => placed.put(rows, g),
            Form::TwoSided { left, right } => {
                let left = left.f_to_kind(g.kind())?;
                let right = right.f_to_kind(g.kind())?;
                placed.put(rows, &left.f_matmul(g)?.f_matmul(&right.f_transpose(0, 1)?)?)
            }
            Form::Sparse(sketch) => sketch.add(g, rows),
        }
    }
}

impl Placed {
    /// Writes a layer's own columns.
    fn put(&self, rows: &mut Tensor, part: &Tensor) -> Result<(), GradientError> {
        let mut own = rows.f_narrow(1, self.offset, self.width)?;
        let flat = part.f_reshape([part.size()[0], self.width])?.f_to_kind(rows.kind())?;
        let _ = own.f_add_(&flat)?;
        Ok(())
    }
}

impl Reducer for Projection {
    fn width(&self) -> usize {
        self.width
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn add(&self, trace: &LayerTrace, rows: &mut Tensor) -> Result<(), GradientError> {
        let placed = self.placed(trace.info())?;
        match &placed.form {
            Form::Full => placed.put(rows, trace.formed()?),
            Form::TwoSided { left, right } => {
                let g = trace.g().f_matmul(&left.f_transpose(0, 1)?)?;
                // The 1 of a bias is added as the matrix's last column, without copying the input.
                let features = trace.info().in_features;
                let weights = right.f_narrow(1, 0, features)?.f_transpose(0, 1)?;
                let mut x = trace.x().f_matmul(&weights)?;
                if trace.info().bias {
                    x = x.f_add(&right.f_select(1, features)?)?;
                }
                // Sums over time in the wide type: half-precision products would lose the tail.
                let (g, x) = (g.f_to_kind(rows.kind())?, x.f_to_kind(rows.kind())?);
                placed.put(rows, &g.f_transpose(1, 2)?.f_bmm(&x)?)
            }
            Form::Sparse(sketch) => sketch.add(trace.formed()?, rows),
        }
    }
}
