//! German-English pairs from message catalogues: a pool to select from and good pairs to steer by.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::po;

/// A translation, in the form that the `translation-jsonl` reader takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Pair {
    /// Catalogue and line, e.g. `django/contrib/admin:31`.
    pub(crate) id: String,
    /// German.
    pub(crate) src: String,
    /// English.
    pub(crate) tgt: String,
}

/// Pairs to choose from, and pairs that show what is wanted. No text is in both.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) candidates: Vec<Pair>,
    pub(crate) seeds: Vec<Pair>,
    /// Pairs there were to take both from.
    pub(crate) available: usize,
}

/// Changing it changes which pairs are drawn.
const ORDER: &str = "tamis demo";

/// Longer texts would cost more time than they show.
const LONGEST: usize = 400;

/// A good seed is a sentence or two.
const SEED_CHARACTERS: std::ops::RangeInclusive<usize> = 60..=200;

/// Draws `seeds` good longer pairs and then `candidates` others from the catalogues in `folder`,
/// always the same ones.
pub(crate) fn draw(folder: &Path, candidates: usize, seeds: usize) -> Result<Pool> {
    let mut pairs = Vec::new();
    for path in catalogues(folder)? {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let entries = po::parse(&text).with_context(|| path.display().to_string())?;
        pairs.extend(pairs_of(&name_of(&path, folder), entries));
    }
    split(pairs, candidates, seeds)
}

fn split(pairs: Vec<Pair>, candidates: usize, seeds: usize) -> Result<Pool> {
    let mut pairs = without_repeats(pairs);
    let available = pairs.len();
    pairs.sort_by_cached_key(|pair| (shuffled(&pair.id), pair.id.clone()));
    let mut pool = Pool { candidates: Vec::new(), seeds: Vec::new(), available };
    for pair in pairs {
        if pool.seeds.len() < seeds && is_good_seed(&pair) {
            pool.seeds.push(pair);
        } else {
            pool.candidates.push(pair);
        }
    }
    if pool.seeds.len() < seeds || pool.candidates.len() < candidates {
        bail!(
            "{available} pairs give {} seeds and {} candidates; {seeds} and {candidates} were \
            asked for",
            pool.seeds.len(),
            pool.candidates.len()
        );
    }
    pool.candidates.truncate(candidates);
    Ok(pool)
}

/// All catalogues under `folder`, in the order of their paths.
fn catalogues(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)
            .with_context(|| format!("cannot read the folder {}", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "po") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `wagtail/admin` for `wagtail/admin/locale/de/LC_MESSAGES/django.po`; another domain than
/// `django` is added.
fn name_of(path: &Path, folder: &Path) -> String {
    let path = path.strip_prefix(folder).unwrap_or(path);
    let package =
        path.iter().map(|part| part.to_string_lossy()).take_while(|part| part != "locale");
    let domain =
        path.file_stem().map(|stem| stem.to_string_lossy()).filter(|stem| stem != "django");
    package.chain(domain).collect::<Vec<_>>().join("/")
}

/// The finished translations of a catalogue that say something.
fn pairs_of(name: &str, entries: Vec<po::Entry>) -> impl Iterator<Item = Pair> {
    entries
        .into_iter()
        .filter(|entry| {
            !entry.fuzzy
                && !entry.plural
                && entry.message != entry.translation
                && [&entry.message, &entry.translation]
                    .iter()
                    .all(|text| text.chars().count() <= LONGEST && has_words(text))
        })
        .map(move |entry| Pair {
            id: format!("{name}:{}", entry.line),
            src: entry.translation,
            tgt: entry.message,
        })
}

/// Whether a word is left when the placeholders (`%(name)s`, `%d`, `{name}`) are taken away.
fn has_words(text: &str) -> bool {
    let mut rest = text;
    let mut letters = String::new();
    while let Some(start) = rest.find(['%', '{']) {
        letters.push_str(&rest[..start]);
        let placeholder = &rest[start + 1..];
        rest = if rest[start..].starts_with('{') {
            placeholder.split_once('}').map_or(placeholder, |(_, after)| after)
        } else {
            // `%d`, or `%(name)d`: the kind of value comes last.
            let kind = placeholder
                .strip_prefix('(')
                .and_then(|named| named.split_once(')'))
                .map_or(placeholder, |(_, kind)| kind);
            let mut after = kind.chars();
            after.next();
            after.as_str()
        };
    }
    letters.push_str(rest);
    letters.chars().any(char::is_alphabetic)
}

/// Drops pairs whose German or English was there before, so that no seed is in the pool under
/// another id.
fn without_repeats(pairs: Vec<Pair>) -> Vec<Pair> {
    let (mut sources, mut targets) = (HashSet::new(), HashSet::new());
    pairs
        .into_iter()
        .filter(|pair| {
            // Both sets must learn of the pair, so neither call may be skipped.
            let new_source = sources.insert(pair.src.trim().to_lowercase());
            let new_target = targets.insert(pair.tgt.trim().to_lowercase());
            new_source && new_target
        })
        .collect()
}

/// A whole sentence of plain words: no placeholder, no markup, no list of identifiers.
fn is_good_seed(pair: &Pair) -> bool {
    [&pair.src, &pair.tgt].iter().all(|text| {
        let count = text.chars().count();
        let plain = text.chars().filter(|c| c.is_alphabetic() || *c == ' ').count();
        SEED_CHARACTERS.contains(&count)
            && !text.contains(['%', '{', '<', '\n', '_', '/', '&'])
            && text.ends_with(['.', '!', '?'])
            && 10 * plain >= 9 * count
    })
}

/// A number that orders ids as if shuffled, the same on every machine.
fn shuffled(id: &str) -> u64 {
    let hash = fnv1a(&format!("{ORDER}/{id}"));
    // FNV leaves similar ids close together; two rounds of multiply and shift spread them.
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The 64-bit FNV-1a hash.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pair(id: usize, src: &str, tgt: &str) -> Pair {
        Pair { id: format!("x:{id}"), src: src.into(), tgt: tgt.into() }
    }

    /// A catalogue of `n` distinct pairs, every fifth of them a good seed.
    fn pairs(n: usize) -> Vec<Pair> {
        (0..n)
            .map(|i| {
                let word = format!("{}{}", char::from(b'a' + (i % 26) as u8), "z".repeat(i / 26));
                if i % 5 == 0 {
                    let sentence = format!(
                        "Here stands a whole sentence that is long enough to steer by {word}."
                    );
                    pair(i, &sentence.replace("Here", "Hier"), &sentence)
                } else {
                    pair(i, &format!("Wort {word}"), &format!("Word {word}"))
                }
            })
            .collect()
    }

    #[test]
    fn seeds_are_good_and_never_in_the_pool() {
        let pool = split(pairs(200), 100, 16).unwrap();
        assert_eq!((pool.candidates.len(), pool.seeds.len(), pool.available), (100, 16, 200));
        assert!(pool.seeds.iter().all(is_good_seed));
        assert!(pool.seeds.iter().all(|seed| {
            pool.candidates.iter().all(|c| c.src != seed.src && c.tgt != seed.tgt)
        }));
    }

    #[test]
    fn the_draw_depends_on_the_pairs_alone() {
        let straight = split(pairs(200), 150, 16).unwrap();
        let mut reversed = pairs(200);
        reversed.reverse();
        let reversed = split(reversed, 150, 16).unwrap();
        assert_eq!(straight.candidates, reversed.candidates);
        assert_eq!(straight.seeds, reversed.seeds);
        // Fewer candidates are a beginning of more.
        assert_eq!(split(pairs(200), 50, 16).unwrap().candidates, straight.candidates[..50]);
        // Shuffled: neighbours of a catalogue do not stay together.
        let ids: Vec<_> = straight.candidates.iter().map(|pair| pair.id.clone()).collect();
        assert!(!ids.is_sorted());
    }

    #[test]
    fn asking_for_more_than_there_is_fails() {
        let error = split(pairs(20), 100, 16).unwrap_err().to_string();
        assert!(error.contains("4 seeds") && error.contains("16 candidates"), "{error}");
    }

    #[test]
    fn repeats_are_dropped_by_either_side() {
        let kept = without_repeats(vec![
            pair(1, "Ja", "Yes"),
            pair(2, "ja ", "Yeah"),
            pair(3, "Jawohl", "yes"),
            pair(4, "Nein", "No"),
        ]);
        assert_eq!(kept, [pair(1, "Ja", "Yes"), pair(4, "Nein", "No")]);
    }

    #[test]
    fn only_finished_translations_with_words_are_taken() {
        let text = r#"
msgid "Save"
msgstr "Sichern"

#, fuzzy
msgid "Old"
msgstr "Alt"

msgid "Name"
msgstr "Name"

msgid "%(a)s – %(b)s"
msgstr "%(b)s – %(a)s"

msgid "Open"
msgstr ""

msgid "%d day"
msgid_plural "%d days"
msgstr[0] "%d Tag"
"#;
        let pairs: Vec<_> = pairs_of("app", po::parse(text).unwrap()).collect();
        assert_eq!(pairs, [Pair { id: "app:2".into(), src: "Sichern".into(), tgt: "Save".into() }]);
    }

    #[test]
    fn placeholders_are_no_words() {
        for text in ["%(a)s: %(b)d", "%s %d", "{count} / {total}", "12 – 15", "%", "{", "%ü", ""]
        {
            assert!(!has_words(text), "{text}");
        }
        for text in ["%(count)s Seiten", "Über {name}", "ab %s", "100 %ig sicher", "%ü an"] {
            assert!(has_words(text), "{text}");
        }
    }

    #[test]
    fn names_tell_package_and_domain() {
        let name = |path: &str| name_of(&Path::new("/c").join(path), Path::new("/c"));
        assert_eq!(
            name("django/contrib/admin/locale/de/LC_MESSAGES/django.po"),
            "django/contrib/admin"
        );
        assert_eq!(
            name("wagtail/admin/locale/de/LC_MESSAGES/djangojs.po"),
            "wagtail/admin/djangojs"
        );
    }

    #[test]
    fn hashes_are_the_published_ones() {
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }
}
