#![doc = include_str!("../README.md")]

pub use tamis_artifact as artifact;
pub use tamis_clustering as clustering;
pub use tamis_dataset as dataset;
pub use tamis_diverse_evol as diverse_evol;
pub use tamis_embeddings as embeddings;
#[cfg(feature = "torch")]
pub use tamis_finetune as finetune;
#[cfg(feature = "torch")]
pub use tamis_gradients as gradients;
#[cfg(feature = "torch")]
pub use tamis_ifd_scoring as ifd_scoring;
#[cfg(feature = "torch")]
pub use tamis_influence as influence;
pub use tamis_kcenter as kcenter;
#[cfg(feature = "torch")]
pub use tamis_kfac as kfac;
#[cfg(feature = "torch")]
pub use tamis_less as less;
pub use tamis_metrics as metrics;
#[cfg(feature = "torch")]
pub use tamis_model as model;
#[cfg(feature = "torch")]
pub use tamis_nuggets as nuggets;
#[cfg(feature = "reflection")]
pub use tamis_reflection as reflection;
pub use tamis_report as report;
pub use tamis_selection as selection;
