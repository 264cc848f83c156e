//! Telling what a file is from its name and its first row, or checking it against the format stated.

use std::path::Path;

use crate::error::{DatasetError, Reject};
use crate::format::Format;
use crate::params::{Fields, ReadOptions};
use crate::scan::{self, Layout, Scanner};
use crate::schema::{self, Schema};

/// How many rows may come before the first that shows the format; more bad rows than this are no accident.
const ROWS_TRIED_FOR_FORMAT: usize = 100;

/// What was found.
pub(crate) enum Detected {
    Json {
        format: Format,
        schema: Schema,
        array: bool,
    },
    Tsv,
    /// With the schema stated, if one is.
    Parquet(Option<Schema>),
}

/// What every Parquet file begins with.
const PARQUET_MAGIC: &[u8] = b"PAR1";

/// Tells the format from the extension and the first row, or checks the one stated against the file.
pub(crate) fn detect(path: &Path, options: &ReadOptions) -> Result<Detected, DatasetError> {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default();
    let mismatch = |reason: &str| DatasetError::FormatMismatch {
        file: path.to_owned(),
        reason: reason.to_owned(),
    };
    match options.format {
        Some(Format::ParallelText) => {
            return Err(mismatch(
                "parallel-text is two files: open both with `Dataset::open_parallel`",
            ));
        }
        Some(Format::Tsv) => return Ok(Detected::Tsv),
        Some(Format::Parquet) => return Ok(Detected::Parquet(None)),
        None if extension == "tsv" => return Ok(Detected::Tsv),
        None if extension == "parquet" => return Ok(Detected::Parquet(None)),
        stated if scan::begins_with(path, PARQUET_MAGIC)? => {
            return match stated {
                // These two say what the rows are, whatever they are kept in.
                None | Some(Format::Messages | Format::ShareGpt) => {
                    Ok(Detected::Parquet(stated.and_then(Schema::of)))
                }
                Some(other) => Err(mismatch(&format!(
                    "it is a Parquet file, but the format stated is {other}; state parquet"
                ))),
            };
        }
        _ => {}
    }
    let Some(first) = scan::first_solid_byte(path)? else {
        return Err(DatasetError::Empty(path.to_owned()));
    };
    let array = first == b'[';
    let schema = match options.format {
        Some(Format::AlpacaJson) if !array => {
            return Err(mismatch(
                "alpaca-json is one JSON array, but the file does not begin with `[`; alpaca-jsonl has one object a line",
            ));
        }
        Some(Format::AlpacaJsonl) if array => {
            return Err(mismatch(
                "alpaca-jsonl has one object a line, but the file begins with `[`; alpaca-json is one JSON array",
            ));
        }
        stated => match stated.and_then(Schema::of) {
            Some(schema) => schema,
            None => detect_schema(path, &extension, first, &options.fields)?,
        },
    };
    Ok(Detected::Json { format: schema.json_format(array), schema, array })
}

/// Looks at the first row that is a JSON object.
fn detect_schema(
    path: &Path,
    extension: &str,
    first_byte: u8,
    fields: &Fields,
) -> Result<Schema, DatasetError> {
    let unknown = |found| DatasetError::UnknownFormat { file: path.to_owned(), found };
    let named_json = matches!(extension, "json" | "jsonl" | "ndjson");
    let layout = match first_byte {
        b'[' => Layout::Array,
        b'{' => Layout::Lines,
        _ if named_json => Layout::Lines,
        other => {
            return Err(unknown(format!(
                "the extension is `{extension}` and the first character `{}`, where JSON has {{ or [",
                other.escape_ascii()
            )));
        }
    };
    let mut scanner = Scanner::open(path, layout)?;
    let mut buffer = Vec::new();
    let mut first_fault = None;
    for _ in 0..ROWS_TRIED_FOR_FORMAT {
        let Some(place) = scanner.next(&mut buffer)? else {
            break;
        };
        let fault = match schema::json(&buffer, place.offset) {
            Ok(row) if row.is_object() => {
                return Schema::detect(&row, fields).ok_or_else(|| {
                    unknown(format!(
                        "the row on line {} has {}, and no format goes with them (other names can be given as `Fields`)",
                        place.line,
                        schema::keys(&row)
                    ))
                });
            }
            Ok(other) => schema::not_an_object(&other),
            Err(fault) => fault,
        };
        first_fault.get_or_insert_with(|| Reject {
            file: path.to_owned(),
            line: place.line,
            field: fault.field,
            reason: fault.reason,
        });
    }
    Err(match first_fault {
        Some(reject) => DatasetError::Row(reject),
        None => DatasetError::Empty(path.to_owned()),
    })
}
