"""`explain`: why a call was judged as it was, or how one would be."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.calls import listed, mapping
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.mandate import FilesOption, from_files, texts
from bailiwick.cli.reach import Reach, reaching
from bailiwick.core.canonical import Json, JsonObject

if TYPE_CHECKING:
    from bailiwick.core.explaining.whole import Explanation
    from bailiwick.core.mandate import Mandate

_WORDS = {"allow": "allowed", "hold": "held", "deny": "denied"}


@reaching
def explain(
    reach: Reach,
    call_id: Annotated[str, typer.Argument(metavar="CALL", help="The id of a recorded call.")] = "",
    files: FilesOption = None,
    mandate: Annotated[
        str, typer.Option("--mandate", metavar="NAME", help="With -f: the mandate to judge under.")
    ] = "",
    tool: Annotated[
        str, typer.Option("--tool", metavar="SERVER/TOOL", help="With -f: the tool to call.")
    ] = "",
    arguments: Annotated[
        str, typer.Option("--arguments", metavar="JSON", help="With -f: its arguments.")
    ] = "{}",
) -> int:
    """Explain a verdict: each rule, what it compared, what decided.

    Of a recorded call, by what was recorded of it; with -f, of a call nobody has made, in a run
    that has read nothing and used nothing. Then no gateway is asked.
    """
    if bool(call_id) == bool(files):
        message = "name a recorded call, or a file with `-f` and what would be called"
        raise CliError(Exit.USAGE, "usage", message, "see `bailiwick explain --help`")
    if files:
        supposed = asdict(_supposed(from_files(files, mandate), tool, arguments))
        answer: JsonObject = {"explanation": json.loads(json.dumps(supposed))}
    else:
        answer = mapping(reach.api().get(f"calls/{segment(call_id)}/explain"), "explained")
    if reach.json:
        show.out_json(answer)
    else:
        print_explained(answer)
    return Exit.OK


def print_explained(answer: JsonObject) -> None:
    """Print what was decided, then each mandate with its rules, then what is in doubt."""
    found = mapping(answer, "explanation")
    recorded = show.word(answer, "recorded")
    verdict = recorded or show.word(found, "verdict")
    code = show.word(answer if recorded else found, "code")
    because = show.word(answer if recorded else found, "because")
    show.out(show.styled(_WORDS.get(verdict, verdict), "bold") + (f" ({code})" if code else ""))
    show.out(show.visible(f"  because {because}"))
    for doubt in texts(answer, "doubts"):
        show.note(show.visible(f"in doubt: {doubt}"))
    for mandate in listed(found, "mandates"):
        show.heading(show.word(mandate, "mandate"))
        _compared(mandate, "stands", "  ")
        for rule in listed(mandate, "rules"):
            mark = "→ " if rule.get("decided") else "  "
            name = show.word(rule, "rule").partition("/")[2]
            does = show.styled(show.word(rule, "does"), "bold" if rule.get("decided") else "dim")
            show.out()
            show.out(show.visible(f"{mark}{name}") + f": {does}")
            show.out(show.visible(f"    {show.word(rule, 'says')}"))
            _compared(rule, "compared", "    ")
    if policies := show.word(found, "policies"):
        show.heading("Organisation policies")
        show.out(show.visible(f"  {policies}"))


def _compared(row: JsonObject, key: str, indent: str) -> None:
    for each in listed(row, key):
        mark = show.styled("✓", "green") if each.get("counted") else show.styled("✗", "red")
        asks, found = show.word(each, "asks"), show.word(each, "found")
        show.out(f"{indent}{mark} " + show.visible(f"{asks}: {found}"))


def _supposed(mandate: Mandate, tool: str, arguments: str) -> Explanation:
    """How a call nobody has made would be judged now."""
    from bailiwick.core.call import Call, CallKind, Target
    from bailiwick.core.context import NO_COUNTERS, NO_POLICIES
    from bailiwick.core.explaining.whole import why
    from bailiwick.core.flow.labels import NO_LABELS

    server, slash, name = tool.partition("/")
    if not (server and slash and name):
        raise CliError(Exit.USAGE, "bad_tool", f"`{tool}` is not SERVER/TOOL")
    call = Call.of("0" * 26, Target(CallKind.TOOL, server, name), _read_arguments(arguments))
    now = int(time.time() * 1000)
    return why(call, [mandate], NO_POLICIES, NO_COUNTERS, NO_LABELS, now)


def _read_arguments(text: str) -> JsonObject:
    """Read as the gateway reads what an agent sends: one meaning only, or not at all."""
    from bailiwick.core.errors import TheirError
    from bailiwick.protocols.strict_json import parse

    try:
        value: Json = parse(text.encode())
    except TheirError as error:
        raise CliError(Exit.USAGE, "bad_arguments", error.message) from error
    if not isinstance(value, Mapping):
        raise CliError(Exit.USAGE, "bad_arguments", "arguments are a JSON object")
    return value
