//! What a run has done so far, one line of the journal each.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_artifact::{Ledger, Manifest};
use tamis_dataset::SampleId;

use crate::{EvolError, Metrics};

/// What the journal is called in its manifest.
pub(crate) const KIND: &str = "diverse-evol";
/// Version of its layout.
pub(crate) const FORMAT: u32 = 2;

/// Something that is done and will not be done again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event {
    /// The records that a round adds.
    Picked {
        round: usize,
        #[serde(flatten)]
        picked: Picked,
    },
    /// A model was trained and lies in its folder.
    Trained {
        round: usize,
        #[serde(flatten)]
        trained: Trained,
    },
    /// It was measured.
    Measured { round: usize, metrics: Metrics },
}

/// The choice of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Picked {
    pub(crate) radius_before: Option<f64>,
    pub(crate) radius_after: Option<f64>,
    /// In the order of the choice.
    pub(crate) picks: Vec<Pick>,
}

/// A chosen record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pick {
    pub(crate) index: usize,
    pub(crate) id: SampleId,
    pub(crate) radius: Option<f64>,
    pub(crate) score: Option<f64>,
}

/// A trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trained {
    /// What its folder hashes to.
    pub(crate) model: String,
    pub(crate) metrics: Metrics,
}

/// The journal, and what it says.
pub(crate) struct Journal {
    ledger: Ledger,
    pub(crate) picked: BTreeMap<usize, Picked>,
    pub(crate) trained: BTreeMap<usize, Trained>,
    pub(crate) measured: BTreeMap<usize, Metrics>,
}

impl Journal {
    /// Opens or begins the journal of a run.
    pub(crate) fn open(
        path: &Path,
        manifest: &Manifest,
        ids: &[SampleId],
    ) -> Result<Self, EvolError> {
        let (ledger, events) = Ledger::open::<Event>(path, manifest)?;
        let mut journal = Self {
            ledger,
            picked: BTreeMap::new(),
            trained: BTreeMap::new(),
            measured: BTreeMap::new(),
        };
        let mut seen: HashMap<usize, usize> = HashMap::new();
        for event in events {
            let round = event.round();
            let problem = match &event {
                Event::Picked { picked, .. } => {
                    let gap = (round != journal.picked.len())
                        .then(|| format!("round {round} follows {} rounds", journal.picked.len()));
                    gap.or_else(|| {
                        picked.picks.iter().find_map(|pick| {
                            if ids.get(pick.index) != Some(&pick.id) {
                                return Some(format!(
                                    "record `{}` is not number {} of the pool",
                                    pick.id, pick.index
                                ));
                            }
                            let before = seen.insert(pick.index, round)?;
                            Some(format!("rounds {before} and {round} both choose `{}`", pick.id))
                        })
                    })
                }
                _ if !journal.picked.contains_key(&round) => {
                    Some(format!("round {round} has a model but no records"))
                }
                _ => None,
            };
            if let Some(problem) = problem {
                return Err(EvolError::Journal { path: path.to_owned(), problem });
            }
            journal.take(event);
        }
        Ok(journal)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Picked { round, picked } => {
                self.picked.insert(round, picked);
            }
            Event::Trained { round, trained } => {
                self.trained.insert(round, trained);
            }
            Event::Measured { round, metrics } => {
                self.measured.insert(round, metrics);
            }
        }
    }

    pub(crate) fn add_picked(&mut self, round: usize, picked: Picked) -> Result<(), EvolError> {
        self.add(Event::Picked { round, picked })
    }

    pub(crate) fn add_trained(&mut self, round: usize, trained: Trained) -> Result<(), EvolError> {
        check(round, &trained.metrics)?;
        self.add(Event::Trained { round, trained })
    }

    pub(crate) fn add_measured(&mut self, round: usize, metrics: Metrics) -> Result<(), EvolError> {
        check(round, &metrics)?;
        self.add(Event::Measured { round, metrics })
    }

    fn add(&mut self, event: Event) -> Result<(), EvolError> {
        self.ledger.append(&event)?;
        self.take(event);
        Ok(())
    }

    /// Numbers of the records chosen in rounds 0 to `round`, in the order of the choice.
    pub(crate) fn chosen(&self, round: usize) -> Vec<usize> {
        let rounds = self.picked.range(..=round);
        rounds.flat_map(|(_, picked)| picked.picks.iter().map(|pick| pick.index)).collect()
    }
}

impl Event {
    fn round(&self) -> usize {
        match self {
            Self::Picked { round, .. }
            | Self::Trained { round, .. }
            | Self::Measured { round, .. } => *round,
        }
    }
}

/// JSON has no word for what is not finite.
fn check(round: usize, metrics: &Metrics) -> Result<(), EvolError> {
    match metrics.iter().find(|(_, value)| !value.is_finite()) {
        Some((name, &value)) => Err(EvolError::Metric { round, name: name.clone(), value }),
        None => Ok(()),
    }
}
