//! The anchors as the model reads them: whole for their own scores, and in batches behind a stem.

use tamis_dataset::{Encoded, Encoder, Reason, Sample};
use tamis_model::Batch;
use tch::{Device, Tensor};

use crate::NuggetsError;
use crate::batches::tight_batches;
use crate::encode::encode;
use crate::opening::Opening;
use crate::stems::{Text, stems};

/// Anchors behind one stem.
#[derive(Debug)]
pub(crate) struct Group {
    /// Tokens that all of them begin with behind an example, (1, tokens); none where they have no
    /// beginning in common.
    pub(crate) stem: Option<Tensor>,
    pub(crate) stem_tokens: usize,
    /// What follows, and which anchors the rows are.
    pub(crate) batches: Vec<(Vec<usize>, Batch)>,
}

/// All anchors.
#[derive(Debug)]
pub(crate) struct Anchors {
    /// As they stand alone.
    pub(crate) whole: Vec<Encoded>,
    /// Tokens of each that stand behind an example.
    pub(crate) behind: Vec<usize>,
    pub(crate) groups: Vec<Group>,
}

impl Anchors {
    /// Encodes `samples` and refuses those that cannot be used, naming them.
    pub(crate) fn new(
        encoder: &Encoder,
        opening: &Opening,
        samples: &[Sample],
        (limit, token_budget): (usize, usize),
        device: Device,
    ) -> Result<Self, NuggetsError> {
        let mut whole = Vec::with_capacity(samples.len());
        for (sample, outcome) in samples.iter().zip(encode(encoder, samples)) {
            let refuse = |reason| NuggetsError::Anchor {
                id: sample.id.clone(),
                index: sample.index,
                reason,
            };
            let encoded = outcome.map_err(refuse)?;
            if encoded.len() > limit {
                let tokens = encoded.len();
                return Err(refuse(Reason::TooLong { tokens, limit, with: None }));
            }
            if first_target(&encoded) <= opening.length(&encoded.ids) {
                return Err(refuse(Reason::NoPrompt));
            }
            whole.push(encoded);
        }
        if whole.is_empty() {
            return Err(NuggetsError::NoAnchors);
        }
        let rests: Vec<Encoded> =
            whole.iter().map(|anchor| from(anchor, opening.length(&anchor.ids))).collect();
        let texts: Vec<Text<'_>> = rests
            .iter()
            .map(|rest| Text { ids: &rest.ids, limit: first_target(rest) - 1 })
            .collect();
        let mut groups = Vec::new();
        for stem in stems(&texts) {
            let own: Vec<Encoded> =
                stem.members.iter().map(|&member| from(&rests[member], stem.length)).collect();
            // The last token is predicted but not read.
            let lengths: Vec<usize> = own.iter().map(|text| text.len() - 1).collect();
            let mut batches = Vec::new();
            for rows in tight_batches(&lengths, token_budget) {
                let texts: Vec<&Encoded> = rows.iter().map(|&row| &own[row]).collect();
                let batch = Batch::predicting_only(&texts, device)?;
                batches.push((rows.iter().map(|&row| stem.members[row]).collect(), batch));
            }
            let first = stem.members.first().map(|&member| &rests[member].ids[..stem.length]);
            let ids: Vec<i64> = first.unwrap_or_default().iter().map(|&id| i64::from(id)).collect();
            let tensor = || Tensor::f_from_slice(&ids)?.f_unsqueeze(0)?.f_to_device(device);
            groups.push(Group {
                stem: (!ids.is_empty()).then(tensor).transpose()?,
                stem_tokens: ids.len(),
                batches,
            });
        }
        Ok(Self { behind: rests.iter().map(Encoded::len).collect(), whole, groups })
    }

    pub(crate) fn len(&self) -> usize {
        self.whole.len()
    }

    /// The anchor with the most tokens behind an example, and how many those are.
    pub(crate) fn longest(&self) -> (&Encoded, usize) {
        let longest = (0..self.len()).max_by_key(|&n| (self.behind[n], std::cmp::Reverse(n)));
        let longest = longest.unwrap_or(0);
        (&self.whole[longest], self.behind[longest])
    }

    /// Tokens that are read for each candidate, padding left out.
    pub(crate) fn tokens(&self) -> usize {
        let own = |group: &Group| -> usize {
            let rows = group.batches.iter().flat_map(|(_, batch)| &batch.lengths);
            group.stem_tokens + rows.sum::<usize>()
        };
        self.groups.iter().map(own).sum()
    }

    /// Tokens whose probability is taken for each candidate.
    pub(crate) fn targets(&self) -> usize {
        self.whole.iter().map(Encoded::targets).sum()
    }
}

/// The place of the first target; one there is.
fn first_target(encoded: &Encoded) -> usize {
    encoded.supervised.iter().position(|&target| target).unwrap_or(0)
}

/// The text from its token `start` on.
fn from(encoded: &Encoded, start: usize) -> Encoded {
    Encoded {
        ids: encoded.ids[start..].to_vec(),
        supervised: encoded.supervised[start..].to_vec(),
        ..encoded.clone()
    }
}
