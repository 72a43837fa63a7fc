"""`demo`: the main job on this machine, watched by a person or unattended."""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import Api
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.reach import DataOption, JsonOption

if TYPE_CHECKING:
    from bailiwick.cli.demo.process import Up
    from bailiwick.cli.demo.story import Story

_TOKEN_SECONDS = 8 * 3600


def demo(
    auto: Annotated[
        bool, typer.Option("--auto", help="Unattended: a second person stamps over the API.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> int:
    """See the main job on this machine.

    A gateway with real servers behind it, an agent at work, one call refused, one held for you.
    With --auto it exits 0 only if each step went as it should.
    """
    if as_json and not auto:
        raise CliError(Exit.USAGE, "nobody_watches", "--json goes with --auto")
    began = time.monotonic()
    show.as_it_happens()
    # Ctrl-C ends the demo like a stop from outside: everything it started is stopped.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = data.absolute() if data else Path(tempfile.mkdtemp(prefix="bailiwick-demo-"))
    try:
        with contextlib.redirect_stdout(io.StringIO() if as_json else sys.stdout):
            story = _play(folder, auto, began)
    except KeyboardInterrupt:
        show.note("\nstopped")
        return Exit.NO if auto else Exit.OK
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        seconds = round(time.monotonic() - began, 1)
        show.out_json({"ok": True, "steps": story.steps, "seconds": seconds, "data": str(folder)})
    return Exit.OK


def _play(folder: Path, auto: bool, began: float) -> Story:
    import asyncio

    try:
        from bailiwick.cli.demo import story as told
    except ImportError as error:
        raise CliError(
            Exit.USAGE,
            "no_mcp_client",
            "the demo's agent is the official MCP client, which is not installed",
            "run `make setup` in the checkout, or `pip install mcp`",
        ) from error
    from bailiwick.cli.demo.process import gateway
    from bailiwick.cli.demo.proof import prove
    from bailiwick.cli.demo.stage import set_stage

    show.out(show.styled("Bailiwick: one day of work, from agent to stamp to proof", "bold"))
    stage = set_stage(folder)
    with gateway(stage) as up:
        story = told.Story(stage, up.url, auto)
        story.step("A gateway stands before three real servers: files, git and a bank")
        told.tell(f"it listens on {up.url}; its data is in {folder}")
        told.tell(f"who may do what: {stage.declared}")
        story.tokens = _tokens(folder, up.url)
        told.tell("ada gave the clerk a mandate; ben, the treasurer, stamps large payments")
        try:
            asyncio.run(told.work(story))
        except BaseExceptionGroup as group:
            raise _first(group) from group  # the MCP client's task groups wrap what passes them
        prove(story)
        show.out()
        seconds = time.monotonic() - began
        show.out(show.styled(f"Done, {story.steps} steps in {seconds:.1f} s.", "green"))
        if not auto:
            _stay(folder, up)
    return story


def _first(error: BaseException) -> BaseException:
    """The first single error in a group, our own before those it brought about."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    ours = error.subgroup(CliError)
    return _first((ours or error).exceptions[0])


def _tokens(folder: Path, url: str) -> dict[str, str]:
    """A token for each in the story; the clerk's is the only thing the clerk gets."""
    from bailiwick.app.tokens import mint_person_token

    made = {person: mint_person_token(folder, person, _TOKEN_SECONDS) for person in ("ada", "ben")}
    answer = Api(url, made["ada"]).post(
        "agents/clerk/tokens", {"mandate": "", "lifetime_seconds": _TOKEN_SECONDS}
    )
    return {**made, "clerk": show.word(answer, "token")}


def _stay(folder: Path, up: Up) -> None:
    place = f"--data {folder} --as ada"
    show.out()
    show.out("The gateway stays up. In another terminal:")
    if not shutil.which("bailiwick"):
        show.out(f"   . {Path(sys.executable).with_name('activate')}")
        show.out(f"      {show.styled('make `bailiwick` a command there', 'dim')}")
    for words, what in (
        (
            f"bailiwick connect goose {place}",
            "wire your own agent (or codex, opencode, claude-code)",
        ),
        (f"bailiwick login ben --data {folder}", "another link into the console"),
        (f"bailiwick calls {place}", "what was asked, and what became of it"),
        (f"bailiwick apply -f {folder}/demo/declared.yaml {place}", "change the mandate, and see"),
    ):
        show.out(f"   {words}")
        show.out(f"      {show.styled(what, 'dim')}")
    show.out()
    show.out(f"{up.url} until you press Ctrl-C.")
    up.process.wait()
    raise CliError(Exit.OURS, "gateway_ended", "the gateway has ended", f"see {up.log}")
