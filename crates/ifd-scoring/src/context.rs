//! What stands before the target in the direct term, as tokens.

use tamis_dataset::{DatasetError, TextTokenizer};

use crate::{DirectContext, ScoreParams};

/// Any text that is not empty: only what the tokenizer puts before it is of interest.
const PROBE: &str = "a";

/// The tokens that the tokenizer puts before every text: usually one or none.
pub(crate) fn begin_tokens(tokenizer: &TextTokenizer) -> Result<Vec<u32>, DatasetError> {
    let plain = tokenizer.ids(PROBE, false)?;
    let mut whole = tokenizer.ids(PROBE, true)?;
    let before = whole.windows(plain.len().max(1)).position(|part| part == plain).unwrap_or(0);
    whole.truncate(before);
    Ok(whole)
}

/// The context of direct terms.
pub(crate) fn direct_context(
    tokenizer: &TextTokenizer,
    params: &ScoreParams,
) -> Result<Vec<u32>, DatasetError> {
    let mut context = begin_tokens(tokenizer)?;
    if let (DirectContext::Cue, Some(cue)) = (params.direct, params.cue()) {
        context.extend(tokenizer.ids(cue, false)?);
    }
    Ok(context)
}
