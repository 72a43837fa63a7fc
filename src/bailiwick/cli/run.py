"""`run`: start one piece of work for an agent, show it, end it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.calls import listed, mapping
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.people import TtlOption, seconds
from bailiwick.cli.reach import Reach, reaching
from bailiwick.cli.story import Teller
from bailiwick.core.canonical import JsonObject

RunArgument = Annotated[str, typer.Argument(metavar="ID", help="The run's id.")]

MAX_READ_CHARS = 100_000
DEFAULT_STEPS = 100


@reaching
def start(
    reach: Reach,
    mandate: Annotated[str, typer.Argument(help="The mandate the work is under.")],
    instruction: Annotated[
        str, typer.Argument(help="What is to be done, in your words; - reads them from stdin.")
    ] = "",
    label: Annotated[
        list[str] | None, typer.Option("--label", help="A label; may be given several times.")
    ] = None,
    purpose: Annotated[str, typer.Option("--purpose", help="What it is for, in one line.")] = "",
    end_user: Annotated[str, typer.Option("--end-user", help="For whom it is done.")] = "",
    ttl: TtlOption = "1h",
) -> int:
    """Start a run, and print the token its agent works with.

    What you say is recorded as yours and cannot be changed afterwards. The token is good for this
    run only, and shown once.
    """
    words = sys.stdin.read(MAX_READ_CHARS) if instruction == "-" else instruction
    if instruction == "-" and not words.strip():
        raise CliError(Exit.USAGE, "no_instruction", "nothing came from stdin")
    answer = reach.api().post(
        "runs",
        {
            "mandate": mandate,
            "instruction": words,
            "labels": list(label or ()),
            "purpose": purpose,
            "end_user": end_user,
            "lifetime_seconds": seconds(ttl),
        },
    )
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    token, run = mapping(answer, "token"), mapping(answer, "run")
    show.out(show.word(token, "token"))
    show.note(
        show.visible(
            f"run `{show.word(run, 'id')}` of agent `{show.word(run, 'agent')}` under "
            f"`{show.word(run, 'mandate')}` until {show.when(token.get('expires_ms'))}; "
            "shown this once\n"
            f"what happens in it: bailiwick run show {show.word(run, 'id')}\n"
            f"to end it before: bailiwick run end {show.word(run, 'id')}",
            keep_lines=True,
        )
    )
    return Exit.OK


@reaching
def show_run(
    reach: Reach,
    run_id: RunArgument,
    reasoning: Annotated[
        bool,
        typer.Option("--reasoning", help="Reasoning and texts in full, not only how they begin."),
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=500, help="How many steps at most.")
    ] = DEFAULT_STEPS,
    after: Annotated[str, typer.Option("--after", help="Steps behind this call's id.")] = "",
) -> int:
    """Show a run as a story: what it was told, and step by step what came of it.

    Each step is a call: what the model was told, reasoned, said and asked for; what the gateway
    decided; who stamped; what came back. What agents, models and servers wrote stands behind a bar.
    """
    answer = reach.api().get(f"runs/{segment(run_id)}/story", limit=limit, after=after)
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    if not after:
        _print_run(mapping(answer, "run"))
    _print_steps(answer, whole=reasoning)
    following = show.word(answer, "next")
    if following:
        show.note(
            "there is more: "
            + show.visible(f"bailiwick run show {run_id} --after {following}")
            + (f" --limit {limit}" if limit != DEFAULT_STEPS else "")
        )
    return Exit.OK


def _print_steps(page: JsonObject, *, whole: bool) -> None:
    steps = listed(page, "steps")
    show.heading("What came of it")
    if not steps:
        show.out("  nothing yet")
    teller = Teller(show.width(), whole=whole)
    for step in steps:
        for line in teller.step(step):
            show.out(line)


def _print_run(run: JsonObject) -> None:
    states = ", ".join(f"{count} {state}" for state, count in mapping(run, "states").items())
    labels = run.get("labels")
    facts = [
        ("run", show.word(run, "id")),
        ("began", show.when(run.get("at_ms"))),
        ("agent", show.word(run, "agent")),
        ("mandate", show.word(run, "mandate")),
        ("started by", who(run, "started_by")),
        ("purpose", show.word(run, "purpose")),
        ("labels", ", ".join(str(each) for each in labels) if isinstance(labels, list) else ""),
        ("for", show.word(run, "end_user")),
        ("ended", show.when(run.get("ended_ms"))),
        ("calls", states or "none yet"),
    ]
    show.facts([(name, value) for name, value in facts if value])
    show.heading("The instruction")
    show.out("  " + told(run).replace("\n", "\n  "))


@reaching
def end(reach: Reach, run_id: RunArgument) -> int:
    """End a run.

    When it returns, nothing new is dispatched in it, and its token opens nothing any more.
    """
    answer = reach.api().post(f"runs/{segment(run_id)}/end", {})
    if reach.json:
        show.out_json(answer)
    else:
        show.out(f"ended run `{show.visible(run_id)}`; nothing more is done in it")
    return Exit.OK


def told(run: JsonObject) -> str:
    """The instruction of a run, after who gave it: it could say anything of that itself."""
    text = show.visible(show.word(run, "instruction"), keep_lines=True)
    if run.get("erased"):
        return "it was erased with its person's key"
    return f"(given by {show.visible(who(run, 'supplier'))})\n{text}" if text else "it has none"


def who(run: JsonObject, key: str) -> str:
    """Who said or did it: a person by name, or the agent's side."""
    by = show.word(run, key)
    return show.word(run, "person") if by == "person" else "the agent's side" if by else ""
