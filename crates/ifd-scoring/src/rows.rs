//! From samples to the token rows that a model has to read: one a term, equal ones once.

use std::collections::HashMap;
use std::sync::Arc;

use tamis_dataset::{Content, Encoded, Encoder, Outcome, Reason, Sample, Template};

use crate::reversed::{exchange, reversed};
use crate::{IfdError, Measured, ScoreParams, Term, Terms};

/// Tokens of which those from `first` on are targets; there is at least one, and one before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) ids: Vec<u32>,
    pub(crate) first: usize,
}

impl Row {
    pub(crate) fn targets(&self) -> usize {
        self.ids.len() - self.first
    }

    /// Tokens that the model reads: the last target is predicted but not read.
    pub(crate) fn inputs(&self) -> usize {
        self.ids.len() - 1
    }
}

/// Which terms of one target are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) conditional: bool,
    pub(crate) direct: bool,
}

/// A term as a row of the plan.
type Place = Measured<usize>;

/// The terms of one target, by their rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    conditional: Place,
    direct: Place,
}

impl Places {
    fn unscorable(wanted: Wanted, reason: &Reason) -> Self {
        let place = |asked| {
            if asked { Place::Unscorable(reason.clone()) } else { Place::NotAsked }
        };
        Self { conditional: place(wanted.conditional), direct: place(wanted.direct) }
    }

    /// The terms, given the mean loss of every row.
    pub(crate) fn terms(&self, rows: &[Arc<Row>], losses: &[f64]) -> Terms {
        let term = |place: &Place| match place.clone().map(|row| (losses[row], rows[row].targets()))
        {
            Measured::Value((loss, _)) if !loss.is_finite() => {
                Measured::Unscorable(Reason::NonFinite)
            }
            other => other.map(|(loss, targets)| Term { loss, targets }),
        };
        Terms { conditional: term(&self.conditional), direct: term(&self.direct) }
    }
}

/// Rows to run, and where the terms of the samples are among them.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) rows: Vec<Arc<Row>>,
    known: HashMap<Arc<Row>, usize>,
}

impl Plan {
    fn place(&mut self, row: Row) -> Place {
        if let Some(&at) = self.known.get(&row) {
            return Place::Value(at);
        }
        let row = Arc::new(row);
        self.known.insert(Arc::clone(&row), self.rows.len());
        self.rows.push(row);
        Place::Value(self.rows.len() - 1)
    }

    /// Adds the terms of a target.
    ///
    /// The target is the one answer that is supervised, from its first token to its last, and what
    /// follows it is not read. The direct term has exactly the same targets after `context`; if that
    /// is empty, the first of them has nothing to be predicted from and is left out of both.
    fn add(&mut self, encoded: &Encoded, context: &[u32], wanted: Wanted) -> Places {
        let mask = &encoded.supervised;
        let end = mask.iter().rposition(|&target| target).map_or(0, |last| last + 1);
        let start = mask.iter().position(|&target| target).unwrap_or(end);
        let skipped = usize::from(context.is_empty());
        if start + skipped >= end || start + skipped == 0 {
            return Places::unscorable(wanted, &Reason::TooFewTokens);
        }
        let mut places = Places::default();
        if wanted.conditional {
            let ids = encoded.ids[..end].to_vec();
            places.conditional = self.place(Row { ids, first: start + skipped });
        }
        if wanted.direct {
            let ids = [context, &encoded.ids[start..end]].concat();
            places.direct = self.place(Row { ids, first: context.len() + skipped });
        }
        places
    }
}

/// Turns samples into rows.
#[derive(Debug)]
pub(crate) struct Planner<'a> {
    pub(crate) encoder: &'a Encoder,
    pub(crate) params: &'a ScoreParams,
    pub(crate) context: &'a [u32],
}

impl Planner<'_> {
    /// The rows that `samples` need, and for each sample the places of its answer's and its
    /// instruction's terms.
    pub(crate) fn plan(&self, samples: &[Sample]) -> Result<(Plan, Vec<[Places; 2]>), IfdError> {
        self.check_language(samples)?;
        let measures = self.params.measures;
        let mut plan = Plan::default();
        let answer = Wanted { conditional: measures.ppl || measures.ifd, direct: measures.ifd };
        let instruction = Wanted { conditional: measures.r_ifd, direct: measures.r_ifd };
        let mut places = vec![<[Places; 2]>::default(); samples.len()];
        if answer.conditional {
            let askable = samples.iter().map(|sample| self.fitting(sample)).collect();
            self.side(&mut plan, askable, answer, places.iter_mut().map(|p| &mut p[0]));
        }
        if instruction.conditional {
            let (request, language) =
                (&self.params.request, self.params.target_language.as_deref());
            let askable = samples
                .iter()
                .map(|sample| reversed(sample, request, language))
                .collect::<Result<_, _>>()?;
            self.side(&mut plan, askable, instruction, places.iter_mut().map(|p| &mut p[1]));
        }
        Ok((plan, places))
    }

    /// Refuses translations that no template but their own can put into words, which is a matter of
    /// the settings and not of a sample.
    fn check_language(&self, samples: &[Sample]) -> Result<(), IfdError> {
        let own = matches!(self.params.template, Template::Translation { .. });
        let translation = |sample: &&Sample| matches!(sample.content, Content::Translation { .. });
        match samples.iter().find(translation) {
            Some(sample) if !own && self.params.target_language.is_none() => {
                Err(IfdError::TargetLanguage { id: sample.id.clone(), index: sample.index })
            }
            _ => Ok(()),
        }
    }

    /// The sample, if its template has a place for it.
    fn fitting(&self, sample: &Sample) -> Result<Sample, Reason> {
        let one_turn = matches!(self.params.template, Template::Alpaca | Template::None);
        match &sample.content {
            // These two have no place for a system message either.
            Content::Chat { messages }
                if one_turn && (messages.len() != 2 || exchange(messages).is_none()) =>
            {
                Err(Reason::SeveralTurns)
            }
            _ => Ok(sample.clone()),
        }
    }

    /// Encodes what can be asked, on all cores, and adds its terms in the order of the samples.
    fn side<'p>(
        &self,
        plan: &mut Plan,
        askable: Vec<Result<Sample, Reason>>,
        wanted: Wanted,
        places: impl Iterator<Item = &'p mut Places>,
    ) {
        let (mut asked, mut refused) = (Vec::new(), Vec::with_capacity(askable.len()));
        for askable in askable {
            match askable {
                Ok(sample) => {
                    asked.push(sample);
                    refused.push(None);
                }
                Err(reason) => refused.push(Some(reason)),
            }
        }
        let mut outcomes = self.encoder.encode_all(&asked).into_iter();
        for (place, refused) in places.zip(refused) {
            *place = match (&refused, if refused.is_some() { None } else { outcomes.next() }) {
                (Some(reason), _) => Places::unscorable(wanted, reason),
                (None, Some(Outcome::Scored(encoded))) => plan.add(&encoded, self.context, wanted),
                (None, Some(Outcome::Unscorable { reason, .. })) => {
                    Places::unscorable(wanted, &reason)
                }
                // One outcome a sample asked.
                (None, None) => Places::unscorable(wanted, &Reason::TooFewTokens),
            };
        }
    }
}
