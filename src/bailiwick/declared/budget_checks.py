"""Limits in money of models that nothing is priced for: they would refuse each call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import show
from bailiwick.declared.limits import money
from bailiwick.declared.objects import texts
from bailiwick.declared.problems import Problem
from bailiwick.declared.tree import Items, Table, to_json


def warn_budgets(holder: Table, models: Mapping[str, JsonObject]) -> Iterator[Problem]:
    """What can be used but is probably not meant in the limits of a mandate or a person.

    Args:
        models: declarations of model servers by name.
    """
    limits = holder.get("limits")
    for limit in limits.items if isinstance(limits, Items) else ():
        cost = limit.get("cost") if isinstance(limit, Table) else None
        if cost is None or not isinstance(limit, Table):
            continue
        wanted = set(money(to_json(cost)))
        spec = to_json(limit)
        assert isinstance(spec, Mapping)
        targets = (*texts(spec, "model"), *texts(spec, "models"))
        upstreams = [Glob(target.partition("/")[0]) for target in targets]
        for name in sorted(models):
            if not any(glob.matches(name) for glob in upstreams):
                continue
            priced = _currencies(models[name])
            if priced & wanted:
                for model in _unpriced(models[name], name, targets):
                    message = f"refuses every call of {show(model)}: no pattern of `prices` fits it"
                    yield Problem(cost.place, message)
                continue
            why = f"its prices are in {_names(priced)}" if priced else "it declares no `prices`"
            message = f"refuses every call of model server {show(name)}: {why}"
            yield Problem(cost.place, message)


def _unpriced(server: JsonObject, name: str, targets: Iterable[str]) -> Iterator[str]:
    """Of the models that are named in full, those without a price."""
    prices: Json = server.get("prices")
    patterns = [Glob(each) for each in prices] if isinstance(prices, Mapping) else []
    for target in targets:
        upstream, _, model = target.partition("/")
        named = Glob(model)
        if upstream != name or not named.literal:
            continue
        if not any(pattern.matches(named.parts[0]) for pattern in patterns):
            yield target


def _currencies(server: JsonObject) -> set[str]:
    prices: Json = server.get("prices")
    found = prices.values() if isinstance(prices, Mapping) else ()
    return {str(price["currency"]) for price in found if isinstance(price, Mapping)}


def _names(currencies: set[str]) -> str:
    return ", ".join(show(each) for each in sorted(currencies))
