//! Fields of rows that no format knows, such as the domain a row comes from.

use serde_json::Value;

use crate::dataset::{Backing, Dataset};
use crate::error::DatasetError;
use crate::schema;

impl Dataset {
    /// The value of a field in every accepted row, in order: of JSON the field of exactly this name, else, if the name
    /// has dots, the end of that path; of Parquet the column, of text or integers. A row without it, or with null, has
    /// none.
    ///
    /// # Errors
    /// [`DatasetError::FormatMismatch`] for files of two columns, which have no further fields, and for a column of
    /// another type; else as [`Dataset::read`].
    pub fn field(&self, name: &str) -> Result<Vec<Option<Value>>, DatasetError> {
        let positions: Vec<usize> = (0..self.len()).collect();
        let mut values = Vec::with_capacity(positions.len());
        match &self.backing {
            Backing::Json { file, .. } => self.visit(&positions, |[row, _], _| {
                let row = schema::json(row, 0).map_err(|fault| DatasetError::Changed {
                    file: file.path().to_owned(),
                    found: fault.reason,
                })?;
                values.push(schema::lookup(&row, name).filter(|value| !value.is_null()).cloned());
                Ok(())
            })?,
            Backing::Tsv { .. } | Backing::Parallel { .. } => {
                return Err(DatasetError::FormatMismatch {
                    file: self.path().to_owned(),
                    reason: format!(
                        "its rows are a source and a target and have no field `{name}`; give rows with more fields as \
                         JSON or Parquet"
                    ),
                });
            }
            #[cfg(feature = "parquet")]
            Backing::Parquet(file) => {
                self.check(&positions)?;
                let rows: Vec<u64> = self.index.rows.iter().map(|row| row.index).collect();
                values = file.values(&rows, name)?;
            }
        }
        Ok(values)
    }
}
