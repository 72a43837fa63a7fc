"""`simulate`: what a mandate would have said of the calls that were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import Api
from bailiwick.cli.calls import listed
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.files import read_files
from bailiwick.cli.reach import Reach, reaching
from bailiwick.core.canonical import Json, JsonObject

MAX_GROUPS_SHOWN = 20
APPLY_SINCE = "30d"
_WORDS = {"allow": "allowed", "hold": "held", "deny": "denied"}


@reaching
def simulate(
    reach: Reach,
    mandate: Annotated[str, typer.Argument(metavar="MANDATE", help="Whose form is tried.")],
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE|DIR",
            help="Its new form, not applied; may be repeated. Without it, the form in force.",
        ),
    ] = None,
    against: Annotated[
        str, typer.Option("--against", metavar="MANDATE", help="Whose recorded calls are judged.")
    ] = "",
    since: Annotated[
        str, typer.Option("--since", metavar="DURATION", help="How far back: `12h`, `30d`.")
    ] = "30d",
) -> int:
    """Judge recorded calls again and show which verdicts flip. Nothing is written.

    With the limits and the runs' memories as they would have become.
    """
    report = simulated(reach.api(), read_files(files or []), mandate, against, since)
    if reach.json:
        show.out_json(report)
    else:
        print_simulation(report)
    return Exit.OK


def simulated(
    api: Api, files: Mapping[str, str], mandate: str, against: str, since: str
) -> JsonObject:
    """The gateway's report of one simulation."""
    from bailiwick.declared.readings import read_duration

    try:
        seconds = read_duration(since)
    except ValueError as error:
        raise CliError(Exit.USAGE, "bad_duration", f"--since: `{since}` {error}") from error
    request: JsonObject = {
        "files": files,
        "mandate": mandate,
        "against": against,
        "since_seconds": seconds,
    }
    return api.post("simulate", request)


def try_changes(api: Api, files: Mapping[str, str], report: JsonObject) -> list[JsonObject]:
    """What each mandate that `report` (of a dry run) changes would have said of recorded calls.

    One that cannot be tried now (another simulation is under way) is told as `failed`.
    """
    tried: list[JsonObject] = []
    for change in listed(report, "changes"):
        if show.word(change, "kind") != "mandate" or show.word(change, "action") != "change":
            continue
        name = show.word(change, "name")
        try:
            tried.append(simulated(api, files, name, "", APPLY_SINCE))
        except CliError as error:
            tried.append({"mandate": name, "failed": error.message})
    return tried


def print_tried(tried: Sequence[JsonObject]) -> None:
    """The simulations of `try_changes`."""
    for report in tried:
        if "failed" in report:
            told = (
                f"{show.word(report, 'mandate')} was not simulated: {show.word(report, 'failed')}"
            )
            show.note(show.visible(told))
        else:
            print_simulation(report)


def print_simulation(report: JsonObject) -> None:
    """What flips, grouped, with examples."""
    mandate, against = show.word(report, "mandate"), show.word(report, "against")
    calls, flips = _count(report.get("calls")), _count(report.get("flips"))
    told = f"{mandate} against {calls:,} recorded calls of {against}"
    show.out(show.visible(told))
    unreadable = _count(report.get("unreadable"))
    if unreadable:
        show.note(f"{unreadable} calls were left out: erased, or damaged")
    if not flips:
        show.out("no verdict flips" if calls else "there are no calls to judge")
        return
    show.out(f"{flips:,} verdicts flip")
    groups = listed(report, "groups")
    for group in groups[:MAX_GROUPS_SHOWN]:
        before, after = (_WORDS.get(show.word(group, key), "") for key in ("before", "after"))
        about, why = show.word(group, "target"), show.word(group, "why")
        count = _count(group.get("count"))
        show.heading(show.visible(f"{count:,} {before} → {after}  {about}  {why}".rstrip()))
        for example in _tables(group.get("examples")):
            call, at = show.word(example, "call"), show.when(example.get("at_ms"))
            show.out(show.visible(f"  {call}  {at}"))
            show.out(show.visible(f"    then: {show.word(example, 'then')}"))
            show.out(show.visible(f"    now:  {show.word(example, 'now')}"))
    if len(groups) > MAX_GROUPS_SHOWN:
        show.note(f"and {len(groups) - MAX_GROUPS_SHOWN} more groups; --json has them all")


def _count(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _tables(value: Json) -> Sequence[JsonObject]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
