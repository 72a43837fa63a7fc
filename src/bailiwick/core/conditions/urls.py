"""Conditions on URLs, by what every reader makes of them (see `core/texts/urls.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import Condition, listed, not_text
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.hosts import HostPattern
from bailiwick.core.texts.urls import UrlText, read_url, read_url_path
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, every, fold, show, some


@dataclass(frozen=True, slots=True)
class Url(Condition):
    """The value is a URL that fits all of these; what is empty is not asked.

    Attributes:
        schemes: in lower case.
        hosts: any of these.
        ports: the one written in the URL, else the scheme's own.
        url_paths: any of these, compared with the path once its percent-encoding is undone.
        public: the host is no private or special address and no name of a local network, as far as
            its text tells.
    """

    path: ArgumentPath
    schemes: tuple[str, ...] = ()
    hosts: tuple[HostPattern, ...] = ()
    ports: tuple[int, ...] = ()
    url_paths: tuple[Glob, ...] = ()
    public: bool = False
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if not isinstance(value, str):
            return CANNOT_TELL
        url = read_url(value)
        return CANNOT_TELL if isinstance(url, str) else every(self._asked(url))

    def _asked(self, url: UrlText) -> Iterator[Truth]:
        if self.schemes:
            yield HOLDS if url.scheme in self.schemes else FAILS
        if self.hosts:
            yield some(pattern.of(url.host) for pattern in self.hosts)
        if self.ports:
            yield _port(url.port, self.ports)
        if self.public:
            yield HOLDS if url.host.is_public else FAILS
        if self.url_paths:
            yield _path(url.path, self.url_paths)

    def stands(self, value: Json) -> str:
        """How this value stands."""
        if not isinstance(value, str):
            return not_text(value)
        url = read_url(value)
        why = url if isinstance(url, str) else ""
        if isinstance(url, UrlText) and self.url_paths:
            _, trick = read_url_path(url.path)
            why = f"has a path that {trick}" if trick else ""
        return f"is {show(value)} which {why}" if why else f"is {show(value)}"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        parts = ["a public URL" if self.public else "a URL"]
        if self.schemes:
            parts.append(f"by {_either(self.schemes)}")
        if self.hosts:
            parts.append(f"at {_either(pattern.text for pattern in self.hosts)}")
        if self.ports:
            parts.append(f"on port {_either(self.ports)}")
        if self.url_paths:
            parts.append(f"with a path like {_either(glob.text for glob in self.url_paths)}")
        return " ".join(parts)


def _port(port: int | None, ports: tuple[int, ...]) -> Truth:
    if port is None:  # a scheme whose own port is not known here
        return CANNOT_TELL
    return HOLDS if port in ports else FAILS


def _path(raw: str, globs: tuple[Glob, ...]) -> Truth:
    path, trick = read_url_path(raw)
    if trick:
        return CANNOT_TELL
    if any(glob.matches(path) for glob in globs):
        return HOLDS
    # Many servers take `/Admin` and `/admin/` for `/admin`.
    folded = fold(path)
    other = folded[:-1] if folded.endswith("/") else folded + "/"
    near = any(glob.nearly_matches(folded) or glob.nearly_matches(other) for glob in globs)
    return CANNOT_TELL if near else FAILS


def _either(items: Iterable[Json]) -> str:
    return listed(show(item) for item in items)
