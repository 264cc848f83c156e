//! Any selections beside each other: how they cover the pool, how diverse they are, how long their
//! texts, how many repeat others, and what they have in common.
//!
//! ```text
//! cargo run --release -p tamis-examples --example compare -- \
//!     --embeddings rows.npy --data rows.jsonl out/k-center out/gdig random=chosen.jsonl
//! ```
//!
//! A selection is the output folder of any program here, its `scores.jsonl`, or a file of chosen
//! rows. You should see a table with a column for each, and one of the rows they share; `--json`
//! prints the same as one JSON object.

use anyhow::Result;
use clap::Parser;
use tamis_examples::compare::{Flags, Found, Pool, Set};
use tamis_examples::say;

fn main() -> Result<()> {
    let flags = Flags::parse();
    let statistics = flags.statistics()?;
    let pool = Pool::open(&flags)?;
    let sets = flags.selections.iter().map(|named| Set::read(named, &flags, &pool));
    let sets = sets.collect::<Result<Vec<_>>>()?;
    let found = Found::measure(&pool, &sets, &statistics)?;
    let text = if flags.json { found.json()? } else { found.tables() };
    say(text)
}
