//! `cargo xtask test`.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{libtorch, process};

/// Sets up, then runs `cargo test` with `arguments`, on the whole workspace unless they name
/// packages.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    libtorch::set_up(workspace)?;
    let mut cargo = workspace.cargo()?;
    cargo.arg("test");
    if !names_packages(arguments) {
        cargo.arg("--workspace");
    }
    process::run(cargo.args(arguments))
}

/// Whether the arguments choose packages themselves. What follows `--` is for the test programs.
fn names_packages(arguments: &[String]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| {
        argument.starts_with("-p")
            || argument == "--package"
            || argument.starts_with("--package=")
            || argument == "--workspace"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_recognised_before_the_dashes_only() {
        let of =
            |line: &str| names_packages(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(of("-p tamis-model"));
        assert!(of("--release --package=tamis-model"));
        assert!(!of("--release -- --package"));
    }
}
