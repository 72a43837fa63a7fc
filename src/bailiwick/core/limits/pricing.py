"""What models cost, and how large their inputs and answers can be: declared, exact, whole numbers.

Prices are steps (`SUM_SCALE` to one unit of money) for a million tokens. A cost is rounded up to
the next step once, at the end, so a reservation is never less than what is posted for the same
tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from bailiwick.core.texts.glob import Glob

PER_TOKENS = 1_000_000
"""Prices are for so many tokens, as all providers state them."""

MAX_TOKENS = 1_000_000_000_000
"""Most tokens that anything here is about: one call, one limit."""

DEFAULT_TEMPLATE_TOKENS = 1_024
"""What a server's chat template adds to the text of a request, unless it is declared: marks of
roles, today's date, and what the model is told about tools."""

_MAX_KNOWN = 4_096


class Price(msgspec.Struct, frozen=True):
    """What a model's tokens cost, in steps for a million of them.

    Attributes:
        currency: of all of it.
        input: read for the first time.
        cached, cache_written: parts of the input that came from the provider's cache, and that were
            put into it.
        output: None for a model that has no output, such as one for embeddings.
        reasoning: the part of the output that is reasoning.
    """

    currency: str
    input: int
    cached: int
    cache_written: int
    output: int | None
    reasoning: int | None

    @property
    def dearest_input(self) -> int:
        """The most that a million tokens of input cost, whatever becomes of them."""
        return max(self.input, self.cached, self.cache_written)

    @property
    def dearest_output(self) -> int:
        """The same of output; 0 without a price for it."""
        return max(self.output or 0, self.reasoning or 0)


class Size(msgspec.Struct, frozen=True):
    """What bounds one call of a model, whatever the call says.

    Attributes:
        context: most tokens of input and output together; None if it is not declared.
        max_output: most tokens of one answer; None likewise.
        template_tokens: most that the server adds to the text of a request.
        heeds: names of the bounds of the output that the server reads; () for those of the dialect.
    """

    context: int | None = None
    max_output: int | None = None
    template_tokens: int = DEFAULT_TEMPLATE_TOKENS
    heeds: tuple[str, ...] = ()


NO_SIZE = Size()


@dataclass(frozen=True, slots=True)
class Terms:
    """Prices and sizes of one server's models, by pattern, the most specific first.

    INVARIANT: of two patterns that a name can fit, one includes the other (checked when they are
    declared), so the first that fits is the one that is meant.
    """

    prices: tuple[tuple[str, Price], ...] = ()
    sizes: tuple[tuple[str, Size], ...] = ()
    _known: dict[str, tuple[Price | None, Size]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def of(self, model: str) -> tuple[Price | None, Size]:
        """Price, None if there is none, and size of the model of this name."""
        found = self._known.get(model)
        if found is None:
            price = next((each for text, each in self.prices if Glob(text).matches(model)), None)
            size = next((each for text, each in self.sizes if Glob(text).matches(model)), NO_SIZE)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            found = self._known[model] = (price, size)
        return found


NO_TERMS = Terms()


def most(price: Price, input_tokens: int, output_tokens: int) -> int | None:
    """Steps that so many tokens cost at most; None when their price is not declared."""
    if output_tokens and price.output is None:
        return None
    dearest = input_tokens * price.dearest_input + output_tokens * price.dearest_output
    return -(-dearest // PER_TOKENS)  # rounded up


def cost(
    price: Price,
    input_tokens: int,
    output_tokens: int,
    cached: int = 0,
    cache_written: int = 0,
    reasoning: int = 0,
) -> int | None:
    """Steps that tokens cost which were really taken; None when their price is not declared.

    Counts that do not fit each other (more from the cache than there was input) are not believed:
    then all of it costs as much as the dearest of it.
    """
    if output_tokens and price.output is None:
        return None
    into, out = input_tokens * price.input, output_tokens * (price.output or 0)
    if cached or cache_written:
        fresh = input_tokens - cached - cache_written
        into = fresh * price.input + cached * price.cached + cache_written * price.cache_written
        if fresh < 0:
            into = input_tokens * price.dearest_input
    if reasoning:
        spoken = output_tokens - reasoning
        thinking = price.output if price.reasoning is None else price.reasoning
        out = spoken * (price.output or 0) + reasoning * (thinking or 0)
        if spoken < 0:
            out = output_tokens * price.dearest_output
    return -(-(into + out) // PER_TOKENS)  # rounded up
