#![doc = include_str!("../README.md")]

mod block;
mod centers;
mod cover;
#[cfg(feature = "tch")]
mod device;
mod duplicates;
mod error;
mod facility;
mod facility_params;
mod far;
mod hot;
mod kcenter;
mod known;
mod lazy;
mod named;
mod params;
mod points;
mod product;
mod search;
pub mod selectors;
mod statistics;
mod vendi;

pub use error::KCenterError;
pub use facility::{FacilityLocation, FacilityPick, FacilityPicks, Qdit};
pub use facility_params::{FacilityParams, QditParams, Similarity};
pub use kcenter::{KCenter, Pick, Picks, nearest_distances};
pub use params::{KCenterParams, Metric};
pub use statistics::{SetStatistics, Statistics, StatisticsParams};
pub use vendi::{VendiForm, vendi_score, vendi_score_by};
