"""Declared aliases, as the model edge uses them."""

from __future__ import annotations

from collections.abc import Iterable

from bailiwick.declared import from_document
from bailiwick.declared.aliases import DeclaredAlias, compile_alias
from bailiwick.gateway.llm.aliases import Alias, Breaker, Candidate
from bailiwick.ports import ObjectRow


def alias_specs(rows: Iterable[ObjectRow]) -> list[Alias]:
    """The declared aliases.

    Raises:
        StoreError: a stored declaration is damaged.
    """
    found = (from_document(row.document) for row in rows if row.kind == "alias")
    return [_alias(compile_alias(declaration)) for declaration in found]


def _alias(alias: DeclaredAlias) -> Alias:
    return Alias(
        name=alias.name,
        groups=tuple(tuple(Candidate(*each) for each in group) for group in alias.groups),
        fail_over=alias.fail_over,
        attempts=alias.attempts,
        breaker=Breaker(alias.breaker_failures, float(alias.breaker_seconds)),
        first_byte_seconds=_seconds(alias.first_byte_seconds),
        whole_seconds=_seconds(alias.whole_seconds),
        by_run=alias.by_run,
    )


def _seconds(seconds: int | None) -> float | None:
    return None if seconds is None else float(seconds)
