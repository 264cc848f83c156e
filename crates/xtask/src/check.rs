//! `cargo xtask check`: what continuous integration checks, cheapest first, all in the development
//! profile so that the LibTorch bindings are compiled once.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::workspace::{Workspace, collect_sources};
use crate::{circles, libtorch, process, summary, test};

/// Packages that build and test without LibTorch.
const WITHOUT_LIBTORCH: [&str; 10] = [
    "tamis-artifact",
    "tamis-clustering",
    "tamis-dataset",
    "tamis-diverse-evol",
    "tamis-embeddings",
    "tamis-kcenter",
    "tamis-metrics",
    "tamis-reflection",
    "tamis-report",
    "tamis-selection",
];

/// Source files longer than this are worth a thought.
const LONG_FILE: usize = 500;

/// One check; says itself what it runs.
type Check = fn(&Workspace) -> Result<()>;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leave out the tests.
    #[arg(long)]
    no_test: bool,
}

/// Runs every check; stops at the first that fails.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut checks: Vec<(&str, Check)> = vec![
        ("format", format),
        ("length of files", lengths),
        ("no circles between files", circles::check),
        ("no test that is never run", forgotten_tests),
        ("no LibTorch below the model", without_libtorch),
        ("licences and advisories", dependencies),
        ("LibTorch", libtorch::set_up),
        ("lints", lints),
        ("documentation", documentation),
    ];
    if !options.no_test {
        checks.push(("tests", |workspace| test::run(workspace, &[])));
    }
    checks.push(("help of the examples", examples));

    let count = checks.len();
    let mut times = Vec::new();
    for (index, (name, check)) in checks.into_iter().enumerate() {
        say!("\n[{}/{count}] {name}", index + 1);
        let started = Instant::now();
        check(workspace).with_context(|| format!("check {} of {count}, {name}", index + 1))?;
        times.push((name, started.elapsed().as_secs_f64()));
    }
    say!("\nall checks passed");
    for (name, seconds) in times {
        say!("  {name:<28}{}", summary::duration(seconds));
    }
    Ok(())
}

fn format(workspace: &Workspace) -> Result<()> {
    process::run(workspace.cargo()?.args(["fmt", "--all", "--check"]))
}

/// Warns of source files that have grown long; never fails.
fn lengths(workspace: &Workspace) -> Result<()> {
    let crates = workspace.root().join("crates");
    let mut sources = Vec::new();
    for entry in fs::read_dir(&crates)
        .with_context(|| format!("cannot read the folder {}", crates.display()))?
    {
        let source = entry?.path().join("src");
        if source.is_dir() {
            collect_sources(&source, &mut sources)?;
        }
    }
    sources.sort();
    for path in &sources {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().count();
        if lines > LONG_FILE {
            say!("warning: {} has {lines} lines; more than one idea?", workspace.shown(path));
        }
    }
    say!("{} files", sources.len());
    Ok(())
}

/// Libraries whose tests are all in `tests/` say `test = false`, which spares building each of them
/// once more. A test in their sources would then never be run.
fn forgotten_tests(workspace: &Workspace) -> Result<()> {
    let mut spared = 0;
    for package in metadata(workspace)?.packages {
        for library in package.targets.iter().filter(|target| !target.test) {
            if !library.kind.iter().any(|kind| kind == "lib") {
                continue;
            }
            let mut sources = Vec::new();
            collect_sources(
                library.src_path.parent().context("a library in no folder")?,
                &mut sources,
            )?;
            for path in sources {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                if text.contains("#[test]") || text.contains("#[cfg(test)]") {
                    bail!(
                        "{} holds tests that are never run: move them to tests/, or take \
                        `test = false` out of the Cargo.toml of {}",
                        workspace.shown(&path),
                        package.name
                    );
                }
            }
            spared += 1;
        }
    }
    say!("{spared} libraries without tests of their own");
    Ok(())
}

/// The packages of the lower floors must not come to need LibTorch. Their tests may: those of a feature with a model do.
fn without_libtorch(workspace: &Workspace) -> Result<()> {
    for package in WITHOUT_LIBTORCH {
        let mut tree = workspace.cargo()?;
        tree.args([
            "tree",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        let packages = process::output(&mut tree)?;
        if packages.lines().any(|line| line.split(' ').next() == Some("torch-sys")) {
            bail!(
                "{package} depends on torch-sys; `cargo tree --package {package} --invert \
                torch-sys` shows through what"
            );
        }
        say!("{package}: no torch-sys");
    }
    Ok(())
}

/// `cargo deny`, where it is installed.
fn dependencies(workspace: &Workspace) -> Result<()> {
    let installed = Command::new("cargo-deny")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        say!("skipped: cargo-deny is not installed (`cargo install --locked cargo-deny`)");
        return Ok(());
    }
    let deny = ["deny", "check", "licenses", "bans", "sources"];
    process::run(workspace.cargo()?.args(deny))?;
    let fetched = process::watch(workspace.cargo()?.args(["deny", "fetch", "db"]))?;
    if !fetched.success {
        say!("skipped: advisories, because their database cannot be fetched");
        return Ok(());
    }
    process::run(workspace.cargo()?.args(["deny", "check", "--disable-fetch", "advisories"]))
}

fn lints(workspace: &Workspace) -> Result<()> {
    let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    process::run(workspace.cargo()?.args(clippy))
}

fn documentation(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo()?;
    // Replaces the flags of .cargo/config.toml, which are for running documentation tests.
    cargo.env("RUSTDOCFLAGS", "--deny warnings");
    process::run(cargo.args(["doc", "--locked", "--workspace", "--no-deps"]))
}

/// What is read of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
    test: bool,
}

fn metadata(workspace: &Workspace) -> Result<Metadata> {
    let mut metadata = workspace.cargo()?;
    let metadata = process::output(metadata.args([
        "metadata",
        "--locked",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    serde_json::from_str(&metadata).context("cannot read the output of `cargo metadata`")
}

/// Every example program must start and explain itself.
fn examples(workspace: &Workspace) -> Result<()> {
    let package = metadata(workspace)?
        .packages
        .into_iter()
        .find(|package| package.name == "tamis-examples")
        .context("the workspace has no package tamis-examples")?;
    // All of them in one go, as the tests build them: for one package alone cargo may choose other
    // features of the dependencies and compile those again.
    process::run(workspace.cargo()?.args(["build", "--locked", "--workspace", "--examples"]))?;
    for target in
        package.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "example"))
    {
        let mut run =
            workspace.command(workspace.target().join("debug/examples").join(&target.name))?;
        let help = process::output(run.arg("--help"))?;
        if !help.contains("Usage:") {
            bail!("`{}` prints no usage: {help}", process::shown(&run));
        }
        say!("{}: {} lines of help", target.name, help.lines().count());
    }
    Ok(())
}
