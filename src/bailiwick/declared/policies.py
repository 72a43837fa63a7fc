"""Organisation policies as they are declared: Cedar text in YAML, or in files of its own.

What the text says is read by `bailiwick.policy`; here is only where it stands, so that a place in
it becomes a place in its file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from bailiwick.core.canonical import Digest
from bailiwick.core.values import show
from bailiwick.declared.objects import Declaration
from bailiwick.declared.problems import Place, Problem
from bailiwick.declared.shapes import Choice, Field, Flag, Record, Text, fits
from bailiwick.declared.tree import Scalar, Table

CEDAR_SUFFIX = ".cedar"

MAX_CEDAR_CHARS = 32_768

POLICY = Record(
    "a policy",
    {
        "cedar": Field(
            Text(max_length=MAX_CEDAR_CHARS),
            "One or more statements in Cedar. `bailiwick policy schema` prints what they may name.",
            required=True,
        ),
        "because": Field(
            Text(
                r"[^\u0000-\u001f\u007f]*",
                "holds a line break or control character",
                max_length=300,
            ),
            "Why, in one sentence for people. The agent sees it too. `@because` goes before it.",
        ),
        "default": Field(
            Choice(("allow", "deny")),
            "With `deny` in any policy, calls that no statement permits are refused.",
        ),
        "suspended": Field(Flag(), "Kept, and not in force."),
    },
)


@dataclass(frozen=True, slots=True)
class Policy:
    """A declared policy."""

    name: str
    cedar: str
    digest: Digest
    because: str = ""
    deny_by_default: bool = False
    suspended: bool = False


def compile_policy(declaration: Declaration) -> Policy:
    """The policy of a declaration of kind `policy`."""
    spec = declaration.spec
    return Policy(
        name=declaration.name,
        cedar=str(spec.get("cedar", "")),
        digest=declaration.digest,
        because=str(spec.get("because", "")),
        deny_by_default=spec.get("default") == "deny",
        suspended=spec.get("suspended") is True,
    )


def policy_in(file: str, text: str, name_pattern: str) -> Declaration | Problem:
    """The policy that a file of Cedar declares: it is named like the file."""
    place = Place(file, 1, 1)
    name = PurePath(file).stem
    if not fits(name_pattern, name) or len(name) > 64:
        why = "lower-case letters and digits, with single `-`, `_` or `.` between them"
        return Problem(place, f"the policy would be named {show(name)} like its file: use {why}")
    whole = Scalar(place, text, quoted=True, body=place)
    node = Table(place, [(Scalar(place, "cedar"), whole)])
    return Declaration("policy", name, {"cedar": text}, node)


def place_in(declaration: Declaration, offset: int) -> Place:
    """Where the character at `offset` of a policy's Cedar text stands in its file.

    Exact in a file of Cedar and in a literal block (`cedar: |`); elsewhere where the text starts.
    """
    node = declaration.node
    text = node.get("cedar") if isinstance(node, Table) else None
    if not isinstance(text, Scalar):
        return declaration.place or Place("<stored>", 1, 1)
    if text.body is None:
        return text.place
    before = str(text.value)[:offset]
    line = before.count("\n")
    column = offset - (before.rfind("\n") + 1)
    return Place(text.body.file, text.body.line + line, text.body.column + column)
