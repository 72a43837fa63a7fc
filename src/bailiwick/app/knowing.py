"""Telling people what mandates say and why calls were judged as they were.

A recorded call is explained under the versions it was judged by: its mandates are compiled again
from the record, what was used of limits and what its run had read comes from its sealed intent.
Nothing here decides anything.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from bailiwick.app.declare import problem, tool_definitions
from bailiwick.core.call import NOTHING, Call, CallKind, Target
from bailiwick.core.canonical import Json
from bailiwick.core.context import NO_POLICIES
from bailiwick.core.delegation import parent_name
from bailiwick.core.errors import BailiwickError, TheirError
from bailiwick.core.explaining.whole import Explanation, why
from bailiwick.core.flow.labels import Facts
from bailiwick.core.judge import why_stopped
from bailiwick.core.limits.charging import charges
from bailiwick.core.limits.limit import PERSON
from bailiwick.core.links import led, read_leads
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.reading import read
from bailiwick.core.seen import counters_of, recorded
from bailiwick.core.thinking.model_calls import read_use
from bailiwick.core.thinking.said_and_did import read_thought
from bailiwick.core.verdict import Deny
from bailiwick.declared import (
    compile_agent,
    compile_calendar,
    compile_mandate,
    compile_person,
    from_document,
)
from bailiwick.declared.mandate_checks import check_texts
from bailiwick.gateway.authority import Authority
from bailiwick.ports import (
    CallExplained,
    CallPath,
    Clock,
    MandateRead,
    ObjectRow,
    Problem,
    Records,
    RunShown,
)


class Knowing:
    """Reads and explains, from the record."""

    def __init__(self, records: Records, authority: Authority, clock: Clock) -> None:
        self._records = records
        self._authority = authority
        self._clock = clock

    async def read(self, name: str, version: int) -> MandateRead:
        """See `ports.Control.read_mandate`."""
        row = await self._version(name, version)
        mandate = await self._compiled(row, MandateState(row.state))
        above = [each.ref for each in reversed(self._authority.chain(name)[:-1])]
        return MandateRead(name, row.version, row.digest, row.state, read(mandate), above)

    async def explain(self, path: CallPath, run: RunShown | None) -> CallExplained:
        """See `ports.Control.explain`."""
        leaf = path.leaves[0][1]
        at_ms, code = leaf.get("at"), str(leaf.get("code", ""))
        assert isinstance(at_ms, int)
        rules = leaf.get("rules")
        because = path.intent.get("because") if isinstance(path.intent, Mapping) else None
        told = CallExplained(
            call=path.call.id,
            at_ms=at_ms,
            recorded=str(leaf.get("decision", "")),
            code=code if leaf.get("decision") == "deny" else "",
            rules=_rules_of(rules, path.intent),
            because=str(because or path.call.because),
            explanation=None,
        )
        doubts: list[str] = []
        try:
            found = await self._again(path, told, run, doubts)
        except BailiwickError as error:
            return _with(told, None, [*doubts, error.message])
        doubts += _differences(told, found)
        return _with(told, found, doubts)

    async def check(self, files: Mapping[str, str], mandate: str) -> Sequence[Problem]:
        """See `ports.Control.check_mandates`."""
        rows = await self._records.objects()
        if mandate:
            files = _as_file(await self._version(mandate, 0))
        definitions = tool_definitions(await self._records.pins())
        now = self._clock.wall_ms()
        stored = [from_document(row.document) for row in rows]
        found = await asyncio.to_thread(check_texts, files, stored, definitions, now)
        return [problem(severity, each) for severity, each in found]

    # --- inside ----------------------------------------------------------------------------------

    async def _again(
        self, path: CallPath, told: CallExplained, run: RunShown | None, doubts: list[str]
    ) -> Explanation:
        """The same comparisons, made again. Raises BailiwickError when they cannot be."""
        leaf = path.leaves[0][1]
        call = _call(path)
        refs = _chain(leaf, path.call.mandate)
        chain = [await self._judged_by(ref, _state_of(ref, told.because)) for ref in refs]
        intent = path.intent if isinstance(path.intent, Mapping) else {}
        if run is None or run.erased:
            doubts.append("what its run was told is not known any more")
        facts = _facts(path.call.run, run, intent)
        seen = recorded(facts, call, chain, intent.get("seen"))
        taken = charges(call, chain, facts.run, told.at_ms)
        counters = None if isinstance(taken, Deny) else counters_of(seen, taken)
        if counters is None and not isinstance(taken, Deny) and taken:
            doubts.append("what was used of its limits then was not recorded")
        policies = self._authority.snapshot.policies
        if str(leaf.get("policies", "")) != policies.version:
            doubts.append(
                "the organisation's policies have changed since: what they said then is only in "
                "what was recorded"
            )
            policies = NO_POLICIES
        return await asyncio.to_thread(why, call, chain, policies, counters, seen, told.at_ms)

    async def _judged_by(self, ref: str, state: MandateState) -> Mandate:
        name, _, version = ref.rpartition("@")
        if not version.isdigit():
            raise TheirError("mandate_unknown", f"there is no mandate `{ref}`")
        return await self._compiled(await self._version(name, int(version)), state)

    async def _version(self, name: str, version: int) -> ObjectRow:
        rows = await self._records.versions("mandate", name)
        for row in reversed(rows):
            if version in (0, row.version):
                return row
        wanted = f"{name}@{version}" if version else name
        raise TheirError("mandate_unknown", f"there is no mandate `{wanted}`")

    async def _compiled(self, row: ObjectRow, state: MandateState) -> Mandate:
        rows = await self._records.objects()
        return await asyncio.to_thread(_compile, row, state, rows)


def _as_file(row: ObjectRow) -> dict[str, str]:
    """A stored mandate as a file, so that what is wrong with it has a place.

    Raises:
        TheirError: `mandate_is_a_part`.
    """
    if parent_name(row.name):
        text = f"`{row.name}` was checked against `{parent_name(row.name)}` when it was made"
        raise TheirError("mandate_is_a_part", text)
    spec = from_document(row.document).spec
    whole = {"mandates": {row.name: spec}}
    name = f"mandate {row.name}@{row.version}"
    return {name: json.dumps(whole, indent=2, ensure_ascii=False)}


def _compile(row: ObjectRow, state: MandateState, rows: Sequence[ObjectRow]) -> Mandate:
    """One version of a mandate, among the people, agents and calendars there are now."""
    found = [from_document(each.document) for each in rows if each.kind != "mandate"]
    people = {each.name: compile_person(each) for each in found if each.kind == "person"}
    agents = {each.name: compile_agent(each) for each in found if each.kind == "agent"}
    calendars = {each.name: compile_calendar(each) for each in found if each.kind == "calendar"}
    declaration = from_document(row.document)
    return compile_mandate(declaration, row.version, people, agents, state, calendars)


def _rules_of(rules: object, intent: object) -> tuple[str, ...]:
    """The rules of a leaf, with the name of the person whose limits are there by pseudonym: a call
    is counted by its own principal's only."""
    found = tuple(map(str, rules)) if isinstance(rules, list | tuple) else ()
    name = intent.get("principal") if isinstance(intent, Mapping) else None
    if not isinstance(name, str):
        return found
    return tuple(
        f"{PERSON}{name}/{rule.partition('/')[2]}" if rule.startswith(PERSON) else rule
        for rule in found
    )


def _call(path: CallPath) -> Call:
    """The call as it was asked. Raises TheirError `call_erased`."""
    intent = path.intent if isinstance(path.intent, Mapping) else {}
    asked = intent.get("call")
    arguments = asked.get("arguments") if isinstance(asked, Mapping) else None
    if not isinstance(asked, Mapping) or not isinstance(arguments, Mapping):
        text = "what was asked was erased, so it cannot be compared again"
        raise TheirError("call_erased", text)
    target = Target(CallKind(path.call.kind), str(asked["upstream"]), str(asked["name"]))
    beside = asked.get("beside")
    beside = beside if isinstance(beside, Mapping) else NOTHING
    call = Call.of(path.call.id, target, arguments, beside, read_use(intent.get("use")))
    return led(call, read_leads(intent.get("leads")))


def _chain(leaf: Mapping[str, Json], mandate: str) -> list[str]:
    """The mandates it was judged under as `NAME@VERSION`, root first."""
    chain = leaf.get("chain")
    refs = [
        str(link.get("mandate"))
        for link in (chain if isinstance(chain, list | tuple) else ())
        if isinstance(link, Mapping)
    ]
    return refs or [mandate]


def _state_of(ref: str, because: str) -> MandateState:
    """The state a mandate was in when a call was judged: active, unless that refused the call. What
    it is in by now says nothing of then."""
    stopped = (state for state in MandateState if because == why_stopped(ref, state))
    return next(stopped, MandateState.ACTIVE)


def _facts(run_id: str, run: RunShown | None, intent: Mapping[str, Json]) -> Facts:
    zones = intent.get("zones")
    thought = read_thought(intent.get("thought"))
    words = None if run is None else run.words
    return Facts(
        run=run_id,
        purpose="" if words is None else words.purpose,
        run_labels=frozenset() if words is None else frozenset(words.labels),
        end_user=str(intent.get("end_user", "")),
        end_user_by=str(intent.get("end_user_by", "")),
        zones=frozenset(map(str, zones)) if isinstance(zones, list) else None,
        started_by="agent" if run is None else run.row.started_by,
        asked_by_model="unknown" if thought is None else thought.match.value,
        differences=() if thought is None else thought.differences,
    )


def _differences(told: CallExplained, found: Explanation) -> list[str]:
    """Where it comes out otherwise than was recorded."""
    if (told.recorded, told.code) == (found.verdict, found.code):
        return []
    then = f"`{told.recorded}`" + (f" (`{told.code}`)" if told.code else "")
    now = f"`{found.verdict}`" + (f" (`{found.code}`)" if found.code else "")
    return [
        f"what was recorded is {then}: {told.because}. The rules alone, compared again, give "
        f"{now}: {found.because}"
    ]


def _with(told: CallExplained, found: Explanation | None, doubts: Sequence[str]) -> CallExplained:
    return CallExplained(
        told.call,
        told.at_ms,
        told.recorded,
        told.code,
        told.rules,
        told.because,
        found,
        tuple(doubts),
    )
