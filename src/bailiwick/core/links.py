"""Where the paths of a call lead: what is to be looked at, and the call that knows it.

`under` holds a path to a folder, and a symbolic link inside may lead out of it. The gateway looks
where it sees the same files as the server (`gateway.links`); what it finds goes with the call as
`Call.leads`, so that `judge` stays a function of what it is given, and what was recorded can be
judged again as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bailiwick.core.argument_path import Gap, reach
from bailiwick.core.call import NO_LEADS, Call
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import Condition
from bailiwick.core.line import line_of
from bailiwick.core.mandate import Mandate, Rule
from bailiwick.core.texts.led import Leads, marked
from bailiwick.core.texts.paths import MAX_PATH, read_path
from bailiwick.core.values import show

MAX_TOLD = 6
"""Paths of one argument of which an explanation says where they lead."""


def asks_of_files(chain: Sequence[Mandate]) -> bool:
    """Whether any mandate of a chain holds paths to folders."""
    for mandate in chain:
        rules: tuple[Rule, ...] = (*mandate.allow, *mandate.deny, *mandate.stamp)
        limits = (*mandate.limits, *mandate.principal_limits)
        asked = [condition for rule in rules for condition in rule.conditions]
        asked += [condition for limit in limits for condition in limit.conditions]
        if any(condition.folders for condition in asked):
            return True
    return False


def to_look_at(call: Call, chain: Sequence[Mandate]) -> tuple[str, ...]:
    """The paths of a call that `chain` holds to folders, and these folders; () for none.

    A path that says nothing plain is not among them: it is in doubt wherever it leads.
    """
    found: dict[str, None] = {}
    for condition in line_of(chain, call.target).files:
        paths = [text for text in _named(condition, call.arguments) if _is_plain(text)]
        if paths:
            found.update(dict.fromkeys((*condition.folders, *paths)))
    return tuple(found)


def led(call: Call, leads: Leads) -> Call:
    """The same call, of which it is known where its paths lead; nothing, if `leads` is empty."""
    if not leads:
        return call if call.leads is NO_LEADS else _with(call, call.arguments, NO_LEADS)
    return _with(call, marked(call.arguments, leads), leads)


def led_words(condition: Condition, call: Call) -> str:
    """Where the paths lead that a condition is about, for people, to follow how they stand: "";
    or "; `/work/a` leads to `/etc`". The agent is not told."""
    if not call.leads or not condition.folders:
        return ""
    texts = dict.fromkeys((*_named(condition, call.arguments), *condition.folders))
    known = [(text, call.leads[text]) for text in texts if call.leads.get(text, text) != text]
    return "".join(f"; {leads_to(text, there)}" for text, there in known[:MAX_TOLD])


def leads_to(text: str, there: str) -> str:
    """One path and where it leads, in words."""
    path = show(text, MAX_PATH)
    return f"{path} leads to {show(there, MAX_PATH)}" if there else f"where {path} leads is unknown"


def read_leads(said: Json) -> Leads:
    """`Call.leads` as it was recorded. What is not of that shape counts as never recorded."""
    if not isinstance(said, Mapping):
        return NO_LEADS
    return {text: there for text, there in said.items() if isinstance(there, str)}


def _named(condition: Condition, arguments: JsonObject) -> Iterable[str]:
    for there in reach(condition.path, arguments):
        if not isinstance(there, Gap):
            yield from condition.names_files(there)


def _is_plain(text: str) -> bool:
    return not isinstance(read_path(text), str)


def _with(call: Call, judged: JsonObject, leads: Leads) -> Call:
    return msgspec.structs.replace(call, judged=judged, leads=leads)
