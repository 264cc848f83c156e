//! The one error of this crate.

use std::io;
use std::path::PathBuf;

use crate::manifest::Differences;

/// Why an artefact could not be written, or must not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The operating system refused something other than writing data.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `open`, `create the folder`, …
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// Data could not be written: a full disk, a quota, a read-only file system.
    #[error(
        "cannot write {bytes} bytes to {}: {source}; what was committed before is intact, so make room and run again",
        path.display()
    )]
    Write {
        /// The file the bytes were for.
        path: PathBuf,
        /// How many bytes it wanted.
        bytes: u64,
        /// The system's reason.
        source: io::Error,
    },

    /// A folder without `manifest.json` was opened as a store.
    #[error("{} is not a store: it has no manifest.json; check the path, or run the stage that writes it", dir.display())]
    NotAStore {
        /// The folder.
        dir: PathBuf,
    },

    /// A new store was to be made in a folder that holds something else.
    #[error("{} has no manifest.json but holds `{found}`; use another --out or delete {}", dir.display(), dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
        /// One of the files in it.
        found: String,
    },

    /// `manifest.json` is not a manifest.
    #[error("{} is not a valid manifest: {source}; use another --out or delete the folder and run again", path.display())]
    BadManifest {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },

    /// A value for a manifest cannot be expressed as JSON.
    #[error("manifest field `{field}` cannot be written as JSON: {source}")]
    BadField {
        /// The field.
        field: String,
        /// Why.
        source: serde_json::Error,
    },

    /// The store was made from something else than what it is now asked to be.
    #[error("{} was made differently: {differences}; use another --out or delete {}", dir.display(), dir.display())]
    Mismatch {
        /// The folder.
        dir: PathBuf,
        /// Every differing field.
        differences: Differences,
    },

    /// A line of the journal other than a torn last one is wrong.
    #[error("{} line {line}: {reason}; the store cannot be trusted: delete its folder and run again", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },

    /// A line of a ledger other than a torn last one is wrong.
    #[error("{} line {line}: {reason}; restore the file, or delete it to begin anew", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },

    /// A store has a manifest but no journal.
    #[error("{} is missing beside its manifest.json; delete the folder and run again", path.display())]
    MissingJournal {
        /// Where it should be.
        path: PathBuf,
    },

    /// Another process writes this store.
    #[error("{} is being written by another process; wait for it to end or use another --out", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },

    /// A name that cannot be a shard's.
    #[error("`{name}` cannot name a shard: {reason}")]
    ShardName {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },

    /// A shard was asked for that was never committed.
    #[error("{} has no shard `{shard}`{}", dir.display(), if *complete { "" } else { " yet" })]
    UnknownShard {
        /// The folder.
        dir: PathBuf,
        /// The shard.
        shard: String,
        /// Whether the store was finished.
        complete: bool,
    },

    /// A committed shard's file is gone.
    #[error("shard {} is missing although the journal has it ({expected} bytes); restore the file, or delete the folder and run again", path.display())]
    MissingShard {
        /// Where it should be.
        path: PathBuf,
        /// Its length by the journal.
        expected: u64,
    },

    /// A committed shard has another length than when it was written.
    #[error("shard {} has {found} bytes, the journal says {expected}; restore the file, or delete the folder and run again", path.display())]
    ShardLength {
        /// The file.
        path: PathBuf,
        /// Its length now.
        found: u64,
        /// Its length by the journal.
        expected: u64,
    },

    /// A committed shard has other bytes than when it was written.
    #[error("shard {} has BLAKE3 {found}, the journal says {expected}: its bytes have changed; restore the file, or delete the folder and run again", path.display())]
    ShardChecksum {
        /// The file.
        path: PathBuf,
        /// Its hash now.
        found: String,
        /// Its hash by the journal.
        expected: String,
    },

    /// A shard was written twice.
    #[error("shard `{shard}` of {} is already committed; ask `has` before writing", dir.display())]
    AlreadyCommitted {
        /// The folder.
        dir: PathBuf,
        /// The shard.
        shard: String,
    },

    /// A finished store was to be changed.
    #[error("{} is finished and cannot be changed; use another --out", dir.display())]
    Finished {
        /// The folder.
        dir: PathBuf,
    },

    /// A store was opened whose stage was interrupted.
    #[error("{} is unfinished ({shards} shards so far): run its stage again to finish it", dir.display())]
    Unfinished {
        /// The folder.
        dir: PathBuf,
        /// Shards that are committed.
        shards: usize,
    },
    /// A line of a shard is not what the stage writes.
    #[error("{}, line {line}: {source}; delete the folder and run its stage again", path.display())]
    ShardLine {
        /// The shard.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A stage gave another number of files for a shard than it was asked for.
    #[error("stage {stage} gave {found} files for a shard, expected {expected}")]
    Files {
        /// The stage.
        stage: String,
        /// Files given.
        found: usize,
        /// Stores that lack the shard.
        expected: usize,
    },
    /// A path that does not end in a file name.
    #[error("{} does not name a file", path.display())]
    NoFileName {
        /// The path.
        path: PathBuf,
    },
}

impl ArtifactError {
    /// For `map_err`: an [`ArtifactError::Io`] about `path`.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
