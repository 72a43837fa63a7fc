"""Checked declarations into the values the rest of the house works with.

A declaration that comes from a store compiles to the same value as when it came from its file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bailiwick.core.argument_path import parse_argument_path
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import Condition
from bailiwick.core.delegation import parent_name
from bailiwick.core.errors import ConfigError
from bailiwick.core.limits.limit import PERSON
from bailiwick.core.mandate import (
    AllowRule,
    DenyRule,
    Mandate,
    MandateState,
    StampRule,
)
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.declared.circumstances import (
    NO_CALENDARS,
    Calendars,
    circumstances,
    compile_calendar,
)
from bailiwick.declared.conditions import conditions_on
from bailiwick.declared.delegation import compile_delegation
from bailiwick.declared.flow import compile_flow, compile_results
from bailiwick.declared.limits import compile_limit
from bailiwick.declared.objects import (
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_TIMEOUT_SECONDS,
    Agent,
    Command,
    Declaration,
    DeclaredPerson,
    Server,
    WebAddress,
    texts,
)
from bailiwick.declared.offering import compile_offering
from bailiwick.declared.readings import TARGET_KINDS, read_duration, read_moment, read_target
from bailiwick.declared.secrets import Secret, resolve


def compile_server(declaration: Declaration) -> Server:
    """The server of a declaration of kind `server`."""
    spec = declaration.spec
    transport: Command | WebAddress
    if "command" in spec:
        transport = Command(
            argv=texts(spec, "command"),
            env=_table(spec, "env"),
            cwd=_text(spec, "cwd"),
            instances=_text(spec, "instances") or "shared",
        )
    else:
        transport = WebAddress(_text(spec, "url"), _table(spec, "headers"))
    return Server(
        name=declaration.name,
        transport=transport,
        digest=declaration.digest,
        timeout_seconds=_whole(spec, "timeout_seconds") or DEFAULT_TIMEOUT_SECONDS,
        protocol=_text(spec, "protocol") or "auto",
        description=_text(spec, "description"),
        max_response_bytes=_whole(spec, "max_response_bytes") or DEFAULT_MAX_RESPONSE_BYTES,
        results=compile_results(spec, declaration.name),
        files=_text(spec, "files"),
    )


def resolve_server(server: Server, environment: Mapping[str, str]) -> dict[str, Secret]:
    """The values of its `env` or `headers`, references replaced. Reads files; blocking.

    Raises:
        ConfigError: a reference leads nowhere; names the server and the reference, no value.
    """
    web = isinstance(server.transport, WebAddress)
    stated = (
        server.transport.headers
        if isinstance(server.transport, WebAddress)
        else (server.transport.env)
    )
    try:
        return {name: resolve(text, environment, one_line=web) for name, text in stated.items()}
    except ConfigError as error:
        raise ConfigError(error.code, f"server `{server.name}`: {error.message}") from error


def compile_person(declaration: Declaration) -> DeclaredPerson:
    """The person of a declaration of kind `person`."""
    spec = declaration.spec
    roles = frozenset(texts(spec, "roles"))
    limits = tuple(
        compile_limit(limit, f"{PERSON}{declaration.name}", _targets(limit), _conditions(limit))
        for limit, _ in _rules(spec, "limits", "")
    )
    name, email = _text(spec, "name"), _text(spec, "email")
    return DeclaredPerson(declaration.name, name, email, roles, limits)


def compile_agent(declaration: Declaration) -> Agent:
    """The agent of a declaration of kind `agent`."""
    spec = declaration.spec
    return Agent(declaration.name, _text(spec, "owner"), _text(spec, "description"))


def compile_mandate(
    declaration: Declaration,
    version: int,
    people: Mapping[str, DeclaredPerson],
    agents: Mapping[str, Agent],
    state: MandateState = MandateState.ACTIVE,
    calendars: Calendars = NO_CALENDARS,
) -> Mandate:
    """The mandate of a declaration of kind `mandate`.

    `requester` and `owner` in `not:` become names here, and the limits of its person become part of
    it, so compile again when the agent's owner or the person changes.

    Args:
        declaration: checked; from a file or from a store.
        version: 1 or more, counted by the store.
        people, agents: all that are declared, by name.
        state: its life.
        calendars: all that are declared, by name.

    Raises:
        ConfigError: `mandate_without_person`, `mandate_without_agent` or
            `mandate_without_calendar`: what it names is gone.
    """
    spec = declaration.spec
    principal, agent = _text(spec, "from"), _text(spec, "to")
    if principal not in people:
        message = f"mandate `{declaration.name}`: there is no person `{principal}`"
        raise ConfigError("mandate_without_person", message)
    if agent not in agents:
        message = f"mandate `{declaration.name}`: there is no agent `{agent}`"
        raise ConfigError("mandate_without_agent", message)
    words = {"requester": principal, "owner": agents[agent].owner}
    ref = f"{declaration.name}@{version}"
    valid = _object(spec.get("valid"))
    return Mandate(
        name=declaration.name,
        version=version,
        digest=declaration.digest,
        principal=principal,
        agent=agent,
        purpose=_text(spec, "purpose"),
        state=state,
        allow=tuple(_allow(rule, id_, calendars) for rule, id_ in _rules(spec, "allow", ref)),
        deny=tuple(_deny(rule, id_, calendars) for rule, id_ in _rules(spec, "deny", ref)),
        stamp=tuple(
            _stamp(rule, id_, words, calendars) for rule, id_ in _rules(spec, "stamp", ref)
        ),
        limits=tuple(
            compile_limit(limit, ref, _targets(limit), _conditions(limit))
            for limit, _ in _rules(spec, "limits", ref)
        ),
        not_before=read_moment(_text(valid, "from")) if "from" in valid else None,
        not_after=read_moment(_text(valid, "until")) if "until" in valid else None,
        circumstances=circumstances(spec, calendars),
        parent=parent_name(declaration.name),
        delegation=compile_delegation(spec),
        flow=compile_flow(spec, ref, TARGET_KINDS),
        offering=compile_offering(spec),
        first_message_instructs=spec.get("instruction_from") == "first_message",
        principal_limits=people[principal].limits,
    )


def compile_all(declarations: Iterable[Declaration]) -> dict[str, Mandate]:
    """Every mandate among these, each as its first version, with the people, agents and calendars
    among them.

    Raises:
        ConfigError: as `compile_mandate`.
    """
    found = list(declarations)
    people = {each.name: compile_person(each) for each in found if each.kind == "person"}
    agents = {each.name: compile_agent(each) for each in found if each.kind == "agent"}
    calendars = {each.name: compile_calendar(each) for each in found if each.kind == "calendar"}
    return {
        each.name: compile_mandate(each, 1, people, agents, calendars=calendars)
        for each in found
        if each.kind == "mandate"
    }


def _allow(rule: JsonObject, id_: str, calendars: Calendars) -> AllowRule:
    return AllowRule(
        id=id_,
        targets=_targets(rule),
        conditions=_conditions(rule),
        other_arguments=rule.get("other_arguments") == "allow",
        circumstances=circumstances(rule, calendars),
    )


def _deny(rule: JsonObject, id_: str, calendars: Calendars) -> DenyRule:
    return DenyRule(
        id=id_,
        targets=_targets(rule),
        conditions=_conditions(rule),
        because=_text(rule, "because"),
        circumstances=circumstances(rule, calendars),
    )


def _stamp(rule: JsonObject, id_: str, words: Mapping[str, str], calendars: Calendars) -> StampRule:
    return StampRule(
        id=id_,
        targets=_targets(rule),
        conditions=_conditions(rule),
        role=_text(rule, "role") or None,
        excluded=frozenset(words.get(name, name) for name in texts(rule, "not")),
        count=_whole(rule, "people") or 1,
        expires_after_seconds=read_duration(_text(rule, "expires")) if "expires" in rule else None,
        because=_text(rule, "because"),
        circumstances=circumstances(rule, calendars),
    )


def _rules(spec: JsonObject, section: str, ref: str) -> Iterator[tuple[JsonObject, str]]:
    rules = spec.get(section)
    assert rules is None or isinstance(rules, list | tuple)
    for number, rule in enumerate(rules or (), start=1):
        table = _object(rule)
        yield table, f"{ref}/{section}/{_text(table, 'id') or number}"


def _targets(rule: JsonObject) -> tuple[TargetPattern, ...]:
    return tuple(
        read_target(text, kind) for key, kind in TARGET_KINDS.items() for text in texts(rule, key)
    )


def _conditions(rule: JsonObject) -> tuple[Condition, ...]:
    # Sorted, as in the canonical document: a file and a store compile to the same mandate.
    return tuple(
        condition
        for name, asked in sorted(_object(rule.get("when")).items())
        for condition in conditions_on(parse_argument_path(name), _object(asked))
    )


def _object(value: Json) -> JsonObject:
    assert value is None or isinstance(value, Mapping)
    return value or {}


def _text(spec: JsonObject, key: str) -> str:
    value = spec.get(key, "")
    assert isinstance(value, str)
    return value


def _whole(spec: JsonObject, key: str) -> int:
    value = spec.get(key, 0)
    assert isinstance(value, int)
    return value


def _table(spec: JsonObject, key: str) -> dict[str, str]:
    return {name: str(value) for name, value in _object(spec.get(key)).items()}
