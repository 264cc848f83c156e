//! A model folder as one thing.

use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use tamis_artifact::Fingerprint;
use tamis_dataset::{EncodeOptions, Encoder, Template, TextTokenizer};
use tch::Tensor;

use crate::adapter::{Adapter, Chain, adapted_fingerprint};
use crate::{
    CausalLm, Context, KvCache, LayerInfo, LoadOptions, ModelError, ModelShape, Parameters, Tap,
    load,
};

const TOKENIZER: &str = "tokenizer.json";
const ADAPTER: &str = "adapter_config.json";
const GENERATION: &str = "generation_config.json";
/// Longest sample in tokens where nobody says it, for models that read more.
const LONGEST: usize = 1024;

/// A model folder, opened: the network, its tokenizer, its settings, and perhaps an adapter.
///
/// It is a [`CausalLm`] itself: `&model` goes wherever a model is asked for. With an adapter
/// ([`attach`](Self::attach)) every pass sees the adapted layers; [`parameters`](CausalLm::parameters)
/// are those of the network alone.
pub struct Model {
    network: Box<dyn CausalLm>,
    tokenizer: Option<Arc<TextTokenizer>>,
    config: Map<String, Value>,
    generation: Map<String, Value>,
    dir: PathBuf,
    adapter: Option<Box<dyn Adapter>>,
    /// The network's fingerprint and the versions of the weights that it was taken at.
    known: RefCell<Option<(Vec<i64>, Fingerprint)>>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("dir", &self.dir)
            .field("shape", &self.network.shape())
            .field("adapted", &self.adapter.is_some())
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Opens a Hugging Face folder with the default [`LoadOptions`].
    ///
    /// # Errors
    /// Those of [`open_with`](Self::open_with).
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::open_with(dir, &LoadOptions::default())
    }

    /// Opens a Hugging Face folder: the network as [`load`] does, and `tokenizer.json` and
    /// `generation_config.json` where they are there.
    ///
    /// # Errors
    /// Those of [`load`]; a tokenizer or settings that are damaged; [`ModelError::AdapterFolder`] for a
    /// folder with `adapter_config.json`, whose adapter would otherwise be passed over in silence.
    pub fn open_with(dir: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, ModelError> {
        let dir = dir.as_ref();
        if dir.join(ADAPTER).exists() {
            return Err(ModelError::AdapterFolder { dir: dir.to_owned() });
        }
        let network = load(dir, options)?;
        let tokenizer = if dir.join(TOKENIZER).exists() {
            Some(Arc::new(TextTokenizer::from_dir(dir)?))
        } else {
            None
        };
        Ok(Self {
            network,
            tokenizer,
            config: object(&dir.join("config.json"))?.unwrap_or_default(),
            generation: object(&dir.join(GENERATION))?.unwrap_or_default(),
            dir: dir.to_owned(),
            adapter: None,
            known: RefCell::new(None),
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `config.json`.
    pub fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// `generation_config.json`; empty if there is none.
    pub fn generation(&self) -> &Map<String, Value> {
        &self.generation
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`ModelError::NoTokenizer`] if the folder has none.
    pub fn tokenizer(&self) -> Result<&Arc<TextTokenizer>, ModelError> {
        self.tokenizer.as_ref().ok_or_else(|| ModelError::NoTokenizer { dir: self.dir.clone() })
    }

    /// How rows become tokens where nobody says it: as long as the model reads, at most 1,024.
    pub fn encode_options(&self) -> EncodeOptions {
        let max_length = self.shape().max_positions.min(LONGEST);
        EncodeOptions { max_length, ..EncodeOptions::default() }
    }

    /// Turns rows into this model's tokens; `options` may start from
    /// [`encode_options`](Self::encode_options).
    ///
    /// # Errors
    /// A folder without tokenizer, [`Template::Chat`] for one without chat template, or a length limit
    /// below 2.
    pub fn encoder(
        &self,
        template: Template,
        options: EncodeOptions,
    ) -> Result<Encoder, ModelError> {
        Ok(Encoder::new(Arc::clone(self.tokenizer()?), template, options)?)
    }

    /// Tokens that end a text, in ascending order: the tokenizer's end-of-sequence token and
    /// `eos_token_id` of `generation_config.json`, because chat models often end turns with other tokens
    /// than texts. Empty if the folder names none.
    ///
    /// # Errors
    /// A folder without tokenizer, or an `eos_token_id` that is neither a token id nor a list of them.
    pub fn ends(&self) -> Result<Vec<u32>, ModelError> {
        const FIELD: &str = "eos_token_id";
        let mut ends: Vec<u32> = self.tokenizer()?.eos_id().into_iter().collect();
        let named = match self.generation.get(FIELD) {
            None | Some(Value::Null) => &[],
            Some(Value::Array(ids)) => ids.as_slice(),
            Some(id) => std::slice::from_ref(id),
        };
        for id in named {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            ends.push(id.ok_or_else(|| ModelError::Config {
                path: self.dir.join(GENERATION),
                field: FIELD.to_owned(),
                found: self.generation[FIELD].to_string(),
                expected: "a token id or a list of them".to_owned(),
            })?);
        }
        ends.sort_unstable();
        ends.dedup();
        Ok(ends)
    }

    /// Brings an adapter made for this model into every pass, in place of the one there was.
    pub fn attach(&mut self, adapter: impl Adapter + 'static) {
        self.adapter = Some(Box::new(adapter));
    }

    /// Takes the adapter off again.
    pub fn detach(&mut self) -> Option<Box<dyn Adapter>> {
        self.adapter.take()
    }

    /// The network alone, without the adapter, to train it or to change its weights.
    pub fn lm_mut(&mut self) -> &mut dyn CausalLm {
        self.known.get_mut().take();
        self.network.as_mut()
    }

    /// The network alone, without the adapter.
    pub fn into_inner(self) -> Box<dyn CausalLm> {
        self.network
    }

    /// Writes the network as it is now, with tokenizer and settings, to the folder `out`; see
    /// [`Parameters::save_pretrained`]. An adapter is not part of it.
    ///
    /// # Errors
    /// A file that cannot be read or written, or what LibTorch reports.
    pub fn save_pretrained(&self, out: impl AsRef<Path>) -> Result<(), ModelError> {
        self.parameters().save_pretrained(&self.dir, out)
    }

    /// The fingerprint of the network alone.
    fn network_fingerprint(&self) -> Result<Fingerprint, ModelError> {
        // LibTorch counts the changes in place of every tensor, through whichever handle they come.
        let weights = self.network.parameters().iter();
        let versions = weights
            .map(|(_, tensor)| tensor.f_internal_version())
            .collect::<Result<Vec<_>, _>>()?;
        if let Some((at, fingerprint)) = self.known.borrow().as_ref()
            && *at == versions
        {
            return Ok(fingerprint.clone());
        }
        let fingerprint = self.network.fingerprint()?;
        *self.known.borrow_mut() = Some((versions, fingerprint.clone()));
        Ok(fingerprint)
    }
}

impl CausalLm for Model {
    fn layers(&self) -> &[LayerInfo] {
        self.network.layers()
    }

    fn parameters(&self) -> &Parameters {
        self.network.parameters()
    }

    fn shape(&self) -> ModelShape {
        self.network.shape()
    }

    fn blocks(&self) -> usize {
        self.network.blocks()
    }

    /// Takes the time of reading all weights once, and again only after they have changed.
    fn fingerprint(&self) -> Result<Fingerprint, ModelError> {
        let network = self.network_fingerprint()?;
        match &self.adapter {
            None => Ok(network),
            Some(adapter) => Ok(adapted_fingerprint(network, adapter.fingerprint()?)),
        }
    }

    fn embed(
        &self,
        ids: &Tensor,
        cache: Option<&KvCache>,
    ) -> Result<(Tensor, Context), ModelError> {
        self.network.embed(ids, cache)
    }

    fn block(
        &self,
        number: usize,
        stream: &Tensor,
        context: &Context,
        cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError> {
        match &self.adapter {
            None => self.network.block(number, stream, context, cache, tap),
            Some(adapter) => {
                let mut own = adapter.tap();
                let mut both = Chain::new(own.as_mut(), tap);
                self.network.block(number, stream, context, cache, &mut both)
            }
        }
    }

    fn norm(&self, stream: &Tensor) -> Result<Tensor, ModelError> {
        self.network.norm(stream)
    }

    fn logits(&self, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
        match &self.adapter {
            None => self.network.logits(hidden, tap),
            Some(adapter) => {
                let mut own = adapter.tap();
                self.network.logits(hidden, &mut Chain::new(own.as_mut(), tap))
            }
        }
    }
}

/// The object in a file of JSON, if there is such a file.
fn object(path: &Path) -> Result<Option<Map<String, Value>>, ModelError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ModelError::io(path)(error)),
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|source| ModelError::Json { path: path.to_owned(), source })
}
