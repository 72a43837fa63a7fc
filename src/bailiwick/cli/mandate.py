"""`mandate read` and `mandate check`: knowing what a mandate says before signing it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.calls import listed, mapping
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.files import read_files
from bailiwick.cli.objects import print_report
from bailiwick.cli.reach import Reach, reaching
from bailiwick.core.canonical import Json, JsonObject

if TYPE_CHECKING:
    from bailiwick.core.mandate import Mandate

MAX_TOOLS_BYTES = 32 << 20

FilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE|DIR",
        help="YAML that declares it, not applied; may be repeated. Without it, what is in force.",
    ),
]


@reaching
def mandate_read(
    reach: Reach,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The mandate's name.")],
    files: FilesOption = None,
    version: Annotated[
        int, typer.Option("--version", min=0, help="An older version; 0 is the newest.")
    ] = 0,
) -> int:
    """Read a mandate back in plain sentences.

    All that it says, and what it leaves unsaid. With files, no gateway is asked.
    """
    if files:
        from bailiwick.core.reading import read

        sentences: Sequence[str] = read(from_files(files, name))
        answer: JsonObject = {"name": name, "version": 1, "sentences": list(sentences)}
    else:
        answer = mapping(reach.api().get(f"mandates/{segment(name)}", version=version), "mandate")
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    for sentence in texts(answer, "sentences"):
        show.out(show.visible(sentence))
    for ref in texts(answer, "above"):
        show.note(show.visible(f"each of its calls is judged by `{ref}` as well"))
    return Exit.OK


@reaching
def mandate_check(
    reach: Reach,
    what: Annotated[
        list[str], typer.Argument(metavar="FILE|DIR|NAME", help="Files, or mandates in force.")
    ],
    tools: Annotated[
        list[Path] | None,
        typer.Option(
            "--tools",
            metavar="FILE",
            help="Tools of servers as JSON, `{SERVER: result of tools/list}`. No gateway is asked.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
) -> int:
    """Check mandates: errors, rules that can never matter, stamps nobody can give.

    Against the tools that servers show. Where no gateway runs and none is named, files are
    checked by themselves. Exits with 2 for errors, and with 1 for warnings if `--strict`. Nothing
    is changed.
    """
    paths = [Path(each) for each in what if Path(each).exists()]
    names = [each for each in what if not Path(each).exists()]
    looks_like_a_file = next((each for each in names if each.endswith((".yaml", ".yml"))), "")
    if looks_like_a_file:
        raise CliError(Exit.USAGE, "no_files", f"there is no file `{looks_like_a_file}`")
    problems: list[JsonObject] = []
    if tools:
        if names:
            raise CliError(
                Exit.USAGE,
                "tools_need_files",
                f"`--tools` is for files, and there is no file `{names[0]}`",
            )
        problems += _offline(read_files(paths), tools)
    elif paths and not names and not reach.url and not _runs(reach):
        show.note("no gateway runs here: the files are checked without what servers show of tools")
        problems += _offline(read_files(paths), ())
    else:
        api = reach.api()
        if paths:
            found = api.post("mandates/check", {"files": read_files(paths)})
            problems += listed(found, "problems")
        for name in names:
            problems += listed(api.post("mandates/check", {"mandate": name}), "problems")
    if reach.json:
        show.out_json({"problems": problems})
    else:
        print_report({"problems": problems})
        if not problems:
            show.note("nothing wrong")
    if any(problem.get("severity") == "error" for problem in problems):
        return Exit.USAGE
    return Exit.NO if problems and strict else Exit.OK


def _runs(reach: Reach) -> bool:
    """Whether a gateway runs on the data folder. One that may not be looked at counts."""
    try:
        reach.address()
    except CliError as error:
        return error.code != "no_gateway"
    return True


def from_files(paths: Sequence[Path], name: str) -> Mandate:
    """The mandate of this name as files declare it, with all it refers to.

    Raises:
        CliError: they do not declare it.
        ConfigError: with every problem found.
    """
    from bailiwick.declared import load_texts
    from bailiwick.declared.compiling import compile_all

    declared = load_texts(read_files(paths))
    found = compile_all(declared.objects.values()).get(name)
    if found is None:
        known = ", ".join(f"`{each}`" for each in declared.of("mandate")) or "none"
        raise CliError(
            Exit.USAGE,
            "mandate_unknown",
            f"no mandate `{name}` is declared there",
            f"it has {known}",
        )
    return found


def texts(answer: JsonObject, key: str) -> list[str]:
    """The texts under `key`; [] when there are none."""
    value = answer.get(key)
    return [str(each) for each in value] if isinstance(value, list) else []


def _offline(files: Mapping[str, str], tools: Sequence[Path]) -> list[JsonObject]:
    from bailiwick.declared.mandate_checks import check_texts

    now = int(time.time() * 1000)
    return [
        {
            "severity": severity,
            "code": "declaration_invalid" if severity == "error" else "declaration_doubtful",
            "message": each.message,
            "file": each.place.file,
            "line": each.place.line,
            "column": each.place.column,
        }
        for severity, each in check_texts(files, (), _definitions(tools), now)
    ]


def _definitions(paths: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Tool definitions by server and name, from `{SERVER: {"tools": […]}}`."""
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        try:
            if path.stat().st_size > MAX_TOOLS_BYTES:
                raise ValueError("over 32 MiB")
            whole: Json = json.loads(path.read_text(encoding="utf-8"))
            assert isinstance(whole, Mapping)
            for server, listing in whole.items():
                tools = listing["tools"] if isinstance(listing, Mapping) else listing
                assert isinstance(tools, list)
                found.setdefault(server, {}).update(
                    (str(tool["name"]), json.dumps(tool)) for tool in tools
                )
        except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
            raise CliError(
                Exit.USAGE,
                "tools_unreadable",
                f"`{path}` holds no tools",
                'it should be `{"SERVER": {"tools": […]}}`, as `tools/list` answers',
            ) from error
    return found
