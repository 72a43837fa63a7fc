"""The tiny model as one file that llama.cpp can load."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from engines.tiny.speech import CONTROL, END, PIECES, TOKENS, template
from engines.tiny.weights import (
    CONTEXT,
    EPSILON,
    HEAD,
    HEADS,
    INNER,
    LAYERS,
    ROPE_BASE,
    WIDTH,
    Array,
)
from engines.tiny.weights import weights as all_weights

_PARTS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_WHOLE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def write(path: Path, *, thinks: bool) -> None:
    """Write the model to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = gguf.GGUFWriter(path, "llama")
    file.add_name("tiny")
    file.add_context_length(CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(INNER)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(HEAD)
    file.add_rope_freq_base(ROPE_BASE)
    file.add_layer_norm_rms_eps(EPSILON)
    file.add_vocab_size(len(TOKENS))
    file.add_file_type(gguf.LlamaFileType.ALL_F32)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("gpt-2")
    file.add_token_list(list(TOKENS))
    file.add_token_types([_kind(token) for token in TOKENS])
    # There has to be one. No text has these two bytes.
    file.add_token_merges(["ÿ þ"])
    file.add_eos_token_id(TOKENS.index(END))
    file.add_add_bos_token(False)
    file.add_chat_template(template(thinks=thinks))
    for name, array in all_weights().items():
        file.add_tensor(_name(name), np.ascontiguousarray(_order(name, array)))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def _kind(token: str) -> gguf.TokenType:
    if token in CONTROL:
        return gguf.TokenType.CONTROL
    return gguf.TokenType.USER_DEFINED if token in PIECES else gguf.TokenType.NORMAL


def _name(name: str) -> str:
    if name in _WHOLE:
        return _WHOLE[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_PARTS[part]}.weight"


def _order(name: str, array: Array) -> Array:
    """Rows of queries and keys in llama.cpp's order: it turns neighbours, and not halves."""
    if "q_proj" not in name and "k_proj" not in name:
        return array
    halves = array.reshape(HEADS, 2, HEAD // 2, array.shape[1])
    return halves.swapaxes(1, 2).reshape(array.shape)
