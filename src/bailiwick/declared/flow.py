"""`flow:` in mandates and `results:` of servers: how they are written and compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bailiwick.core.argument_path import format_argument_path, parse_argument_path
from bailiwick.core.call import CallKind
from bailiwick.core.canonical import JsonObject
from bailiwick.core.flow.labels import NO_FLOW, Accepts, Flow, ResultLabels
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.declared.names import NAME
from bailiwick.declared.objects import texts
from bailiwick.declared.readings import read_any_target, read_target
from bailiwick.declared.shapes import Choice, Field, Flag, ListOf, Record, Text

MAX_FLOW_RULES = 200
MAX_LABELS = 32

_LABELS = ListOf(NAME, least=0, most=MAX_LABELS)
_SAYS = {
    "trusted": Field(
        Flag(),
        "Whether values in the results are vouched for: `true` for what only people you trust can "
        "write, such as an address book. Results that nobody calls trusted are not.",
    ),
    "fields": Field(
        ListOf(Text(reads=lambda text: read_field(text), max_length=256), or_one=True, most=64),
        "The only parts of the results that are trusted: `contacts[].iban`, `[].iban`.",
    ),
    "confidential": Field(_LABELS, "Labels that a run carries once it has asked for one."),
}

_OWN_NAMES = ListOf(Text(r"[^\u0000]+", "is empty", lambda text: read_own(text)), or_one=True)
_OWN_KINDS = {
    "tool": CallKind.TOOL,
    "tools": CallKind.TOOL,
    "resource": CallKind.RESOURCE,
    "resources": CallKind.RESOURCE,
    "prompt": CallKind.PROMPT,
    "prompts": CallKind.PROMPT,
}

SERVER_RESULTS = Field(
    ListOf(
        Record(
            "a statement about results",
            {
                **{
                    key: Field(_OWN_NAMES, f"Its {key}, by the server's own names; `*` as ever.")
                    for key in _OWN_KINDS
                },
                **_SAYS,
            },
            some_of=tuple(_OWN_KINDS),
        ),
        least=0,
        most=MAX_FLOW_RULES,
    ),
    "What its results are worth: trusted or not, and how confidential. Mandates may add to it.",
)


def read_own(text: str) -> TargetPattern:
    """A pattern for a server's own name."""
    return read_any_target(f"server/{text}")


def read_field(text: str) -> str:
    """A place in a result, as results name them; a list may stand at its top: `[].iban`.

    Raises:
        ValueError: what is wrong with it, in words for people.
    """
    if text.startswith("[]"):
        return format_argument_path(parse_argument_path(f"top{text}")[1:])
    return format_argument_path(parse_argument_path(text))


def flow_field(targets: Mapping[str, Field], kinds: Mapping[str, CallKind]) -> Field:
    """The `flow` of a mandate, whose rules are about `targets`."""
    results = Record("a statement about results", {**targets, **_SAYS}, some_of=tuple(kinds))
    accepts = Record(
        "a rule about what a tool may be given",
        {
            **targets,
            "id": Field(NAME, "A name for the rule, shown where it decided."),
            "untrusted": Field(
                Flag(), "Whether a run that has read something untrusted may use it."
            ),
            "confidential": Field(_LABELS, "The labels a run that uses it may carry."),
            "otherwise": Field(
                Choice(("hold", "refuse")), "What happens if not. Refused unless said otherwise."
            ),
            "role": Field(NAME, "The role a person needs to stamp what is held."),
        },
        some_of=tuple(kinds),
        needs={"role": "otherwise"},
    )
    vouch = Record(
        "what vouches",
        {
            "role": Field(NAME, "The role a person needs to stamp a value nobody vouches for."),
            "instruction": Field(
                Choice(("person", "anyone")),
                "Whose instruction vouches: only one from a person, or that of the agent's own "
                "harness too. `anyone` unless said otherwise.",
            ),
        },
        some_of=("role", "instruction"),
    )
    return Field(
        Record(
            "flow rules",
            {
                "results": Field(
                    ListOf(results, least=0, most=MAX_FLOW_RULES),
                    "What results are worth: trusted or not, and how confidential.",
                ),
                "accepts": Field(
                    ListOf(accepts, least=0, most=MAX_FLOW_RULES),
                    "What tools may be given by a run, after what it has read.",
                ),
                "vouch": Field(vouch, "Who and what vouches for values."),
            },
            some_of=("results", "accepts", "vouch"),
        ),
        "What the run has read, and what it may do afterwards.",
    )


def compile_flow(spec: JsonObject, ref: str, kinds: Mapping[str, CallKind]) -> Flow:
    """The flow rules of a checked mandate; `NO_FLOW` if it has none.

    Args:
        ref: `MANDATE@VERSION`.
        kinds: the keys that say what a rule is about.
    """
    flow = spec.get("flow")
    if not isinstance(flow, Mapping):
        return NO_FLOW
    vouch = flow.get("vouch")
    said: JsonObject = vouch if isinstance(vouch, Mapping) else {}
    role = said.get("role")
    return Flow(
        results=tuple(_labels(each, _targets(each, kinds)) for each in _tables(flow, "results")),
        accepts=tuple(
            _accepts(each, f"{ref}/accepts/{each.get('id') or number}", _targets(each, kinds))
            for number, each in enumerate(_tables(flow, "accepts"), start=1)
        ),
        vouch_role=str(role) if role is not None else None,
        person_instructs=said.get("instruction") == "person",
    )


def compile_results(spec: JsonObject, server: str) -> tuple[ResultLabels, ...]:
    """What the declaration of `server` says of its results."""
    return tuple(
        _labels(each, tuple(_own_targets(each, server))) for each in _tables(spec, "results")
    )


def _labels(each: JsonObject, targets: tuple[TargetPattern, ...]) -> ResultLabels:
    trusted = each.get("trusted")
    assert trusted is None or isinstance(trusted, bool)
    fields = tuple(read_field(text) for text in texts(each, "fields"))
    return ResultLabels(targets, trusted, frozenset(texts(each, "confidential")), fields)


def _accepts(each: JsonObject, id_: str, targets: tuple[TargetPattern, ...]) -> Accepts:
    role = each.get("role")
    return Accepts(
        id=id_,
        targets=targets,
        untrusted=each.get("untrusted") is not False,
        confidential=frozenset(texts(each, "confidential")) if "confidential" in each else None,
        otherwise="hold" if each.get("otherwise") == "hold" else "refuse",
        role=str(role) if role is not None else None,
    )


def _targets(each: JsonObject, kinds: Mapping[str, CallKind]) -> tuple[TargetPattern, ...]:
    return tuple(
        read_target(text, kind) for key, kind in kinds.items() for text in texts(each, key)
    )


def _own_targets(each: JsonObject, server: str) -> Iterator[TargetPattern]:
    for key, kind in _OWN_KINDS.items():
        for text in texts(each, key):
            yield TargetPattern(kind, server, read_own(text).name)


def _tables(spec: JsonObject, key: str) -> Iterator[JsonObject]:
    found = spec.get(key)
    for each in found if isinstance(found, list | tuple) else ():
        assert isinstance(each, Mapping)
        yield each
