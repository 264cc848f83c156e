//! What of a gradient becomes features: itself, or the step that Adam would take along it.
//!
//! With the moments `m`, `v` that the warm-up left after `t` steps, a sample's gradient `g` would move
//! the weights along (LESS, arXiv 2402.04333, section 3.2, the signs left out)
//!
//! ```text
//! m' = β₁ m + (1 − β₁) g          v' = β₂ v + (1 − β₂) g²
//! Γ = m'/(1 − β₁ᵗ⁺¹) / (√(v'/(1 − β₂ᵗ⁺¹)) + ε)
//! ```
//!
//! The code released with the paper leaves the corrections out and adds ε inside the root,
//! `m' / √(v' + ε)`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_finetune::AdamWParams;
use tch::{TchError, Tensor};

use crate::LessError;

/// What of a sample's gradient becomes its features. Written `paper`, `reference` or `plain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The step of Adam as the paper has it, with the corrections of both moments.
    #[default]
    Paper,
    /// The step of Adam as the code released with the paper has it.
    Reference,
    /// The gradient: what targets are compared by.
    Plain,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Paper => "paper",
            Self::Reference => "reference",
            Self::Plain => "plain",
        })
    }
}

impl FromStr for Direction {
    type Err = LessError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Paper, Self::Reference, Self::Plain];
        all.into_iter().find(|form| form.to_string() == text).ok_or_else(|| {
            ParameterError::new("direction", text, "paper, reference or plain").into()
        })
    }
}

/// Adam's step for one matrix, with all that does not depend on the gradient worked out:
/// `(m₀ + c₁ g) / (√(v₀ + c₂ g²) + ε)`.
#[derive(Debug)]
pub(crate) struct Step {
    /// (rows, columns).
    m: Tensor,
    v: Tensor,
    first: f64,
    second: f64,
    /// Added to the root; none if it is within.
    eps: Option<f64>,
}

impl Step {
    /// The step after `steps` others that left the moments `(m, v)`; none for a plain gradient.
    pub(crate) fn new(
        direction: Direction,
        (m, v): (&Tensor, &Tensor),
        adam: &AdamWParams,
        steps: usize,
    ) -> Result<Option<Self>, TchError> {
        let (beta1, beta2) = adam.betas;
        let next = (steps + 1) as f64;
        let (one, two) = match direction {
            Direction::Plain => return Ok(None),
            Direction::Paper => (1.0 - beta1.powf(next), 1.0 - beta2.powf(next)),
            Direction::Reference => (1.0, 1.0),
        };
        let (m, v) = (m.f_mul_scalar(beta1 / one)?, v.f_mul_scalar(beta2 / two)?);
        let (v, eps) = match direction {
            Direction::Reference => (v.f_add_scalar(adam.eps)?, None),
            _ => (v, Some(adam.eps)),
        };
        Ok(Some(Self { m, v, first: (1.0 - beta1) / one, second: (1.0 - beta2) / two, eps }))
    }

    /// The step along rows `first..first + count` of every sample's gradient, (samples, count,
    /// columns).
    pub(crate) fn along(&self, g: &Tensor, first: i64, count: i64) -> Result<Tensor, TchError> {
        let (m, v) = (self.m.f_narrow(0, first, count)?, self.v.f_narrow(0, first, count)?);
        let mut root = g.f_square()?.f_mul_scalar_(self.second)?.f_add_(&v)?.f_sqrt_()?;
        if let Some(eps) = self.eps {
            let _ = root.f_add_scalar_(eps)?;
        }
        g.f_mul_scalar(self.first)?.f_add_(&m)?.f_div_(&root)
    }
}
