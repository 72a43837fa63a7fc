"""What a server says its tools, resources and prompts are: digests, and what hides in the text.

A definition is read by a model as instructions, so one that changes after it was looked at (a
"rug pull") or that holds characters people cannot see ("tool poisoning") is an attack path.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bailiwick.core.canonical import Digest, Json, JsonObject, digest_of
from bailiwick.core.errors import TheirError
from bailiwick.protocols.mcp.headers import ParamHeader, param_headers_of
from bailiwick.protocols.strict_json import parse

MAX_NAME_CHARS = 512

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064"
    "\u2800\u3164\ufeff\uffa0"
)
_PLAIN = re.compile(r"[\x20-\x7e\n\t\r]*")
_PLAIN_SPACE = frozenset("\n\t\r ")
_TASK_SUPPORT = tuple({"taskSupport": word} for word in ("forbidden", "optional", "required"))


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition as a server gave it.

    Attributes:
        name: tool or prompt name, resource URI, or URI template.
        digest: SHA-256 over its canonical JSON (for the one exception see `_pinned`).
        headers: the tool's `x-mcp-header` annotations.
        hidden: descriptions of unseen characters in it, such as `U+202E in /description`.
    """

    name: str
    digest: Digest
    headers: tuple[ParamHeader, ...] = ()
    hidden: tuple[str, ...] = ()


def read_definition(raw: bytes, named_by: str) -> Definition:
    """Read one raw list item strictly.

    Raises:
        TheirError: it is not strict JSON, has no canonical form, or its name is not text of 1 to
            512 visible characters.
    """
    value = parse(raw)
    if not isinstance(value, Mapping):
        raise TheirError("definition_malformed", "a definition is not an object")
    name = value.get(named_by)
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        raise TheirError("definition_malformed", f"`{named_by}` is not text of 1 to 512 characters")
    if any(unseen(char) or char in "\n\r\t" for char in name):
        raise TheirError("definition_malformed", f"the name `{shown(name)}` hides characters")
    headers = param_headers_of(value.get("inputSchema")) if named_by == "name" else ()
    return Definition(name, digest_of(_pinned(value)), headers, tuple(hidden_in(value)))


def _pinned(value: JsonObject) -> JsonObject:
    """What the digest is over: the same for every revision the server speaks.

    2025-11-25 alone has `execution` on tools, so a server of both eras lists it to one client and
    not to the next. Left out only where it says that and nothing else: text can hide in it, too.
    """
    if value.get("execution") in _TASK_SUPPORT:
        return {name: item for name, item in value.items() if name != "execution"}
    return value


def unseen(char: str) -> bool:
    """Whether a character is not seen where it stands, or changes how others are seen."""
    if char in _PLAIN_SPACE or " " < char < "\x7f":
        return False
    return (
        char in _BIDI
        or char in _INVISIBLE
        or unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def shown(text: str) -> str:
    """`text` with every unseen character spelled `⟨U+202E⟩`; safe for a terminal or page."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(f"⟨U+{ord(char):04X}⟩" if unseen(char) else char for char in text)


def hidden_in(value: JsonObject) -> Iterator[str]:
    """Where unseen characters stand in a definition, one line per text, at most 32 lines."""
    found = 0
    stack: list[tuple[str, Json]] = [("", value)]
    while stack and found < 32:
        path, node = stack.pop()
        if isinstance(node, str):
            if _PLAIN.fullmatch(node):
                continue
            chars = sorted({f"U+{ord(char):04X}" for char in node if unseen(char)})
            if chars:
                found += 1
                yield f"{', '.join(chars[:8])} in {shown(path) or '/'}"
        elif isinstance(node, Mapping):
            for name, below in node.items():
                # The name is text a model reads as well.
                stack += [(f"{path}/{name}", below), (f"{path}/{name} (name)", name)]
        elif isinstance(node, list | tuple):
            stack.extend((f"{path}/{index}", below) for index, below in enumerate(node))
