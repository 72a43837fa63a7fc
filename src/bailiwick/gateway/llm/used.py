"""What a model call really took, as its server reports it: tokens, and money by their price.

counts   what the answer says, under the names of `ModelUse.bounds`; what it does not say, or
         says in a way that cannot be, is missing, and is settled at its bound
cost     of the counts, sort by sort; missing where a count is
nothing  an answer by which the server says that it did not begin: refused as malformed,
         unknown or too much, or not taken on for now; unless it tells of what was generated

"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from bailiwick.core.call import ModelUse
from bailiwick.core.limits.limit import COST
from bailiwick.core.limits.pricing import Price, cost, most
from bailiwick.ports import UpstreamReply
from bailiwick.protocols.llm.dialect import ERROR, UNFINISHED, UNREADABLE, Said, Visibility

MAX_COUNT = 10**15
"""Most tokens that one answer can report; more is taken for this."""

MAX_TOKEN_CHARACTERS = 256
"""More than the longest token of any vocabulary has: 128 blanks, in the largest ones known."""

NOT_BEGUN = frozenset({400, 402, 404, 405, 413, 415, 422, 429, 503, 529})
"""HTTP statuses that say that no model has begun. After any other error it may have."""


_GENERATED = (b"failed_generation", b'"usage"', b"output limit was reached")
"""In such an error: a model has answered, and what it made was of no use. Groq answers 400 so to
text that is not the JSON asked for, and OpenAI to thinking that took all of the output."""

_NOTHING = {"input_tokens": 0, "output_tokens": 0, "tokens": 0}
_NOT_FINISHED = (UNFINISHED, UNREADABLE, ERROR)


def counts_of(said: Said) -> dict[str, int]:
    """What an answer reports, by name; nothing of one that did not end well.

    Fewer tokens of output than what was said can be made of are not believed.
    """
    usage = said.usage
    if usage is None or said.finish in _NOT_FINISHED:
        return {}
    into, out = usage.input, usage.output
    if out is not None and out * MAX_TOKEN_CHARACTERS < _characters(said):
        out = None
    told: dict[str, int] = {}
    if into is not None:
        told["input_tokens"] = into
    if out is not None:
        told["output_tokens"] = out
        if into is not None:
            told["tokens"] = into + out
    if usage.cached is not None:
        told["cached_tokens"] = usage.cached
    if usage.cache_written is not None:
        told["cache_written_tokens"] = usage.cache_written
    if usage.reasoning is not None:
        told["reasoning_tokens"] = usage.reasoning
    if told and max(told.values()) > MAX_COUNT:
        return {name: min(count, MAX_COUNT) for name, count in told.items()}
    return told


def _characters(said: Said) -> int:
    made = len(said.text)
    for thought in said.reasoning:
        if thought.visibility is Visibility.FULL:
            made += len(thought.text)
    for call in said.tool_calls:
        made += len(call.arguments)
    return made


def priced(counts: Mapping[str, int], price: Price | None) -> dict[str, int]:
    """`counts` with what they cost, as far as both are known."""
    used = dict(counts)
    into, out = used.get("input_tokens"), used.get("output_tokens")
    if price is None or into is None or out is None:
        return used
    steps = cost(
        price,
        into,
        out,
        used.get("cached_tokens", 0),
        used.get("cache_written_tokens", 0),
        used.get("reasoning_tokens", 0),
    )
    if steps is not None:
        used[COST + price.currency] = steps
    return used


def settled(reply: UpstreamReply, price: Price | None, status: int) -> UpstreamReply:
    """A reply that also says what it cost, or that it took nothing."""
    if reply.error is None:
        return reply if price is None else replace(reply, used=priced(reply.used, price))
    if status in NOT_BEGUN and not any(sign in reply.error for sign in _GENERATED):
        return replace(reply, used=priced(_NOTHING, price))
    return reply


def overrun(use: ModelUse, price: Price | None, output_tokens: int) -> dict[str, int]:
    """What a stream took that was cut because it had made more than its bound.

    Of the input the bound, for nothing is known of it; all of it at the dearest price.
    """
    used = {"output_tokens": output_tokens}
    into = use.bounds.get("input_tokens")
    if into is None:
        return used
    used["input_tokens"] = into
    used["tokens"] = into + output_tokens
    steps = None if price is None else most(price, into, output_tokens)
    if price is not None and steps is not None:
        used[COST + price.currency] = steps
    return used
