//! Files that use each other in a circle: none of them can be read, tested or moved without the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, collect_sources};

/// Crates that still have circles by the names that their root or a folder gives on (`use crate::Name`). In them, only
/// paths that name the file (`use crate::file::Name`) are followed. The list may only become shorter.
const BY_FILES_ONLY: [&str; 10] = [
    "artifact",
    "clustering",
    "diverse-evol",
    "embeddings",
    "finetune",
    "gradients",
    "influence",
    "kcenter",
    "metrics",
    "reflection",
];

/// A file's place in its crate, as its path in `use` says it: `["generate", "beam"]`. The root's is empty.
type Module = Vec<String>;

/// No file of a crate uses another that, directly or through further ones, uses it.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let crates = workspace.root().join("crates");
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&crates)
        .with_context(|| format!("cannot read the folder {}", crates.display()))?
    {
        let path = entry?.path();
        if path.join("src").is_dir() {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    for name in &names {
        let files = read(&crates.join(name).join("src"))?;
        let (by_files, by_names) = (circles(&files, false), circles(&files, true));
        let name = name.as_str();
        let by_files_only = BY_FILES_ONLY.contains(&name);
        if by_files_only && by_names.is_empty() {
            bail!(
                "{name} has no such circles any more: take it off the list in xtask/src/circles.rs"
            );
        }
        let found = if by_files_only { by_files } else { by_names };
        if !found.is_empty() {
            let found: Vec<String> = found.iter().map(|circle| circle.join(", ")).collect();
            bail!(
                "files of {name} use each other in a circle: {}; move what they share into a file below them",
                found.join("; ")
            );
        }
    }
    println!("{} crates, {} of them with circles", names.len(), BY_FILES_ONLY.len());
    Ok(())
}

/// The text of every file of a crate, without comments and tests.
fn read(source: &Path) -> Result<BTreeMap<Module, String>> {
    let mut paths = Vec::new();
    collect_sources(source, &mut paths)?;
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let place = path.strip_prefix(source).unwrap_or(&path).with_extension("");
            let mut module: Module =
                place.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
                module.pop();
            }
            Ok((module, code(&text)))
        })
        .collect()
}

/// What counts: lines without their comments, up to the tests at the end of the file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).fold(
        String::new(),
        |mut code, line| {
            code.push_str(line);
            code.push('\n');
            code
        },
    )
}

/// The groups of files of which each uses all others of its group, if through further ones. `by_names` says whether a
/// name is followed through the `pub use` of a root or folder to the file it is from.
fn circles(files: &BTreeMap<Module, String>, by_names: bool) -> Vec<Vec<String>> {
    let given = if by_names { given_on(files) } else { BTreeMap::new() };
    let uses: BTreeMap<&Module, BTreeSet<Module>> = files
        .iter()
        .filter(|(module, _)| !module.is_empty())
        .map(|(module, text)| {
            let used = paths(text, module).into_iter().map(|path| file_of(&path, files, &given));
            (module, used.filter(|used| used != module && !used.is_empty()).collect())
        })
        .collect();
    let reach: BTreeMap<&Module, BTreeSet<&Module>> =
        uses.keys().map(|&module| (module, reached(module, &uses))).collect();
    let mut circles = BTreeSet::new();
    for (&module, reached) in &reach {
        if reached.contains(module) {
            let together = |other: &&&Module| reach.get(*other).is_some_and(|r| r.contains(module));
            circles.insert(
                reached.iter().filter(together).map(|other| other.join("/")).collect::<Vec<_>>(),
            );
        }
    }
    circles.into_iter().collect()
}

/// Every file that `from` uses, directly or not.
fn reached<'a>(
    from: &Module,
    uses: &'a BTreeMap<&Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for used in uses.get(module).into_iter().flatten() {
            if reached.insert(used) {
                next.push(used);
            }
        }
    }
    reached
}

/// The names that modules give on by `pub use`, and where they have them from.
fn given_on(files: &BTreeMap<Module, String>) -> BTreeMap<Module, Module> {
    let mut given = BTreeMap::new();
    for (module, text) in files {
        for statement in statements(text, "pub use ").chain(statements(text, "pub(crate) use ")) {
            for path in expand(statement) {
                let first = path.first().map_or("", String::as_str);
                let from = match first {
                    "crate" => path[1..].to_vec(),
                    "self" => [module.as_slice(), &path[1..]].concat(),
                    _ => [module.as_slice(), path.as_slice()].concat(),
                };
                let name = path.last().cloned().into_iter().collect();
                given.insert([module.clone(), name].concat(), from);
            }
        }
    }
    given
}

/// The file that a path leads into: the longest beginning of it that is one.
fn file_of(
    path: &[String],
    files: &BTreeMap<Module, String>,
    given: &BTreeMap<Module, Module>,
) -> Module {
    let mut path = path.to_vec();
    // A name is given on a few times at most.
    for _ in 0..8 {
        let length = (0..=path.len()).rev().find(|&n| files.contains_key(&path[..n])).unwrap_or(0);
        match path.get(..=length).and_then(|name| given.get(name)) {
            Some(from) => path = [from.as_slice(), &path[length + 1..]].concat(),
            None => return path[..length].to_vec(),
        }
    }
    Vec::new()
}

/// All paths of a file that lead into its own crate, from the root.
fn paths(text: &str, module: &Module) -> Vec<Module> {
    let from_root = |path: Module| -> Option<Module> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "super" => Some([&module[..module.len().saturating_sub(ups)], &path[ups..]].concat()),
            _ => None,
        }
    };
    let used = statements(text, "use ").flat_map(expand);
    // Paths within the code.
    let within = ["crate::", "super::"].into_iter().flat_map(|start| {
        let first = |(at, _): &(usize, &str)| !text[..*at].ends_with("::");
        text.match_indices(start).filter(first).map(|(at, _)| {
            let end = text[at..]
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .map_or(text.len(), |length| at + length);
            text[at..end].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()
        })
    });
    used.chain(within).filter_map(from_root).collect()
}

/// What stands between `start`, at the beginning of a line, and the semicolon after it.
fn statements<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(start)
        .filter(|(at, _)| text[..*at].rsplit('\n').next().is_none_or(|l| l.trim().is_empty()))
        .filter_map(move |(at, _)| text[at + start.len()..].split(';').next())
}

/// The paths of a `use`, its braces multiplied out and new names left away.
fn expand(tree: &str) -> Vec<Module> {
    let parts = |path: &str| -> Module {
        let path = path.split(" as ").next().unwrap_or_default();
        path.split("::")
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    };
    let tree = tree.trim();
    let Some((before, inside)) = tree.split_once('{') else {
        return vec![parts(tree)];
    };
    let inside = inside.trim_end().strip_suffix('}').unwrap_or(inside);
    let (mut depth, mut branches) = (0_usize, vec![String::new()]);
    for letter in inside.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                branches.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(branch) = branches.last_mut() {
            branch.push(letter);
        }
    }
    branches
        .iter()
        .filter(|branch| !branch.trim().is_empty())
        .flat_map(|branch| expand(branch))
        .map(|path| [parts(before), path].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], by_names: bool) -> Vec<Vec<String>> {
        let module = |path: &str| -> Module {
            path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let files = files.iter().map(|(path, text)| (module(path), code(text))).collect();
        circles(&files, by_names)
    }

    #[test]
    fn circles_of_two_and_of_three() {
        let files = [
            ("", "pub use a::A;\nmod a;"),
            ("a", "use crate::b::{B, inner::{C, D}};"),
            ("b", "use crate::c;\nuse std::fmt;"),
            ("c", "fn f() -> crate::a::A { todo() }"),
            ("d", "use crate::a::A;"),
            ("e/mod", ""),
        ];
        assert_eq!(found(&files, false), [["a", "b", "c"]]);
        let pair = [("x/one", "use super::two::T;"), ("x/two", "use super::one::O;"), ("x", "")];
        assert_eq!(found(&pair, false), [["x/one", "x/two"]]);
    }

    #[test]
    fn names_lead_to_their_files() {
        let files = [
            ("", "pub use error::Error;\npub use sample::{Id, Sample};"),
            ("error", "use crate::Id;"),
            ("sample", "use crate::Error;"),
        ];
        assert_eq!(found(&files, true), [["error", "sample"]]);
        assert!(found(&files, false).is_empty());
    }

    #[test]
    fn comments_tests_and_own_names_do_not_count() {
        let files = [
            (
                "a",
                "use crate::b::B; // not `crate::c`\n#[cfg(test)]\nmod tests {\n    use crate::c::C;\n}",
            ),
            ("b", "/// See [`A`](crate::a::A).\nuse crate::b::Other;"),
            ("c", "use crate::a::A;"),
        ];
        assert!(found(&files, true).is_empty());
    }
}
