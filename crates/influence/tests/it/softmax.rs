//! A softmax regression behind the seam of a language model: convex in its first layer.

use nalgebra::DVector;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_artifact::Fingerprint;
use tamis_dataset::{Encoded, SampleId};
use tamis_model::{
    CausalLm, Context, KvCache, LayerId, LayerInfo, ModelError, ModelShape, Parameters, Tap,
};
use tch::{Device, Kind, Tensor};

use crate::common::model;

/// The next token's logits are `W e + b` of a fixed embedding `e` of this token, times a head that is
/// the identity unless it is asked to be another.
pub(crate) struct SoftmaxRegression {
    /// Where contexts and (no) parameters come from: a crate's own cannot be made outside of it.
    inner: Box<dyn CausalLm>,
    /// (vocabulary, width).
    pub(crate) embedding: Tensor,
    /// (vocabulary, width + 1): the bias is the last column.
    pub(crate) weight: Tensor,
    /// (vocabulary, vocabulary + 1).
    pub(crate) head: Tensor,
    layers: Vec<LayerInfo>,
}

fn random(size: [i64; 2], scale: f64, rng: &mut ChaCha8Rng) -> Tensor {
    let values: Vec<f64> =
        (0..size[0] * size[1]).map(|_| rng.random_range(-scale..scale)).collect();
    Tensor::from_slice(&values).view(size)
}

impl SoftmaxRegression {
    pub(crate) fn new(vocabulary: i64, width: i64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let layer = |id, inputs, head| LayerInfo {
            id: LayerId(id),
            name: format!("linear.{id}"),
            in_features: inputs,
            out_features: vocabulary,
            bias: true,
            head,
        };
        let head = Tensor::eye(vocabulary, (Kind::Double, Device::Cpu));
        let no_bias = Tensor::zeros([vocabulary, 1], (Kind::Double, Device::Cpu));
        Self {
            inner: model("llama").0,
            embedding: random([vocabulary, width], 1.5, &mut rng),
            weight: random([vocabulary, width + 1], 1.0, &mut rng),
            head: Tensor::cat(&[head, no_bias], 1),
            layers: vec![layer(0, width, false), layer(1, vocabulary, true)],
        }
    }

    pub(crate) fn with_a_head(mut self, seed: u64) -> Self {
        let size = [self.head.size()[0], self.head.size()[1]];
        self.head = random(size, 1.0, &mut ChaCha8Rng::seed_from_u64(seed));
        self
    }

    /// x̃ of each token.
    pub(crate) fn inputs(&self) -> Vec<DVector<f64>> {
        let of = |word: i64| {
            let mut x = Vec::<f64>::try_from(self.embedding.get(word)).unwrap();
            x.push(1.0);
            DVector::from_vec(x)
        };
        (0..self.embedding.size()[0]).map(of).collect()
    }

    /// Texts that the model itself writes, every token but the first a target.
    pub(crate) fn samples(&self, count: usize, length: usize, seed: u64) -> Vec<Encoded> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let words = self.embedding.size()[0];
        let ones = Tensor::ones([words, 1], (Kind::Double, Device::Cpu));
        let logits = Tensor::cat(&[&self.embedding, &ones], 1).matmul(&self.weight.transpose(0, 1));
        let next = logits.softmax(-1, Kind::Double).cumsum(1, Kind::Double);
        (0..count)
            .map(|index| {
                let mut ids = vec![rng.random_range(0..words) as u32];
                while ids.len() < length {
                    let row =
                        Vec::<f64>::try_from(next.get(i64::from(ids[ids.len() - 1]))).unwrap();
                    let at = rng.random_range(0.0..row[row.len() - 1]);
                    ids.push(row.iter().position(|&sum| at < sum).unwrap() as u32);
                }
                Encoded {
                    id: SampleId::from(format!("{seed}-{index}")),
                    index,
                    supervised: (0..length).map(|t| t > 0).collect(),
                    ids,
                    truncated: false,
                }
            })
            .collect()
    }
}

fn linear(id: usize, x: &Tensor, weight: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
    let inputs = weight.size()[1] - 1;
    let y = x.f_linear(&weight.narrow(1, 0, inputs), Some(weight.select(1, inputs)))?;
    Ok(tap.linear(LayerId(id), x, y)?)
}

impl CausalLm for SoftmaxRegression {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn parameters(&self) -> &Parameters {
        self.inner.parameters()
    }

    fn shape(&self) -> ModelShape {
        let [vocabulary, width] = [0, 1].map(|side| self.embedding.size()[side] as usize);
        ModelShape { vocab_size: vocabulary, hidden_size: width, ..self.inner.shape() }
    }

    fn fingerprint(&self) -> Result<Fingerprint, ModelError> {
        self.inner.fingerprint()
    }

    fn blocks(&self) -> usize {
        1
    }

    fn embed(
        &self,
        ids: &Tensor,
        cache: Option<&KvCache>,
    ) -> Result<(Tensor, Context), ModelError> {
        let (_, context) = self.inner.embed(ids, cache)?;
        let stream = Tensor::f_embedding(&self.embedding, ids, -1, false, false)?;
        Ok((stream.f_set_requires_grad(true)?, context))
    }

    fn block(
        &self,
        _number: usize,
        stream: &Tensor,
        _context: &Context,
        _cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError> {
        linear(0, stream, &self.weight, tap)
    }

    fn norm(&self, stream: &Tensor) -> Result<Tensor, ModelError> {
        Ok(stream.shallow_clone())
    }

    fn logits(&self, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
        linear(1, hidden, &self.head, tap)
    }
}
