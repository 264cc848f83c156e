//! The tokenizer of a Hugging Face model folder.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::{Encoding, Tokenizer};

use crate::chat::ChatTemplate;
use crate::error::{self, DatasetError};

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// A tokenizer with its special tokens and chat template.
///
/// Truncation and padding set in the file are switched off (lengths are decided by [`Encoder`](crate::Encoder)), and so
/// is the trimming of spaces from token offsets, because the loss mask needs to know where a token really begins. Neither
/// changes an id.
pub struct TextTokenizer {
    path: PathBuf,
    tokenizer: Tokenizer,
    bos: Option<SpecialToken>,
    eos: Option<SpecialToken>,
    max_id: u32,
    chat: Option<ChatTemplate>,
    fingerprint: String,
}

#[derive(Debug)]
struct SpecialToken {
    text: String,
    id: u32,
}

impl fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextTokenizer")
            .field("path", &self.path)
            .field("vocab_size", &self.vocab_size())
            .field("bos", &self.bos)
            .field("eos", &self.eos)
            .field("chat", &self.chat)
            .finish_non_exhaustive()
    }
}

impl TextTokenizer {
    /// Loads `tokenizer.json` and, where they exist, `tokenizer_config.json` and `special_tokens_map.json` (begin and end
    /// tokens) and `chat_template.jinja` (else the configuration's `chat_template`) from a folder.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if `tokenizer.json` is missing; [`DatasetError::Tokenizer`] if a file is malformed or names a
    /// token that the vocabulary does not have.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<TextTokenizer, DatasetError> {
        let dir = dir.as_ref();
        let path = dir.join(TOKENIZER);
        let bytes = fs::read(&path).map_err(error::io("read", &path))?;
        let mut tokenizer = build(&path, &bytes)?;
        tokenizer.with_padding(None);
        let truncation_off = tokenizer.with_truncation(None).map(|_| ());
        truncation_off.map_err(|error| malformed(&path, error))?;

        let config_path = dir.join(CONFIG);
        let config = optional_json(&config_path)?;
        let special_path = dir.join(SPECIAL_TOKENS);
        let special = optional_json(&special_path)?;
        let named = named_tokens(&[&config, &special]);
        let find = |name: &str| -> Result<Option<SpecialToken>, DatasetError> {
            let Some(text) = named.get(name) else {
                return Ok(None);
            };
            let id = tokenizer.token_to_id(text).ok_or_else(|| {
                let file = if config.get(name).is_some_and(|v| !v.is_null()) {
                    &config_path
                } else {
                    &special_path
                };
                malformed(
                    file,
                    format!("its {name} `{text}` is not in the vocabulary of {TOKENIZER}"),
                )
            })?;
            Ok(Some(SpecialToken { text: text.clone(), id }))
        };
        let (bos, eos) = (find("bos_token")?, find("eos_token")?);

        let source = chat_template_source(dir, &config_path, &config)?;
        let mut hasher = blake3::Hasher::new();
        let text_of = |token: &Option<SpecialToken>| {
            token.as_ref().map_or(String::new(), |token| token.text.clone())
        };
        let template_text = source.as_ref().map_or("", |(_, text)| text.as_str());
        for part in [
            &bytes[..],
            text_of(&bos).as_bytes(),
            text_of(&eos).as_bytes(),
            template_text.as_bytes(),
        ] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }

        let chat = match source {
            None => None,
            Some((file, text)) => {
                let named: Vec<(String, String)> = named.into_iter().collect();
                let special_tokens = tokenizer
                    .get_added_tokens_decoder()
                    .into_values()
                    .filter(|token| token.special)
                    .map(|token| token.content)
                    .collect();
                let compiled = ChatTemplate::compile(&text, &named, special_tokens);
                Some(compiled.map_err(|reason| malformed(&file, reason))?)
            }
        };
        let max_id = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        Ok(TextTokenizer {
            path,
            tokenizer,
            bos,
            eos,
            max_id,
            chat,
            fingerprint: hasher.finalize().to_hex().to_string(),
        })
    }

    /// The number of tokens, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The largest id it can give; it must lie below the number of rows of the model's embedding.
    pub fn max_id(&self) -> u32 {
        self.max_id
    }

    /// The token that begins a sequence, if one is named. Whether it is put there is for the tokenizer to say.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos.as_ref().map(|token| token.id)
    }

    /// The token that ends a sequence, if one is named.
    pub fn eos_id(&self) -> Option<u32> {
        self.eos.as_ref().map(|token| token.id)
    }

    /// The id of a token given as text.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Whether there is a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.chat.is_some()
    }

    /// BLAKE3, in hexadecimal, over everything that decides the ids of a text: `tokenizer.json`, the begin and end tokens
    /// and the chat template.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The ids of a text, with or without the special tokens that the tokenizer puts around it.
    ///
    /// # Errors
    /// [`DatasetError::Tokenizer`] if the tokenizer fails on it.
    pub fn ids(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, DatasetError> {
        self.encoding(text, add_special_tokens)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|reason| malformed(&self.path, reason))
    }

    /// The text of some ids, special tokens left out.
    ///
    /// # Errors
    /// [`DatasetError::Tokenizer`] if the tokenizer fails on them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DatasetError> {
        self.tokenizer.decode(ids, true).map_err(|error| malformed(&self.path, error))
    }

    /// Ids with byte offsets.
    pub(crate) fn encoding(&self, text: &str, special: bool) -> Result<Encoding, String> {
        self.tokenizer.encode(text, special).map_err(|error| error.to_string())
    }

    pub(crate) fn eos_text(&self) -> Option<&str> {
        self.eos.as_ref().map(|token| token.text.as_str())
    }

    pub(crate) fn chat(&self) -> Option<&ChatTemplate> {
        self.chat.as_ref()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn malformed(file: &Path, reason: impl fmt::Display) -> DatasetError {
    DatasetError::Tokenizer { file: file.to_owned(), reason: reason.to_string() }
}

/// Builds the tokenizer with offsets that are not trimmed.
fn build(path: &Path, bytes: &[u8]) -> Result<Tokenizer, DatasetError> {
    let mut file: Value = serde_json::from_slice(bytes).map_err(|error| malformed(path, error))?;
    if let Some(processor) = file.get_mut("post_processor") {
        keep_offsets(processor);
    }
    let bytes = serde_json::to_vec(&file).map_err(|error| malformed(path, error))?;
    Tokenizer::from_bytes(&bytes).map_err(|error| malformed(path, error))
}

/// Processors lie inside sequences of processors.
fn keep_offsets(processor: &mut Value) {
    match processor {
        Value::Object(fields) => {
            if let Some(trim) = fields.get_mut("trim_offsets") {
                *trim = Value::Bool(false);
            }
            fields.values_mut().for_each(keep_offsets);
        }
        Value::Array(items) => items.iter_mut().for_each(keep_offsets),
        _ => {}
    }
}

/// A JSON file that may be missing (then `null`).
fn optional_json(path: &Path) -> Result<Value, DatasetError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| malformed(path, error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(error::io("read", path)(error)),
    }
}

/// Fields such as `eos_token`: text, or an object whose `content` is the text. Earlier files win.
fn named_tokens(files: &[&Value]) -> BTreeMap<String, String> {
    let mut tokens = BTreeMap::new();
    for fields in files.iter().filter_map(|file| file.as_object()) {
        for (name, value) in fields.iter().filter(|(name, _)| name.ends_with("_token")) {
            let text = value.as_str().or_else(|| value.get("content")?.as_str());
            if let Some(text) = text {
                tokens.entry(name.clone()).or_insert_with(|| text.to_owned());
            }
        }
    }
    tokens
}

/// The chat template's text and the file it is from.
fn chat_template_source(
    dir: &Path,
    config_path: &Path,
    config: &Value,
) -> Result<Option<(PathBuf, String)>, DatasetError> {
    let own_file = dir.join(CHAT_TEMPLATE);
    match fs::read_to_string(&own_file) {
        Ok(text) => return Ok(Some((own_file, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error::io("read", &own_file)(error)),
    }
    let text = match config.get("chat_template") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.as_str(),
        Some(Value::Array(named)) => named
            .iter()
            .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))
            .and_then(|entry| entry.get("template")?.as_str())
            .ok_or_else(|| {
                malformed(config_path, "its chat_template is a list without one named `default`")
            })?,
        Some(_) => {
            return Err(malformed(
                config_path,
                "its chat_template is neither text nor a list of named templates",
            ));
        }
    };
    Ok(Some((config_path.to_owned(), text.to_owned())))
}
