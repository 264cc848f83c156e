//! Sources of rows: every kind gives the rows that were asked for, and a name that changes with them.

use proptest::prelude::*;
use tamis_artifact::Fingerprint;
use tamis_dataset::{
    Concat, DatasetError, EncodeOptions, Encoder, Encodings, Outcome, Sample, Source, Subset,
    Template, check_source,
};

use crate::support::{Folder, tokenizer};

fn samples(count: usize) -> Vec<Sample> {
    let sample = |n: usize| Sample::instruction(format!("Say {n}."), n.to_string());
    (0..count).map(sample).collect()
}

/// A source of another crate: nothing is held, and every row says that it is row 0.
struct Made(usize);

impl Source for Made {
    fn len(&self) -> usize {
        self.0
    }

    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        if let Some(&bad) = positions.iter().find(|&&position| position >= self.0) {
            return Err(DatasetError::source(format!("no row {bad}")));
        }
        Ok(positions.iter().map(|n| Sample::instruction("Count.", n.to_string())).collect())
    }

    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        Ok(Fingerprint::from(format!("made {}", self.0)))
    }
}

fn ids(source: &dyn Source, positions: &[usize]) -> Vec<String> {
    source.read(positions).unwrap().into_iter().map(|sample| sample.id.to_string()).collect()
}

#[test]
fn samples_in_memory_have_their_position_as_index() {
    let rows = samples(5);
    let read = rows.read(&[4, 1, 1]).unwrap();
    assert_eq!(read.iter().map(|sample| sample.index).collect::<Vec<_>>(), [4, 1, 1]);
    assert_eq!(read[0].id, rows[4].id);
    assert_eq!(rows.read_range(1..3).unwrap().len(), 2);
    let beyond = rows.read(&[5]).unwrap_err();
    assert!(matches!(beyond, DatasetError::Position { position: 5, len: 5 }), "{beyond}");
    assert!(Subset::new(&rows, vec![0, 5]).is_err());
}

#[test]
fn a_file_is_a_source_and_its_way_of_reading_is_part_of_its_name() {
    let folder = Folder::new();
    let row = |n: usize| format!("{{\"instruction\": \"Say {n}.\", \"output\": \"{n}\"}}\n");
    let text: String = (0..4).map(row).collect();
    let file = folder.open("rows.jsonl", &text).unwrap();
    assert!(file.has_unique_ids());
    assert_eq!(ids(&file, &[3, 0]), ids(&samples(4), &[3, 0]));
    let same = folder.open("elsewhere.jsonl", &text).unwrap();
    assert_eq!(Source::fingerprint(&file).unwrap(), Source::fingerprint(&same).unwrap());
    let other = folder.open("other.jsonl", text.replace("\"3\"", "\"4\"")).unwrap();
    assert_ne!(Source::fingerprint(&file).unwrap(), Source::fingerprint(&other).unwrap());
}

#[test]
fn an_id_that_two_rows_have_is_refused() {
    let mut rows = samples(3);
    check_source(&rows).unwrap();
    rows.push(rows[1].clone());
    let refused = check_source(&rows).unwrap_err();
    assert!(matches!(refused, DatasetError::SameId { position: 3, .. }), "{refused}");
    assert!(refused.to_string().contains("with_id"), "{refused}");
    rows[3] = rows[3].clone().with_id("copy");
    check_source(&rows).unwrap();

    let (made, rows) = (Made(3), samples(3));
    check_source(&Concat::new(vec![&made, &rows])).unwrap();
    assert!(check_source(&Concat::new(vec![&made, &made])).is_err());
    assert!(check_source(&Subset::new(&rows, vec![2, 0, 2]).unwrap()).is_err());
}

#[test]
fn a_source_that_gives_too_few_rows_is_refused() {
    struct Short;
    impl Source for Short {
        fn len(&self) -> usize {
            3
        }
        fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
            Made(3).read(&positions[1..])
        }
        fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
            Made(3).fingerprint()
        }
    }
    let refused = check_source(&Short).unwrap_err();
    assert!(matches!(refused, DatasetError::Rows { found: 2, expected: 3 }), "{refused}");
    let failed = Made(3).read(&[7]).unwrap_err();
    assert!(failed.to_string().contains("no row 7"), "{failed}");
}

fn encoder(max_length: usize) -> Encoder {
    let options = EncodeOptions { max_length, ..EncodeOptions::default() };
    Encoder::new(tokenizer("bytes"), Template::None, options).unwrap()
}

#[test]
fn encodings_are_named_and_placed_by_position() {
    let (made, encoder) = (Made(6), encoder(64));
    let all = Encodings::new(&made, &encoder);
    let part = all.at(&[5, 2, 4]).unwrap();
    let index = |outcome: &Outcome<_>| match outcome {
        Outcome::Scored(tamis_dataset::Encoded { index, .. })
        | Outcome::Unscorable { index, .. } => *index,
    };
    // Every sample says that it is row 0; what is read says where it stands.
    let read = all.read(&[3, 1]).unwrap();
    assert_eq!(read.iter().map(index).collect::<Vec<_>>(), [3, 1]);
    let read = part.read_range(0..3).unwrap();
    assert_eq!(read.iter().map(index).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(part.ids().unwrap(), [5, 2, 4].map(|n| made.read(&[n]).unwrap()[0].id.clone()));
    assert_eq!(part.at(&[2]).unwrap().ids().unwrap(), all.at(&[4]).unwrap().ids().unwrap());
    assert!(all.at(&[6]).is_err());

    let (usable, skipped) = all.read_all().unwrap();
    assert_eq!((usable.len(), skipped.len()), (6, 0));
    let given = Encodings::of(&usable);
    assert_eq!(given.read(&[2]).unwrap(), all.read(&[2]).unwrap());
    assert_eq!(given.ids().unwrap(), all.ids().unwrap());

    let names = [&all, &part, &given, &all.at(&[5, 4, 2]).unwrap()];
    let names: Vec<String> = names.map(|e| e.fingerprint().unwrap().to_string()).to_vec();
    for (n, name) in names.iter().enumerate() {
        assert!(!names[..n].contains(name), "{name}");
    }
    let longer = self::encoder(65);
    let longer = Encodings::new(&made, &longer);
    assert_eq!(longer.fingerprint().unwrap(), all.fingerprint().unwrap());
    assert_ne!(longer.encoder_fingerprint(), all.encoder_fingerprint());
}

#[test]
fn a_sample_of_the_rows_is_the_same_for_a_seed_and_grows_with_the_count() {
    let (made, encoder) = (Made(100), encoder(64));
    let all = Encodings::new(&made, &encoder);
    let ten = all.sample(10, 3).unwrap();
    assert_eq!(ten.ids().unwrap(), all.sample(10, 3).unwrap().ids().unwrap());
    assert_ne!(ten.ids().unwrap(), all.sample(10, 4).unwrap().ids().unwrap());
    assert_eq!(all.sample(1000, 3).unwrap().len(), 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A subset of a concatenation reads what plain indexing into the rows gives.
    #[test]
    fn parts_of_parts_are_plain_indexing(
        sizes in prop::collection::vec(0..5_usize, 1..4),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        asked in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut rows = samples(sizes.iter().sum());
        let whole = rows.clone();
        let mut parts: Vec<Vec<Sample>> = Vec::new();
        for &size in &sizes {
            parts.push(rows.drain(..size).collect());
        }
        let all = Concat::new(parts.iter().map(|part| part as &dyn Source).collect());
        prop_assert_eq!(all.len(), whole.len());
        let picks: Vec<usize> = if whole.is_empty() { Vec::new() } else {
            picks.iter().map(|pick| pick.index(whole.len())).collect()
        };
        let subset = Subset::new(&all, picks.clone()).unwrap();
        let asked: Vec<usize> = if picks.is_empty() { Vec::new() } else {
            asked.iter().map(|at| at.index(picks.len())).collect()
        };
        let expected: Vec<String> =
            asked.iter().map(|&at| whole[picks[at]].id.to_string()).collect();
        prop_assert_eq!(ids(&subset, &asked), expected);
        prop_assert_eq!(Subset::all(&all).fingerprint().unwrap(), all.fingerprint().unwrap());
    }
}
