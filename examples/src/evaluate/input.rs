//! The files that are compared, line by line.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use tamis::metrics::{SegmentScores, read_segments};

use super::Flags;
use crate::same_file;

/// A system's translations of the test set.
#[derive(Clone, Debug)]
pub struct System {
    /// Where they are from.
    pub path: PathBuf,
    /// One a line.
    pub lines: Vec<String>,
}

/// Everything that is compared; all files have the same number of lines.
#[derive(Clone, Debug)]
pub struct Input {
    /// One or two systems.
    pub systems: Vec<System>,
    /// One or more references of every segment.
    pub references: Vec<System>,
    /// Scores of the segments of each system that another program computed, if they are given.
    pub scores: Option<Vec<Vec<f64>>>,
}

impl Input {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that cannot be read, is empty, is not UTF-8, or has another number of lines than
    /// the references; scores for one of two systems only; results that would overwrite an input.
    pub fn read(flags: &Flags) -> Result<Self> {
        let read = |path: &PathBuf| -> Result<System> {
            Ok(System { path: path.clone(), lines: read_segments(path)? })
        };
        let systems: Vec<System> = [Some(&flags.hypotheses), flags.hypotheses2.as_ref()]
            .into_iter()
            .flatten()
            .map(read)
            .collect::<Result<_>>()?;
        let references = flags.references.iter().map(read).collect::<Result<Vec<_>>>()?;
        let lines = references[0].lines.len();
        for file in systems.iter().chain(&references) {
            ensure!(
                file.lines.len() == lines,
                "{} has {} lines, but {} has {lines}; line n of one must be the translation of line n of the other",
                file.path.display(),
                file.lines.len(),
                references[0].path.display(),
            );
        }
        ensure!(
            systems.len() == 1 || lines > 1,
            "{} has one line only; a test of two systems needs at least 2 segments",
            references[0].path.display()
        );
        let scores = scores(flags, &systems)?;
        if let Some(out) = &flags.sentences {
            let read = systems.iter().chain(&references).map(|file| &file.path);
            let scored = [&flags.segment_scores, &flags.segment_scores2].into_iter().flatten();
            for input in read.chain(scored) {
                ensure!(
                    !same_file(out, input),
                    "--sentences {} would overwrite an input",
                    out.display()
                );
            }
        }
        Ok(Self { systems, references, scores })
    }

    /// Segments of the test set.
    pub fn segments(&self) -> usize {
        self.systems[0].lines.len()
    }
}

/// The scores of other programs.
fn scores(flags: &Flags, systems: &[System]) -> Result<Option<Vec<Vec<f64>>>> {
    let Some(first) = &flags.segment_scores else { return Ok(None) };
    let read = |path: &Path, system: &System| -> Result<SegmentScores> {
        let scores = SegmentScores::read(path)?;
        scores.expect_count(system.lines.len(), &format!("lines of {}", system.path.display()))?;
        Ok(scores)
    };
    let first = read(first, &systems[0])?;
    match (systems, &flags.segment_scores2) {
        ([_], _) => Ok(Some(vec![first.scores().to_owned()])),
        ([_, system], Some(second)) => {
            let (first, second) = first.paired(&read(second, system)?)?;
            Ok(Some(vec![first, second]))
        }
        _ => {
            bail!("two systems and --segment-scores of the first only; give --segment-scores2 too")
        }
    }
}
