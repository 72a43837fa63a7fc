"""The numbers of the tiny model: a Llama of two layers whose answers follow `speech`.

The width has a place for what is always there, one for each token that is not a byte, and one for
each mode as it is remembered. The embedding says which token stands here; the first layer's
attention finds the mode, wherever in the prompt it stood; the output matrix adds up what follows
the token, what the mode prefers and how much a token is liked in general.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from engines.tiny.speech import FOLLOWS, MODES, PREFERS, TOKENS, preference

WIDTH, INNER, LAYERS, HEADS, HEAD = 128, 128, 2, 2, 64
CONTEXT = 32768
ROPE_BASE = 1e9  # the last pair of a head then hardly turns: it matches at any distance
EPSILON = 1e-6

Array: TypeAlias = npt.NDArray[np.float32]
_ALWAYS = 0
_NAMED = {token: 1 + place for place, token in enumerate(t for t in TOKENS if len(t) > 1)}
_KEPT = {mode: 1 + len(_NAMED) + place for place, mode in enumerate(MODES)}
# What a chain says outweighs what a mode prefers, and that a letter, but not the end of a text.
_CHAIN, _DECIDES, _LIKED = 10.0, 2.0, 1.0


def weights() -> Mapping[str, Array]:
    """All tensors under the names that Hugging Face gives them; shapes are (out, in)."""
    assert 1 + len(_NAMED) + len(_KEPT) <= WIDTH
    found = {
        "model.embed_tokens.weight": _embedding(),
        "model.norm.weight": np.ones(WIDTH, np.float32),
        "lm_head.weight": _output(),
    }
    for layer in range(LAYERS):
        name = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            found[f"{name}.{norm}.weight"] = np.ones(WIDTH, np.float32)
        for part in ("gate_proj", "up_proj"):
            found[f"{name}.mlp.{part}.weight"] = np.zeros((INNER, WIDTH), np.float32)
        found[f"{name}.mlp.down_proj.weight"] = np.zeros((WIDTH, INNER), np.float32)
        for part, matrix in _attention(finds=layer == 0).items():
            found[f"{name}.self_attn.{part}.weight"] = matrix
    return found


def _embedding() -> Array:
    matrix = np.zeros((len(TOKENS), WIDTH), np.float32)
    matrix[:, _ALWAYS] = 1.0
    for number, token in enumerate(TOKENS):
        if token in _NAMED:
            matrix[number, _NAMED[token]] = 1.0
    return matrix


def _attention(*, finds: bool) -> Mapping[str, Array]:
    """Matrices that bring the mode here from where it stood; or nothing."""
    found = {f"{part}_proj": np.zeros((WIDTH, WIDTH), np.float32) for part in "qkvo"}
    if finds:
        # The last place of a head is in its slowest pair, in both ways of pairing them.
        found["q_proj"][HEAD - 1, _ALWAYS] = 4.0
        for place, mode in enumerate(MODES):
            found["k_proj"][HEAD - 1, _NAMED[mode]] = 4.0
            found["v_proj"][place, _NAMED[mode]] = 0.125
            found["o_proj"][_KEPT[mode], place] = 1.0
    return found


def _output() -> Array:
    matrix = np.zeros((len(TOKENS), WIDTH), np.float32)
    number = {token: place for place, token in enumerate(TOKENS)}
    matrix[:, _ALWAYS] = [_LIKED * preference(token) for token in TOKENS]
    for token, following in FOLLOWS.items():
        for other in following:
            if token in _NAMED:
                matrix[number[other], _NAMED[token]] = _CHAIN
    for mode, preferred in PREFERS.items():
        matrix[number[preferred], _KEPT[mode]] = _DECIDES
    return matrix
