//! `cargo xtask`: the commands that a fresh checkout of tamis starts with.
//!
//! - `cargo xtask setup` brings LibTorch; afterwards plain `cargo build`, `run`, `test` and `bench`
//!   work;
//! - `cargo xtask test` runs every test of the workspace;
//! - `cargo xtask check` runs what continuous integration checks, cheapest first;
//! - `cargo xtask demo` selects training data with a real model, from download to report.
//!
//! The folder that `TAMIS_CACHE` names, if set, keeps what is downloaded or converted outside the
//! checkout, so that several checkouts share it.

/// Prints a line, as `println!` does, but goes on when nobody reads it any more (`| head`).
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($text)*);
    }};
}

/// The same for standard error.
macro_rules! note {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($text)*);
    }};
}

mod check;
mod circles;
mod demo;
mod libtorch;
mod machine;
mod model;
mod pairs;
mod pip;
mod po;
mod process;
mod summary;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Set-up, demo and checks of the tamis workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring LibTorch into .libtorch, unless it is there or the environment names another.
    ///
    /// `LIBTORCH` names a folder; `LIBTORCH_USE_PYTORCH=1` asks for the torch of the Python in use.
    Setup,
    /// Set up, then run all tests: crates, examples, documentation.
    Test {
        /// Passed on to `cargo test`, e.g. `--release` or `-p tamis-model`.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CARGO TEST ARGUMENTS"
        )]
        arguments: Vec<String>,
    },
    /// Everything that continuous integration checks, cheapest first.
    Check(check::Options),
    /// Select German-English training pairs with SmolLM2-135M-Instruct, from download to report.
    Demo(demo::Options),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let workspace = Workspace::find()?;
    match &cli.command {
        Command::Setup => libtorch::set_up(&workspace),
        Command::Test { arguments } => test::run(&workspace, arguments),
        Command::Check(options) => check::run(&workspace, options),
        Command::Demo(options) => demo::run(&workspace, options),
    }
}
