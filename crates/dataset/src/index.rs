//! What the opening pass keeps of each row: where it lies, and that its id is its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use crate::error::{DatasetError, Reject};
use crate::params::OnError;
use crate::sample::{Content, SampleId};
use crate::scan::RowPlace;
use crate::schema::{Fault, Parsed};

/// The rows that were accepted, without their text.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// One per accepted row: 32 bytes.
    pub(crate) rows: Vec<RowPlace>,
    /// Copies of earlier rows without an id: position → which copy it is (2, 3, …).
    pub(crate) copies: HashMap<usize, u64>,
    pub(crate) rejects: Vec<Reject>,
}

/// Builds an [`Index`] row by row.
pub(crate) struct Indexer<'a> {
    file: &'a Path,
    on_error: OnError,
    index: Index,
    /// 128 bits of each id's hash → position of the row, kept only while the file is read.
    seen: HashMap<[u8; 16], u32>,
    /// Content hash of rows without an id that have copies → the number of the last one.
    last_copy: HashMap<SampleId, u64>,
    rows_seen: usize,
}

impl<'a> Indexer<'a> {
    pub(crate) fn new(file: &'a Path, on_error: OnError) -> Self {
        Indexer {
            file,
            on_error,
            index: Index::default(),
            seen: HashMap::new(),
            last_copy: HashMap::new(),
            rows_seen: 0,
        }
    }

    /// Takes in a row; false if it was rejected and may be skipped.
    pub(crate) fn add(
        &mut self,
        place: RowPlace,
        parsed: Result<Parsed, Fault>,
    ) -> Result<bool, DatasetError> {
        self.add_from(self.file, place, parsed)
    }

    /// The same, where the fault may lie in another file than the one indexed.
    pub(crate) fn add_from(
        &mut self,
        file: &Path,
        place: RowPlace,
        parsed: Result<Parsed, Fault>,
    ) -> Result<bool, DatasetError> {
        self.rows_seen += 1;
        let reject =
            |field, reason| Reject { file: file.to_owned(), line: place.line, field, reason };
        let (given, content) = match parsed {
            Ok(parsed) => parsed,
            Err(Fault { field, reason }) => {
                let reject = reject(field, reason);
                if self.on_error == OnError::Strict {
                    return Err(DatasetError::Row(reject));
                }
                self.index.rejects.push(reject);
                return Ok(false);
            }
        };
        match given {
            None => self.name_by_content(&content),
            Some(id) => {
                if let Some(first) = self.claim(&id) {
                    if self.on_error == OnError::Strict {
                        return Err(DatasetError::DuplicateId {
                            file: file.to_owned(),
                            line: place.line,
                            first,
                            id,
                        });
                    }
                    let reason = format!("the id `{id}` was used before, on line {first}");
                    self.index.rejects.push(reject(Some("id".into()), reason));
                    return Ok(false);
                }
            }
        }
        self.index.rows.push(place);
        Ok(true)
    }

    /// Registers `id` for the next row, or says on which line it was used.
    fn claim(&mut self, id: &SampleId) -> Option<u64> {
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(id.as_str().as_bytes()).as_bytes()[..16]);
        // The position is only for the message about a duplicate; beyond 2³² rows it would name the last of them.
        let position = u32::try_from(self.index.rows.len()).unwrap_or(u32::MAX);
        match self.seen.entry(key) {
            Entry::Vacant(free) => {
                free.insert(position);
                None
            }
            Entry::Occupied(taken) => {
                let row = self.index.rows.get(*taken.get() as usize);
                Some(row.map_or(0, |row| row.line))
            }
        }
    }

    /// Names a row by its content; an exact copy gets the suffix `#2`, `#3`, …
    fn name_by_content(&mut self, content: &Content) {
        let id = content.hash_id();
        if self.claim(&id).is_none() {
            return;
        }
        let mut copy = self.last_copy.get(&id).copied().unwrap_or(1) + 1;
        while self.claim(&copy_id(&id, copy)).is_some() {
            copy += 1;
        }
        self.index.copies.insert(self.index.rows.len(), copy);
        self.last_copy.insert(id, copy);
    }

    /// The finished index, or an error if it would be empty.
    pub(crate) fn finish(mut self) -> Result<Index, DatasetError> {
        if self.rows_seen == 0 {
            return Err(DatasetError::Empty(self.file.to_owned()));
        }
        if self.index.rows.is_empty() {
            return Err(DatasetError::AllRejected {
                file: self.file.to_owned(),
                count: self.rows_seen,
                first: self.index.rejects.swap_remove(0),
            });
        }
        self.index.rows.shrink_to_fit();
        Ok(self.index)
    }
}

impl Index {
    /// The id of the row at `position`, given what the row says about itself.
    pub(crate) fn id(
        &self,
        position: usize,
        given: Option<SampleId>,
        content: &Content,
    ) -> SampleId {
        let Some(id) = given else {
            let id = content.hash_id();
            return match self.copies.get(&position) {
                Some(&copy) => copy_id(&id, copy),
                None => id,
            };
        };
        id
    }
}

fn copy_id(id: &SampleId, copy: u64) -> SampleId {
    SampleId::from(format!("{id}#{copy}"))
}
