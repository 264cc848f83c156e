//! Every mistake has an error that names it.

use std::fs;

use serde_json::{Value, json};
use tamis_model::{Attention, Batch, DType, ModelError, NoTap, load};
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use crate::support::{
    copy, load_cpu, model, options, refusal, sample, some_ids, with_config, with_weights,
};

/// Sets a field of the configuration and expects a refusal that holds all of `parts`.
fn config_refused(fixture: &str, field: &str, value: Value, parts: &[&str]) {
    let dir = with_config(fixture, |config| config[field] = value);
    let message = refusal(dir.path());
    assert!(message.contains("config.json") && message.contains(field), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn configurations_that_cannot_be_honoured() {
    config_refused("llama", "model_type", json!("mamba"), &["mamba", "qwen2, gpt2 or baichuan"]);
    config_refused("llama", "model_type", json!(null), &["llama, mistral"]);
    config_refused(
        "llama",
        "architectures",
        json!(["LlamaForSequenceClassification"]),
        &["LlamaForSequenceClassification", "expected LlamaForCausalLM"],
    );
    config_refused("llama", "quantization_config", json!({"bits": 4}), &["bits"]);
    config_refused("llama", "hidden_act", json!("mish"), &["mish", "silu"]);
    config_refused("gpt2", "activation_function", json!("mish"), &["mish", "gelu_new"]);
    config_refused("gpt2", "scale_attn_by_inverse_layer_idx", json!(true), &["false"]);
    config_refused("gpt2", "n_head", json!(5), &["divisor of `n_embd` (32)"]);
    config_refused("llama", "num_key_value_heads", json!(3), &["num_attention_heads"]);
    config_refused("llama", "head_dim", json!(7), &["even"]);
    config_refused("llama", "hidden_size", json!("32"), &["\"32\"", "whole number"]);
    config_refused("llama", "hidden_size", json!(0), &["whole number above 0"]);
    config_refused("llama", "vocab_size", json!(null), &["null"]);
    config_refused("llama", "rms_norm_eps", json!(-1.0), &["-1.0"]);
    config_refused("llama", "attention_bias", json!("yes"), &["true or false"]);
    let yarn = json!({"rope_type": "yarn", "factor": 4.0});
    config_refused("llama", "rope_parameters", yarn, &["rope_type", "yarn", "llama3"]);
    config_refused(
        "llama-tied",
        "rope_scaling",
        json!({"type": "dynamic", "factor": 2.0}),
        &["rope_scaling.type", "dynamic"],
    );
    let partial = json!({"rope_type": "default", "partial_rotary_factor": 0.5});
    config_refused("llama", "rope_parameters", partial, &["partial_rotary_factor", "0.5"]);
    let half = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0});
    config_refused("llama", "rope_parameters", half, &["high_freq_factor", "missing"]);
    // Baichuan2 13B has ALiBi in place of positions.
    let dir = with_config("baichuan2", |config| {
        config.as_object_mut().unwrap().remove("max_position_embeddings");
    });
    assert!(refusal(dir.path()).contains("ALiBi"));
}

#[test]
fn folders_that_are_no_model() {
    let dir = TempDir::new().unwrap();
    assert!(refusal(&dir.path().join("absent")).contains("absent/config.json"));
    fs::write(dir.path().join("config.json"), "{\n  oops").unwrap();
    assert!(refusal(dir.path()).contains("line 2"));

    let dir = copy("llama");
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    assert!(refusal(dir.path()).contains("no model.safetensors"));
    fs::write(dir.path().join("pytorch_model.bin"), "").unwrap();
    assert!(refusal(dir.path()).contains("(only pytorch_model.bin)"));
}

#[test]
fn damaged_files() {
    let dir = copy("llama");
    let path = dir.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in [0, 5, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let message = refusal(dir.path());
        assert!(message.contains("model.safetensors"), "{length} bytes: {message}");
    }
    let mut garbled = whole.clone();
    garbled[..8].fill(255);
    fs::write(&path, garbled).unwrap();
    assert!(refusal(dir.path()).contains("damaged"));
}

#[test]
fn shards_that_disagree() {
    let dir = copy("llama-sharded");
    let shard = dir.path().join("model-00002-of-00003.safetensors");
    fs::remove_file(&shard).unwrap();
    assert!(refusal(dir.path()).contains("model-00002-of-00003.safetensors"));

    let dir = copy("llama-sharded");
    let path = dir.path().join("model.safetensors.index.json");
    let original = fs::read_to_string(&path).unwrap();
    let mut index: Value = serde_json::from_str(&original).unwrap();
    index["weight_map"]["model.extra"] = json!("model-00001-of-00003.safetensors");
    fs::write(&path, index.to_string()).unwrap();
    assert!(refusal(dir.path()).contains("`model.extra` is in no shard"));
    index["weight_map"]["model.extra"] = json!("../elsewhere.safetensors");
    fs::write(&path, index.to_string()).unwrap();
    assert!(refusal(dir.path()).contains("not a file of this folder"));
    fs::write(&path, "{}").unwrap();
    assert!(refusal(dir.path()).contains("weight_map"));
}

#[test]
fn weights_that_do_not_fit() {
    let q = "model.layers.1.self_attn.q_proj.weight";
    let find = |tensors: &mut Vec<(String, Tensor)>, name: &str| {
        tensors.iter().position(|(found, _)| found == name).unwrap()
    };
    let dir = with_weights("llama", |tensors| {
        let place = find(tensors, q);
        drop(tensors.remove(place));
    });
    let message = refusal(dir.path());
    assert!(message.contains(q) && message.contains("missing"), "{message}");

    let dir = with_weights("llama", |tensors| {
        let place = find(tensors, q);
        tensors[place].1 = tensors[place].1.narrow(0, 0, 24).contiguous();
    });
    let message = refusal(dir.path());
    assert!(message.contains(q) && message.contains("[24, 32]"), "{message}");
    assert!(message.contains("[32, 32]"), "{message}");

    // An embedding smaller than the vocabulary of config.json.
    let dir = with_config("llama", |config| config["vocab_size"] = json!(300));
    assert!(refusal(dir.path()).contains("[300, 32]"));

    for (bad, count) in [(f64::NAN, 1), (f64::INFINITY, 1), (f64::NEG_INFINITY, 1)] {
        let dir = with_weights("llama", |tensors| {
            let place = find(tensors, q);
            let _ = tensors[place].1.get(3).get(4).fill_(bad);
        });
        let message = refusal(dir.path());
        assert!(message.contains(q), "{message}");
        assert!(message.contains(&format!("{count} non-finite values of 1024")), "{message}");
    }
    // A value that f32 holds and f16 does not.
    let dir = with_weights("llama", |tensors| {
        let place = find(tensors, q);
        let _ = tensors[place].1.get(0).fill_(1e6);
    });
    load_cpu(dir.path()).unwrap();
    let half = load(dir.path(), &options(DType::F16, Attention::Fused)).err().unwrap();
    assert!(matches!(half, ModelError::NonFinite { count: 32, kind: DType::F16, .. }), "{half}");

    let dir = with_weights("llama", |tensors| {
        let place = find(tensors, q);
        tensors[place].1 = tensors[place].1.to_kind(Kind::Int64);
    });
    assert!(refusal(dir.path()).contains("I64"));

    let dir = with_weights("llama", |tensors| {
        tensors.push((
            "model.layers.2.mlp.up_proj.weight".into(),
            Tensor::ones([2], tch::kind::FLOAT_CPU),
        ));
    });
    assert!(refusal(dir.path()).contains("model.layers.2.mlp.up_proj.weight"));

    // A head for a model that says it is tied is a copy, a missing one for an untied model a loss.
    let dir = with_config("llama", |config| config["tie_word_embeddings"] = json!(true));
    load_cpu(dir.path()).unwrap();
    let dir = with_config("qwen2", |config| config["tie_word_embeddings"] = json!(false));
    assert!(refusal(dir.path()).contains("unless `tie_word_embeddings` should be true"));
}

#[test]
fn tables_that_older_releases_stored_are_ignored() {
    let dir = with_weights("llama", |tensors| {
        let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
        tensors.push((name.into(), Tensor::ones([4], tch::kind::FLOAT_CPU)));
    });
    load_cpu(dir.path()).unwrap();
}

#[test]
fn inputs_that_do_not_fit() {
    let hidden = |name: &str, ids: &Tensor| {
        model(name, DType::F32).hidden(ids, &mut NoTap).err().unwrap().to_string()
    };
    let too_long = [
        ("llama", 128, "max_position_embeddings"),
        ("mistral", 64, "sliding_window"),
        ("gpt2", 64, "n_positions"),
    ];
    for (name, limit, field) in too_long {
        let longest = model(name, DType::F32).hidden(&some_ids(1, limit), &mut NoTap).unwrap();
        assert_eq!(longest.size()[1], limit);
        let message = hidden(name, &some_ids(1, limit + 1));
        assert!(message.contains(field) && message.contains(&limit.to_string()), "{message}");
        assert_eq!(model(name, DType::F32).shape().max_positions, limit as usize);
    }
    for id in [-1i64, 272] {
        let ids = Tensor::from_slice(&[0, id, 5]).view([1, 3]);
        let message = hidden("llama", &ids);
        assert!(message.contains(&format!("token id {id} ")), "{message}");
    }
    let flat = Tensor::from_slice(&[1i64, 2, 3]);
    assert!(hidden("llama", &flat).contains("shape [3]"));
    assert!(hidden("llama", &some_ids(1, 3).to_kind(Kind::Int)).contains("Int64"));
    assert!(hidden("llama", &some_ids(1, 3).narrow(1, 0, 0)).contains("at least one token"));
}

#[test]
fn batches_without_targets() {
    assert!(matches!(Batch::new(&[], Device::Cpu), Err(ModelError::EmptyBatch)));
    let empty = sample(0, vec![], 0);
    assert!(matches!(Batch::new(&[&empty], Device::Cpu), Err(ModelError::EmptyBatch)));
    // The first token is supervised, but nothing predicts it.
    let lonely = sample(7, vec![3], 0);
    let message = Batch::new(&[&lonely], Device::Cpu).unwrap_err().to_string();
    assert!(message.contains("`s7`"), "{message}");

    let mut short = sample(8, vec![3, 4, 5], 1);
    short.supervised.pop();
    let message = Batch::new(&[&short], Device::Cpu).unwrap_err().to_string();
    assert!(message.contains("length 2 in sample `s8`"), "{message}");
}
