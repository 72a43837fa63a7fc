"""What recorded model calls would take by other prices and sizes than those they were judged by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from bailiwick.app.simulation import Asked
from bailiwick.core.call import Call, CallKind
from bailiwick.core.errors import TheirError
from bailiwick.core.limits.limit import COST
from bailiwick.core.limits.pricing import NO_TERMS, Price, Terms
from bailiwick.declared import from_document
from bailiwick.declared.prices import compile_terms
from bailiwick.gateway.llm.bounds import bounded
from bailiwick.gateway.llm.used import priced
from bailiwick.ports import ObjectRow
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.requests import read_request

_EDGE = "llm/"


class Repricing:
    """The prices and sizes that would be declared, and the calls that are under way by them."""

    def __init__(self, objects: Iterable[ObjectRow]) -> None:
        found = (from_document(row.document) for row in objects if row.kind == "model")
        self._terms: dict[str, Terms] = {each.name: compile_terms(each.spec) for each in found}
        self._prices: dict[str, Price | None] = {}

    def asked(self, event: Asked, edge: str) -> Asked:
        """The intent of a model call with what it could take by these; any other as it is."""
        call = event.call
        if call.target.kind is not CallKind.MODEL or call.use is None:
            return event
        terms = self._terms.get(call.target.upstream, NO_TERMS)
        self._prices[call.id], _ = terms.of(call.target.name)
        return replace(event, call=_again(call, terms, edge))

    def used(self, call: str, recorded: Mapping[str, int]) -> dict[str, int]:
        """What an outcome says was taken, with what that costs by these."""
        counts = {name: count for name, count in recorded.items() if not name.startswith(COST)}
        return priced(counts, self._prices.pop(call, None))


def _again(call: Call, terms: Terms, edge: str) -> Call:
    assert call.use is not None
    try:
        asking = read_request(Dialect(edge.removeprefix(_EDGE)), call.arguments)
    except (ValueError, TheirError):  # of a dialect, or in a form, that is not read any more
        return call
    counting = "path" in call.beside
    upstream, name = call.target.upstream, call.target.name
    use = bounded(call.use, asking, call.arguments, upstream, terms, name, counting=counting)
    return replace(call, use=use)
