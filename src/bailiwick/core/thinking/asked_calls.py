"""What the models of a run asked for and have not got yet: bounded, and each thing serves once.

Only what came from a model's server through the gateway stands here. What an agent says that the
model asked for does not: it may say what it likes.

A call the model asked for is open until the agent makes it, or tells the model how it came out. An
identical second call is another one, and the model must have asked twice.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bailiwick.core.argument_path import escape_key
from bailiwick.core.canonical import Json, JsonObject, canonical
from bailiwick.core.errors import TheirError
from bailiwick.core.thinking.said_and_did import MAX_DIFFERENCES, SaidAndDid, Thought
from bailiwick.core.values import CANNOT_TELL, HOLDS, Truth

MAX_OPEN = 1_024
MAX_BYTES = 1024 * 1024
"""Calls of one run that may be open, and bytes they take; beyond it the oldest are forgotten."""

MAX_KEPT_BYTES = 16 * 1024
"""Longest arguments that are kept whole, to say where others differ. Of longer ones, the digest."""

MAX_NAME_CHARS = 256
"""Longest name of a tool, and longest id of a call, that a model is listened to with."""

_ENTRY_BYTES = 1_024
_NAME_BYTES = 64

MAX_COMPARED = 64
"""Calls of one name whose arguments are compared, to find the one that was meant."""

MIN_PIECE = 12
"""Letters and digits of a text that is looked for inside of another one."""

ANOTHER_TOOL = "(tool)"
"""In `differences`: the agent used the model's id of a call for another tool."""

UNREADABLE = "(unknown)"
"""In `differences`: arguments that cannot be read, or are not kept, so where is not known."""

Means = Callable[[str, tuple[str, ...]], Truth]
"""Whether a name, among those offered, means the tool that was called."""


@dataclass(eq=False, slots=True)
class OpenCall:
    """One call that a model asked for.

    Attributes:
        model_call: our id of the model call whose answer it stood in.
        tool_call: the model's own id of it; may be "".
        name: the tool's name as it was offered.
        offered: all names that were offered with it.
        digest: of the canonical arguments; b"" when they cannot be read.
        arguments: them, parsed; None where they are not kept.
        at_ms: when it was heard.
        size: bytes it takes, roughly.
    """

    model_call: str
    tool_call: str
    name: str
    offered: tuple[str, ...]
    digest: bytes
    arguments: JsonObject | None
    at_ms: int
    size: int


@dataclass(slots=True)
class _Offer:
    """Names that were offered together, and how many open calls stand among them.

    An agent offers the same tools with every request, so they are kept once; and since it can make
    up megabytes of them, they count among the bytes of its run.
    """

    names: tuple[str, ...]
    calls: int = 0

    @property
    def size(self) -> int:
        return sum(map(len, self.names)) + _NAME_BYTES * len(self.names)


@dataclass(frozen=True, slots=True)
class Found:
    """How a call stands to what was asked for; `open` is what it uses up when it runs."""

    thought: Thought
    open: OpenCall | None = None


class AskedCalls:
    """The open calls of one run.

    Attributes:
        listening: a model call of the run was seen, so there is something to compare with.
        complete: nothing was forgotten and nothing missed: what is not here was not asked for.
        thinking: ids of model calls under way: what they ask for is not known yet.
    """

    __slots__ = ("_by_digest", "_offers", "_open", "complete", "listening", "size", "thinking")

    def __init__(self) -> None:
        self._open: OrderedDict[int, OpenCall] = OrderedDict()
        self._by_digest: dict[bytes, list[OpenCall]] = {}
        self._offers: dict[tuple[str, ...], _Offer] = {}
        self.listening = False
        self.complete = True
        self.thinking: set[str] = set()
        self.size = 0

    # --- learning --------------------------------------------------------------------------------

    def heard(
        self,
        model_call: str,
        tool_call: str,
        name: str,
        offered: tuple[str, ...],
        arguments: JsonObject | None,
        at_ms: int,
    ) -> None:
        """A model asked for a call. `arguments`: None when they cannot be read."""
        self.listening = True
        if len(name) > MAX_NAME_CHARS or len(tool_call) > MAX_NAME_CHARS:
            self.complete = False
            return
        digest, size = digest_of_arguments(arguments)
        kept = arguments if size <= MAX_KEPT_BYTES else None
        size = _ENTRY_BYTES + (size if kept else 0)
        entry = OpenCall(model_call, tool_call, name, offered, digest, kept, at_ms, size)
        self._keep(entry)

    def _keep(self, entry: OpenCall) -> None:
        offer = self._offers.get(entry.offered)
        if offer is None:
            offer = self._offers[entry.offered] = _Offer(entry.offered)
            self.size += offer.size
        offer.calls += 1
        entry.offered = offer.names
        self._open[id(entry)] = entry
        self._by_digest.setdefault(entry.digest, []).append(entry)
        self.size += entry.size
        while len(self._open) > MAX_OPEN or self.size > MAX_BYTES:
            self._drop(next(iter(self._open.values())))
            self.complete = False

    def missed(self) -> None:
        """Something a model said is not known: what is not here may have been asked for."""
        self.listening = True
        self.complete = False

    def used(self, entry: OpenCall) -> None:
        """The agent has made this call. Once is enough: a second time does nothing."""
        self._drop(entry)

    def unused(self, entry: OpenCall) -> None:
        """It was not made after all."""
        if id(entry) not in self._open:
            self._keep(entry)

    def used_as(self, model_call: str, tool_call: str, digest: bytes) -> None:
        """As `used`, from the record."""
        for entry in self._by_digest.get(digest, ()):
            if (entry.model_call, entry.tool_call) == (model_call, tool_call):
                self._drop(entry)
                return

    def told(self, tool_call: str) -> None:
        """The agent has told the model how this call came out: whatever it was, it is over."""
        for entry in self.by_id(tool_call):
            self._drop(entry)

    def _drop(self, entry: OpenCall) -> None:
        if self._open.pop(id(entry), None) is None:
            return
        self.size -= entry.size
        alike = self._by_digest[entry.digest]
        alike.remove(entry)
        if not alike:
            del self._by_digest[entry.digest]
        offer = self._offers[entry.offered]
        offer.calls -= 1
        if not offer.calls:
            del self._offers[entry.offered]
            self.size -= offer.size

    # --- asking ----------------------------------------------------------------------------------

    def by_id(self, tool_call: str) -> list[OpenCall]:
        """The open calls to which a model gave this id; none without one."""
        return [each for each in self._open.values() if tool_call and each.tool_call == tool_call]

    def holds(self, words: str) -> bool:
        """Whether `words` stand in the arguments of an open call, or one of its longer texts in
        them; also where its arguments are not kept."""
        sought = _plain(words)
        for entry in self._open.values():
            if entry.arguments is None:
                return True
            for text in _texts(entry.arguments):
                found = _plain(text)
                if sought in found or (len(found) >= MIN_PIECE and found in sought):
                    return True
        return False

    def exact(self, digest: bytes, tool_call: str, means: Means) -> tuple[OpenCall | None, bool]:
        """The open call with exactly these arguments that means this tool, the one of this id
        first; and whether there is one of which it cannot be told."""
        found: OpenCall | None = None
        doubt = False
        for entry in self._by_digest.get(digest, ()) if digest else ():
            truth = means(entry.name, entry.offered)
            doubt = doubt or truth is CANNOT_TELL
            if truth is HOLDS:
                if tool_call and entry.tool_call == tool_call:
                    return entry, False
                found = found or entry
        return found, doubt

    def find(self, arguments: JsonObject, tool_call: str, means: Means) -> Found:
        """How a call stands to what was asked for.

        Args:
            arguments: of the call, with a canonical form.
            tool_call: the model's id of it, as the agent says; it chooses among calls that fit
                and makes none fit.
        """
        if not self.listening:
            return Found(Thought(SaidAndDid.UNKNOWN))
        entry, doubt = self.exact(digest_of_arguments(arguments)[0], tool_call, means)
        if entry is not None:
            return Found(_thought(SaidAndDid.MATCHED, entry), entry)
        if doubt or self.thinking:
            return Found(Thought(SaidAndDid.UNKNOWN))
        near = self._near(arguments, tool_call, means)
        if near is not None:
            return Found(near)
        return Found(Thought(SaidAndDid.UNASKED if self.complete else SaidAndDid.UNKNOWN))

    def _near(self, arguments: JsonObject, tool_call: str, means: Means) -> Thought | None:
        """The open call that this one was made of, with other arguments or of another tool."""
        alike: list[OpenCall] = []
        other: OpenCall | None = None
        known: dict[tuple[str, int], Truth] = {}
        for entry in self._open.values():
            named = bool(tool_call) and entry.tool_call == tool_call
            name = entry.name, id(entry.offered)
            if name not in known:
                known[name] = means(entry.name, entry.offered)
            if known[name] is HOLDS:
                if named:
                    alike = [entry]
                    break
                alike.append(entry)
            elif named:
                other = entry
        if alike:
            told = [
                (differences(each.arguments, arguments), each) for each in alike[-MAX_COMPARED:]
            ]
            paths, entry = min(told, key=lambda each: len(each[0]))
            return _thought(SaidAndDid.ALTERED, entry, paths)
        if other is not None:
            return _thought(SaidAndDid.ALTERED, other, (ANOTHER_TOOL,))
        return None


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _plain(text: str) -> str:
    """Letters and digits alone: what survives being put into other words' company."""
    return "".join(filter(str.isalnum, text)).casefold()


def digest_of_arguments(arguments: JsonObject | None) -> tuple[bytes, int]:
    """SHA-256 of the canonical arguments, and their size; b"" when they have none."""
    if arguments is None:
        return b"", 0
    try:
        text = canonical(arguments)
    except TheirError:
        return b"", 0
    return hashlib.sha256(text).digest(), len(text)


def differences(asked: JsonObject | None, made: JsonObject) -> tuple[str, ...]:
    """Argument paths at which two calls differ, at most `MAX_DIFFERENCES`; lists are one value."""
    if asked is None:
        return (UNREADABLE,)
    found: list[str] = []
    _differ(asked, made, "", found)
    return tuple(found)


def _differ(asked: JsonObject, made: JsonObject, above: str, found: list[str]) -> None:
    for key in (*asked, *(key for key in made if key not in asked)):
        if len(found) >= MAX_DIFFERENCES:
            return
        path = f"{above}.{escape_key(key)}" if above else escape_key(key)
        one, other = asked.get(key, _MISSING), made.get(key, _MISSING)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            _differ(one, other, path, found)
        elif not _same(one, other):
            found.append(path)


def _same(one: Json, other: Json) -> bool:
    """By canonical form: 1 and 1.0 are one number, 1 and true are not."""
    if one is _MISSING or other is _MISSING:
        return False
    try:
        return canonical(one) == canonical(other)
    except TheirError:
        return False


def _thought(match: SaidAndDid, entry: OpenCall, paths: tuple[str, ...] = ()) -> Thought:
    return Thought(match, entry.model_call, entry.tool_call, paths)


_MISSING: Json = ("\0missing",)
