"""The line of mandates above each mandate, worked out once, when a snapshot is put in force.

A call is judged by every mandate of its chain, as each stands now: of a parent always the newest
version, whichever one the child was made from. Whatever is wrong with a line stops what is below:

1. a mandate that is gone, a line that leads back into itself, or one that is longer than any that
   could have been made: there is no chain;
2. a parent that does not let its agent delegate any more, not so deep, or not to this agent, or
   that another person gives now: the child counts as suspended, for as long as that is so.

Of a parent's stamp rules that exclude the owner of its agent, the owners of the agents below are
excluded as well: nobody stamps what his own agent asks for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from bailiwick.core.delegation import MAX_DEPTH
from bailiwick.core.mandate import Mandate, MandateState, StampRule

Chain = tuple[Mandate, ...]

OwnerOf = Callable[[str], str]
"""Who answers for an agent; "" for nobody."""


def chain_of(name: str, mandates: Mapping[str, Mandate], owner: OwnerOf) -> Chain:
    """The chain of a mandate, root first; () when there is none (1)."""
    found = mandates.get(name)
    if found is None:
        return ()
    if not found.parent:  # most are declared: nothing is above them
        return (found,)
    line: list[Mandate] = []
    while found is not None and len(line) <= MAX_DEPTH:
        line.append(found)
        if not found.parent:
            line.reverse()
            return _standing(line, owner)
        found = mandates.get(found.parent)
    return ()


def below(name: str, mandates: Mapping[str, Mandate]) -> list[Mandate]:
    """Every mandate whose line leads to `name`, at any depth."""
    found: list[Mandate] = []
    for each in mandates.values():
        above: Mandate | None = each
        for _ in range(MAX_DEPTH + 1):
            if above is None or not above.parent:
                break
            if above.parent == name:
                found.append(each)
                break
            above = mandates.get(above.parent)
    return found


def lets_delegate(line: list[Mandate], agent: str) -> str:
    """Why the last of `line` may not have a child for `agent` (2); "" if it may."""
    for place, above in enumerate(line):
        leave, depth = above.delegation, len(line) - place
        if leave is None:
            return f"`{above.ref}` lets nobody delegate"
        if leave.depth < depth:
            return f"`{above.ref}` lets others delegate to a depth of {leave.depth}, not {depth}"
        if not leave.reaches(agent):
            return f"`{above.ref}` lets nobody delegate to agent `{agent}`"
    return ""


def _standing(line: list[Mandate], owner: OwnerOf) -> Chain:
    stopped = [
        (place, each)
        for place, each in enumerate(line)
        if place
        and (each.principal != line[0].principal or lets_delegate(line[:place], each.agent))
    ]
    for place, each in stopped:
        if each.state is MandateState.ACTIVE:
            line[place] = dataclasses.replace(each, state=MandateState.SUSPENDED)
    return tuple(
        _excluding(each, owner(each.agent), {owner(other.agent) for other in line[place + 1 :]})
        for place, each in enumerate(line)
    )


def _excluding(mandate: Mandate, own: str, others: set[str]) -> Mandate:
    """The mandate with the owners of agents below it excluded where its agent's owner is."""
    added = frozenset(others - {own, ""})
    if not added or not any(own in rule.excluded for rule in mandate.stamp):
        return mandate
    stamp = tuple(_widened(rule, own, added) for rule in mandate.stamp)
    return dataclasses.replace(mandate, stamp=stamp)


def _widened(rule: StampRule, own: str, added: frozenset[str]) -> StampRule:
    if own not in rule.excluded:
        return rule
    return dataclasses.replace(rule, excluded=rule.excluded | added)
