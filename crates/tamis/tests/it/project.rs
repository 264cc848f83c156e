//! A project in a temporary folder, as `cargo new` makes it.
//!
//! It is built with the workspace's target folder, lock file, profiles and flags of the linker, so that no crate of
//! others is downloaded or compiled again: only the crates of tamis are, whose identity is their path. Cargo also
//! compiles a crate again if other features of it, or of what it depends on, are asked for; [`SHARED`] asks for those
//! that the workspace's programs and tests ask for.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Features of other crates that the workspace has and `tamis` does not ask for.
const SHARED: &str = r#"
clap = { version = "4", features = ["derive", "wrap_help"] }
half = { version = "2", features = ["num-traits"] }
log = { version = "0.4", features = ["max_level_debug", "release_max_level_debug"] }
num-traits = { version = "0.2", features = ["libm"] }
rand = { version = "0.10", default-features = false, features = ["sys_rng"] }

[build-dependencies]
cc = { version = "1", features = ["parallel"] }
syn = { version = "2", features = ["visit-mut"] }
"#;

/// The folder of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// `target/<profile>`.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}

pub(crate) struct Project {
    name: &'static str,
    folder: TempDir,
}

/// What a build says of a crate.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) package: String,
    /// Compiled before.
    pub(crate) fresh: bool,
}

impl Project {
    /// Writes the project; `dependency` follows the path of `tamis` in its manifest.
    pub(crate) fn new(
        name: &'static str,
        dependency: &str,
        program: &str,
        build: Option<&str>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = root();
        let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let profiles = &workspace[workspace.find("[profile.dev]").unwrap()..];
        let mut manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
             tamis = {{ path = \"{}\"{dependency} }}\nserde_json = \"1\"\n{SHARED}\n{profiles}",
            root.join("crates/tamis").display()
        );
        // Compiled for the test alone: as quickly as can be.
        for entry in fs::read_dir(root.join("crates")).unwrap() {
            let own = fs::read_to_string(entry.unwrap().path().join("Cargo.toml")).unwrap();
            let package = own.lines().find_map(|line| line.strip_prefix("name = ")).unwrap();
            if package.starts_with("\"tamis") {
                writeln!(manifest, "\n[profile.dev.package.{package}]\nopt-level = 0").unwrap();
            }
        }
        let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
        write("Cargo.toml", &manifest);
        fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        write("src/main.rs", program);
        if let Some(build) = build {
            write("build.rs", build);
        }
        Self { name, folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs cargo there; it must end well. Returns what it printed.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> String {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
        cargo.arg("--config").arg(root().join(".cargo/config.toml")).arg("--offline");
        cargo.args(arguments).current_dir(self.path());
        // What cargo tells this test of its own package: build scripts that look at these (ring's does) would run again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&name);
            }
        }
        cargo.env("CARGO_TARGET_DIR", built().parent().unwrap());
        succeed(&cargo.output().unwrap(), arguments)
    }

    /// Builds it, and returns every crate it consists of.
    pub(crate) fn build(&self) -> Vec<Compiled> {
        let mut arguments = vec!["build", "--message-format=json"];
        if built().ends_with("release") {
            arguments.push("--release");
        }
        let compiled = self.cargo(&arguments);
        let messages = compiled.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let crates: Vec<Compiled> = messages
            .filter(|message| message["reason"] == "compiler-artifact")
            .map(|message| Compiled {
                package: message["package_id"].as_str().unwrap().to_owned(),
                fresh: message["fresh"] == true,
            })
            .collect();
        assert!(crates.len() > 50, "{compiled}");
        crates
    }

    /// Runs the program in the project's folder, without any help to find libraries.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let program = built().join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX));
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path());
        // Where another setting names LibTorch, the program cannot know where it was.
        if std::env::var_os("LIBTORCH").is_some() {
            command.env_remove("LD_LIBRARY_PATH");
        }
        succeed(&command.output().unwrap(), arguments)
    }
}

fn succeed(output: &Output, arguments: &[&str]) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} failed:\n{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Crates of others that were compiled again.
pub(crate) fn again(crates: &[Compiled]) -> Vec<&str> {
    let others = |compiled: &&Compiled| {
        let id = compiled.package.as_str();
        !compiled.fresh && id.starts_with("registry+")
    };
    crates.iter().filter(others).map(|compiled| compiled.package.as_str()).collect()
}
