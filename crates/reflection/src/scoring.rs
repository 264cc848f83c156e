//! Asking the student for the scores that records need.

use serde::{Deserialize, Serialize};
use tamis_dataset::Reason;

use crate::record::{Record, Version};
use crate::student::Measure;
use crate::{ReflectionError, Student};

/// Scores that the student was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passes {
    /// Of [`Measure::Ifd`].
    pub ifd: u64,
    /// Of [`Measure::ReversedIfd`].
    pub reversed_ifd: u64,
    /// Of [`Measure::Perplexity`].
    pub perplexity: u64,
}

impl Passes {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.ifd + self.reversed_ifd + self.perplexity
    }

    fn of(&mut self, measure: Measure) -> &mut u64 {
        match measure {
            Measure::Ifd => &mut self.ifd,
            Measure::ReversedIfd => &mut self.reversed_ifd,
            Measure::Perplexity => &mut self.perplexity,
        }
    }
}

/// Has the student score what the records need, each measure in one batch. Says whether anything was.
pub(crate) fn score<N>(
    records: &mut [Record],
    student: &mut dyn Student,
    passes: &mut Passes,
    needs: impl Fn(&Record) -> N,
) -> Result<bool, ReflectionError>
where
    N: IntoIterator<Item = (Measure, Version)>,
{
    let mut any = false;
    let wanted: Vec<(usize, Measure, Version)> = records
        .iter()
        .enumerate()
        .flat_map(|(place, record)| {
            needs(record).into_iter().map(move |(measure, version)| (place, measure, version))
        })
        .collect();
    for measure in [Measure::Ifd, Measure::ReversedIfd, Measure::Perplexity] {
        let of_it = wanted.iter().filter(|(_, wanted, _)| *wanted == measure);
        let (places, samples): (Vec<_>, Vec<_>) = of_it
            .filter_map(|&(place, _, version)| {
                let record = &records[place];
                let row = record.version(version)?;
                Some(((place, version), row.sample(&record.id, record.index)))
            })
            .unzip();
        if samples.is_empty() {
            continue;
        }
        any = true;
        let scores = student.score(measure, &samples).map_err(ReflectionError::Student)?;
        if scores.len() != samples.len() {
            let what = format!("it gave {} scores for {} samples", scores.len(), samples.len());
            return Err(ReflectionError::Faulty { who: "student", what });
        }
        *passes.of(measure) += samples.len() as u64;
        for ((place, version), score) in places.into_iter().zip(scores) {
            records[place].learn(measure, version, score.and_then(number));
        }
    }
    Ok(any)
}

/// A score that can be compared. All three are exponentials of a loss: one that is 0, infinite or not
/// a number comes from a loss that is no finite number, and 0 would be the best reversed IFD there is.
fn number(score: f64) -> Result<f64, Reason> {
    if score.is_finite() && score > 0.0 { Ok(score) } else { Err(Reason::NonFinite) }
}
