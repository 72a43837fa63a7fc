"""Reading requests: what all dialects share.

Strict where it is judged or counted: a model, a bound or a tool that two readers could take for
different things is refused. Anything else is the upstream's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bailiwick.core.canonical import MAX_SAFE_INTEGER, Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.values import kind_of, show
from bailiwick.protocols.strict_json import encode

MAX_MODEL_CHARS = 256
MAX_TOOLS = 1_024

_OTHER_MODELS = ("models", "fallbacks")
"""How OpenRouter, LiteLLM and the Messages dialect are told of models to fall back on."""

# Most fields that are looked for are in few requests: one look tells that none of them is there.
_no_other_models = frozenset(_OTHER_MODELS).isdisjoint

_JSON_OBJECT = frozenset({dict})


def check_spelling(body: JsonObject, judged: frozenset[str]) -> None:
    """Refuse names that some servers take for a judged one: Go's JSON ignores case.

    Raises:
        TheirError: `name_misspelt`.
    """
    if judged.issuperset(body):
        return
    for name in body:
        if name not in judged and name.casefold() in judged:
            raise TheirError(
                "name_misspelt", f"{show(name)} is to be written {show(name.casefold())}"
            )


def model_of(body: JsonObject) -> str:
    """The one model that may answer.

    Raises:
        TheirError: `model_not_text`, also when there is none; `more_than_one_model` when the
            request lets the server take another: only the one was judged.
    """
    for name in () if _no_other_models(body) else _OTHER_MODELS:
        if body.get(name):
            raise TheirError("more_than_one_model", f"`{name}` asks for models beside `model`")
    model = body.get("model")
    if not isinstance(model, str) or not model or len(model) > MAX_MODEL_CHARS:
        raise TheirError(
            "model_not_text", f"`model` must be text of 1 to {MAX_MODEL_CHARS} characters"
        )
    return model


def with_model(text: bytes, body: JsonObject, model: str) -> bytes:
    """A request with another name for its model, as compact JSON.

    Args:
        text: the request's compact JSON. What is as long as a conversation is written only once.
        body: the same.
    """
    # The field stands there like this, so what stands there once is the field.
    mark = b'"model":' + encode(body["model"])
    at = text.find(mark)
    if at < 0 or text.find(mark, at + 1) >= 0:
        return encode({**body, "model": model})
    return b'%b"model":%b%b' % (text[:at], encode(model), text[at + len(mark) :])


def flag(body: JsonObject, name: str) -> bool:
    """A boolean that may be missing or null. Raises TheirError `stream_not_boolean`."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise TheirError(f"{name}_not_boolean", f"`{name}` must be a boolean, not {kind_of(value)}")
    return value


def count(body: JsonObject, name: str, code: str = "max_output_not_integer") -> int | None:
    """A whole number that may be missing or null, 0 to 2**53 - 1. Raises TheirError `code`."""
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= MAX_SAFE_INTEGER:
        raise TheirError(code, f"`{name}` must be a whole number, not {show(value)}")
    return value


_OTHER_BOUNDS = ("n_predict", "num_predict", "max_new_tokens")
"""What some servers read in place of the dialect's own bound: llama.cpp prefers its `n_predict`."""

_no_other_bounds = frozenset(_OTHER_BOUNDS).isdisjoint


def bound_of(body: JsonObject, names: Iterable[str]) -> int | None:
    """The most output that a request lets a server make; None when nothing bounds it.

    Which of several bounds a server goes by is its own choice, and for some 0 is none. A bound by
    another name can only make it more: not every server reads it.

    Raises:
        TheirError: `max_output_not_integer`.
    """
    stated = [bound for name in names if name in body and (bound := count(body, name)) is not None]
    if not stated or 0 in stated:
        return None
    for name in () if _no_other_bounds(body) else _OTHER_BOUNDS:
        value = body.get(name)
        if value is None:
            continue
        if type(value) is not int or value <= 0:
            return None
        stated.append(value)
    return max(stated)


def largest(bounds: Iterable[int | None]) -> int | None:
    """The largest stated bound: which of two a server goes by is its own choice."""
    stated = [bound for bound in bounds if bound is not None]
    return max(stated) if stated else None


def objects(value: Json) -> Sequence[Mapping[str, Json]]:
    """The objects in a list; nothing when it is none."""
    if type(value) is not list and not isinstance(value, tuple):
        return ()
    if _JSON_OBJECT.issuperset(map(type, value)):  # as nearly always: one look for all of them
        return value
    return [item for item in value if isinstance(item, Mapping)]


def tool_objects(body: JsonObject, name: str) -> Sequence[Mapping[str, Json]]:
    """The offered tools of one list.

    Raises:
        TheirError: `tools_not_list`, `too_many_tools`, `tool_without_name` (not an object).
    """
    value = body.get(name)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise TheirError("tools_not_list", f"`{name}` must be a list, not {kind_of(value)}")
    if len(value) > MAX_TOOLS:
        raise TheirError("too_many_tools", f"more than {MAX_TOOLS} tools in `{name}`")
    found = objects(value)
    if len(found) != len(value):
        raise TheirError("tool_without_name", f"`{name}` must hold objects only")
    return found


def named(tool: Json) -> str:
    """The name of a tool that the agent runs. Raises TheirError `tool_without_name`."""
    name = tool.get("name") if isinstance(tool, Mapping) else None
    if not isinstance(name, str) or not name:
        raise TheirError("tool_without_name", "an offered tool has no name")
    return name


def once(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the order they first came."""
    return tuple(dict.fromkeys(names))


def stands_for_more(body: JsonObject, names: Iterable[str]) -> list[str]:
    """Those of `names` that are set: fields whose input is longer than they are."""
    return [name for name in names if body.get(name) is not None]


_PLAIN = {
    "service_tier": frozenset({"auto", "default", "flex", "standard", "standard_only"}),
    "speed": frozenset({"standard"}),
    "inference_geo": frozenset({"global"}),
}
"""Fields by which a request chooses a tariff → what of them costs no more than saying nothing."""

_DEARER_PARTS = frozenset({"input_audio", "audio", "input_video", "video", "video_url"})
"""Input whose tokens cost more than those of text."""


_none_dearer = frozenset({*_PLAIN, "prediction", "modalities"}).isdisjoint


def dearer(body: JsonObject, unsized: Sequence[str]) -> tuple[str, ...]:
    """What of a request costs more than its tokens do by themselves, each once."""
    if not unsized and _none_dearer(body):
        return ()
    found: list[str] = []
    for name, plain in _PLAIN.items():
        value = body.get(name)
        if value is not None and not (isinstance(value, str) and value in plain):
            said = value if isinstance(value, str) else kind_of(value)
            found.append(f"{name}: {said}"[:MAX_MODEL_CHARS])
    if body.get("prediction") is not None:  # what of it is not used is paid as output all the same
        found.append("prediction")
    spoken = body.get("modalities")
    if spoken is not None and spoken != ["text"]:
        found.append("modalities")
    return once((*found, *(kind for kind in unsized if kind in _DEARER_PARTS)))


def unsized_parts(content: Json, sized: frozenset[str]) -> list[str]:
    """Types of the parts that are not among `sized`, whose tokens their bytes bound."""
    if type(content) is str:  # as most is
        return []
    kinds = [part.get("type") for part in objects(content)]
    return [
        kind if isinstance(kind, str) and len(kind) <= MAX_MODEL_CHARS else "unknown"
        for kind in kinds
        if not (isinstance(kind, str) and kind in sized)
    ]
