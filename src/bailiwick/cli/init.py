"""`init`: a first file to start from, with this machine's places and this person in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.reach import JsonOption, user_name

FILE = "office.yaml"
_SOMEBODY = "me"
_NOT_NAMES = frozenset({"", "requester", "owner"})


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if missing.")],
    as_json: JsonOption = False,
) -> int:
    """Write a first file to start from.

    DIR/office.yaml: you, an agent, a folder DIR/desk, and what the agent may do in it. Reading is
    allowed, and writing waits for your stamp.
    """
    from bailiwick.cli.demo.stage import filesystem_server, fill_in

    node, files_server = filesystem_server()
    file, desk = folder.absolute() / FILE, folder.absolute() / "desk"
    person = person_of(user_name())
    text = fill_in(
        "first.yaml",
        {
            "person": person,
            "person_name": person.capitalize(),
            "node": node,
            "files_server": files_server,
            "desk": str(desk),
        },
    )
    try:
        desk.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as made:
            made.write(text)
    except FileExistsError as error:
        raise CliError(
            Exit.USAGE, "file_in_the_way", f"`{file}` is already there", "name another folder"
        ) from error
    except OSError as error:
        raise CliError(
            Exit.USAGE, "not_writable", f"cannot write `{file}`: {error.strerror}"
        ) from error
    if as_json:
        show.out_json({"file": str(file), "desk": str(desk), "person": person})
        return Exit.OK
    show.out(f"{file} written; the agent's folder is {desk}")
    show.out(f"start the gateway:  bailiwick up -f {file}")
    show.out("wire an agent:      bailiwick connect goose   (or codex, opencode, claude-code)")
    if person == _SOMEBODY:
        show.out(f"say who you are:    export BAILIWICK_AS={person}")
    return Exit.OK


def person_of(user: str) -> str:
    """The user's name as a person's, so that commands need no `--as`; `me` if it cannot be one."""
    plain = re.fullmatch(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", user)
    return user if plain and len(user) <= 64 and user not in _NOT_NAMES else _SOMEBODY
