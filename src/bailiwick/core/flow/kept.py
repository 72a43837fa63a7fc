"""Texts that a run keeps: joined, searched when asked, each with when and where it was seen."""

from __future__ import annotations

from bisect import bisect_right

from bailiwick.core.flow.labels import Source
from bailiwick.core.flow.leaves import leaves_of_reply, path_text
from bailiwick.core.texts.whole import BETWEEN, Wanted, anywhere, normal, whole

MAX_KEPT_CHARS = 1_048_576
"""Most that is kept of each: trusted results, all other results, and what was sent."""

MAX_PATH_BYTES = 65_536
"""Largest result of which it is told where in it a value stands."""

Seen = tuple[int, Source]
"""When (counted in events of this run) and where."""


class Texts:
    """Texts in normal form, in order, each with when and where it was seen."""

    def __init__(self) -> None:
        self._text = ""
        self._new: list[str] = []
        self._starts: list[int] = []
        self._seen: list[Seen] = []
        self.size = 0

    def add(self, text: str, when: int, source: Source) -> bool:
        """Keep `text`; False if there is no room for it."""
        if self.size + len(text) > MAX_KEPT_CHARS:
            return False
        self._starts.append(self.size)
        self._seen.append((when, source))
        self._new += (text, BETWEEN)
        self.size += len(text) + 1
        return True

    @property
    def text(self) -> str:
        """All of it, apart from each other."""
        if self._new:
            self._text = "".join((self._text, *self._new))
            self._new.clear()
        return self._text

    def at(self, place: int) -> Seen:
        """What stands at this place."""
        return self._seen[bisect_right(self._starts, place) - 1]

    def first_anywhere(self, sought: tuple[Wanted, ...]) -> Seen | None:
        """Where one of `sought` first stands, however it is hidden."""
        place = anywhere(sought, self.text)
        return None if place < 0 else self.at(place)

    def first_alone(self, sought: tuple[Wanted, ...]) -> Seen | None:
        """Where one of `sought` is all of a text."""
        place = whole(tuple(each.alone() for each in sought), self.text)
        return None if place < 0 else self.at(place)

    def first_whole(self, sought: tuple[Wanted, ...]) -> Seen | None:
        """Where one of `sought` first stands as a whole."""
        place = whole(sought, self.text)
        return None if place < 0 else self.at(place)

    def first(self, piece: str) -> Seen | None:
        """Where `piece` first stands, whole or not."""
        place = self.text.find(piece)
        return None if place < 0 else self.at(place)


class ReadResult:
    """A result that vouches for nothing, kept to tell where a value was first seen."""

    __slots__ = ("_body", "_text", "_where", "when")

    def __init__(self, when: int, where: Source, body: bytes) -> None:
        self.when = when
        self._where = where
        self._body = body
        self._text: str | None = None

    def place_of(self, sought: tuple[Wanted, ...], piece: str) -> int:
        """Where in its text a value stands, whole or as `piece`; -1 if it does not."""
        if self._text is None:
            self._text = normal(leaves_of_reply(self._body).joined())
        place = whole(sought, self._text)
        return self._text.find(piece) if place < 0 and piece else place

    def source_at(self, place: int) -> Source:
        """What stands at this place of its text."""
        where = self._where
        if self._text is None or len(self._body) > MAX_PATH_BYTES:
            return where
        found, _ = leaves_of_reply(self._body).found[self._text.count(BETWEEN, 0, place)]
        return Source(where.kind, where.call, where.name, path_text(found))
