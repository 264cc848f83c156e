//! What is asked of the data before the first step.

use tamis_dataset::Encoded;
use tamis_model::ModelShape;

use crate::FinetuneError;

/// Targets of a sample; its first token is never one, having nothing to be predicted from.
pub(crate) fn target_count(sample: &Encoded) -> usize {
    sample.supervised.iter().skip(1).filter(|&&supervised| supervised).count()
}

/// BLAKE3 over ids, tokens and supervised marks of all samples in their order.
pub(crate) fn fingerprint(data: &[Encoded]) -> String {
    let mut hasher = blake3::Hasher::new();
    for sample in data {
        let id: &str = sample.id.as_ref();
        // Lengths first, so that no two lists of samples give the same bytes.
        hasher.update(&(id.len() as u64).to_le_bytes());
        hasher.update(id.as_bytes());
        hasher.update(&(sample.ids.len() as u64).to_le_bytes());
        for (token, &supervised) in sample.ids.iter().zip(&sample.supervised) {
            hasher.update(&token.to_le_bytes());
            hasher.update(&[u8::from(supervised)]);
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Finds samples that would stop the run half-way.
pub(crate) fn check(shape: &ModelShape, data: &[Encoded]) -> Result<(), FinetuneError> {
    if data.is_empty() {
        return Err(FinetuneError::NoData);
    }
    for sample in data {
        let refuse = |reason: String| {
            Err(FinetuneError::Sample { id: sample.id.clone(), index: sample.index, reason })
        };
        if sample.ids.len() != sample.supervised.len() {
            let (ids, marks) = (sample.ids.len(), sample.supervised.len());
            return refuse(format!("it has {ids} tokens but {marks} marks of supervision"));
        }
        if target_count(sample) == 0 {
            return refuse("none of its tokens is supervised".to_owned());
        }
        if sample.ids.len() > shape.max_positions {
            return refuse(format!(
                "it has {} tokens, the model takes at most {}; encode with a smaller maximal length",
                sample.ids.len(),
                shape.max_positions
            ));
        }
        if let Some(id) = sample.ids.iter().find(|&&id| id as usize >= shape.vocab_size) {
            return refuse(format!(
                "token id {id} is outside the model's vocabulary of {}; is this the model's own \
                 tokenizer?",
                shape.vocab_size
            ));
        }
    }
    Ok(())
}
