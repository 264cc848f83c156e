//! The section on the run itself.

use serde_json::Value;

use super::sections::{WORD_LIMIT, rounded};
use crate::text::format_count;
use crate::{Align, Report, RunRecord, Table, clip, format_bytes, format_number, format_seconds};

/// Digits of hashes; `run.json` has all of them.
const HASH_LIMIT: usize = 16;

/// Adds the section "Run": parameters, counts, stages, inputs, outputs and machine.
pub fn run_section(report: &mut Report, run: &RunRecord) {
    let two =
        |left: &str, right: &str| Table::new().column(left, Align::Left).column(right, Align::Left);
    let section = report.section("Run");
    let mut parameters = two("parameter", "value");
    flatten("", &run.parameters, &mut parameters);
    for (name, seed) in run.seeds.iter() {
        parameters.row([format!("seed of {name}"), seed.to_string()]);
    }
    if !parameters.is_empty() {
        section.table("Parameters", parameters);
    }
    if !run.counts.is_empty() {
        let mut counts = Table::new().column("rows", Align::Left).column("count", Align::Right);
        for (name, count) in run.counts.iter() {
            counts.row([name.to_owned(), format_count(*count as usize)]);
        }
        section.table("Counts", counts);
    }
    if !run.stages.is_empty() {
        let mut stages = Table::new()
            .column("stage", Align::Left)
            .column("time", Align::Right)
            .column("rows", Align::Right)
            .column("rows per second", Align::Right)
            .column("", Align::Left);
        for stage in &run.stages {
            // A resumed stage did only part of its rows in its time.
            let rate = stage
                .rows
                .filter(|_| stage.seconds > 0.0 && !stage.resumed)
                .map(|rows| format_number(rounded(rows as f64 / stage.seconds)));
            stages.row([
                stage.name.clone(),
                format_seconds(stage.seconds),
                stage.rows.map_or(String::new(), |r| format_count(r as usize)),
                rate.unwrap_or_default(),
                if stage.resumed { "resumed" } else { "" }.to_owned(),
            ]);
        }
        section.table("Stages", stages);
    }
    for (title, files) in [("Inputs", &run.inputs), ("Outputs", &run.outputs)] {
        if files.is_empty() {
            continue;
        }
        let mut table = Table::new()
            .column("path", Align::Left)
            .column("size", Align::Right)
            .column("BLAKE3", Align::Left);
        for file in files {
            table.row([
                file.path.display().to_string(),
                format_bytes(file.bytes),
                clip(&file.blake3, HASH_LIMIT).into_owned(),
            ]);
        }
        section.table(title, table);
    }
    let machine = &run.environment;
    let mut table = two("environment", "");
    table.row(["system", &format!("{} on {}", machine.os, machine.arch)]);
    table.row(["processors", &machine.cpus.to_string()]);
    if let Some(threads) = machine.threads {
        table.row(["threads", &threads.to_string()]);
    }
    if let Some(device) = &machine.device {
        table.row(["device", device]);
    }
    for (name, version) in machine.versions.iter() {
        table.row([name, version]);
    }
    section.table("Environment", table);
}

/// Nested parameters as `outer.inner`; lists in one cell.
fn flatten(name: &str, value: &Value, table: &mut Table) {
    let text = match value {
        Value::Null if name.is_empty() => return,
        Value::Object(fields) => {
            for (field, value) in fields {
                let path = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                flatten(&path, value, table);
            }
            return;
        }
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    table.row([name, &clip(&text, WORD_LIMIT)]);
}
