//! The store: a folder of shards that belong to one manifest, while it is written and once it is finished.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::ArtifactError;
use crate::atomic::write_atomic;
use crate::fingerprint::Fingerprint;
use crate::folder::{
    JOURNAL, Lock, MANIFEST, begin, check_name, lock, read_manifest_and_journal,
    refuse_other_files, remove_temporaries,
};
use crate::hash::{hash_bytes, hash_file};
use crate::journal::{JournalWriter, Record, Replay, replay};
use crate::manifest::{Difference, Differences, Manifest};

/// What the journal says of a committed shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes, 64 hexadecimal digits.
    pub blake3: String,
}

/// A finished folder of checksummed shards: `manifest.json`, `journal.jsonl`, `.lock` and the shards.
///
/// Only [`StoreWriter::finish`] makes one, and only a finished one opens, so what reads a `Store` reads all of it. The
/// [crate's page](crate) says how shards are committed and what is checked when.
#[derive(Debug)]
pub struct Store {
    contents: Contents,
}

/// A store that is being written: made new, or gone on with where an earlier run stopped.
#[derive(Debug)]
pub struct StoreWriter {
    contents: Contents,
    journal: JournalWriter,
    /// Held, not used.
    _lock: Lock,
}

/// What both sides know of the folder.
#[derive(Debug)]
struct Contents {
    dir: PathBuf,
    manifest: Manifest,
    /// Names in the order of their commits.
    order: Vec<String>,
    entries: HashMap<String, Entry>,
    complete: bool,
    fingerprint: String,
}

impl StoreWriter {
    /// Makes a new store, or goes on with one that was interrupted or is finished.
    ///
    /// Ask [`has`](Self::has) before computing a shard, or leave that to [`run_shards`](crate::run_shards). Pieces that an
    /// interrupted run left behind are removed.
    ///
    /// # Errors
    /// [`Mismatch`](ArtifactError::Mismatch) names every field in which the manifest of an existing
    /// store differs; [`Locked`](ArtifactError::Locked) if another process writes it;
    /// [`NotEmpty`](ArtifactError::NotEmpty) for a folder with other things in it; and what
    /// [`Store::open`] reports of its journal and shards.
    pub fn create_or_resume(
        dir: impl AsRef<Path>,
        manifest: &Manifest,
    ) -> Result<Self, ArtifactError> {
        let dir = dir.as_ref();
        if !dir.is_dir() {
            fs::create_dir_all(dir).map_err(ArtifactError::io("create the folder", dir))?;
        }
        if !dir.join(MANIFEST).exists() {
            refuse_other_files(dir)?;
        }
        let lock = lock(dir)?;
        remove_temporaries(dir)?;
        // Looked at once more now that nobody else can be writing it.
        if !dir.join(MANIFEST).exists() {
            begin(dir, manifest)?;
        }
        let (contents, replay) = Contents::load(dir)?;
        let differences = contents.manifest.differences(manifest);
        if !differences.is_empty() {
            return Err(ArtifactError::Mismatch { dir: dir.to_owned(), differences });
        }
        let journal = JournalWriter::resume(&dir.join(JOURNAL), &replay)?;
        Ok(Self { contents, journal, _lock: lock })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.contents.dir
    }

    /// What the store is made from.
    pub fn manifest(&self) -> &Manifest {
        &self.contents.manifest
    }

    /// Whether an earlier run finished it: all shards are there, and none can be added.
    pub fn is_complete(&self) -> bool {
        self.contents.complete
    }

    /// Whether a shard is committed.
    pub fn has(&self, shard: &str) -> bool {
        self.contents.entries.contains_key(shard)
    }

    /// Names of the committed shards in the order of their commits.
    pub fn shards(&self) -> impl Iterator<Item = &str> {
        self.contents.order.iter().map(String::as_str)
    }

    /// The bytes of a committed shard, checked against the length and hash in the journal.
    ///
    /// # Errors
    /// [`UnknownShard`](ArtifactError::UnknownShard) for one that is not committed yet, or a file that was changed.
    pub fn read(&self, shard: &str) -> Result<Vec<u8>, ArtifactError> {
        self.contents.read(shard)
    }

    /// Checks length and hash of every committed shard without keeping any in memory.
    ///
    /// # Errors
    /// The first shard that is not as it was written.
    pub fn verify(&self) -> Result<(), ArtifactError> {
        self.contents.verify()
    }

    /// Commits a shard. When this returns, the shard survives a crash of the machine.
    ///
    /// A name is a file name of ASCII letters, digits, `-`, `_` and `.`, not beginning with a dot.
    ///
    /// # Errors
    /// [`ArtifactError::Write`] with the file and the bytes wanted if there is no room: the shards
    /// before it are intact, and the same call may be tried again.
    pub fn write(&mut self, shard: &str, bytes: &[u8]) -> Result<(), ArtifactError> {
        check_name(shard)
            .map_err(|reason| ArtifactError::ShardName { name: shard.to_owned(), reason })?;
        let dir = &self.contents.dir;
        if self.has(shard) {
            let (dir, shard) = (dir.clone(), shard.to_owned());
            return Err(ArtifactError::AlreadyCommitted { dir, shard });
        }
        if self.contents.complete {
            return Err(ArtifactError::Finished { dir: dir.clone() });
        }
        write_atomic(dir.join(shard), bytes)?;
        let entry = Entry { bytes: bytes.len() as u64, blake3: hash_bytes(bytes) };
        self.journal.append(Record::Shard {
            shard: shard.to_owned(),
            bytes: entry.bytes,
            blake3: entry.blake3.clone(),
        })?;
        self.contents.fingerprint = self.journal.head().to_owned();
        self.contents.order.push(shard.to_owned());
        self.contents.entries.insert(shard.to_owned(), entry);
        Ok(())
    }

    /// Marks the store as complete: nothing can be added any more, and from now on it opens as a [`Store`].
    ///
    /// # Errors
    /// A journal that cannot be written.
    pub fn finish(mut self) -> Result<Store, ArtifactError> {
        if !self.contents.complete {
            let finished = self.contents.order.len() as u64;
            self.journal.append(Record::Finished { finished })?;
            self.contents.fingerprint = self.journal.head().to_owned();
            self.contents.complete = true;
        }
        Ok(Store { contents: self.contents })
    }
}

impl Store {
    /// Opens a finished store.
    ///
    /// # Errors
    /// [`NotAStore`](ArtifactError::NotAStore) without a manifest, [`Unfinished`](ArtifactError::Unfinished) for one whose
    /// stage was interrupted, [`Journal`](ArtifactError::Journal)
    /// for a wrong line other than a torn last one, [`MissingShard`](ArtifactError::MissingShard) and
    /// [`ShardLength`](ArtifactError::ShardLength) for shards that are not as they were written.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ArtifactError> {
        let (contents, _) = Contents::load(dir.as_ref())?;
        if !contents.complete {
            let (dir, shards) = (contents.dir, contents.order.len());
            return Err(ArtifactError::Unfinished { dir, shards });
        }
        Ok(Self { contents })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.contents.dir
    }

    /// What the store was made from.
    pub fn manifest(&self) -> &Manifest {
        &self.contents.manifest
    }

    /// Hash over the manifest and every shard, in order: equal for equal stores. Stages built on a store name it so in
    /// their own [`Provenance`](crate::Provenance).
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from(self.contents.fingerprint.as_str())
    }

    /// Refuses a store whose manifest has another value at the dotted path `field`.
    ///
    /// # Errors
    /// [`ArtifactError::Mismatch`] with the value found and the one expected.
    pub fn expect(&self, field: &str, value: &Value) -> Result<(), ArtifactError> {
        let found = self.manifest().field(field);
        if found == Some(value) {
            return Ok(());
        }
        let difference = Difference {
            path: field.to_owned(),
            found: found.cloned(),
            expected: Some(value.clone()),
        };
        Err(ArtifactError::Mismatch {
            dir: self.contents.dir.clone(),
            differences: Differences(vec![difference]),
        })
    }

    /// Whether there is a shard of this name.
    pub fn has(&self, shard: &str) -> bool {
        self.contents.entries.contains_key(shard)
    }

    /// Length and hash of a shard.
    pub fn entry(&self, shard: &str) -> Option<&Entry> {
        self.contents.entries.get(shard)
    }

    /// Names of the shards in the order of their commits.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &str> {
        self.contents.order.iter().map(String::as_str)
    }

    /// The bytes of a shard, checked against the length and hash in the journal.
    ///
    /// # Errors
    /// [`UnknownShard`](ArtifactError::UnknownShard), or a file that was changed or is gone.
    pub fn read(&self, shard: &str) -> Result<Vec<u8>, ArtifactError> {
        self.contents.read(shard)
    }

    /// Checks length and hash of every shard without keeping any in memory.
    ///
    /// # Errors
    /// The first shard that is not as it was written.
    pub fn verify(&self) -> Result<(), ArtifactError> {
        self.contents.verify()
    }
}

impl Contents {
    fn load(dir: &Path) -> Result<(Self, Replay), ArtifactError> {
        let (text, lines) = read_manifest_and_journal(dir)?;
        let manifest = serde_json::from_slice(&text)
            .map_err(|source| ArtifactError::BadManifest { path: dir.join(MANIFEST), source })?;
        let path = dir.join(JOURNAL);
        let replay = replay(&path, &lines, &hash_bytes(&text))?;
        let mut contents = Self {
            dir: dir.to_owned(),
            manifest,
            order: Vec::new(),
            entries: HashMap::new(),
            complete: false,
            fingerprint: replay.head.clone(),
        };
        for (line, record) in replay.records.iter().enumerate() {
            contents.admit(record).map_err(|reason| ArtifactError::Journal {
                path: path.clone(),
                line: line + 1,
                reason,
            })?;
        }
        for (shard, entry) in &contents.entries {
            contents.check_length(shard, entry)?;
        }
        Ok((contents, replay))
    }

    /// Takes in what one line of the journal says; the error says what is wrong with it.
    fn admit(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Shard { shard, bytes, blake3 } => {
                check_name(shard)
                    .map_err(|reason| format!("names shard `{shard}`, which {reason}"))?;
                let entry = Entry { bytes: *bytes, blake3: blake3.clone() };
                if self.entries.insert(shard.clone(), entry).is_some() {
                    return Err(format!("names shard `{shard}` a second time"));
                }
                self.order.push(shard.clone());
            }
            Record::Finished { finished } => {
                if *finished != self.order.len() as u64 {
                    return Err(format!(
                        "says the store was finished with {finished} shards, the lines before it name {}",
                        self.order.len()
                    ));
                }
                self.complete = true;
            }
        }
        Ok(())
    }

    fn read(&self, shard: &str) -> Result<Vec<u8>, ArtifactError> {
        let entry = self.known(shard)?;
        self.check_length(shard, entry)?;
        let path = self.dir.join(shard);
        let bytes = fs::read(&path).map_err(ArtifactError::io("read", &path))?;
        check_hash(path, hash_bytes(&bytes), entry)?;
        Ok(bytes)
    }

    fn verify(&self) -> Result<(), ArtifactError> {
        for shard in &self.order {
            let entry = self.known(shard)?;
            self.check_length(shard, entry)?;
            let path = self.dir.join(shard);
            let found = hash_file(&path)?;
            check_hash(path, found, entry)?;
        }
        Ok(())
    }

    fn known(&self, shard: &str) -> Result<&Entry, ArtifactError> {
        self.entries.get(shard).ok_or_else(|| ArtifactError::UnknownShard {
            dir: self.dir.clone(),
            shard: shard.to_owned(),
            complete: self.complete,
        })
    }

    fn check_length(&self, shard: &str, entry: &Entry) -> Result<(), ArtifactError> {
        let (path, expected) = (self.dir.join(shard), entry.bytes);
        match fs::metadata(&path) {
            Ok(file) if file.len() == expected => Ok(()),
            Ok(file) => Err(ArtifactError::ShardLength { path, found: file.len(), expected }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ArtifactError::MissingShard { path, expected })
            }
            Err(error) => Err(ArtifactError::io("look at", path)(error)),
        }
    }
}

fn check_hash(path: PathBuf, found: String, entry: &Entry) -> Result<(), ArtifactError> {
    if found == entry.blake3 {
        return Ok(());
    }
    Err(ArtifactError::ShardChecksum { path, found, expected: entry.blake3.clone() })
}
