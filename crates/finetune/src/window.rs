//! The tokens of the next few steps.

use std::ops::Range;

use tamis_dataset::Encoded;

use crate::FinetuneError;
use crate::data::Usable;

/// Rows that are read at a time, if a step does not need more.
const ROWS: usize = 256;

/// The tokens of the next few steps of an epoch.
pub(crate) struct Window {
    /// Places in the epoch's order.
    places: Range<usize>,
    samples: Vec<Encoded>,
    size: usize,
}

impl Window {
    /// Holds nothing yet; whole steps of `batch_size` rows will be read.
    pub(crate) fn new(batch_size: usize) -> Self {
        let size = batch_size.saturating_mul((ROWS / batch_size).max(1));
        Self { places: 0..0, samples: Vec::new(), size }
    }

    /// Forgets everything: another epoch begins.
    pub(crate) fn clear(&mut self) {
        (self.places, self.samples) = (0..0, Vec::new());
    }

    /// The samples of the step at `places` of the order, read with those after it if they are not here.
    pub(crate) fn read(
        &mut self,
        data: &Usable<'_>,
        order: &[usize],
        places: Range<usize>,
    ) -> Result<Vec<&Encoded>, FinetuneError> {
        if places.start < self.places.start || places.end > self.places.end {
            self.clear();
            let end = order.len().min(places.start.saturating_add(self.size));
            self.samples = data.read(&order[places.start..end])?;
            self.places = places.start..end;
        }
        let first = places.start - self.places.start;
        Ok(self.samples[first..first + places.len()].iter().collect())
    }
}
