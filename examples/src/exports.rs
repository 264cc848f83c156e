//! Results in the forms of other programs: training files for LLaMA-Factory and Axolotl, scores as Parquet.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tamis::artifact::write_atomic;
use tamis::dataset::{Dataset, Exporter, Sample, Template, TrainerFormat, write_dataset_info};
use tamis::report::write_parquet;

use crate::TextFlags;

/// All files that an export may write, beside `selected.*`.
pub(crate) const EXPORTED: [&str; 2] = ["dataset_info.json", "scores.parquet"];

/// Flags for results in further forms.
#[derive(Args, Clone, Debug, Default, Serialize)]
pub struct ExportFlags {
    /// Also write the results in these forms, separated by commas: alpaca or sharegpt (the chosen rows
    /// as training files of LLaMA-Factory and Axolotl, with `dataset_info.json` for the one and
    /// selected.FORM.yaml for the other), parquet (the scores as scores.parquet)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FORMS")]
    pub export: Vec<Form>,
}

/// A further form.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Chosen rows as Alpaca JSON.
    Alpaca,
    /// Chosen rows as `ShareGPT` JSON.
    #[value(name = "sharegpt")]
    ShareGpt,
    /// Scores as Parquet.
    Parquet,
}

impl Form {
    fn trainer(self) -> Option<TrainerFormat> {
        match self {
            Self::Alpaca => Some(TrainerFormat::Alpaca),
            Self::ShareGpt => Some(TrainerFormat::ShareGpt),
            Self::Parquet => None,
        }
    }
}

/// What is exported, and in which words.
#[derive(Clone, Debug)]
pub struct Exports {
    forms: Vec<Form>,
    template: Template,
    target_language: String,
}

/// The chosen rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chosen<'a> {
    /// By their positions in a data set.
    Rows(&'a Dataset, &'a [usize]),
    /// In memory.
    Samples(&'a [Sample]),
}

impl ExportFlags {
    /// The exports, with translations worded as the model saw them.
    ///
    /// # Errors
    /// An unknown template.
    pub fn like(&self, text: &TextFlags) -> Result<Exports> {
        self.wording(&text.template, &text.target_lang)
    }

    /// The exports, with translations into `target_language` worded by the template of this name.
    ///
    /// # Errors
    /// An unknown template.
    pub fn wording(&self, template: &str, target_language: &str) -> Result<Exports> {
        let template = Template::parse(template, Some(target_language))?;
        Ok(self.worded(&template, target_language))
    }

    /// The exports, with translations into `target_language` worded by `template`.
    pub fn worded(&self, template: &Template, target_language: &str) -> Exports {
        Exports {
            forms: self.export.clone(),
            template: template.clone(),
            target_language: target_language.to_owned(),
        }
    }

    /// Whether rows are exported, for which there must be some.
    pub fn wants_rows(&self) -> bool {
        self.export.iter().any(|form| form.trainer().is_some())
    }
}

impl Exports {
    /// Writes all forms into `out`. What an earlier run exported there is removed first: it would belong to other rows.
    ///
    /// # Errors
    /// A row that a form cannot express, or a file that cannot be written, by name.
    pub(crate) fn write<L: Serialize>(
        &self,
        out: &Path,
        chosen: Option<Chosen<'_>>,
        lines: &[L],
    ) -> Result<Vec<PathBuf>> {
        for form in [TrainerFormat::Alpaca, TrainerFormat::ShareGpt] {
            remove(&out.join(format!("selected.{form}.json")))?;
            remove(&out.join(format!("selected.{form}.yaml")))?;
        }
        EXPORTED.iter().try_for_each(|name| remove(&out.join(name)))?;
        let (mut files, mut described) = (Vec::new(), Vec::new());
        let mut formats: Vec<TrainerFormat> =
            self.forms.iter().filter_map(|form| form.trainer()).collect();
        formats.dedup();
        for format in formats {
            let exporter = Exporter {
                format,
                template: self.template.clone(),
                target_language: Some(self.target_language.clone()),
            };
            let path = out.join(format!("selected.{format}.json"));
            let exported = match chosen {
                Some(Chosen::Rows(data, positions)) => exporter.rows(data, positions, &path),
                Some(Chosen::Samples(samples)) => exporter.samples(samples, &path),
                None => continue,
            };
            let exported = exported.with_context(|| format!("--export {format}"))?;
            files.push(path);
            match exported.axolotl() {
                Ok(yaml) => {
                    let path = out.join(format!("selected.{format}.yaml"));
                    write_atomic(&path, yaml.as_bytes())?;
                    files.push(path);
                }
                Err(why) => crate::note!("no file for Axolotl: {why}"),
            }
            described.push((format!("selected_{format}"), exported));
        }
        if !described.is_empty() {
            let named = described.iter().map(|(name, file)| (name.as_str(), file));
            files.push(write_dataset_info(out, named)?);
        }
        if self.forms.contains(&Form::Parquet) {
            let path = out.join("scores.parquet");
            write_parquet(&path, lines)?;
            files.push(path);
        }
        Ok(files)
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
