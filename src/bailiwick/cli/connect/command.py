"""`connect`: show what would change in an agent's settings, ask, keep a copy, write."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.calls import listed
from bailiwick.cli.connect.agents import AGENTS, Agent, Place, Wiring
from bailiwick.cli.connect.files import (
    read_settings,
    remove_token,
    write_settings,
    write_token,
)
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.holds import ask
from bailiwick.cli.people import seconds, token_id_in
from bailiwick.cli.reach import Reach, at_terminal, reaching
from bailiwick.core.canonical import JsonObject


@dataclass(frozen=True, slots=True)
class Edit:
    """One settings file, before and after."""

    path: Path
    before: str
    after: str

    @property
    def difference(self) -> str:
        """A unified diff, "" when nothing changes."""
        lines = difflib.unified_diff(
            self.before.splitlines(),
            self.after.splitlines(),
            str(self.path),
            str(self.path),
            n=2,
            lineterm="",
        )
        return "\n".join(lines)


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
    a copy, and puts the token into a file of its own.
    """
    known = AGENTS.get(agent)
    if known is None:
        raise CliError(Exit.USAGE, "agent_not_known", f"`{agent}` is not an agent I know", _names())
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", entry):
        raise CliError(Exit.USAGE, "bad_entry", f"`{entry}` is not a name", "use a-z, 0-9, - and _")
    place = Place(Path.home(), Path.cwd(), os.environ)
    path = settings or known.settings(place)
    before = read_settings(path)
    token_file = place.config / "bailiwick" / "tokens" / f"{agent}-{entry}"
    if remove:
        edit = Edit(path, before, known.remove(before, entry))
        return _take_out(reach, edit, token_file, yes)
    wiring = Wiring(entry=entry, url=reach.address() + "/mcp", token_file=token_file)
    if print_only:
        return _print(reach, path, known, wiring)
    edit = Edit(path, before, known.add(before, wiring))
    lifetime_seconds = seconds(ttl)
    if not _agreed(reach, edit, yes):
        return Exit.NO
    name = identity or _only_agent(reach)
    made = reach.api().post(
        f"agents/{segment(name)}/tokens",
        {"mandate": mandate, "lifetime_seconds": lifetime_seconds},
    )
    write_token(wiring.token_file, show.word(made, "token"))
    return _finish(reach, edit, known, wiring)


def _print(reach: Reach, path: Path, known: Agent, wiring: Wiring) -> int:
    text = known.add("", wiring)
    if reach.json:
        show.out_json({"settings": str(path), "text": text, "next": list(_next(known, wiring))})
        return Exit.OK
    show.note(f"into {path}:")
    show.out(text.rstrip("\n"))
    token = shlex.quote(str(wiring.token_file))
    show.note(f"its token: (umask 077; bailiwick agents token AGENT > {token})")
    for line in _next(known, wiring):
        show.note(line)
    return Exit.OK


def _agreed(reach: Reach, edit: Edit, yes: bool) -> bool:
    """Show the change and ask; True at once when nothing changes."""
    if not edit.difference:
        return True
    if not reach.json:
        for line in edit.difference.split("\n"):
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            text = show.visible(line)
            show.out(show.styled(text, style) if style else text)
    if yes:
        return True
    if reach.json or not at_terminal():
        raise CliError(Exit.USAGE, "not_asked", "nobody to ask", "give --yes, or --print to look")
    return ask(f"Write {edit.path}?")


def _finish(reach: Reach, edit: Edit, known: Agent, wiring: Wiring) -> int:
    following = _next(known, wiring)
    _write(reach, edit, wiring.token_file, following)
    if not reach.json:
        show.out(f"token: {wiring.token_file} (readable by you only; run this again to renew it)")
        for line in following:
            show.out(line)
    return Exit.OK


def _take_out(reach: Reach, edit: Edit, token_file: Path, yes: bool) -> int:
    """Undo `connect`: our part of the settings, and the token that was made for it."""
    if not _agreed(reach, edit, yes):
        return Exit.NO
    _write(reach, edit, None, ())
    if not token_file.exists():
        return Exit.OK
    try:
        token_id = token_id_in(token_file)
    except CliError:
        token_id = ""  # not one of ours: there is nothing to revoke
    remove_token(token_file)
    if not reach.json:
        show.out(f"{token_file} deleted")
        if token_id:
            show.note(f"to end the token itself: bailiwick agents revoke {show.visible(token_id)}")
    return Exit.OK


def _write(reach: Reach, edit: Edit, token_file: Path | None, following: Sequence[str]) -> None:
    backup = None
    if edit.difference:
        backup = write_settings(edit.path, edit.after, time.time())
    if reach.json:
        show.out_json(
            {
                "settings": str(edit.path),
                "changed": bool(edit.difference),
                "difference": edit.difference,
                "backup": str(backup) if backup else None,
                "token_file": str(token_file) if token_file else None,
                "next": list(following),
            }
        )
        return
    show.out(f"{edit.path} " + ("written" if edit.difference else "needs no change"))
    if backup:
        show.out(f"the file as it was: {backup}")


def _next(known: Agent, wiring: Wiring) -> Sequence[str]:
    token = f'"$(cat {shlex.quote(str(wiring.token_file))})"'
    return (f"start {known.title}: {known.start.format(token=token)}", *known.remarks)


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
