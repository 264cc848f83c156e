//! Adding `tamis` as a dependency: without LibTorch, and with it.

use std::fs;

use crate::project::{Project, again, root};

#[test]
fn without_libtorch() {
    let program = include_str!("../outside/small.rs");
    let project = Project::new("tamis-outside-small", ", default-features = false", program, None);
    let tree = project.cargo(&["tree", "--edges", "normal,build", "--prefix", "none"]);
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"tamis-selection"), "{tree}");
    for name in ["torch-sys", "tch", "tamis-model", "parquet", "ureq"] {
        assert!(!names.contains(&name), "{name} is a dependency:\n{tree}");
    }
    let crates = project.build();
    assert!(!crates.iter().any(|compiled| compiled.package.contains("torch-sys")));
    // Not an error: a test of this package alone shares less.
    eprintln!("compiled again: {:?}", again(&crates));
    assert_eq!(project.run(&[]), "5 of 30 rows, 0 resumed\n");
    let chosen = fs::read_to_string(project.path().join("chosen.txt")).unwrap();
    assert_eq!(chosen.lines().count(), 5);
    assert!(chosen.lines().all(|id| id.starts_with("made-")), "{chosen}");
    // Once more: scored before.
    assert_eq!(project.run(&[]), "5 of 30 rows, 40 resumed\n");
}

#[test]
fn with_a_model() {
    let program = include_str!("../outside/model.rs");
    let build = include_str!("../outside/build.rs");
    let project = Project::new("tamis-outside-model", "", program, Some(build));
    let crates = project.build();
    eprintln!("compiled again: {:?}", again(&crates));
    let bindings = crates.iter().filter(|compiled| compiled.package.contains("#torch-sys@"));
    let fresh: Vec<bool> = bindings.map(|compiled| compiled.fresh).collect();
    assert!(
        !fresh.is_empty() && !fresh.contains(&false),
        "the bindings of LibTorch were compiled again, which takes minutes: {:?}",
        again(&crates)
    );
    let model = root().join("crates/model/tests/fixtures/llama");
    let model = model.to_str().unwrap();
    assert_eq!(project.run(&[model]), "2 of 6 rows, 0 resumed\n");
    let chosen = fs::read(project.path().join("out/selected.jsonl")).unwrap();
    // Once more: only read.
    assert_eq!(project.run(&[model]), "2 of 6 rows, 12 resumed\n");
    assert_eq!(fs::read(project.path().join("out/selected.jsonl")).unwrap(), chosen);
}
