"""What the tools of one run returned, and what its agent told its models of it. Bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from bailiwick.core.thinking.retelling import Came, came_as, came_as_text, compare, cost
from bailiwick.core.thinking.said_and_did import MAX_RETOLD, Retold, SaidAndDid
from bailiwick.protocols.llm.told import Told

MAX_CAME = 256
MAX_CAME_BYTES = 1024 * 1024
"""Results of one run that can be compared with; of older ones it is known that they came."""

MAX_KNOWN = 4_096
"""Results told, and calls seen, that are remembered by their ids."""

MAX_SEARCHED = 16 * 1024 * 1024
"""Characters that are searched for one request's results; of further ones nothing is known."""

_MAX_LOOKED_AT = MAX_KNOWN // 2
_MAX_OF_ONE_ID = 8
_BEST_FIRST = (
    SaidAndDid.MATCHED,
    SaidAndDid.SHORTENED,
    SaidAndDid.UNKNOWN,
    SaidAndDid.ALTERED,
)


@dataclass(slots=True)
class _Result:
    """What came of one call: its text or its bytes until they are looked at."""

    call: str
    raw: bytes | str | None
    came: Came | None = None

    @property
    def size(self) -> int:
        return 256 + 2 * len(self.raw or b"")

    def compare(self, told: Told) -> SaidAndDid:
        if self.came is None and self.raw is not None:
            is_text = isinstance(self.raw, str)
            self.came = came_as_text(self.raw) if is_text else came_as(self.raw)  # type: ignore[arg-type]  # by `is_text`
        if self.came is None:
            return SaidAndDid.UNKNOWN
        return compare(told.text, self.came, complete=told.complete)


class Retellings:
    """The results of one run.

    An agent tells a model the whole conversation again and again. A result that is told once more
    in the same words costs a hash of it, and nothing is said of it twice.
    """

    __slots__ = ("_calls", "_forgot", "_order", "_told", "size")

    def __init__(self) -> None:
        self._calls: OrderedDict[str, list[_Result]] = OrderedDict()
        self._order: OrderedDict[int, _Result] = OrderedDict()
        self._told: OrderedDict[tuple[str, int, int], None] = OrderedDict()
        self._forgot = False
        self.size = 0

    def came(self, tool_call: str, call: str, *, body: bytes = b"", text: str = "") -> None:
        """A call came out.

        Args:
            tool_call: the model's id of it. Models give one id to several calls: all are kept.
            call: ours.
            body: the server's result or error, as JSON text; or
            text: what the gateway says of it instead.
        """
        result = _Result(call, body or text)
        alike = self._calls.setdefault(tool_call, [])
        alike.append(result)
        del alike[:-_MAX_OF_ONE_ID]
        self._order[id(result)] = result
        self.size += result.size
        while len(self._order) > MAX_CAME or self.size > MAX_CAME_BYTES:
            _, oldest = self._order.popitem(last=False)
            self.size -= oldest.size
            oldest.raw = oldest.came = None
        while len(self._calls) > MAX_KNOWN:
            self._calls.popitem(last=False)
            self._forgot = True

    def told(self, results: Sequence[Told], *, complete: bool) -> tuple[Retold, ...]:
        """What is told anew, or otherwise than before: the newest `MAX_RETOLD`.

        Args:
            complete: all calls of the run are known, so that one that is not was not seen.
        """
        found: list[Retold] = []
        left = MAX_SEARCHED
        for result in results[-_MAX_LOOKED_AT:]:
            words = result.id, len(result.text), hash(result.text)
            if words not in self._told:
                self._told[words] = None
                left -= self._cost(result)
                if left < 0:
                    found.append(Retold(SaidAndDid.UNKNOWN, result.id))
                    continue
                found.append(self._compare(result, complete=complete and not self._forgot))
        while len(self._told) > MAX_KNOWN:
            self._told.popitem(last=False)
        return tuple(found[-MAX_RETOLD:])

    def _cost(self, result: Told) -> int:
        calls = self._calls.get(result.id, ()) if result.id else ()
        if not calls:
            return 0
        each = cost(result.text)
        return sum(each + call.size for call in calls)

    def _compare(self, result: Told, *, complete: bool) -> Retold:
        calls = self._calls.get(result.id) if result.id else None
        if not calls:
            known = complete and bool(result.id)
            return Retold(SaidAndDid.UNASKED if known else SaidAndDid.UNKNOWN, result.id)
        compared = [(each.compare(result), each.call) for each in reversed(calls)]
        match, call = min(compared, key=lambda each: _BEST_FIRST.index(each[0]))
        return Retold(match, result.id, call)
