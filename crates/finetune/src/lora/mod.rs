//! Low-rank adapters: what is trained in place of a model's weights.

mod adapted;
mod merge;
mod params;
mod peft;
mod tap;

pub use adapted::Adapted;
pub use params::LoraParams;
pub use tap::LoraTap;

use tamis_artifact::Random;
use tamis_model::{CausalLm, LayerId, LayerInfo, visit_bytes};
use tch::{Kind, Tensor, no_grad};

use crate::{FinetuneError, seeded};

/// The two matrices of one layer.
#[derive(Debug)]
struct Adapter {
    layer: LayerId,
    name: String,
    /// (rank, in).
    a: Tensor,
    /// (out, rank).
    b: Tensor,
}

/// A low-rank adapter for some linear layers of a model; see [`LoraParams`].
///
/// It starts as a change of nothing: `B` is 0, and `A` is uniform in ±1/√in ("Kaiming uniform"
/// with a = √5, as in PEFT), drawn from a generator keyed by (seed, layer name). Both matrices are
/// kept in f32 whatever the model's kind (f64 for an f64 model).
///
/// [`tap`](Lora::tap) brings it into any forward pass, [`merge`](Lora::merge) adds it to the
/// weights for good.
#[derive(Debug)]
pub struct Lora {
    params: LoraParams,
    adapters: Vec<Adapter>,
    /// Place in `adapters` by number of the layer.
    places: Vec<Option<usize>>,
}

impl Lora {
    /// An adapter for the layers of `model` that the settings choose.
    ///
    /// # Errors
    /// A setting outside its range, a pattern that no layer matches, or a head that is the
    /// transposed embedding or is normalised in use, neither of which an adapter of the head alone
    /// could be merged into.
    pub fn new(params: LoraParams, model: &dyn CausalLm) -> Result<Self, FinetuneError> {
        params.check()?;
        let layers = params.target.select(model.layers())?;
        let shape = model.shape();
        let kind = adapter_kind(shape.kind);
        let rank = params.rank as i64;
        let mut adapters = Vec::with_capacity(layers.len());
        for layer in &layers {
            check_layer(layer, model)?;
            let mut random = Random::keyed(params.seed, "lora_A", &layer.name);
            let bound = 1.0 / (layer.in_features as f64).sqrt();
            let sizes = (rank, layer.in_features);
            adapters.push(Adapter {
                layer: layer.id,
                name: layer.name.clone(),
                a: seeded::uniform(sizes, bound, &mut random, (kind, shape.device))?,
                b: Tensor::f_zeros([layer.out_features, rank], (kind, shape.device))?,
            });
        }
        Ok(Self::of(params, adapters, model))
    }

    fn of(params: LoraParams, adapters: Vec<Adapter>, model: &dyn CausalLm) -> Self {
        let mut places = vec![None; model.layers().len()];
        for (place, adapter) in adapters.iter().enumerate() {
            places[adapter.layer.0] = Some(place);
        }
        Self { params, adapters, places }
    }

    /// The settings.
    pub fn params(&self) -> &LoraParams {
        &self.params
    }

    /// Names of the adapted layers, in the order of the forward pass.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        self.adapters.iter().map(|adapter| adapter.name.as_str())
    }

    /// Every matrix under its name, `<layer>.lora_A.weight` before `<layer>.lora_B.weight`, in the
    /// order of the forward pass.
    pub fn parameters(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.adapters.iter().flat_map(|adapter| {
            let name = |which: &str| format!("{}.lora_{which}.weight", adapter.name);
            [(name("A"), &adapter.a), (name("B"), &adapter.b)]
        })
    }

    /// The two matrices of a layer, `A` (rank, in) and `B` (out, rank), if it has an adapter.
    pub fn matrices(&self, layer: LayerId) -> Option<(&Tensor, &Tensor)> {
        self.at(layer).map(|adapter| (&adapter.a, &adapter.b))
    }

    /// Number of scalars over all matrices.
    pub fn count(&self) -> usize {
        self.parameters().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// BLAKE3 over names and values: equal exactly if the adapters are equal bit for bit.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn fingerprint(&self) -> Result<String, FinetuneError> {
        let mut hasher = blake3::Hasher::new();
        for (name, tensor) in self.parameters() {
            hasher.update(format!("{name} {:?} {:?}\n", tensor.size(), tensor.kind()).as_bytes());
            visit_bytes(tensor, |bytes| {
                hasher.update(bytes);
                Ok::<_, FinetuneError>(())
            })?;
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The adapter as a tap, for generation and evaluation: without dropout.
    pub fn tap(&self) -> LoraTap<'_> {
        LoraTap::new(self, None)
    }

    /// The adapter as a tap for forward pass `pass` of optimizer step `step` of a training run.
    pub(crate) fn training_tap(&self, seed: u64, step: usize, pass: usize) -> LoraTap<'_> {
        LoraTap::new(self, Some([seed, step as u64, pass as u64]))
    }

    fn at(&self, layer: LayerId) -> Option<&Adapter> {
        self.places.get(layer.0).copied().flatten().map(|place| &self.adapters[place])
    }
}

/// What an adapter of a model of this kind is kept in.
fn adapter_kind(model: Kind) -> Kind {
    if model == Kind::Double { Kind::Double } else { Kind::Float }
}

/// Refuses layers whose weight is not theirs alone, or not what they multiply by.
fn check_layer(layer: &LayerInfo, model: &dyn CausalLm) -> Result<(), FinetuneError> {
    if !layer.head {
        return Ok(());
    }
    let refuse = |reason| Err(FinetuneError::Adapter { layer: layer.name.clone(), reason });
    let Some(weight) = model.parameters().get(&format!("{}.weight", layer.name)) else {
        return refuse("its weight is the embedding's (tied)");
    };
    // A head may transform its weight first; what it does shows in what it computes.
    let differs = no_grad(|| -> Result<bool, FinetuneError> {
        let mut random = Random::keyed(0, "head", &layer.name);
        let options = (weight.f_kind()?, weight.device());
        let hidden = seeded::uniform((2, layer.in_features), 1.0, &mut random, options)?;
        let logits = model.logits(&hidden, &mut tamis_model::NoTap)?.f_to_kind(Kind::Double)?;
        let plain = hidden.f_linear(weight, None::<Tensor>)?.f_to_kind(Kind::Double)?;
        let (distance, length) = ((&logits - &plain).f_norm()?, plain.f_norm()?);
        Ok(distance.f_double_value(&[])? > 1e-2 * length.f_double_value(&[])?)
    })?;
    if differs {
        return refuse("it does not multiply by its weight as it is (a normalised head)");
    }
    Ok(())
}
