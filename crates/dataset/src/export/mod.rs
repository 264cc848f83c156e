//! Chosen rows as other trainers read them: the Alpaca and the `ShareGPT` JSON of LLaMA-Factory and Axolotl.

mod shape;
mod trainers;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamis_artifact::{AtomicFile, ParameterError};

pub use trainers::write_dataset_info;

use crate::dataset::Dataset;
use crate::error::{self, DatasetError};
use crate::sample::Sample;
use crate::template::Template;
use shape::Columns;

/// A form that other trainers read. On command lines it has the name given here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainerFormat {
    /// `alpaca`: one JSON list of `{id, instruction, input, output}`. Where a row has a system prompt or earlier turns,
    /// every row has `system` (maybe `""`) or `history` (a list of `[question, answer]`, maybe empty) too.
    Alpaca,
    /// `sharegpt`: one JSON list of `{id, conversations: [{from, value}]}` with the speakers `human` and `gpt` in turn,
    /// after at most one of `system`.
    ShareGpt,
}

impl TrainerFormat {
    const ALL: [Self; 2] = [Self::Alpaca, Self::ShareGpt];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alpaca => "alpaca",
            Self::ShareGpt => "sharegpt",
        }
    }
}

impl fmt::Display for TrainerFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TrainerFormat {
    type Err = DatasetError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            ParameterError::new("export format", format_args!("`{name}`"), "alpaca or sharegpt")
                .into()
        })
    }
}

/// Writes rows as other trainers read them.
///
/// | row | Alpaca | `ShareGPT` |
/// | --- | --- | --- |
/// | instruction | as it is | one question (instruction, empty line, input) and its answer |
/// | translation | an instruction to translate | the same as a question and its answer |
/// | conversation | the last exchange; earlier ones are `history`, a system turn is `system` | as it is |
///
/// The words around a translation are those of `template`: `Alpaca` and `None` put the source into `input`, the others
/// write the whole prompt as the instruction.
///
/// LLaMA-Factory leaves conversations out that are not questions and answers in turn; here they are errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exporter {
    /// Which form.
    pub format: TrainerFormat,
    /// The template by which the rows were chosen: it words translations.
    pub template: Template,
    /// The language of translations, for templates that do not say it.
    pub target_language: Option<String>,
}

/// A file that was written for other trainers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Where.
    pub path: PathBuf,
    /// Its form.
    pub format: TrainerFormat,
    /// Its rows.
    pub rows: usize,
    columns: Columns,
}

/// Shows samples one after the other, as often as asked.
type Visit<'a> =
    &'a dyn Fn(&mut dyn FnMut(&Sample) -> Result<(), DatasetError>) -> Result<(), DatasetError>;

impl Exporter {
    /// Writes the accepted rows of `data` at `positions`, in this order, to the file `path`. It appears complete or not at
    /// all. Rows are read twice and never held together.
    ///
    /// # Errors
    /// [`DatasetError::Export`] names the first row that the form cannot express, and nothing is written; else as
    /// [`Dataset::write_rows`].
    pub fn rows(
        &self,
        data: &Dataset,
        positions: &[usize],
        path: &Path,
    ) -> Result<Exported, DatasetError> {
        self.write(&|show| data.visit(positions, |_, sample| show(&sample)), path)
    }

    /// The same for samples in memory, such as rewritten ones.
    ///
    /// # Errors
    /// As [`Exporter::rows`].
    pub fn samples(&self, samples: &[Sample], path: &Path) -> Result<Exported, DatasetError> {
        self.write(&|show| samples.iter().try_for_each(&mut *show), path)
    }

    fn write(&self, visit: Visit<'_>, path: &Path) -> Result<Exported, DatasetError> {
        // Which columns there are must be known before the first row: the readers take a column's type from the first
        // rows, and do not like one that is missing in some.
        let mut columns = Columns::default();
        visit(&mut |sample| {
            columns.join(self.exchange(sample)?.columns());
            Ok(())
        })?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(error::io("make the folder", folder))?;
        }
        let mut file = AtomicFile::create(path)?;
        let mut rows = 0;
        visit(&mut |sample| {
            let row = self.exchange(sample)?;
            let row = match self.format {
                TrainerFormat::Alpaca => row.alpaca(sample, columns),
                TrainerFormat::ShareGpt => row.share_gpt(sample),
            };
            file.put(if rows == 0 { "[\n" } else { ",\n" })?;
            rows += 1;
            Ok(file.put(row.to_string())?)
        })?;
        file.put(if rows == 0 { "[]\n" } else { "\n]\n" })?;
        Ok(Exported { path: file.commit()?, format: self.format, rows, columns })
    }

    fn exchange(&self, sample: &Sample) -> Result<shape::Exchange, DatasetError> {
        let language = self.target_language.as_deref();
        shape::exchange(&sample.content, &self.template, language).map_err(|reason| {
            DatasetError::Export {
                id: sample.id.clone(),
                index: sample.index,
                format: self.format.name(),
                reason,
            }
        })
    }
}

impl Exported {
    /// What LLaMA-Factory's `dataset_info.json` says of this file.
    pub fn llama_factory(&self) -> Value {
        trainers::llama_factory(self)
    }

    /// The `datasets` entry of an Axolotl configuration, as YAML; an Alpaca file with earlier turns has none, for which
    /// Axolotl has no place.
    ///
    /// # Errors
    /// [`DatasetError::FormatMismatch`] for such a file.
    pub fn axolotl(&self) -> Result<String, DatasetError> {
        trainers::axolotl(self)
    }
}
