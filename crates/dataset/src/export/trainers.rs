//! What the trainers must be told about an exported file.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tamis_artifact::write_atomic;

use super::{Exported, TrainerFormat};
use crate::error::DatasetError;

/// Writes `dir/dataset_info.json`, by which LLaMA-Factory (`dataset_dir: DIR`) knows the files under these names. They
/// must lie in `dir`.
///
/// # Errors
/// [`DatasetError::FormatMismatch`] for a file elsewhere; [`DatasetError::Artifact`].
pub fn write_dataset_info<'a>(
    dir: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a Exported)>,
) -> Result<PathBuf, DatasetError> {
    let mut info = Map::new();
    for (name, file) in files {
        if file.path.parent() != Some(dir) {
            return Err(DatasetError::FormatMismatch {
                file: file.path.clone(),
                reason: format!(
                    "it does not lie in {}, where dataset_info.json would name it",
                    dir.display()
                ),
            });
        }
        info.insert(name.to_owned(), file.llama_factory());
    }
    let path = dir.join("dataset_info.json");
    write_atomic(&path, format!("{:#}\n", Value::Object(info)))?;
    Ok(path)
}

pub(super) fn llama_factory(file: &Exported) -> Value {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    match file.format {
        TrainerFormat::Alpaca => {
            let mut columns =
                json!({ "prompt": "instruction", "query": "input", "response": "output" });
            // A column that is named here must be in every row.
            for (there, column) in
                [(file.columns.system, "system"), (file.columns.history, "history")]
            {
                if there {
                    columns[column] = json!(column);
                }
            }
            json!({ "file_name": name, "formatting": "alpaca", "columns": columns })
        }
        TrainerFormat::ShareGpt => json!({
            "file_name": name,
            "formatting": "sharegpt",
            "columns": { "messages": "conversations" },
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "human",
                "assistant_tag": "gpt",
                "system_tag": "system",
            },
        }),
    }
}

pub(super) fn axolotl(file: &Exported) -> Result<String, DatasetError> {
    let strategy = match file.format {
        TrainerFormat::ShareGpt => {
            "    type: chat_template\n    field_messages: conversations\n    message_property_mappings:\n      role: \
             from\n      content: value\n"
        }
        TrainerFormat::Alpaca if file.columns.history => {
            return Err(DatasetError::FormatMismatch {
                file: file.path.clone(),
                reason: "it has conversations with earlier turns, for which Axolotl's alpaca has no place; export them \
                         as sharegpt"
                    .to_owned(),
            });
        }
        TrainerFormat::Alpaca if file.columns.system => "    type: alpaca_w_system.load_instruct\n",
        TrainerFormat::Alpaca => "    type: alpaca\n",
    };
    // A string of JSON is one of YAML too.
    let path = json!(file.path.display().to_string());
    Ok(format!("datasets:\n  - path: {path}\n    ds_type: json\n{strategy}"))
}
