//! Checks on the token ids of a forward pass, and the start of its graph.

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::{KvCache, ModelError, ModelShape};

/// The longest input of a model and the field of config.json that says so.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) tokens: usize,
    /// For messages.
    #[serde(skip)]
    pub(crate) field: &'static str,
}

/// At which positions the tokens of a forward pass stand.
#[derive(Debug)]
pub(crate) struct Places {
    /// Tokens before the first one, by row; a single entry if they are the same in all rows.
    before: Vec<usize>,
    time: usize,
}

impl Places {
    /// First position and number of positions, where they are those of every row.
    pub(crate) fn shared(&self) -> Option<(usize, usize)> {
        match self.before[..] {
            [before] => Some((before, self.time)),
            _ => None,
        }
    }

    /// Tokens of each row.
    pub(crate) fn time(&self) -> usize {
        self.time
    }

    /// One more than the last position of any row.
    pub(crate) fn end(&self) -> usize {
        self.before.iter().max().map_or(0, |before| before + self.time)
    }

    /// The positions as a tensor: (time,) where they are shared, else (rows, time).
    pub(crate) fn positions(&self, device: Device) -> Result<Tensor, ModelError> {
        if let Some((first, count)) = self.shared() {
            let (first, end) = (first as i64, (first + count) as i64);
            return Ok(Tensor::f_arange_start(first, end, (Kind::Int64, device))?);
        }
        let rows = self.before.iter();
        let all: Vec<i64> =
            rows.flat_map(|&before| (before..before + self.time).map(|p| p as i64)).collect();
        let shape = [self.before.len() as i64, self.time as i64];
        Ok(Tensor::f_from_slice(&all)?.f_view(shape)?.f_to_device(device)?)
    }
}

/// Checks ids of shape (batch, time) against vocabulary, limit and cache; returns where they stand.
pub(crate) fn check_ids(
    ids: &Tensor,
    cache: Option<&KvCache>,
    shape: &ModelShape,
    limit: Limit,
) -> Result<Places, ModelError> {
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
    let before = match cache {
        Some(cache) => cache.before(batch as usize, time as usize)?,
        None => vec![0],
    };
    let places = Places { before, time: time as usize };
    if places.end() > limit.tokens {
        let (length, limit, field) = (places.end(), limit.tokens, limit.field);
        return Err(ModelError::InputTooLong { length, limit, field });
    }
    // Also on a GPU, where an id out of range would end the process and not only the call.
    let (low, high) = ids.f_aminmax(None::<i64>, false)?;
    for id in [low.f_int64_value(&[])?, high.f_int64_value(&[])?] {
        if id < 0 || id as usize >= shape.vocab_size {
            return Err(ModelError::TokenOutOfVocabulary { id, vocab: shape.vocab_size });
        }
    }
    Ok(places)
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

/// Block `number` of a model.
pub(crate) fn numbered<T>(blocks: &[T], number: usize) -> Result<&T, ModelError> {
    blocks.get(number).ok_or_else(|| ModelError::BadInput {
        what: "number of a block",
        found: number.to_string(),
        expected: format!("below {}", blocks.len()),
    })
}
