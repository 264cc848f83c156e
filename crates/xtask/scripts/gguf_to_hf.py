#!/usr/bin/env python3
"""Turn a GGUF file of a Llama model with a byte-level BPE vocabulary into a Hugging Face folder.

    PYTHONPATH=<folder with gguf and numpy> python3 gguf_to_hf.py MODEL.gguf OUT_DIR

Writes config.json, generation_config.json, tokenizer.json, tokenizer_config.json and model.safetensors. Quantised
tensors are written as the float32 values they stand for, so nothing is lost a second time; a tensor is dequantised
only while it is written. Prints `{"file name": "sha256", ...}` as its last line. Equal input gives equal bytes.
"""

import argparse
import hashlib
import json
import re
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

# GGUF name -> Hugging Face name, outside and inside a block.
OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
INNER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

# Kinds of token in GGUF that the tokenizer must never split; only the first is hidden when text is decoded.
CONTROL, USER_DEFINED = 3, 4


def fail(message):
    sys.exit(f"gguf_to_hf.py: {message}")


class Header:
    """The key-value part of a GGUF file, with the architecture's prefix left out."""

    def __init__(self, reader):
        self.fields = {name: field.contents() for name, field in reader.fields.items()}
        architecture = self.get("general.architecture")
        if architecture != "llama":
            fail(f"the architecture is {architecture!r}; only 'llama' can be converted")

    def get(self, name, default=None):
        return self.fields.get(name, default)

    def need(self, name):
        if name not in self.fields:
            fail(f"the file has no field {name!r}")
        return self.fields[name]

    def llama(self, name):
        return self.need(f"llama.{name}")

    def special(self, name):
        """The id of the `bos`, `eos`, `padding` or `unknown` token, or None."""
        return self.get(f"tokenizer.ggml.{name}_token_id")


def hf_name(name):
    if name in OUTER:
        return OUTER[name]
    block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if block is None or block[2] not in INNER:
        fail(f"the tensor {name!r} has no place in a Llama model")
    return f"model.layers.{block[1]}.{INNER[block[2]]}.{block[3]}"


def halves_from_pairs(rows, heads):
    """Undo the row order that GGUF gives to query and key projections.

    Rotary embedding turns pairs of rows of a head. GGUF stores the two rows of a pair side by side (0, 1), (2, 3), ...;
    Hugging Face keeps all first rows, then all second rows.
    """
    per_head = rows.shape[0] // heads
    paired = rows.reshape(heads, per_head // 2, 2, *rows.shape[1:])
    return paired.swapaxes(1, 2).reshape(rows.shape)


def shape_of(tensor):
    """GGUF lists the fastest dimension first."""
    return [int(size) for size in reversed(tensor.shape)]


def values(tensor, header):
    """The tensor as a float32 array in Hugging Face's layout."""
    array = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype="<f4").reshape(shape_of(tensor))
    if not np.isfinite(array).all():
        fail(f"the tensor {tensor.name!r} holds a value that is not finite")
    if ".attn_q." in tensor.name:
        array = halves_from_pairs(array, header.llama("attention.head_count"))
    elif ".attn_k." in tensor.name:
        array = halves_from_pairs(array, header.llama("attention.head_count_kv"))
    return np.ascontiguousarray(array)


def write_weights(path, reader, header):
    tensors = sorted((hf_name(tensor.name), tensor) for tensor in reader.tensors)
    entries, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors:
        end = offset + 4 * int(np.prod(shape_of(tensor)))
        entries[name] = {"dtype": "F32", "shape": shape_of(tensor), "data_offsets": [offset, end]}
        offset = end
    head = json.dumps(entries, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)  # the data start on a multiple of 8
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for _, tensor in tensors:
            file.write(values(tensor, header).data)
    return {name for name, _ in tensors}


def config(header, tensor_names):
    heads = header.llama("attention.head_count")
    width = header.llama("embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": header.llama("feed_forward_length"),
        "num_hidden_layers": header.llama("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": header.llama("attention.head_count_kv"),
        "head_dim": header.get("llama.attention.key_length", width // heads),
        "vocab_size": len(header.need("tokenizer.ggml.tokens")),
        "max_position_embeddings": header.llama("context_length"),
        # Stored as a float32: 1e-5 reads 9.999999747378752e-06.
        "rms_norm_eps": float(np.format_float_positional(np.float32(header.llama("attention.layer_norm_rms_epsilon")))),
        "rope_theta": header.get("llama.rope.freq_base", 10000.0),
        "hidden_act": "silu",
        "attention_bias": any(name.endswith("q_proj.bias") for name in tensor_names),
        "mlp_bias": any(name.endswith("gate_proj.bias") for name in tensor_names),
        "tie_word_embeddings": "lm_head.weight" not in tensor_names,
        "bos_token_id": header.special("bos"),
        "eos_token_id": header.special("eos"),
        "pad_token_id": header.special("padding"),
        "torch_dtype": "float32",
        "use_cache": True,
    }


def generation_config(header):
    ids = {
        "bos_token_id": header.special("bos"),
        "eos_token_id": header.special("eos"),
        "pad_token_id": header.special("padding"),
    }
    return {name: value for name, value in ids.items() if value is not None}


def tokenizer(header):
    if header.need("tokenizer.ggml.model") != "gpt2" or header.need("tokenizer.ggml.pre") != "smollm":
        fail(
            "the vocabulary is {!r} with pre-tokenizer {!r}; only 'gpt2' with 'smollm' can be converted".format(
                header.need("tokenizer.ggml.model"), header.need("tokenizer.ggml.pre")
            )
        )
    tokens = header.need("tokenizer.ggml.tokens")
    kinds = header.need("tokenizer.ggml.token_type")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": kind == CONTROL,
            }
            for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind in (CONTROL, USER_DEFINED)
        ],
        "normalizer": None,
        # SmolLM splits numbers into digits before the byte-level words.
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in header.need("tokenizer.ggml.merges")],
        },
    }


def tokenizer_config(header):
    tokens = header.need("tokenizer.ggml.tokens")

    def text(name):
        index = header.special(name)
        return None if index is None else tokens[index]

    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": text("bos"),
        "eos_token": text("eos"),
        "pad_token": text("padding"),
        "unk_token": text("unknown"),
        "model_max_length": header.llama("context_length"),
        "clean_up_tokenization_spaces": False,
        "chat_template": header.need("tokenizer.chat_template"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=Path, metavar="MODEL.gguf")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    arguments = parser.parse_args()

    reader = GGUFReader(arguments.gguf)
    header = Header(reader)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    tensor_names = write_weights(out / "model.safetensors", reader, header)
    for name, content in [
        ("config.json", config(header, tensor_names)),
        ("generation_config.json", generation_config(header)),
        ("tokenizer.json", tokenizer(header)),
        ("tokenizer_config.json", tokenizer_config(header)),
    ]:
        indent = None if name == "tokenizer.json" else 2
        (out / name).write_text(json.dumps(content, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")

    sums = {}
    for path in sorted(out.iterdir()):
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        sums[path.name] = digest.hexdigest()
    print(json.dumps(sums))


if __name__ == "__main__":
    main()
