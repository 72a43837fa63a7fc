"""The most that a model call can take, worked out before it is sent. Pure.

    input    the bytes of the request, for a token is at least a byte, and what the server's
             template adds; or the model's whole `context`, whichever is less
    output   what the request states, or the model's `max_output`, or its `context`, whichever is
             least; for each of the answers that are asked for
    tokens   both; no more than the `context` if one answer is asked for
    cost     both at the dearest price of their sort, rounded up

What nothing bounds is missing, and `unbounded` says why. Tools that the model's server runs by
itself leave everything unbounded: it may go round with them any number of times within one call.
So does a conversation that it is to compact before it answers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from bailiwick.core.call import ModelUse
from bailiwick.core.canonical import JsonObject
from bailiwick.core.limits.limit import COST
from bailiwick.core.limits.pricing import Price, Size, Terms, most
from bailiwick.core.values import show, stream_safe
from bailiwick.protocols.llm.asked import objects
from bailiwick.protocols.llm.dialect import Asking, Dialect
from bailiwick.protocols.strict_json import encode

_NOTHING = {"input_tokens": 0, "output_tokens": 0, "tokens": 0}
_ANSWERS = (Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES)


def bounded(
    use: ModelUse,
    asking: Asking,
    body: JsonObject,
    server: str,
    terms: Terms,
    model: str,
    counting: bool = False,
    betas: str = "",
) -> ModelUse:
    """`use` with what the call may take of one model of one server at most.

    Args:
        asking: what the request asks.
        body: the request itself.
        server: its name.
        terms: what is declared of its models.
        model: the server's own name for it.
        counting: it only counts tokens, which takes none.
        betas: features that it switches on in a header: some make a model larger.
    """
    if counting:
        return replace(use, bounds=_NOTHING)
    price, size = terms.of(model)
    if betas or not _no_betas(body):
        size = _enlarged(size, betas, body)
    if "context_management" in body and _compacts(body):
        return replace(use, unbounded={"input_tokens": _COMPACTS})
    unbounded: dict[str, str] = {}
    given = _input(asking, body, size, server, unbounded)
    answered = _output(asking, body, size, server, unbounded)
    bounds: dict[str, int] = {}
    if given is not None:
        bounds["input_tokens"] = given
    if answered is not None:
        bounds["output_tokens"] = answered
    if given is not None and answered is not None:
        both = given + answered
        if size.context is not None and asking.choices == 1:
            both = min(both, size.context)
        bounds["tokens"] = both
    costs = _cost(asking, price, given, answered, server, model, unbounded)
    if costs is not None and price is not None:
        bounds[COST + price.currency] = costs
    return replace(use, bounds=bounds, unbounded=unbounded)


_LARGER = re.compile(r"(context|output)-([0-9]{1,4})([km])(?![a-z0-9])", re.IGNORECASE)
"""`context-1m-2025-08-07`, `output-128k-2025-02-19`: what is made larger, and how large."""

_BETA_FIELDS = ("anthropic_beta", "betas")
"""How the same is said in a body."""

_no_betas = frozenset(_BETA_FIELDS).isdisjoint


def _enlarged(size: Size, betas: str, body: JsonObject) -> Size:
    """The size with what the request itself makes larger."""
    inside = (encode(body[name]).decode() for name in _BETA_FIELDS if name in body)
    for what, number, unit in _LARGER.findall(",".join((betas, *inside))):
        tokens = int(number) << (10 if unit in "kK" else 20)
        if size.context is not None and tokens > size.context:
            size = replace(size, context=tokens)
        # More of a context is more room for an answer only if it says so.
        if what.lower() == "output" and size.max_output is not None and tokens > size.max_output:
            size = replace(size, max_output=tokens)
    return size


_COMPACTS = (
    "`context_management` has the server compact the conversation, in a call of a model that "
    "nothing bounds: leave it out"
)


def _compacts(body: JsonObject) -> bool:
    """Whether the server may compact the conversation within the call; no other edit takes a
    model."""
    told = body["context_management"]
    edits = told.get("edits") if isinstance(told, Mapping) else told
    return any("compact" in str(each.get("type")) for each in objects(edits))


def _input(
    asking: Asking, body: JsonObject, size: Size, server: str, unbounded: dict[str, str]
) -> int | None:
    if asking.hosted:
        unbounded["input_tokens"] = _hosted(asking)
        return None
    if asking.unsized:
        if size.context is None:
            unbounded["input_tokens"] = (
                f"nothing bounds the tokens of {show(asking.unsized[0])}: leave it out, or have "
                f"`sizes` with a `context` declared for model server {show(server)}"
            )
        return size.context
    # A server that embeds adds marks to each input, which are fewer than its quotes and comma.
    template = size.template_tokens if asking.dialect in _ANSWERS else 0
    given = _bytes(asking, body) + template
    return given if size.context is None else min(given, size.context)


def _bytes(asking: Asking, body: JsonObject) -> int:
    """Size of the request, as sent or as some tokenizers make it, whichever is more.

    They compose letters first, which makes a few longer: U+1D160, of four bytes, becomes twelve.
    Models that embed look at what letters stand for.
    """
    whole = asking.text or encode(body)
    if whole.isascii():
        return asking.input_bytes
    form: Literal["NFC", "NFKC"] = "NFC" if asking.dialect in _ANSWERS else "NFKC"
    # With joiners between too many marks: more than without, and in time.
    made = unicodedata.normalize(form, stream_safe(whole.decode()))
    return max(asking.input_bytes, len(made.encode()))


def _output(
    asking: Asking, body: JsonObject, size: Size, server: str, unbounded: dict[str, str]
) -> int | None:
    if asking.dialect not in _ANSWERS:
        return 0
    if asking.hosted:
        unbounded["output_tokens"] = _hosted(asking)
        return None
    # For some servers 0 means that there is no bound. `choices` are in what the request states.
    found = asking.max_output or None
    if size.heeds and not any(body.get(name) for name in size.heeds):
        found = None
    for declared in (size.max_output, size.context):
        if declared is not None:
            most_of_all = declared * asking.choices
            found = most_of_all if found is None else min(found, most_of_all)
    if found is None:
        unbounded["output_tokens"] = (
            f"it states no {_bound(asking, size)}: state one, or have `sizes` with a "
            f"`max_output` declared for model server {show(server)}"
        )
    return found


def _cost(
    asking: Asking,
    price: Price | None,
    given: int | None,
    answered: int | None,
    server: str,
    model: str,
    unbounded: dict[str, str],
) -> int | None:
    if price is None:
        unbounded["price"] = (
            f"no price is declared for {show(model)}: declare `prices` of model server "
            f"{show(server)}"
        )
        return None
    if asking.dearer:
        unbounded["price"] = (
            f"{show(asking.dearer[0])} changes the price, and `prices` know of none for it: leave "
            "it out"
        )
        return None
    if given is None or answered is None:
        return None
    costs = most(price, given, answered)
    if costs is None:
        unbounded["price"] = (
            f"no price of `output` is declared for {show(model)}: declare it in `prices` of model "
            f"server {show(server)}"
        )
    return costs


_BOUND = {
    Dialect.CHAT: "`max_completion_tokens` or `max_tokens`",
    Dialect.RESPONSES: "`max_output_tokens`",
    Dialect.MESSAGES: "`max_tokens`",
}


def _bound(asking: Asking, size: Size) -> str:
    return " or ".join(f"`{name}`" for name in size.heeds) or _BOUND[asking.dialect]


def _hosted(asking: Asking) -> str:
    return (
        f"it offers {show(asking.hosted[0])}, which the model's server runs by itself any number "
        "of times: leave it out"
    )
