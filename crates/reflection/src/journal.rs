//! What all journals of this crate have in common: which record of the data a line is about.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tamis_artifact::{Ledger, Manifest};
use tamis_dataset::SampleId;

use crate::ReflectionError;

/// A line. It says its place, since a record may be missing before it and follow later.
#[derive(Debug, Serialize, Deserialize)]
struct Line<T> {
    /// Of the record in the data, from 0.
    place: usize,
    #[serde(flatten)]
    record: T,
}

/// A file of finished records, each there once.
#[derive(Debug)]
pub(crate) struct Journal(Ledger);

impl Journal {
    /// Makes it, or opens it to go on; gives each record of the data what the journal says of it.
    ///
    /// # Errors
    /// [`Artifact`](ReflectionError::Artifact) if it is another run's or damaged;
    /// [`Journal`](ReflectionError::Journal) for a line that is not about the record at its place, or about
    /// one that had its line before.
    pub(crate) fn open<T: DeserializeOwned>(
        path: &Path,
        manifest: &Manifest,
        data: &[&SampleId],
        id_of: impl Fn(&T) -> &SampleId,
    ) -> Result<(Self, Vec<Option<T>>), ReflectionError> {
        let (ledger, lines) = Ledger::open::<Line<T>>(path, manifest)?;
        let mut found: Vec<Option<T>> = data.iter().map(|_| None).collect();
        for Line { place, record } in lines {
            let expected = match data.get(place) {
                None => Some("nothing".to_owned()),
                Some(&id) if id != id_of(&record) => Some(format!("`{id}`")),
                Some(_) if found[place].is_some() => Some("its one line already".to_owned()),
                Some(_) => None,
            };
            if let Some(expected) = expected {
                let (path, found) = (ledger.path().to_owned(), id_of(&record).to_string());
                return Err(ReflectionError::Journal { path, place, found, expected });
            }
            found[place] = Some(record);
        }
        Ok((Self(ledger), found))
    }

    /// Writes down a record that is finished.
    pub(crate) fn append<T: Serialize>(
        &mut self,
        place: usize,
        record: &T,
    ) -> Result<(), ReflectionError> {
        Ok(self.0.append(&Line { place, record })?)
    }
}
