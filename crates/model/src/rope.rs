//! Rotary position embedding: settings, frequencies, cached tables.

use std::{cell::RefCell, f64::consts::TAU};

use serde::Serialize;
use tch::{Device, Kind, Tensor, no_grad};

use crate::{ModelError, config::Fields, input::Places};

/// How the rotary frequencies are stretched for longer inputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RopeScaling {
    None,
    /// All frequencies divided by `factor`.
    Linear {
        factor: f64,
    },
    /// Llama 3: long wavelengths divided by `factor`, short ones kept, those between interpolated.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
}

/// Base and scaling of the rotary frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct RopeConfig {
    pub(crate) theta: f64,
    pub(crate) scaling: RopeScaling,
}

impl RopeConfig {
    /// Reads either style: `rope_parameters`, or `rope_theta` with `rope_scaling`.
    pub(crate) fn read(config: &Fields) -> Result<Self, ModelError> {
        const WHOLE: &str = "1 (rotation of whole heads)";
        let one = serde_json::json!(1.0);
        config.require("partial_rotary_factor", &one, WHOLE)?;
        let old = config.optional_number("rope_theta")?.unwrap_or(10_000.0);
        let Some(rope) = config.object("rope_parameters")? else {
            let scaling = config.object("rope_scaling")?;
            let scaling = scaling.as_ref().map_or(Ok(RopeScaling::None), RopeScaling::read)?;
            return Ok(Self { theta: old, scaling });
        };
        rope.require("partial_rotary_factor", &one, WHOLE)?;
        let theta = rope.optional_number("rope_theta")?.unwrap_or(old);
        Ok(Self { theta, scaling: RopeScaling::read(&rope)? })
    }

    /// Angle per position of each pair of a head: `theta^(−2i/head_dim)`, scaled.
    fn frequencies(&self, head_dim: usize) -> Vec<f64> {
        let plain = |pair: usize| self.theta.powf(-2.0 * pair as f64 / head_dim as f64);
        (0..head_dim / 2).map(|pair| self.scaling.apply(plain(pair))).collect()
    }
}

impl RopeScaling {
    fn read(fields: &Fields) -> Result<Self, ModelError> {
        let key = if fields.has("rope_type") { "rope_type" } else { "type" };
        match fields.optional_text(key)?.unwrap_or("default") {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear { factor: fields.number("factor")? }),
            "llama3" => {
                let (low, high) =
                    (fields.number("low_freq_factor")?, fields.number("high_freq_factor")?);
                if low >= high {
                    return Err(fields.error("low_freq_factor", "less than `high_freq_factor`"));
                }
                Ok(Self::Llama3 {
                    factor: fields.number("factor")?,
                    low,
                    high,
                    original: fields.number("original_max_position_embeddings")?,
                })
            }
            _ => Err(fields.error(key, "default, linear or llama3")),
        }
    }

    fn apply(self, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low, high, original } => {
                // How often the pair turns within the original context decides.
                let turns = original * frequency / TAU;
                let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                frequency * (keep + (1.0 - keep) / factor)
            }
        }
    }
}

/// Rotates queries and keys; the tables are computed once and grow when a longer input comes.
#[derive(Debug)]
pub(crate) struct Rope {
    frequencies: Vec<f64>,
    limit: usize,
    kind: Kind,
    device: Device,
    tables: RefCell<Option<Tables>>,
}

#[derive(Debug)]
struct Tables {
    length: usize,
    /// (length, 1, `head_dim`): the cosine of each angle, for both halves of a head.
    cos: Tensor,
    /// The sine, negated for the first half.
    sin: Tensor,
}

/// The rotation of one forward pass.
#[derive(Debug)]
pub(crate) struct Rotation {
    cos: Tensor,
    sin: Tensor,
    half: i64,
}

impl Rope {
    pub(crate) fn new(
        config: RopeConfig,
        head_dim: usize,
        limit: usize,
        kind: Kind,
        device: Device,
    ) -> Self {
        let frequencies = config.frequencies(head_dim);
        Self { frequencies, limit, kind, device, tables: RefCell::new(None) }
    }

    /// The rotation of the given positions.
    pub(crate) fn rotation(&self, places: &Places) -> Result<Rotation, ModelError> {
        let time = places.end();
        let mut tables = self.tables.borrow_mut();
        let tables = match tables.as_ref() {
            Some(known) if known.length >= time => known,
            _ => {
                let length = time.next_power_of_two().min(self.limit).max(time);
                tables.insert(no_grad(|| self.compute(length))?)
            }
        };
        let half = self.frequencies.len() as i64;
        if let Some((first, count)) = places.shared() {
            let (first, count) = (first as i64, count as i64);
            let part = |table: &Tensor| table.f_narrow(0, first, count);
            return Ok(Rotation { cos: part(&tables.cos)?, sin: part(&tables.sin)?, half });
        }
        let positions = places.positions(self.device)?;
        let (rows, count) = positions.size2()?;
        let positions = positions.f_reshape([-1])?;
        let part = |table: &Tensor| {
            table.f_index_select(0, &positions)?.f_view([rows, count, 1, 2 * half])
        };
        Ok(Rotation { cos: part(&tables.cos)?, sin: part(&tables.sin)?, half })
    }

    fn compute(&self, length: usize) -> Result<Tables, ModelError> {
        // In f64 until the end: at position 100,000 an f32 angle is off by some thousandths.
        let positions = Tensor::f_arange(length as i64, (Kind::Double, Device::Cpu))?;
        let frequencies = Tensor::f_from_slice(&self.frequencies)?;
        let angles = positions.f_outer(&frequencies)?.f_unsqueeze(1)?;
        let (cos, sin) = (angles.f_cos()?, angles.f_sin()?);
        let place = |table: Tensor| table.f_to_kind(self.kind)?.f_to_device(self.device);
        Ok(Tables {
            length,
            cos: place(Tensor::f_cat(&[&cos, &cos], -1)?)?,
            sin: place(Tensor::f_cat(&[&sin.f_neg()?, &sin], -1)?)?,
        })
    }
}

impl Rotation {
    /// Rotates (batch, time, heads, `head_dim`): `(a, b)`, the halves of a head, become
    /// `(a cos − b sin, b cos + a sin)`.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let swapped = x.f_roll([self.half], [-1i64])?;
        Ok(x.f_mul(&self.cos)?.f_addcmul(&swapped, &self.sin)?)
    }
}
