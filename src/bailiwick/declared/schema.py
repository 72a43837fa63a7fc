"""What may be declared: the one definition behind the checks, the JSON Schema and editors.

Published as docs/reference/schema/bailiwick.schema.json; a test keeps the two equal.
"""

from __future__ import annotations

from bailiwick.core.canonical import Json
from bailiwick.declared.aliases import ALIAS
from bailiwick.declared.circumstances import CALENDAR, ONLY, PROXY, ZONE
from bailiwick.declared.conditions import DEFINITIONS, WHEN
from bailiwick.declared.delegation import DELEGATION
from bailiwick.declared.flow import SERVER_RESULTS, flow_field
from bailiwick.declared.limits import MAX_LIMITS, limit_shape
from bailiwick.declared.models import model_shape
from bailiwick.declared.names import NAME
from bailiwick.declared.offering import OFFERED_TOOLS
from bailiwick.declared.policies import POLICY
from bailiwick.declared.readings import (
    DURATION,
    MOMENT,
    TARGET_KINDS,
    read_any_target,
    read_client_target,
    read_duration,
    read_moment,
    read_web_address,
)
from bailiwick.declared.shapes import (
    Choice,
    Field,
    ListOf,
    MapOf,
    Record,
    Schema,
    Shape,
    Text,
    Whole,
)

SCHEMA_ID = "urn:bailiwick:schema:declarations:1"

PROTOCOLS = ("auto", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
"""MCP revisions that a server may be held to; `auto` negotiates."""

MAX_RESPONSE_BYTES = 1_073_741_824
MAX_TIMEOUT_SECONDS = 3_600
MAX_PEOPLE = 10

_SERVER_PATTERN = r"[a-z0-9]+(?:[_-][a-z0-9]+)*"
_SERVER_SAYS = "is not a server name: lower-case letters and digits, with single `-` or `_` between"

SERVER_NAME = Text(_SERVER_PATTERN, _SERVER_SAYS, max_length=32)
_PLAIN = Text()
_LINE = Text(r"[^\u0000-\u001f\u007f]*", "holds a line break or control character")
_SECRET = Text(max_length=8_192, secret=True)
_HEADER_VALUE = Text(
    r"[^\u0000-\u001f\u007f]*", "holds a line break", max_length=8_192, secret=True
)
_ENV_NAME = Text(r"[A-Za-z_][A-Za-z0-9_]*", "is not the name of a variable", max_length=128)
_HEADER_NAME = Text(r"[A-Za-z0-9!#$%&'*+.^_|~-]+", "is not the name of a header", max_length=128)

SERVER = Record(
    "a server",
    {
        "command": Field(
            ListOf(Text(r"[^\u0000]+", "is empty", max_length=8_192), most=256),
            "The program to start and its arguments, spoken to over stdio.",
        ),
        "env": Field(
            MapOf(_ENV_NAME, _SECRET),
            "Its whole environment; nothing is inherited. Values may refer to secrets.",
        ),
        "cwd": Field(
            Text(r"/.*", "is not an absolute path", max_length=4_096), "The folder it starts in."
        ),
        "instances": Field(
            Choice(("shared", "session")),
            "One process for everybody, or one for each client session.",
        ),
        "files": Field(
            Choice(("here", "elsewhere")),
            "Whose files paths mean to it: those of the gateway's machine, so that `under` also "
            "looks where links lead; or others, in a container say.",
        ),
        "url": Field(
            # Not quoted: a password may stand in it.
            Text(
                r"https?://.*",
                "is not an `http://` or `https://` address",
                read_web_address,
                quoted=False,
            ),
            "The address of its MCP endpoint, spoken to over streamable HTTP.",
        ),
        "headers": Field(
            MapOf(_HEADER_NAME, _HEADER_VALUE),
            "Headers to send with each request. Values may refer to secrets.",
        ),
        "timeout_seconds": Field(
            Whole(1, MAX_TIMEOUT_SECONDS), "How long one request may take without any sign of life."
        ),
        "protocol": Field(Choice(PROTOCOLS), "The MCP revision to speak; `auto` negotiates."),
        "description": Field(_PLAIN, "What it is, for people."),
        "max_response_bytes": Field(
            Whole(1_024, MAX_RESPONSE_BYTES), "Largest answer taken from it."
        ),
        "results": SERVER_RESULTS,
    },
    one_of=("command", "url"),
    needs={"env": "command", "cwd": "command", "instances": "command", "headers": "url"},
)

MODEL = model_shape(_HEADER_NAME, _HEADER_VALUE)

AGENT = Record(
    "an agent",
    {
        "owner": Field(NAME, "The person accountable for it.", required=True),
        "description": Field(_PLAIN, "What it does, for people."),
    },
)

_ALL = "`SERVER/*` is everything of a server, `*/*` of all"
_TARGETS = ListOf(
    Text(r"[^/]+/[^\u0000]+", f"is not `SERVER/NAME`; {_ALL}", read_any_target), or_one=True
)
_MODEL_TARGETS = ListOf(
    Text(
        r"[^/]+/[^\u0000]+",
        f"is not `SERVER/MODEL`, and rules name models, not their aliases; {_ALL}",
        read_any_target,
    ),
    or_one=True,
)
_CLIENT_TARGETS = ListOf(
    Text(r"[^/]+/[^\u0000]+", "is not `SERVER/NAME`", read_client_target), or_one=True
)
_TARGET_FIELDS = {
    "tool": Field(_TARGETS, "Tools, as `SERVER/TOOL`; `*` is any run of characters."),
    "tools": Field(_TARGETS, "The same as `tool`."),
    "resource": Field(_TARGETS, "Resources, as `SERVER/URI`."),
    "resources": Field(_TARGETS, "The same as `resource`."),
    "prompt": Field(_TARGETS, "Prompts, as `SERVER/PROMPT`."),
    "prompts": Field(_TARGETS, "The same as `prompt`."),
    "client": Field(
        _CLIENT_TARGETS,
        "What a server may ask of the agent's side: `SERVER/sampling`, `SERVER/elicitation`, "
        "`SERVER/roots`.",
    ),
    "model": Field(_MODEL_TARGETS, "Models, as `SERVER/MODEL`."),
    "models": Field(_MODEL_TARGETS, "The same as `model`."),
}
PERSON = Record(
    "a person",
    {
        "name": Field(_LINE, "The full name, for people.", required=True),
        "email": Field(
            Text(r"[^@\s]+@[^@\s]+", "is not an email address", max_length=254),
            "Where the person is reached.",
        ),
        "roles": Field(
            ListOf(NAME, least=0, most=64), "What the person may stamp, by the names rules use."
        ),
        "limits": Field(
            ListOf(limit_shape(_TARGET_FIELDS), least=0, most=MAX_LIMITS),
            "How much all mandates from this person allow together, over what time.",
        ),
    },
)

_RULE_NAME = Field(NAME, "A name for the rule, shown where it decided.")
_BECAUSE = Field(_LINE, "Why, in one sentence for people. The agent sees it too.")

ALLOW = Record(
    "an allow rule",
    {
        **_TARGET_FIELDS,
        "id": _RULE_NAME,
        "when": WHEN,
        "only": ONLY,
        "other_arguments": Field(
            Choice(("refuse", "allow")),
            "What to do with arguments that `when` does not name. Refused unless said otherwise.",
        ),
    },
    some_of=tuple(_TARGET_FIELDS),
)

DENY = Record(
    "a deny rule",
    {**_TARGET_FIELDS, "id": _RULE_NAME, "when": WHEN, "only": ONLY, "because": _BECAUSE},
    some_of=tuple(_TARGET_FIELDS),
)

STAMP = Record(
    "a stamp rule",
    {
        **_TARGET_FIELDS,
        "id": _RULE_NAME,
        "when": WHEN,
        "only": ONLY,
        "because": _BECAUSE,
        "role": Field(NAME, "The role a person needs to stamp. Without it, any person may."),
        "not": Field(
            ListOf(NAME, or_one=True, most=64),
            "Who may not stamp: `requester` (who gave the mandate), `owner` (of the agent), or a "
            "person.",
        ),
        "people": Field(Whole(1, MAX_PEOPLE), "How many different people must approve."),
        "expires": Field(
            Text(DURATION, "is not a duration such as `90s`, `15m`, `1h` or `2d`", read_duration),
            "How long it may wait: `90s`, `15m`, `1h`, `2d`. Afterwards it is refused.",
        ),
    },
    some_of=tuple(_TARGET_FIELDS),
)

_MOMENT = Text(
    MOMENT,
    "is not a time with its offset, such as `2026-12-31T18:00:00+01:00`",
    read_moment,
    max_length=40,
)

MANDATE = Record(
    "a mandate",
    {
        "from": Field(NAME, "The person who gives it.", required=True),
        "to": Field(NAME, "The agent that acts under it.", required=True),
        "purpose": Field(_LINE, "What it is for, in one sentence."),
        "valid": Field(
            Record(
                "a time of validity",
                {
                    "from": Field(_MOMENT, "From when on, included."),
                    "until": Field(_MOMENT, "Until when, not included."),
                },
                some_of=("from", "until"),
            ),
            "When it holds. Without it, from when it is applied until it is revoked.",
        ),
        "only": ONLY,
        "allow": Field(ListOf(ALLOW, most=500), "What is allowed. All else is not.", required=True),
        "deny": Field(ListOf(DENY, least=0, most=500), "What is not, whatever is allowed."),
        "stamp": Field(
            ListOf(STAMP, least=0, most=500), "What waits for a person, whatever is allowed."
        ),
        "delegation": DELEGATION,
        "limits": Field(
            ListOf(limit_shape(_TARGET_FIELDS), least=0, most=MAX_LIMITS),
            "How much of it, over what time.",
        ),
        "flow": flow_field(_TARGET_FIELDS, TARGET_KINDS),
        "offered_tools": OFFERED_TOOLS,
        "instruction_from": Field(
            Choice(("first_message",)),
            "Where a run that begins with a model call takes its instruction from, if nobody says "
            "it. It is the agent's word all the same.",
        ),
    },
)

SHAPES: dict[str, tuple[str, Text, Shape]] = {
    "servers": ("server", SERVER_NAME, SERVER),
    "models": ("model", SERVER_NAME, MODEL),
    "aliases": ("alias", NAME, ALIAS),
    "people": ("person", NAME, PERSON),
    "agents": ("agent", NAME, AGENT),
    "calendars": ("calendar", NAME, CALENDAR),
    "zones": ("zone", NAME, ZONE),
    "proxies": ("proxy", NAME, PROXY),
    "mandates": ("mandate", NAME, MANDATE),
    "policies": ("policy", NAME, POLICY),
}
"""For each section of a file: the kind of its objects, their names and their shape."""

FILE = Record(
    "a file of declarations",
    {
        "servers": Field(MapOf(SERVER_NAME, SERVER), "MCP servers behind the gateway, by name."),
        "models": Field(MapOf(SERVER_NAME, MODEL), "Model servers behind the gateway, by name."),
        "aliases": Field(MapOf(NAME, ALIAS), "Names that each stand for several models."),
        "people": Field(MapOf(NAME, PERSON), "People who give mandates and stamps, by name."),
        "agents": Field(MapOf(NAME, AGENT), "Agents and who is accountable for them, by name."),
        "calendars": Field(MapOf(NAME, CALENDAR), "Days without working hours, by name."),
        "zones": Field(MapOf(NAME, ZONE), "Parts of the network that calls come from, by name."),
        "proxies": Field(MapOf(NAME, PROXY), "Trusted reverse proxies before the gateway."),
        "mandates": Field(MapOf(NAME, MANDATE), "Who may do what for whom, by name."),
        "policies": Field(MapOf(NAME, POLICY), "What the organisation forbids, by name."),
    },
)


def schema() -> Schema:
    """The JSON Schema (draft 2020-12) of one file of declarations."""
    head: dict[str, Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Bailiwick declarations",
    }
    defined: dict[str, Json] = {name: shape.schema() for name, shape in DEFINITIONS.items()}
    return {**head, **FILE.schema(), "$defs": defined}
