//! The folder of shards.

use std::fs;

use tamis_artifact::{ArtifactError, Fingerprint, Manifest, Provenance, StoreWriter};
use tamis_embeddings::{EmbeddingStore, Embeddings, EmbeddingsError, NoEmbedding, Shard};

fn of(model: &str) -> Provenance {
    Provenance::new().model(Fingerprint::from(model))
}

fn shard(first: usize, count: usize) -> Shard {
    let indices: Vec<usize> = (0..count).map(|row| first + 2 * row).collect();
    Shard {
        ids: indices.iter().map(|n| format!("s{n}")).collect(),
        rows: indices.iter().flat_map(|&n| [n as f32, 0.5, -1.0]).collect(),
        skipped: vec![NoEmbedding {
            id: format!("s{}", first + 1),
            index: first + 1,
            reason: "empty_target".to_owned(),
        }],
        indices,
        columns: 3,
    }
}

#[test]
fn written_in_any_order_read_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("e");
    let mut store = EmbeddingStore::create_or_resume(&dir, &of("a")).unwrap();
    store.write(1, &shard(10, 2)).unwrap();
    let refused = Embeddings::open(&dir).unwrap_err();
    let unfinished =
        EmbeddingsError::Artifact(ArtifactError::Unfinished { dir: dir.clone(), shards: 1 });
    assert_eq!(refused.to_string(), unfinished.to_string());
    assert!(refused.to_string().contains("run its stage again"), "{refused}");
    drop(store);

    let mut store = EmbeddingStore::create_or_resume(&dir, &of("a")).unwrap();
    assert!(store.has(1) && !store.has(0));
    store.write(0, &shard(0, 4)).unwrap();
    store.finish().unwrap();
    assert!(EmbeddingStore::create_or_resume(&dir, &of("a")).unwrap().is_complete());

    let embeddings = Embeddings::open(&dir).unwrap();
    assert!(embeddings.is_mapped());
    assert_eq!((embeddings.len(), embeddings.columns()), (6, 3));
    assert_eq!(embeddings.ids().unwrap(), ["s0", "s2", "s4", "s6", "s10", "s12"]);
    assert_eq!(embeddings.indices().unwrap(), [0, 2, 4, 6, 10, 12]);
    let skipped: Vec<usize> = embeddings.skipped().iter().map(|skipped| skipped.index).collect();
    assert_eq!(skipped, [1, 11]);
    assert_eq!(embeddings.skipped()[0].reason, "empty_target");
    assert_eq!(embeddings.block(3, 2, &mut Vec::new()), [6.0, 0.5, -1.0, 10.0, 0.5, -1.0]);
    assert_eq!(embeddings.name(4), "row 4 (`s10`)");

    // As one piece, for who reads it often.
    let path = folder.path().join("one.npy");
    embeddings.write_npy(&path).unwrap();
    assert_eq!(Embeddings::open(&path).unwrap().contiguous(), embeddings.contiguous());
}

#[test]
fn of_other_things_or_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("e");
    EmbeddingStore::create_or_resume(&dir, &of("a")).unwrap().finish().unwrap();
    let refused = EmbeddingStore::create_or_resume(&dir, &of("b")).unwrap_err().to_string();
    assert!(refused.contains("field `model` is \"a\", expected \"b\""), "{refused}");
    let refused = Embeddings::open(&dir).unwrap_err().to_string();
    assert!(refused.contains("0 rows"), "{refused}");

    for (kind, format) in [("gradients", 1), ("embeddings", 2)] {
        let dir = folder.path().join(kind);
        StoreWriter::create_or_resume(&dir, &Manifest::new(kind, format))
            .unwrap()
            .finish()
            .unwrap();
        let refused = Embeddings::open(folder.path().join(kind)).unwrap_err().to_string();
        assert!(refused.contains(&format!("{kind} of format {format}")), "{refused}");
    }
}

#[test]
fn shards_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        |name: &str| EmbeddingStore::create_or_resume(folder.path().join(name), &of("a")).unwrap();
    let refused = |name: &str| Embeddings::open(folder.path().join(name)).unwrap_err().to_string();

    let mut bad = store("bad");
    let with = |change: fn(&mut Shard)| {
        let mut shard = shard(0, 2);
        change(&mut shard);
        shard
    };
    for (shard, part) in [
        (with(|s| s.indices.truncate(1)), "1 indices, expected 2 for 2 ids"),
        (with(|s| s.rows.truncate(5)), "5 numbers, expected 6 for 2 ids"),
        (with(|s| s.rows[4] = f32::NAN), "row 1 (`s2`) holds NaN in column 1"),
    ] {
        let refused = bad.write(0, &shard).unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    }

    let mut gap = store("gap");
    gap.write(0, &shard(0, 2)).unwrap();
    gap.write(2, &shard(10, 2)).unwrap();
    gap.finish().unwrap();
    assert!(refused("gap").contains("rows-00001.safetensors"));

    let mut wide = store("wide");
    wide.write(0, &shard(0, 2)).unwrap();
    let other = Shard { columns: 2, rows: vec![0.0; 4], ..shard(10, 2) };
    wide.write(1, &other).unwrap();
    wide.finish().unwrap();
    assert!(refused("wide").contains("rows of 2 numbers, those before have 3"));

    let mut twice = store("twice");
    twice.write(0, &shard(0, 2)).unwrap();
    twice.write(1, &shard(2, 2)).unwrap();
    twice.finish().unwrap();
    assert!(refused("twice").contains("rows 1 and 2 both have the id `s2`"));

    let mut flipped = store("flipped");
    flipped.write(0, &shard(0, 2)).unwrap();
    flipped.finish().unwrap();
    let path = folder.path().join("flipped/rows-00000.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(refused("flipped").contains("rows-00000.safetensors"));

    // Whole and in the journal, but written by something else.
    let dir = folder.path().join("foreign");
    let mut foreign = StoreWriter::create_or_resume(&dir, &Manifest::new("embeddings", 1)).unwrap();
    let text = br#"{"__metadata__":{"tamis":"{}"}}"#;
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend(text);
    foreign.write("rows-00000.safetensors", &file).unwrap();
    foreign.finish().unwrap();
    let refused = refused("foreign");
    assert!(
        refused.contains("missing field `ids`") && refused.contains("embed again"),
        "{refused}"
    );
}
