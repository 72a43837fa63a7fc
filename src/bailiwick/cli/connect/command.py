"""`connect`: show what would change in an agent's settings, ask, keep a copy, write."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import Api, segment
from bailiwick.cli.calls import listed
from bailiwick.cli.connect.agents import AGENTS, Agent, Place, Wiring
from bailiwick.cli.connect.edits import Edit, Edits
from bailiwick.cli.connect.files import remove_token, write_token
from bailiwick.cli.connect.kept import Record, read_record, remove_record, write_record
from bailiwick.cli.connect.model_side import (
    MODEL_SIDES,
    ModelSide,
    ModelWiring,
    apply_part,
)
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.holds import ask
from bailiwick.cli.people import seconds, token_id_in
from bailiwick.cli.reach import Reach, at_terminal, reaching
from bailiwick.core.canonical import JsonObject


@dataclass(frozen=True, slots=True)
class _Job:
    """One agent to be wired: what is known of it, and where everything lies.

    Attributes:
        settings: the agent's main settings file.
        record: the model it was given before, and what stood there; None without one.
    """

    agent: Agent
    side: ModelSide
    place: Place
    settings: Path
    entry: str
    token_file: Path
    record_file: Path
    record: Record | None


@reaching
def connect(
    reach: Reach,
    agent: Annotated[str, typer.Argument(help="goose, codex, opencode or claude-code.")],
    identity: Annotated[
        str, typer.Option("--agent", help="The declared agent it acts as, where there are several.")
    ] = "",
    mandate: Annotated[str, typer.Option("--mandate", help="Which of its mandates.")] = "",
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="TIME", help="Life of its token: 30m, 8h, 7d.")
    ] = "8h",
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Its model, as the gateway lists it.")
    ] = "",
    entry: Annotated[
        str, typer.Option("--entry", help="The name it gets in the agent's settings.")
    ] = "bailiwick",
    settings: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="Another settings file.")
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the settings; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take it out again.")] = False,
) -> int:
    """Wire an agent to the gateway.

    Writes the settings of goose, Codex, opencode or Claude Code: shows the change first, keeps
    a copy, and puts the token into a file of its own. With --model the agent thinks through the
    gateway as well; run again without it, the model stays as it is.
    """
    job = _job(agent, entry, settings)
    lifetime_seconds = seconds(ttl)
    edits = Edits()
    if remove:
        edits.change(job.settings, job.agent.remove(edits.text(job.settings), entry))
        if job.record is not None:
            parts = job.side.parts(job.place, job.settings, _model_wiring(job, "", ""))
            edits.undo(parts, job.record)
        return _take_out(reach, edits.all(), job, yes)
    url = reach.address()
    model = model or (job.record.model if job.record is not None else "")
    wiring = Wiring(entry=entry, url=url + "/mcp", token_file=job.token_file)
    if print_only:
        token = _token_command(identity, mandate, ttl)
        return _print(reach, job, wiring, _model_wiring(job, url, model), token)
    edits.change(job.settings, job.agent.add(edits.text(job.settings), wiring))
    record = None
    if model:
        parts = job.side.parts(job.place, job.settings, _model_wiring(job, url, model))
        record = edits.apply(parts, model, job.record)
    if not _agreed(reach, edits.all(), yes):
        return Exit.NO
    name = identity or _only_agent(reach)
    made = reach.api().post(
        f"agents/{segment(name)}/tokens",
        {"mandate": mandate, "lifetime_seconds": lifetime_seconds},
    )
    token = show.word(made, "token")
    models = _models(url, token, model)
    write_token(job.token_file, token)
    if record is not None:
        write_record(job.record_file, record)
    return _finish(reach, edits.all(), job, model, models)


def _job(agent: str, entry: str, settings: Path | None) -> _Job:
    known = AGENTS.get(agent)
    if known is None:
        raise CliError(Exit.USAGE, "agent_not_known", f"`{agent}` is not an agent I know", _names())
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", entry):
        raise CliError(Exit.USAGE, "bad_entry", f"`{entry}` is not a name", "use a-z, 0-9, - and _")
    place = Place(Path.home(), Path.cwd(), os.environ)
    ours = place.config / "bailiwick"
    record_file = ours / "connected" / f"{agent}-{entry}.json"
    return _Job(
        known,
        MODEL_SIDES[agent],
        place,
        settings or known.settings(place),
        entry,
        ours / "tokens" / f"{agent}-{entry}",
        record_file,
        read_record(record_file),
    )


def _model_wiring(job: _Job, url: str, model: str) -> ModelWiring:
    return ModelWiring(job.entry, url, model, job.token_file)


def _models(url: str, token: str, wanted: str) -> Sequence[str]:
    """The models that this token may use, as the gateway lists them.

    Raises:
        CliError: `wanted` is not among them.
    """
    try:
        found = Api(url, token).models()
    except CliError:
        if wanted:
            raise
        return ()
    if wanted and not any(name == wanted or name.endswith(f"/{wanted}") for name in found):
        hint = "it may use " + ", ".join(f"`{show.visible(name)}`" for name in found)
        raise CliError(
            Exit.NO,
            "model_not_allowed",
            f"the mandate does not let this agent use the model `{show.visible(wanted)}`",
            hint if found else "it may use none; see `bailiwick mandate read`",
        )
    return found


def _token_command(identity: str, mandate: str, ttl: str) -> str:
    """What makes the token that `--print` makes none of."""
    words = ["bailiwick", "agents", "token", identity or "AGENT", "--ttl", ttl]
    return shlex.join([*words, "--mandate", mandate] if mandate else words)


def _print(reach: Reach, job: _Job, wiring: Wiring, model: ModelWiring, make_token: str) -> int:
    edits = Edits()
    edits.change(job.settings, job.agent.add("", wiring))
    if model.model:
        for part in job.side.parts(job.place, job.settings, model):
            text = apply_part(
                job.agent.add("", wiring) if part.path == job.settings else "", part, ()
            )[0]
            edits.change(part.path, text)
    following = _next(job, model.model)
    files = [{"settings": str(edit.path), "text": edit.after} for edit in edits.all()]
    if reach.json:
        show.out_json({**files[0], "also": files[1:], "next": list(following)})
        return Exit.OK
    for file in files:
        show.note(f"into {file['settings']}:")
        show.out(file["text"].rstrip("\n"))
    token = shlex.quote(str(wiring.token_file))
    show.note(f"its token: (umask 077; {make_token} > {token})")
    for line in following:
        show.note(line)
    return Exit.OK


def _agreed(reach: Reach, edits: Sequence[Edit], yes: bool) -> bool:
    """Show the changes and ask; True at once when nothing changes."""
    changed = [edit for edit in edits if edit.difference]
    if not changed:
        return True
    if not reach.json:
        for edit in changed:
            for line in edit.difference.split("\n"):
                style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
                text = show.visible(line)
                show.out(show.styled(text, style) if style else text)
    if yes:
        return True
    if reach.json or not at_terminal():
        raise CliError(Exit.USAGE, "not_asked", "nobody to ask", "give --yes, or --print to look")
    return ask("Write " + " and ".join(str(edit.path) for edit in changed) + "?")


def _finish(
    reach: Reach, edits: Sequence[Edit], job: _Job, model: str, models: Sequence[str]
) -> int:
    following = list(_next(job, model))
    if models and not model:
        names = ", ".join(f"`{show.visible(name)}`" for name in models)
        following.append(f"its model is its own still; --model puts it here too: {names}")
    more: JsonObject = {"token_file": str(job.token_file), "model": model, "models": [*models]}
    _write(reach, edits, more, following)
    if not reach.json:
        show.out(f"token: {job.token_file} (readable by you only; run this again to renew it)")
        for line in following:
            show.out(line)
    return Exit.OK


def _take_out(reach: Reach, edits: Sequence[Edit], job: _Job, yes: bool) -> int:
    """Undo `connect`: our part of the settings, and the token that was made for it."""
    if not _agreed(reach, edits, yes):
        return Exit.NO
    _write(reach, edits, {"token_file": None}, ())
    remove_record(job.record_file)
    if not job.token_file.exists():
        return Exit.OK
    try:
        token_id = token_id_in(job.token_file)
    except CliError:
        token_id = ""  # not one of ours: there is nothing to revoke
    remove_token(job.token_file)
    if not reach.json:
        show.out(f"{job.token_file} deleted")
        if token_id:
            show.note(f"to end the token itself: bailiwick agents revoke {show.visible(token_id)}")
    return Exit.OK


def _write(reach: Reach, edits: Sequence[Edit], more: JsonObject, following: Sequence[str]) -> None:
    backups = [edit.write() for edit in edits]
    if reach.json:
        files: list[JsonObject] = [
            {
                "settings": str(edit.path),
                "changed": bool(edit.difference),
                "difference": edit.difference,
                "backup": str(backup) if backup else None,
            }
            for edit, backup in zip(edits, backups, strict=True)
        ]
        show.out_json({**files[0], "also": files[1:], **more, "next": list(following)})
        return
    for edit, backup in zip(edits, backups, strict=True):
        done = "deleted" if edit.ours and not edit.after else "written"
        show.out(f"{edit.path} " + (done if edit.difference else "needs no change"))
        if backup:
            show.out(f"the file as it was: {backup}")


def _next(job: _Job, model: str) -> Sequence[str]:
    token = f'"$(cat {shlex.quote(str(job.token_file))})"'
    start = job.side.start if model else job.agent.start
    return (f"start {job.agent.title}: {start.format(token=token)}", *job.agent.remarks)


def _only_agent(reach: Reach) -> str:
    """The one declared agent.

    Raises:
        CliError: there is none, or more than one.
    """
    agents = [show.word(row, "name") for row in listed(_agents(reach), "objects")]
    if len(agents) == 1:
        return agents[0]
    if not agents:
        raise CliError(
            Exit.NO, "no_agent", "no agent is declared", "declare one with `bailiwick apply`"
        )
    names = ", ".join(f"`{name}`" for name in agents)
    raise CliError(Exit.USAGE, "which_agent", f"declared are {names}", "say which with --agent")


def _agents(reach: Reach) -> JsonObject:
    return reach.api().get("objects", kind="agent")


def _names() -> str:
    return "known are " + ", ".join(AGENTS)
