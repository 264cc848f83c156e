//! What a run has led to.

use std::path::PathBuf;

use serde::Serialize;
use tamis_dataset::SampleId;
use tamis_selection::why::Why;
use tamis_selection::{Selection, SelectionError};

use crate::{Metrics, Strategy};

/// A training set that grew round by round.
#[derive(Clone, Debug, PartialEq)]
pub struct Evolution {
    /// How it was chosen.
    pub strategy: Strategy,
    /// Round 0, the random draw, and those after it.
    pub rounds: Vec<Round>,
}

/// One round.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// Its number, from 0.
    pub round: usize,
    /// Its own folder.
    pub dir: PathBuf,
    /// Records in the training set now.
    pub size: usize,
    /// The records that it added, in the order of the choice.
    pub picks: Vec<Picked>,
    /// Greatest distance of any record from the nearest one in the training set *before* this round,
    /// seen with the model of the round before; k-center strategies only.
    pub radius_before: Option<f64>,
    /// The same with the records of this round, seen with the same model.
    pub radius_after: Option<f64>,
    /// What trainer and viewer noted; empty for a set that no model was trained on.
    pub metrics: Metrics,
    /// Hash of the trained model's folder, if there is one.
    pub model: Option<String>,
    /// The folder of the trained model, if it is still there.
    pub folder: Option<PathBuf>,
    /// Wall-clock time of its stages, as far as they were not interrupted.
    pub seconds: Seconds,
}

/// A chosen record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Picked {
    /// Its number in the pool, from 0.
    pub index: usize,
    /// Its id.
    pub id: SampleId,
    /// How many records were chosen before it, over all rounds.
    pub order: usize,
    /// k-center: its distance from the nearest record chosen before it.
    pub radius: Option<f64>,
    /// k-means: its distance from its cluster's centre. Uncertainty: its value.
    pub score: Option<f64>,
    /// Why it was chosen.
    pub reason: String,
}

/// Wall-clock time of a round's stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Looking at the pool with the model of the round before.
    pub view: f64,
    /// Choosing.
    pub pick: f64,
    /// Training.
    pub train: f64,
    /// Measuring.
    pub measure: f64,
}

impl Seconds {
    /// All stages together.
    pub fn total(&self) -> f64 {
        self.view + self.pick + self.train + self.measure
    }
}

impl Evolution {
    /// Every chosen record, in the order of the choice.
    pub fn picks(&self) -> impl Iterator<Item = &Picked> {
        self.rounds.iter().flat_map(|round| &round.picks)
    }

    /// Numbers of the records in the training set of a round, ascending.
    pub fn set(&self, round: usize) -> Vec<usize> {
        let rounds = self.rounds.iter().filter(|one| one.round <= round);
        let mut set: Vec<usize> =
            rounds.flat_map(|round| &round.picks).map(|pick| pick.index).collect();
        set.sort_unstable();
        set
    }

    /// A decision about each of the `records` of the pool, the chosen ones in the order of the choice.
    ///
    /// # Errors
    /// A pool with fewer records than were chosen from.
    pub fn selection(&self, records: usize) -> Result<Selection, SelectionError> {
        let last = self.rounds.len().saturating_sub(1);
        let mut whys = vec![Why::words(format!("not chosen in rounds 0 to {last}")); records];
        let mut order = Vec::new();
        for pick in self.picks() {
            order.push(pick.index);
            if let Some(why) = whys.get_mut(pick.index) {
                *why = Why::words(pick.reason.as_str());
            }
        }
        Selection::new(order, whys)
    }
}

/// Why a record was chosen.
pub(crate) fn reason(
    strategy: Strategy,
    round: usize,
    radius: Option<f64>,
    score: Option<f64>,
) -> String {
    let number = |value: Option<f64>| value.map_or("unknown".to_owned(), |v| format!("{v:.4}"));
    let why = match strategy {
        _ if round == 0 => "drawn at random to begin with".to_owned(),
        Strategy::Random => "drawn at random".to_owned(),
        Strategy::KCenter | Strategy::OneShotKCenter => {
            format!("farthest from all chosen before, {}", number(radius))
        }
        Strategy::KMeans => format!("nearest to its cluster's centre, {}", number(score)),
        Strategy::LeastConfidence => format!("least confidence, {}", number(score)),
        Strategy::Margin => format!("smallest margin, {}", number(score)),
        Strategy::Entropy => format!("highest entropy, {}", number(score)),
    };
    format!("round {round}: {why}")
}
