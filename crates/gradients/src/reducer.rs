//! What is kept of each sample's gradient.

use tamis_artifact::Fingerprint;
use tch::Tensor;

use crate::{GradientError, LayerTrace};

/// Turns per-sample gradients into one row of numbers a sample, a layer at a time.
///
/// A projection is one (the row is the projected gradient), influence scoring is another (the row
/// is the sample's scores against every seed). A pass feeds any number of them from one forward
/// and one backward.
pub trait Reducer {
    /// Numbers in a row.
    fn width(&self) -> usize;

    /// Everything that decides its rows beside the samples, the model, the layers and the settings of the pass. A store
    /// of other rows is refused by it.
    fn fingerprint(&self) -> Fingerprint;

    /// Adds one layer's share to `rows`, (batch, width), which starts at zero.
    ///
    /// # Errors
    /// What LibTorch reports, or a layer the reducer was not made for. An error of another kind goes
    /// into [`GradientError::reducer`], as its source.
    fn add(&self, trace: &LayerTrace, rows: &mut Tensor) -> Result<(), GradientError>;
}
