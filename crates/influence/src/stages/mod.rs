//! Influence through two stages of training: of a text that a model was pre-trained on, on what the
//! fine-tuned model says (arXiv 2007.09081).
//!
//! A text moves the pre-trained weights, and these move what fine-tuning arrives at. So a seed's
//! gradient is taken at the fine-tuned weights, carried back to the pre-trained ones, divided by the
//! curvature of pre-training there, and then scores a pool of pre-training texts as any [`Seeds`](crate::Seeds) do:
//!
//! ```text
//! score(text m, seed t) = + T(t)ᵀ H_F⁻¹ ∇f(m)        positive = helpful
//! ```
//!
//! `f` is the pre-training loss with its curvature `H_F`, at the pre-trained weights; `T(t)` is what
//! a change of the pre-trained weights does to the loss of the seed *after* fine-tuning. It depends on
//! how was fine-tuned. (The paper's influence is the change of the loss when the weight of `m` grows,
//! and so has the other sign.) With `G` the fine-tuning loss, `H` its curvature at the fine-tuned
//! weights, `W` the weights that both stages share and `Θ` those that only fine-tuning has:
//!
//! | fine-tuning | `T` of a seed with the gradient `(g_W, g_Θ)` | here | fits |
//! | --- | --- | --- | --- |
//! | `W` frozen, `Θ` trained to its optimum | `g_W − H_WΘ H_ΘΘ⁻¹ g_Θ` | [`Frozen`] | a new head, or any layers, on a frozen trunk. LoRA: `Θ` is the adapter, its layers must be the model's |
//! | `W` trained too, from its pre-trained value `W*` and held to it by `(α/2)‖W − W*‖²` | `α [(H + α P_W)⁻¹ g]_W` | [`Held`] | full fine-tuning with a new part; `α` stands for few steps too, about one over (learning rate × steps) |
//! | all of `W`, one architecture throughout | `H⁻¹ g_W` with a damped `H` | [`Seeds::new`](crate::Seeds::new) with the fine-tuned curvature | full fine-tuning of all chosen layers, at any scale |
//!
//! The third is the second without `Θ`: with the same damping `α` for every layer it is `T / α`, the same
//! order of texts. Where damping differs by layer, [`Seeds::times_damping`](crate::Seeds::times_damping) gives every layer its own
//! `α`, so that `T = D (H + D)⁻¹ g_W` is free of units.
//!
//! What `T` gives is [`Seeds`](crate::Seeds) over the fine-tuned model's layers. [`Seeds::onto`](crate::Seeds::onto) puts them on the
//! pre-trained model's, by name; [`Seeds::extended`](crate::Seeds::extended) adds layers that were dropped after pre-training,
//! on which nothing depends but through the curvature; [`Seeds::solve`](crate::Seeds::solve) divides by a curvature, EK-FAC at
//! any scale, and [`Refinement::solve`](crate::Refinement::solve) by the matrix itself.
//!
//! Frozen and held take products with a [`Hessian`](crate::Hessian). [`GaussNewton`](crate::GaussNewton)
//! is exact where logits are linear in `W` and `Θ` together; where one is stacked on the other, the
//! cross block `H_WΘ` has a term that only [`LossHessian`](crate::LossHessian) has.
//!
//! ```
//! use tamis_artifact::NoProgress;
//! use tamis_dataset::Encoded;
//! use tamis_gradients::{GradientPass, PassParams};
//! use tamis_influence::Seeds;
//! use tamis_kfac::{Damping, FactorFit, FitParams, Spectral};
//! use tamis_model::{LayerPattern, LoadOptions, load};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures/llama");
//! # let (early, late) = (folder, folder);
//! # let options = LoadOptions { device: "cpu".parse()?, ..LoadOptions::default() };
//! # let texts: Vec<Encoded> = (0..12)
//! #     .map(|n| Encoded {
//! #         id: format!("text-{n}").into(),
//! #         index: n as usize,
//! #         ids: vec![0, 70 + n, 105, 17 + 5 * n, 36],
//! #         supervised: vec![false, true, true, true, true],
//! #         truncated: false,
//! #     })
//! #     .collect();
//! # let (answers, instructions) = (texts[..1].to_vec(), texts[6..].to_vec());
//! let (pretrained, finetuned) = (load(early, &options)?, load(late, &options)?);
//! let chosen = LayerPattern::default();
//! let before = chosen.select(pretrained.layers())?;
//! let after = chosen.select(finetuned.layers())?;
//!
//! // A curvature for each stage: of its own data, at its own weights.
//! let params = FitParams::default();
//! let fit = FactorFit { model: &*pretrained, layers: &before, params };
//! let kind = pretrained.shape().kind;
//! let of_texts = Spectral::kfac(&fit.sum(&texts, &mut NoProgress)?, Damping::default(), kind)?;
//! let fit = FactorFit { model: &*finetuned, layers: &after, params };
//! let tuned = fit.sum(&instructions, &mut NoProgress)?;
//! let of_instructions = Spectral::kfac(&tuned, Damping::default(), kind)?;
//!
//! let params = PassParams::default();
//! let late = GradientPass { model: &*finetuned, layers: &after, params };
//! let early = GradientPass { model: &*pretrained, layers: &before, params };
//! let seeds = Seeds::new(&late, &answers, &of_instructions)?.onto(&before)?.solve(&of_texts)?;
//! let scores = early.rows_of(&texts, &seeds)?.rows; // (texts, answers); positive = helpful
//! # assert_eq!(scores.size(), [12, 1]);
//! # Ok(())
//! # }
//! ```

mod carry;
mod frozen;
mod held;

pub use carry::same_layers;
pub use frozen::Frozen;
pub use held::Held;
