"""Two runs side by side: which steps of the one are which of the other, and where they differ.

Pure. Steps are set beside each other by what they call, in order: model calls by being model calls,
whichever model served, since that is what is usually compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher

from bailiwick.ports.story import ModelSaid, Step


@dataclass(frozen=True, slots=True)
class Pair:
    """A step of each run, or of only one of them.

    Attributes:
        differences: in which the two differ, in words; () if in nothing that counts, and for a step
            that stands alone.
    """

    left: Step | None
    right: Step | None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run came to.

    Attributes:
        states: calls by the state they ended in.
        waited_ms: how long its calls waited for people, together.
        tokens: by kind, over the model calls that report them.
        cost: by currency, in decimal text.
        said_and_did: tool calls by how they stand to what the model asked for.
    """

    calls: int
    states: Mapping[str, int]
    waited_ms: int
    tokens: Mapping[str, int]
    cost: Mapping[str, str]
    said_and_did: Mapping[str, int]


def side_by_side(left: Sequence[Step], right: Sequence[Step]) -> tuple[Pair, ...]:
    """Set the steps of two runs beside each other, in their order. O(n²) in the worst case."""
    matcher = SequenceMatcher(None, _keys(left), _keys(right), autojunk=False)
    pairs: list[Pair] = []
    for _, a, b, c, d in matcher.get_opcodes():
        for number in range(max(b - a, d - c)):
            one = left[a + number] if a + number < b else None
            other = right[c + number] if c + number < d else None
            if one is not None and other is not None and _key(one) == _key(other):
                pairs.append(Pair(one, other, tuple(differences(one, other))))
                continue
            pairs += [Pair(one, None)] if one is not None else []
            pairs += [Pair(None, other)] if other is not None else []
    return tuple(pairs)


def differences(left: Step, right: Step) -> Iterator[str]:
    """In what two steps of one kind differ, in words."""
    compared: dict[str, tuple[object, object]] = {
        "arguments": (left.arguments, right.arguments),
        "verdict": (left.decision, right.decision),
        "outcome": (left.state, right.state),
        "result": (left.result, right.result),
        "said and did": (left.said_and_did, right.said_and_did),
    }
    if left.model is not None and right.model is not None:
        compared |= _of_models(left.model, right.model, left, right)
    for words, (one, other) in compared.items():
        if one != other:
            yield words


def totals(steps: Sequence[Step]) -> Totals:
    """What these steps came to."""
    tokens: Counter[str] = Counter()
    cost: dict[str, Decimal] = {}
    for step in steps:
        if step.model is not None:
            tokens.update(step.model.usage)
            for currency, amount in step.model.cost.items():
                cost[currency] = cost.get(currency, Decimal(0)) + Decimal(amount)
    waits = [step.hold.waited_ms for step in steps if step.hold is not None]
    return Totals(
        calls=len(steps),
        states=Counter(step.state for step in steps),
        waited_ms=sum(wait for wait in waits if wait is not None),
        tokens=dict(tokens),
        cost={currency: f"{amount:f}" for currency, amount in cost.items()},
        said_and_did=Counter(step.said_and_did for step in steps if step.said_and_did),
    )


def _of_models(
    one: ModelSaid, other: ModelSaid, left: Step, right: Step
) -> dict[str, tuple[object, object]]:
    return {
        "model": (f"{left.upstream}/{left.name}", f"{right.upstream}/{right.name}"),
        "what served": (one.served, other.served),
        "parameters": (one.parameters, other.parameters),
        "tools offered": (one.tools, other.tools),
        "reasoning": (one.reasoning, other.reasoning),
        "text": (one.text, other.text),
        "tool calls asked for": (
            [(each.name, each.arguments) for each in one.asked],
            [(each.name, each.arguments) for each in other.asked],
        ),
        "how it ended": (one.finish, other.finish),
    }


def _keys(steps: Sequence[Step]) -> list[str]:
    return [_key(step) for step in steps]


def _key(step: Step) -> str:
    return "model" if step.kind == "model" else f"{step.kind} {step.upstream}/{step.name}"
