"""How conditions on URLs and email addresses are written in a mandate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions.email import Email
from bailiwick.core.conditions.urls import Url
from bailiwick.core.texts.email import read_email
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.hosts import read_host_pattern
from bailiwick.declared.problems import Problem
from bailiwick.declared.shapes import Choice, Field, ListOf, Record, Text, Whole
from bailiwick.declared.tree import Table


def _read_url_path(text: str) -> Glob:
    if text[:1] not in ("/", "*"):
        raise ValueError("a path starts with `/`")
    if not set(text).isdisjoint("%?#;"):
        raise ValueError("write the path as it reads once decoded, without `%`, `?`, `#` and `;`")
    return Glob(text)


def _read_address(text: str) -> None:
    address = read_email(text)
    if isinstance(address, str):
        raise ValueError(address)


_HOST = Text(reads=read_host_pattern, max_length=255)
_SCHEME = Text(
    r"[a-z][a-z0-9+.-]*", "is not a scheme in lower case, such as `https`", max_length=32
)

URL = Record(
    "a condition on URLs",
    {
        "schemes": Field(
            ListOf(_SCHEME, most=64, or_one=True), "What stands before `://`, in lower case."
        ),
        "hosts": Field(
            ListOf(_HOST, or_one=True),
            "Hosts: `api.example.com`, `192.0.2.1`, `[2001:db8::1]`; `*.example.org` is any "
            "subdomain, and not `example.org` itself.",
        ),
        "ports": Field(
            ListOf(Whole(1, 65_535), most=64, or_one=True),
            "Ports, written in the URL or the scheme's own.",
        ),
        "paths": Field(
            ListOf(Text(reads=_read_url_path), or_one=True),
            "Paths, as they read once percent-encoding is undone; `*` is any run of characters.",
        ),
        "address": Field(
            Choice(("public",)),
            "The host is no private, local or otherwise special address, by its text.",
        ),
    },
    some_of=("schemes", "hosts", "ports", "paths", "address"),
)

EMAIL = Record(
    "a condition on email addresses",
    {
        "domains": Field(
            ListOf(_HOST, or_one=True),
            "What stands after the `@`; `*.example.org` is any subdomain of it.",
        ),
        "addresses": Field(
            ListOf(Text(reads=_read_address, max_length=254), or_one=True), "Whole addresses."
        ),
    },
    some_of=("domains", "addresses"),
)


def warn_urls(condition: Table) -> Iterator[Problem]:
    """What a condition in an allow rule leaves open of where URLs lead."""
    asked = condition.get("url")
    if isinstance(asked, Table) and asked.get("hosts") is None and asked.get("address") is None:
        message = (
            "`url` lets any host be reached, private ones too: add `hosts` or `address: public`"
        )
        yield Problem(asked.place, message)


def url_condition(path: ArgumentPath, asked: Json, optional: bool) -> Url:
    """The condition that `asked` (checked against `URL`) puts on an argument."""
    assert isinstance(asked, Mapping)
    return Url(
        path,
        schemes=_texts(asked, "schemes"),
        hosts=tuple(read_host_pattern(text) for text in _texts(asked, "hosts")),
        ports=tuple(int(text) for text in _texts(asked, "ports")),
        url_paths=tuple(_read_url_path(text) for text in _texts(asked, "paths")),
        public=asked.get("address") == "public",
        optional=optional,
    )


def email_condition(path: ArgumentPath, asked: Json, optional: bool) -> Email:
    """The condition that `asked` (checked against `EMAIL`) puts on an argument."""
    assert isinstance(asked, Mapping)
    domains = tuple(read_host_pattern(text) for text in _texts(asked, "domains"))
    return Email(path, _texts(asked, "addresses"), domains, optional)


def _texts(asked: JsonObject, key: str) -> tuple[str, ...]:
    """The texts of a list, or of one that stands without the list."""
    value = asked.get(key, ())
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else (str(value),)
