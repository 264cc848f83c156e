//! What is checked of the input before any long work begins.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tamis::dataset::{Encoded, Encodings, Outcome};

use crate::exports::EXPORTED;

/// Rows that are tokenised at a time.
const CHUNK: usize = 4096;

/// Refuses a pool of which no row can be used, and rows or seeds longer than the model reads.
/// Returns how many rows can be used.
///
/// # Errors
/// The row or seed by its id.
pub fn check_lengths(pool: &Encodings<'_>, seeds: &[Encoded], longest: usize) -> Result<usize> {
    let fits = |sample: &Encoded, what: &str| {
        ensure!(
            sample.len() <= longest,
            "{what} {} has {} tokens, but the model reads at most {longest}; lower --max-length to \
             leave such rows out",
            sample.id,
            sample.len()
        );
        Ok(())
    };
    seeds.iter().try_for_each(|seed| fits(seed, "seed"))?;
    let (mut usable, mut reason) = (0, None);
    for first in (0..pool.len()).step_by(CHUNK) {
        for outcome in pool.read_range(first..(first + CHUNK).min(pool.len()))? {
            match outcome {
                Outcome::Scored(sample) => {
                    usable += 1;
                    fits(&sample, "row")?;
                }
                Outcome::Unscorable { id, reason: why, .. } => {
                    reason.get_or_insert_with(|| format!("{id}: {why}"));
                }
            }
        }
    }
    match reason {
        Some(reason) if usable == 0 => bail!("no row of the pool can be used; {reason}"),
        _ => Ok(usable),
    }
}

/// Refuses an input that lies where the program would write its results: one of the files
/// `written` in `out`, where `selected.*` stands for any ending, or one that `--export` writes.
///
/// # Errors
/// The input.
pub fn refuse_overwriting(input: &Path, out: &Path, written: &[&str]) -> Result<()> {
    let Ok(out) = out.canonicalize() else {
        return Ok(()); // There is nothing yet to be overwritten.
    };
    let path = input.canonicalize().with_context(|| format!("reading {}", input.display()))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is = |file: &&str| match file.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *file,
    };
    ensure!(
        !(written.iter().chain(&EXPORTED).any(is) && path.parent() == Some(out.as_path())),
        "{} would be overwritten with the results: choose another --out",
        input.display()
    );
    Ok(())
}

/// Refuses an input that lies anywhere in the folder of the results, whose content may change while
/// the program runs.
///
/// # Errors
/// The input.
pub fn refuse_inside(input: &Path, out: &Path) -> Result<()> {
    if let (Ok(input_at), Ok(out_at)) = (input.canonicalize(), out.canonicalize()) {
        ensure!(
            !input_at.starts_with(&out_at),
            "{} lies in --out and would be overwritten: choose another --out",
            input.display()
        );
    }
    Ok(())
}

/// Whether two paths name the same file, whether it exists or not.
pub fn same_file(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| {
        if let Ok(path) = path.canonicalize() {
            return Some(path);
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    a == b || whole(a).is_some_and(|a| whole(b) == Some(a))
}
