"""The values in what came back from a server, or was sent to one, each with where it stands.

A result is JSON that wraps other things: `{"content": [{"type": "text", "text": "…"}], …}`, and
text in it is often JSON once more. What counts as a value is what the server says, not the
protocol's own words about it (`"type": "text"`).

Truth values and nulls are no leaves: they say nothing of where they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from bailiwick.core.argument_path import EACH, Each, escape_key
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.texts.whole import BETWEEN
from bailiwick.core.values import number_of

MAX_DEPTH = 64
"""Levels looked into."""

MAX_NESTED_PARTS = 4
"""A message holds a block that holds a resource; what lies deeper is taken as plain JSON."""

Place = tuple["Place", str | Each] | None
"""The steps to a leaf, last first; None for the top. Written out only when asked."""

Leaf = tuple[Place, str]
"""Where it stands, and its text; a number's is its plain decimal notation."""

_MAX_EXPONENT = 64
_JSON_STARTS = frozenset("{[ \n\r\t")

# Not what a server says, but how: `data` and `blob` are pictures and the like in base64.
_ENVELOPE = frozenset({"type", "mimeType", "annotations", "_meta", "role", "data", "blob"})
_WRAPPERS = frozenset({"content", "contents", "messages"})
_SIGNS = frozenset({"isError", "resultType", "_meta"})

_decode = msgspec.json.Decoder().decode


class Leaves:
    """A list of leaves under way.

    Attributes:
        found: in the order in which they stand.
        complete: nothing was left out for lying too deep.
    """

    __slots__ = ("_all_keys", "_fields_whole", "complete", "found")

    def __init__(self, *, all_keys: bool = False, fields_whole: bool = False) -> None:
        """Args:
        all_keys: keys that are plain words are leaves too.
        fields_whole: text in a field is text, also if it is JSON: somebody else may have written it
            there. Text at the top is what the server says, and is taken apart.
        """
        self.found: list[Leaf] = []
        self.complete = True
        self._all_keys = all_keys
        self._fields_whole = fields_whole

    def joined(self) -> str:
        """The texts in one, apart from each other."""
        text = BETWEEN.join([text for _, text in self.found])
        if text.count(BETWEEN) >= len(self.found) > 0:
            return BETWEEN.join([text.replace(BETWEEN, "\ufffd") for _, text in self.found])
        return text

    def apart(self) -> tuple[str, str]:
        """The texts joined, those of fields and those of plain text: what stands at the top."""
        fields, prose = Leaves(), Leaves()
        for leaf in self.found:
            (prose if leaf[0] is None else fields).found.append(leaf)
        return fields.joined(), prose.joined()

    def add(self, value: Json, place: Place = None, depth: int = 0) -> None:
        """Everything beneath `value`."""
        kind = type(value)
        if kind is str:
            self._add_text(value, place, depth)  # type: ignore[arg-type]  # by its type
        elif value is None or kind is bool:
            return
        elif depth > MAX_DEPTH:
            self.complete = False
        elif kind is dict or isinstance(value, Mapping):
            self._add_table(value, place, depth)  # type: ignore[arg-type]  # a mapping
        elif kind is list or isinstance(value, list | tuple):
            here = (place, EACH)
            for item in value:  # type: ignore[union-attr]  # a list
                self.add(item, here, depth + 1)
        else:
            text = _number_text(value)
            if text:
                self.found.append((place, text))

    def _add_table(self, table: JsonObject, place: Place, depth: int) -> None:
        found, all_keys = self.found, self._all_keys
        for key, item in table.items():
            here = (place, key)
            if all_keys or not key.isidentifier():
                found.append((here, key))
            # Most are plain texts, and this is on the path of every result.
            if type(item) is str and item[:1] not in _JSON_STARTS:
                found.append((here, item))
            else:
                self.add(item, here, depth + 1)

    def _add_text(self, text: str, place: Place, depth: int) -> None:
        if text and text[0] in _JSON_STARTS and not (self._fields_whole and place is not None):
            inner = _inner(text)
            if inner is not None:
                # Deeper than it looks: JSON in JSON in JSON is not gone after for ever.
                self.add(inner, place, depth + 8)
                return
        self.found.append((place, text))

    def add_part(self, part: Json, depth: int = 0) -> None:
        """One block of content, one message or one resource; they may hold one another."""
        if not isinstance(part, Mapping) or depth > MAX_NESTED_PARTS:
            self.add(part)
            return
        for key, item in part.items():
            if key == "text":
                self.add(item)
            elif key in ("content", "resource"):
                for each in item if isinstance(item, list) else (item,):
                    self.add_part(each, depth + 1)
            elif key not in _ENVELOPE:
                self.add(item, (None, key))


def leaves_of_reply(body: bytes, *, fields_whole: bool = False) -> Leaves:
    """The values in a server's result or error; none if it is no JSON.

    Keys that are plain words are names and no values; others (`{"ann@a.example": …}`) are both.
    """
    leaves = Leaves(fields_whole=fields_whole)
    value = read_reply(body)
    if not isinstance(value, Mapping):
        leaves.add(value)
        return leaves
    for key, item in value.items():
        if key in _WRAPPERS and isinstance(item, list):
            for part in item:
                leaves.add_part(part)
        elif key == "structuredContent":
            leaves.add(item)
        elif key not in _SIGNS:
            leaves.add(item, (None, key))
    return leaves


def given_by_reply(body: bytes) -> Leaves:
    """The values that a server gives out: those of its structured content alone, if it has one.

    The text beside it says the same once more, for people.
    """
    value = read_reply(body)
    if not isinstance(value, Mapping) or "structuredContent" not in value:
        return leaves_of_reply(body, fields_whole=True)
    leaves, given = Leaves(fields_whole=True), value["structuredContent"]
    if isinstance(given, Mapping) and list(given) == ["result"]:
        given = given["result"]  # SDKs wrap plain text like this: it stays plain text
    leaves.add(given)
    return leaves


def fields_of_reply(body: bytes, wanted: Callable[[str], bool]) -> Leaves:
    """The values in a server's result that stand at paths that are `wanted`.

    Only in what a server structured itself: its structured content, or else the one block of its
    answer. In one of several, a text that somebody else wrote could look like a field.
    """
    leaves = Leaves(fields_whole=True)
    value = read_reply(body)
    if not isinstance(value, Mapping):
        return leaves
    content = value.get("content")
    if "structuredContent" in value:
        leaves.add(value["structuredContent"])
    elif isinstance(content, list) and len(content) == 1:
        leaves.add_part(content[0])
    leaves.found = [(place, text) for place, text in leaves.found if wanted(path_text(place))]
    return leaves


def leaves_of(values: Sequence[Json]) -> Leaves:
    """Everything in `values`, every key included: for what is sent, where nothing may be missed."""
    leaves = Leaves(all_keys=True)
    for value in values:
        leaves.add(value)
    return leaves


def path_text(place: Place) -> str:
    """A place as an argument path: `payee.iban`, `items[].amount`; "" for the top."""
    steps: list[str | Each] = []
    while place is not None:
        place, step = place
        steps.append(step)
    text = ""
    for step in reversed(steps):
        # INVARIANT: a key named `[]` is no item of a list: `fields` says what is trusted by paths.
        if isinstance(step, Each):
            text += EACH.value
        else:
            text += ("." if text else "") + escape_key(step)
    return text


def read_reply(body: bytes) -> Json:
    """The JSON of a result or error; None if it is none."""
    try:
        value: Json = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value


def _inner(text: str) -> Json:
    """The object or list that a text is the JSON of, or None."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        inner: Json = _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return inner if isinstance(inner, dict | list) else None


def _number_text(value: Json) -> str:
    number = number_of(value)
    if isinstance(number, int):
        return str(number) if -(10**64) < number < 10**64 else ""
    if number is None or abs(number.adjusted()) > _MAX_EXPONENT:
        return ""
    return format(Decimal(number), "f")
