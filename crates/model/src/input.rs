//! Checks on the token ids of a forward pass, and the start of its graph.

use tch::{Kind, Tensor};

use crate::{ModelError, ModelShape};

/// The longest input of a model and the field of config.json that says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) tokens: usize,
    pub(crate) field: &'static str,
}

/// Checks ids of shape (batch, time) against the vocabulary and the limit; returns batch and time.
pub(crate) fn check_ids(
    ids: &Tensor,
    shape: &ModelShape,
    limit: Limit,
) -> Result<(i64, i64), ModelError> {
    let size = ids.size();
    let &[batch, time] = size.as_slice() else {
        return Err(bad_ids(format!("shape {size:?}")));
    };
    if ids.f_kind()? != Kind::Int64 {
        return Err(bad_ids(format!("{:?}", ids.f_kind()?)));
    }
    if batch == 0 || time == 0 {
        return Err(ModelError::EmptyBatch);
    }
    if time as usize > limit.tokens {
        let (length, limit, field) = (time as usize, limit.tokens, limit.field);
        return Err(ModelError::InputTooLong { length, limit, field });
    }
    // Also on a GPU, where an id out of range would end the process and not only the call.
    let (low, high) = ids.f_aminmax(None::<i64>, false)?;
    for id in [low.f_int64_value(&[])?, high.f_int64_value(&[])?] {
        if id < 0 || id as usize >= shape.vocab_size {
            return Err(ModelError::TokenOutOfVocabulary { id, vocab: shape.vocab_size });
        }
    }
    Ok((batch, time))
}

fn bad_ids(found: String) -> ModelError {
    let expected = "a (batch, time) tensor of kind Int64".to_owned();
    ModelError::BadInput { what: "token ids", found, expected }
}

/// Lets the graph begin at the embedding output of a frozen model.
///
/// With gradients disabled no graph is recorded anyway and the flag has no effect.
pub(crate) fn start_graph(embedded: Tensor) -> Result<Tensor, ModelError> {
    if embedded.requires_grad() {
        // Trainable embedding: the graph has begun already.
        return Ok(embedded);
    }
    Ok(embedded.f_set_requires_grad(true)?)
}
