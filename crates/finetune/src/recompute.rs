//! Activation checkpointing: a pass that remembers only what enters each decoder block.
//!
//! The forward pass runs without a graph. The backward pass goes from the last block to the first:
//! each block is computed again, with a graph, from a leaf that holds its input; the gradient
//! `u` of the loss with respect to its output is brought in as the gradient of the scalar
//! `Σ output · u`, and what arrives at the leaf is the `u` of the block before. Gradients of weights
//! add up in their slots.

use tamis_model::{Batch, CausalLm, Tap};
use tch::{Kind, Tensor, no_grad};

use crate::FinetuneError;

/// Adds the gradient of `−Σ log p / targets` over the batch to the weights' slots and returns its
/// value. Gradients must be enabled.
pub(crate) fn pass(
    model: &dyn CausalLm,
    batch: &Batch,
    targets: usize,
    tap: &mut dyn Tap,
) -> Result<Tensor, FinetuneError> {
    let blocks = model.blocks();
    // What enters each block.
    let mut streams = Vec::with_capacity(blocks);
    let (last, context) = no_grad(|| -> Result<_, FinetuneError> {
        let (mut stream, context) = model.embed(&batch.ids, None)?;
        for number in 0..blocks {
            let next = model.block(number, &stream, &context, None, tap)?;
            streams.push(std::mem::replace(&mut stream, next));
        }
        Ok((stream, context))
    })?;

    let leaf = start(&last)?;
    let hidden = batch.predicting(&model.norm(&leaf)?)?;
    let logits = model.logits(&hidden, tap)?;
    let wide = if logits.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float };
    let losses = logits.f_to_kind(wide)?.f_cross_entropy_loss(
        &batch.targets,
        None::<Tensor>,
        tch::Reduction::Sum,
        -100,
        0.0,
    )?;
    let loss = losses.f_div_scalar(targets as f64)?;
    loss.f_backward()?;
    let mut upstream = leaf.f_grad()?;

    // Each stream is freed as soon as its block is done.
    while let Some(stream) = streams.pop() {
        let leaf = start(&stream)?;
        let output = model.block(streams.len(), &leaf, &context, None, tap)?;
        backward(&output, &upstream)?;
        upstream = leaf.f_grad()?;
    }
    let (stream, _) = model.embed(&batch.ids, None)?;
    // The embedding of a frozen model is a leaf that nobody asks about.
    if !stream.f_is_leaf()? {
        backward(&stream, &upstream)?;
    }
    Ok(loss.f_detach()?)
}

/// A leaf with the values of a remembered stream.
fn start(stream: &Tensor) -> Result<Tensor, FinetuneError> {
    Ok(stream.f_detach()?.f_set_requires_grad(true)?)
}

/// Runs the gradient `upstream` of `output` back through its graph.
fn backward(output: &Tensor, upstream: &Tensor) -> Result<(), FinetuneError> {
    let product = output.f_mul(&upstream.f_detach()?)?;
    product.f_sum(product.f_kind()?)?.f_backward()?;
    Ok(())
}
