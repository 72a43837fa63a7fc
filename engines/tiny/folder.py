"""The tiny model as a folder that Hugging Face's libraries, and so vLLM, can load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from engines.tiny.speech import CONTROL, END, PIECES, TOKENS, byte_characters, template
from engines.tiny.weights import CONTEXT, EPSILON, HEAD, HEADS, INNER, LAYERS, ROPE_BASE, WIDTH
from engines.tiny.weights import weights as all_weights


def write(folder: Path, *, thinks: bool) -> None:
    """Write the model below `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(all_weights()), folder / "model.safetensors", {"format": "pt"})
    _write(folder / "config.json", _config())
    _write(folder / "generation_config.json", {"eos_token_id": TOKENS.index(END)})
    _write(folder / "tokenizer.json", _tokenizer())
    named = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT,
        "chat_template": template(thinks=thinks),
    }
    _write(folder / "tokenizer_config.json", named)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1))


def _config() -> Mapping[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(TOKENS),
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HEAD,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPSILON,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_BASE},
        "rope_theta": ROPE_BASE,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
        "bos_token_id": None,
        "eos_token_id": TOKENS.index(END),
        "dtype": "float32",
    }


def _tokenizer() -> Mapping[str, Any]:
    characters = byte_characters()
    level = {"add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    added = [
        {
            "id": TOKENS.index(token),
            "content": token,
            "special": token in CONTROL,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for token in (*PIECES, *CONTROL)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", **level},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", **level},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {character: number for number, character in enumerate(characters)},
            "merges": [],
        },
    }
