//! What the benchmarks share: a model of a realistic size and samples of realistic lengths, both
//! made up from a fixed seed so that every machine measures the same work.
// A benchmark that cannot set itself up has nothing better to do than to stop.
#![allow(clippy::missing_panics_doc)]

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use tamis::artifact::Random;
use tamis::dataset::{Encoded, SampleId};
use tamis::model::{Attention, CausalLm, DType, DeviceSpec, LoadOptions, load};

/// Width, layers, inner width and vocabulary of the 4.4-million-parameter Llama below.
const SIZES: (usize, usize, usize, usize) = (256, 4, 688, 6000);

/// A Llama of 4.4 million parameters with random weights: 4 layers, width 256, 8 heads of 32 (4 of
/// them for keys and values), inner width 688, 6,000 tokens, tied head.
pub fn small_llama() -> Box<dyn CausalLm> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_llama(folder.path());
    let options =
        LoadOptions { device: DeviceSpec::Cpu, kind: DType::F32, attention: Attention::Fused };
    load(folder.path(), &options).expect("the folder just written")
}

/// Writes that model as a Hugging Face folder.
pub fn write_llama(folder: &Path) {
    let (width, layers, inner, vocabulary) = SIZES;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "torch_dtype": "float32", "vocab_size": vocabulary,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).expect("writing config.json");
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocabulary, width]),
        ("model.norm.weight".to_owned(), vec![width]),
    ];
    for n in 0..layers {
        let name = |part: &str| format!("model.layers.{n}.{part}.weight");
        shapes.extend([
            (name("self_attn.q_proj"), vec![width, width]),
            (name("self_attn.k_proj"), vec![width / 2, width]),
            (name("self_attn.v_proj"), vec![width / 2, width]),
            (name("self_attn.o_proj"), vec![width, width]),
            (name("mlp.gate_proj"), vec![inner, width]),
            (name("mlp.up_proj"), vec![inner, width]),
            (name("mlp.down_proj"), vec![width, inner]),
            (name("input_layernorm"), vec![width]),
            (name("post_attention_layernorm"), vec![width]),
        ]);
    }
    let mut random = Random::keyed(1, "weights", "");
    let data: Vec<Vec<u8>> = shapes
        .iter()
        .map(|(_, shape)| {
            let norm = shape.len() == 1;
            (0..shape.iter().product())
                .flat_map(|_| {
                    let value = 0.1 * random.fraction() as f32 - 0.05;
                    (value + f32::from(u8::from(norm))).to_le_bytes()
                })
                .collect()
        })
        .collect();
    let tensors = shapes.iter().zip(&data).map(|((name, shape), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a shape that fits");
        (name.as_str(), view)
    });
    safetensors::serialize_to_file(tensors, None, &folder.join("model.safetensors"))
        .expect("writing model.safetensors");
}

/// `count` samples of 30 to 64 tokens, the last third of each supervised: short translation pairs.
pub fn short_pairs(count: usize, vocabulary: usize) -> Vec<Encoded> {
    let mut random = Random::keyed(2, "short pairs", "");
    (0..count)
        .map(|index| {
            let length = 30 + random.below(35);
            Encoded {
                id: SampleId::from(index.to_string()),
                index,
                ids: (0..length).map(|_| random.below(vocabulary) as u32).collect(),
                supervised: (0..length).map(|t| 3 * t >= 2 * length).collect(),
                truncated: false,
            }
        })
        .collect()
}

/// `count` samples of exactly `length` tokens, all but the first supervised: blocks of running text.
pub fn equal_blocks(count: usize, length: usize, vocabulary: usize) -> Vec<Encoded> {
    let mut random = Random::keyed(3, "equal blocks", "");
    (0..count)
        .map(|index| Encoded {
            id: SampleId::from(index.to_string()),
            index,
            ids: (0..length).map(|_| random.below(vocabulary) as u32).collect(),
            supervised: (0..length).map(|t| t > 0).collect(),
            truncated: false,
        })
        .collect()
}
