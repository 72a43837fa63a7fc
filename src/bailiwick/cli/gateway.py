"""`up` and `version`: the gateway itself."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.connect.agents import TOKEN_VARIABLE
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.reach import DataOption, JsonOption, UrlOption, default_data, running

DEFAULT_LISTEN = "127.0.0.1:8750"
DEFAULT_HOLD_WINDOW_SECONDS = 240.0


def up(
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", metavar="FILE|DIR", help="Declared objects to start with."),
    ] = None,
    data: DataOption = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen.")
    ] = DEFAULT_LISTEN,
    public_url: Annotated[
        str,
        typer.Option(
            "--public-url", metavar="URL", help="How clients reach it, when behind a proxy."
        ),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME[:PORT]",
            help="A further name clients may call it by, as behind a port forward.",
        ),
    ] = None,
    hold_window: Annotated[
        float,
        typer.Option(
            "--hold-window", metavar="SECONDS", help="How long one request waits for a stamp."
        ),
    ] = DEFAULT_HOLD_WINDOW_SECONDS,
    max_connections: Annotated[
        int | None,
        typer.Option(
            "--max-connections",
            metavar="N",
            help="How many may be open at a time.  [default: 2000, or what open files allow]",
            show_default=False,
        ),
    ] = None,
    max_per_address: Annotated[
        int,
        typer.Option(
            "--max-per-address",
            metavar="N",
            help="How many of them from one address; 0 for any number. Not behind a proxy.",
        ),
    ] = 0,
    no_fsync: Annotated[
        bool,
        typer.Option("--no-fsync", help="Faster, and a power cut may lose records. Not for use."),
    ] = False,
    test_listener: Annotated[
        str,
        typer.Option(
            "--test-listener",
            metavar="HOST:PORT",
            help="FOR TESTS: a loopback door without tokens, as --test-agent.",
        ),
    ] = "",
    test_agent: Annotated[
        str, typer.Option("--test-agent", metavar="NAME", help="FOR TESTS: who comes in there.")
    ] = "",
    as_json: JsonOption = False,
) -> int:
    """Start the gateway.

    It stays until it is stopped. Other commands find it by its data folder.
    """
    if bool(test_listener) != bool(test_agent):
        raise CliError(Exit.USAGE, "half_a_test", "--test-listener and --test-agent go together")

    from bailiwick.app.serve import run
    from bailiwick.app.settings import Address, Settings
    from bailiwick.app.telemetry import telemetry_settings

    telemetry = telemetry_settings(os.environ)
    settings = Settings(
        files=tuple(files or ()),
        data=data or default_data(),
        listen=Address.parse(listen),
        fsync=not no_fsync,
        test_listener=Address.parse(test_listener) if test_listener else None,
        test_agent=test_agent,
        environ=os.environ,
        public_url=public_url,
        hold_window_seconds=hold_window,
        max_connections=max_connections,
        max_per_address=max_per_address,
        allowed_hosts=frozenset(host.lower() for host in allow_host or ()),
    )

    is_new = not (settings.data / "instance").exists()

    def started(url: str) -> None:
        if as_json:
            show.out_json({"url": url, "data": str(settings.data)})
            sys.stdout.flush()
        show.note(f"bailiwick answers at {url}; its data is in {settings.data}")
        if is_new and not settings.files:
            show.note("nothing is declared yet: `bailiwick init DIR` writes a first file for -f")
        if not settings.listen.loopback and not public_url.startswith("https://"):
            show.note(
                f"WARNING: {listen} can be reached over the network, and tokens are readable on the"
                " way: put TLS before it and give its --public-url https://NAME"
            )
        if telemetry is not None:
            show.note(f"telemetry of every call goes to {telemetry.url}")
        if no_fsync:
            show.note("WARNING: without fsync, a power cut loses what was just recorded")
        if test_listener:
            show.note(f"WARNING: {test_listener} takes calls WITHOUT TOKENS, as `{test_agent}`")

    run(settings, started)
    return Exit.OK


def stdio(
    server: Annotated[
        str, typer.Option("--server", metavar="NAME", help="Only this server's tools.")
    ] = "",
    data: DataOption = None,
    url: UrlOption = "",
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="The agent's token; read for each message. Else $BAILIWICK_AGENT_TOKEN.",
        ),
    ] = None,
) -> int:
    """Bridge a client that only speaks stdio.

    MCP on stdin and stdout, the gateway behind it; for clients that start a program.
    """
    token = token_reader(token_file)
    token()  # say now what is wrong, not at the first call
    place = url.rstrip("/") if url else running(data or default_data()).url

    import asyncio

    from bailiwick.cli.stdio import run

    return asyncio.run(run(f"{place}/mcp" + (f"/{segment(server)}" if server else ""), token))


def token_reader(token_file: Path | None) -> Callable[[], str]:
    """Gives the agent's token, anew each time: the file may be renewed meanwhile."""

    def read() -> str:
        try:
            given = token_file.read_text() if token_file else os.environ.get(TOKEN_VARIABLE, "")
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(
                Exit.NOT_ALLOWED, "token_missing", f"cannot read the token in `{token_file}`"
            ) from error
        if not (given := given.strip()):
            raise CliError(
                Exit.NOT_ALLOWED,
                "token_missing",
                "no agent's token is given",
                f"set {TOKEN_VARIABLE} or --token-file; `bailiwick agents token` makes one",
            )
        return given

    return read


def version(as_json: JsonOption = False) -> int:
    """Print the version."""
    from importlib.metadata import version as installed

    found = installed("bailiwick")
    if as_json:
        show.out_json({"bailiwick": found, "python": platform.python_version()})
    else:
        show.out(f"bailiwick {found}")
    return Exit.OK
