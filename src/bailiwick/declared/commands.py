"""How conditions on commands are written in a mandate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions.commands import Command, CommandForm, is_runner
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import show
from bailiwick.declared.problems import Problem
from bailiwick.declared.readings import read_folder
from bailiwick.declared.shapes import Field, ListOf, Record, Text
from bailiwick.declared.tree import Items, Node, Scalar, Table


def _read_option(text: str) -> Glob:
    if text[:1] not in ("-", "+"):
        raise ValueError("an option starts with `-` or `+`; other words go under `words`")
    return Glob(text)


def _read_word(text: str) -> Glob:
    if text[:1] in ("-", "+"):
        raise ValueError("a word that starts with `-` or `+` goes under `options`")
    return Glob(text)


_PLAIN_WORD = Text(
    r"[A-Za-z0-9_@%:,./][A-Za-z0-9_@%:,./+-]*",
    "is not a plain word: letters, digits and `_@%:,./+-`, without a `-` or `+` in front",
    max_length=256,
)
_FOLDER = Text(reads=read_folder, max_length=4_096)

FORM = Record(
    "a form of a command",
    {
        "program": Field(_PLAIN_WORD, "The first word, exactly.", required=True),
        "subcommand": Field(
            ListOf(_PLAIN_WORD, or_one=True), "The second word is one of these, exactly."
        ),
        "options": Field(
            ListOf(Text(reads=_read_option), or_one=True),
            "Words that start with `-` or `+` are like one of these; `*` is any run of characters.",
        ),
        "words": Field(
            ListOf(Text(reads=_read_word), or_one=True), "Other words are like one of these."
        ),
        "under": Field(
            ListOf(_FOLDER, or_one=True), "Other words are paths in one of these folders."
        ),
    },
)

COMMAND = ListOf(FORM, most=200, or_one=True)


def warn_commands(condition: Table) -> Iterator[Problem]:
    """What a condition in an allow rule lets programs run that run others."""
    asked = condition.get("command")
    for form in asked.items if isinstance(asked, Items) else (asked,):
        program = form.get("program") if isinstance(form, Table) else None
        if not isinstance(form, Table) or not isinstance(program, Scalar):
            continue
        patterns = [str(each) for key in ("options", "words") for each in _listed(form.get(key))]
        if is_runner(str(program.value)) and any(len(each.strip("*-+")) == 0 for each in patterns):
            message = f"{show(program.value)} can run other programs: name what it may be given"
            yield Problem(program.place, message)


def _listed(node: Node | None) -> Iterable[object]:
    if isinstance(node, Items):
        return [each.value for each in node.items if isinstance(each, Scalar)]
    return [node.value] if isinstance(node, Scalar) else []


def command_condition(path: ArgumentPath, asked: Json, optional: bool) -> Command:
    """The condition that `asked` (checked against `COMMAND`) puts on an argument."""
    forms = asked if isinstance(asked, list | tuple) else (asked,)
    return Command(path, tuple(map(_form, forms)), optional)


def _form(asked: Json) -> CommandForm:
    assert isinstance(asked, Mapping)
    return CommandForm(
        program=str(asked["program"]),
        subcommands=_texts(asked, "subcommand"),
        options=tuple(map(Glob, _texts(asked, "options"))),
        words=tuple(map(Glob, _texts(asked, "words"))),
        under=_texts(asked, "under"),
    )


def _texts(asked: JsonObject, key: str) -> tuple[str, ...]:
    """The texts of a list, or of one that stands without the list."""
    value = asked.get(key, ())
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
