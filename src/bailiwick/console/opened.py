"""A call's opened payloads, read with care: what is missing or damaged is None, never a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bailiwick.core.canonical import Json, JsonObject, digest_of
from bailiwick.core.errors import TheirError
from bailiwick.core.thinking.model_calls import read_use, said_of
from bailiwick.ports import CallPath, CallState


def true_arguments(path: CallPath | None) -> JsonObject | None:
    """The arguments that were judged, or None when they are gone or are not those of the record.

    What is shown must be what is bound: the opened call has to give the digest that the record,
    the hold and every stamp on it carry.
    """
    if path is None or not isinstance(path.intent, Mapping):
        return None
    asked = path.intent.get("call")
    if not isinstance(asked, Mapping):
        return None
    call = path.call
    named = {"kind": call.kind, "name": call.name, "upstream": call.upstream}
    if any(asked.get(key) != value for key, value in named.items()):
        return None
    arguments = asked.get("arguments")
    try:
        same = digest_of(asked) == call.digest
    except TheirError:
        return None
    return arguments if same and isinstance(arguments, Mapping) else None


@dataclass(frozen=True, slots=True)
class Judged:
    """What the mandate said of a call: `verdict` is `allow`, `hold` or `deny`."""

    verdict: str
    rules: Sequence[str]
    because: str


def judged(path: CallPath) -> Judged:
    """The verdict on a call, from its hold or its recorded intent."""
    if path.hold is not None:
        return Judged("hold", path.hold.rules, path.hold.because)
    intent = path.intent if isinstance(path.intent, Mapping) else {}
    because = intent.get("because")
    verdict = "deny" if path.call.state is CallState.DENIED else "allow"
    return Judged(verdict, _rules(path), because if isinstance(because, str) else path.call.because)


def known_of(path: CallPath) -> list[str]:
    """For whom a call was and where it came from, in sentences; [] when nothing was known."""
    intent = path.intent if isinstance(path.intent, Mapping) else {}
    found: list[str] = []
    end_user, zones = intent.get("end_user"), intent.get("zones")
    if isinstance(end_user, str):
        by_person = intent.get("end_user_by") == "person"
        who = "as the person who started the run said" if by_person else "as the agent says"
        found.append(f"It acted for {end_user}, {who}")
    if isinstance(zones, list | tuple):
        names = " and ".join(zone for zone in zones if isinstance(zone, str))
        found.append(f"It came from {names or 'outside every declared network zone'}")
    for label, text in said_of(read_use(intent.get("use"))):
        found.append(f"{label.capitalize()} {text}")
    return found


def _rules(path: CallPath) -> Sequence[str]:
    for _index, leaf in path.leaves:
        rules: Json = leaf.get("rules")
        if isinstance(rules, list | tuple):
            return [rule for rule in rules if isinstance(rule, str)]
    return ()
