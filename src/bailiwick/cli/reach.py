"""Which gateway a command talks to, and as whom: the options they share.

On the gateway's own machine the data folder is enough. It says where the gateway listens, and
whoever can read its keys may act as any person (`--as`): that is the operator, and the stamp
records how it was given. From elsewhere, `--url` and a token made by `bailiwick people token`.
"""

from __future__ import annotations

import functools
import getpass
import inspect
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli.api import Api
from bailiwick.cli.exits import CliError, Exit

OWN_TOKEN_SECONDS = 300
"""Life of the token a command makes for itself; only --as on the gateway's machine needs one."""


def default_data() -> Path:
    """`$BAILIWICK_DATA`, or `bailiwick` in the place for a user's data."""
    if given := os.environ.get("BAILIWICK_DATA"):
        return Path(given)
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "bailiwick"


DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Data folder (default: $BAILIWICK_DATA, else ~/.local/share/bailiwick).",
        show_default=False,
    ),
]
UrlOption = Annotated[
    str,
    typer.Option("--url", metavar="URL", envvar="BAILIWICK_URL", help="A gateway elsewhere."),
]
TokenOption = Annotated[
    str,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="BAILIWICK_TOKEN",
        help="A person's token; better given in the environment than on the command line.",
    ),
]
AsOption = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="PERSON",
        envvar="BAILIWICK_AS",
        help="Act as this person; needs the data folder (default: your user name).",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON, stable and complete, instead of text.")
]


@dataclass(frozen=True, slots=True)
class Reach:
    """The shared options of one command."""

    data: Path
    url: str
    token: str = field(repr=False)
    person: str
    json: bool

    def address(self) -> str:
        """The gateway's root URL.

        Raises:
            CliError: none was given and none is running on the data folder.
        """
        return self.url.rstrip("/") if self.url else running(self.data).url

    def api(self) -> Api:
        """The people's API of that gateway, as this person.

        Raises:
            CliError: no gateway, or no token for it and no way to make one.
        """
        url = self.address()
        if token := self.token.strip():
            if not (token.isascii() and token.isprintable()) or " " in token:
                raise CliError(Exit.NOT_ALLOWED, "token_invalid", "what was given is not a token")
            return Api(url, token)
        # INVARIANT: a token made from this folder's keys goes to this folder's gateway only.
        if self.url and url != self._own_url():
            raise CliError(
                Exit.NOT_ALLOWED,
                "token_missing",
                "a gateway elsewhere wants your token",
                "set BAILIWICK_TOKEN; `bailiwick people token NAME` makes one over there",
            )
        person = self.person or user_name()
        return Api(url, self.own_token(person), person)

    def _own_url(self) -> str:
        try:
            return running(self.data).url
        except CliError:
            return ""

    def own_token(self, person: str) -> str:
        """A short-lived token for a person, from the data folder's keys."""
        from bailiwick.app.tokens import mint_person_token

        return mint_person_token(self.data, person, OWN_TOKEN_SECONDS)


@dataclass(frozen=True, slots=True)
class Running:
    """What a running gateway writes of itself into `gateway.json`."""

    url: str
    pid: int


def gateway_file(data: Path) -> Path:
    """Where a running gateway says how to reach it."""
    return data / "gateway.json"


def running(data: Path) -> Running:
    """The gateway that runs on this data folder.

    Raises:
        CliError: there is none.
    """
    try:
        raw = json.loads(gateway_file(data).read_text())
        found = Running(url=str(raw["url"]).rstrip("/"), pid=int(raw["pid"]))
        os.kill(found.pid, 0)
    except PermissionError as error:
        if error.filename is None:
            return found  # the process is there and belongs to somebody else
        raise CliError(
            Exit.NOT_ALLOWED, "data_not_readable", f"cannot read the data folder `{data}`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CliError(
            Exit.UNREACHABLE,
            "no_gateway",
            f"no gateway runs on `{data}`",
            "start one with `bailiwick up`, or name one with --data or --url",
        ) from error
    return found


def user_name() -> str:
    """Who is at the keyboard, as the machine knows them; "" if it does not."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def reaching(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give `command` the shared options; it takes them as one argument named `reach`."""
    own = inspect.signature(command, eval_str=True)
    kept = [given for name, given in own.parameters.items() if name != "reach"]
    shared = {
        "data": (DataOption, None),
        "url": (UrlOption, ""),
        "token": (TokenOption, ""),
        "person": (AsOption, ""),
        "as_json": (JsonOption, False),
    }
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in shared.items()
    ]

    @functools.wraps(command)
    def wrapped(**given: object) -> int | None:
        data = given.pop("data")
        reach = Reach(
            data=data if isinstance(data, Path) else default_data(),
            url=str(given.pop("url")),
            token=str(given.pop("token")),
            person=str(given.pop("person")),
            json=bool(given.pop("as_json")),
        )
        return command(reach=reach, **given)

    signature = inspect.Signature([*kept, *added])
    wrapped.__signature__ = signature  # type: ignore[attr-defined]  # what typer reads
    wrapped.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
    del wrapped.__wrapped__
    return wrapped


def lists(context: typer.Context) -> bool:
    """Whether a group lists, since it was given no command.

    Raises:
        CliError: an option stands before the command, which would not hear of it.
    """
    asked = context.invoked_subcommand
    if asked is None:
        return True
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is not None and source.name == "COMMANDLINE":
            text = f"`{option.opts[0]}` belongs behind `{asked}`"
            raise CliError(Exit.USAGE, "option_place", text)
    return False


def at_terminal() -> bool:
    """Whether a person can be asked something."""
    return sys.stdin.isatty() and sys.stdout.isatty()
