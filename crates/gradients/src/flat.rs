//! One random projection for several matrices of per-sample numbers together.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tch::{Device, Kind, Tensor};

use crate::GradientError;
use crate::dense::DenseSigns;
use crate::sparse::SparseSketch;

/// How all numbers of a sample, whatever matrices they come in, become `dim` numbers; inner products
/// and so cosines are kept in expectation, with an error of the order of `1/√dim`.
///
/// Written `rademacher:8192` or `sparse:8192`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FlatSpec {
    /// Every number is multiplied by a row of `dim` random signs over `√dim`. The matrix of signs is
    /// made a block at a time, multiplied by and forgotten, once a batch.
    Rademacher {
        /// Numbers kept.
        dim: usize,
    },
    /// Every number is added, with a random sign, to one random place of `dim`: `dim` times less
    /// arithmetic. A table of a place and a sign for every number is kept.
    Sparse {
        /// Numbers kept.
        dim: usize,
    },
}

impl FlatSpec {
    /// Numbers kept of a sample.
    pub fn dim(&self) -> usize {
        match *self {
            Self::Rademacher { dim } | Self::Sparse { dim } => dim,
        }
    }

    /// Bytes that the projection of `count` numbers a sample keeps in memory, of the type `kind`.
    pub fn bytes(&self, count: u64, kind: Kind) -> u64 {
        match self {
            Self::Rademacher { .. } => 0,
            Self::Sparse { .. } => count * (4 + kind.elt_size_in_bytes() as u64),
        }
    }

    /// Makes the projection for matrices of the given names and numbers of entries.
    ///
    /// # Errors
    /// A `dim` of zero, or what LibTorch reports.
    pub fn build<'a>(
        &self,
        matrices: impl IntoIterator<Item = (&'a str, usize)>,
        seed: u64,
        at: (Kind, Device),
    ) -> Result<FlatProjection, GradientError> {
        let mut forms = HashMap::new();
        for (name, count) in matrices {
            let form = match *self {
                Self::Rademacher { dim: 0 } => {
                    return Err(ParameterError::new("projection", self, EXPECTED).into());
                }
                Self::Rademacher { dim } => Form::Dense(DenseSigns::new(name, dim, seed, at)?),
                Self::Sparse { dim } => {
                    Form::Sparse(SparseSketch::new(name, count, dim, seed, at)?)
                }
            };
            forms.insert(name.to_owned(), (form, count));
        }
        Ok(FlatProjection { dim: self.dim(), forms })
    }
}

const EXPECTED: &str = "rademacher:DIM or sparse:DIM, DIM at least 1";

impl fmt::Display for FlatSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rademacher { dim } => write!(f, "rademacher:{dim}"),
            Self::Sparse { dim } => write!(f, "sparse:{dim}"),
        }
    }
}

impl FromStr for FlatSpec {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || GradientError::from(ParameterError::new("projection", text, EXPECTED));
        let (form, dim) = text.split_once(':').ok_or_else(wrong)?;
        let dim = dim.parse::<usize>().ok().filter(|&dim| dim > 0).ok_or_else(wrong)?;
        match form {
            "rademacher" => Ok(Self::Rademacher { dim }),
            "sparse" => Ok(Self::Sparse { dim }),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for FlatSpec {
    type Error = GradientError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FlatSpec> for String {
    fn from(spec: FlatSpec) -> Self {
        spec.to_string()
    }
}

#[derive(Debug)]
enum Form {
    Dense(DenseSigns),
    Sparse(SparseSketch),
}

/// A [`FlatSpec`] made for certain matrices.
///
/// What it does to an entry depends on the seed, the matrix's name and the entry's place in it, and on
/// nothing else: not on the batch, the blocks or the other matrices.
#[derive(Debug)]
pub struct FlatProjection {
    dim: usize,
    forms: HashMap<String, (Form, usize)>,
}

impl FlatProjection {
    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Where its tables lie.
    pub fn device(&self) -> Device {
        let of = |(form, _): &(Form, usize)| match form {
            Form::Dense(signs) => signs.device(),
            Form::Sparse(sketch) => sketch.device(),
        };
        self.forms.values().next().map_or(Device::Cpu, of)
    }

    /// Adds the projection of some entries of the matrix `name` of every sample to `rows`
    /// (samples, dim): those from `first` on in row-major order, as `values` (samples, …).
    ///
    /// # Errors
    /// A matrix it was not made for or more entries than that has, or what LibTorch reports.
    pub fn add(
        &self,
        name: &str,
        first: i64,
        values: &Tensor,
        rows: &mut Tensor,
    ) -> Result<(), GradientError> {
        let values = values.f_flatten(1, -1)?;
        let end = first + values.size2()?.1;
        let found = self.forms.get(name).filter(|(_, count)| (0..=*count as i64).contains(&end));
        let Some((form, _)) = found else {
            let found = format!("`{name}` with entries {first} to {end}");
            let expected = "one that the projection was made for";
            return Err(ParameterError::new("matrix", found, expected).into());
        };
        match form {
            Form::Dense(signs) => signs.add_from(first, &values, rows),
            Form::Sparse(sketch) => sketch.add_from(first, &values, rows),
        }
    }
}
