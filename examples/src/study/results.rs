//! The results of a study: a table, plots, and lines for other programs.

use anyhow::Result;
use tamis::dataset::Encoded;
use tamis::report::RunRecord;

use super::{Cell, Flags, Method, Texts};

/// All that was run.
#[derive(Debug)]
pub struct Cells {
    /// The starting point, without training.
    pub start: Cell,
    /// The grid.
    pub runs: Vec<Run>,
}

/// One training run.
#[derive(Debug)]
pub struct Run {
    /// How its rows were chosen.
    pub method: Method,
    /// How many.
    pub budget: usize,
    /// Its number, which is its seed.
    pub repeat: usize,
    /// What it led to.
    pub cell: Cell,
}

/// todo
pub fn write(
    _flags: &Flags,
    _cells: &Cells,
    _texts: &Texts,
    _clean: &[bool],
    _data: &[Encoded],
    _record: RunRecord,
) -> Result<()> {
    Ok(())
}
