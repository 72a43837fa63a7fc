r"""Where a URL leads, by its text alone.

Read twice: by plain rules here, and by the URL standard (WHATWG, by ada). A URL has one meaning
only if both agree, and if older readers (RFC 3986, those that split at the wrong character) agree
too. Everything that is known to tell readers apart leaves none:

1. longer than `MAX_URL`; a space, tab, line break, control or invisible character anywhere (the
   standard drops some of them); characters that compatibility mapping turns into syntax;
2. a backslash (the standard reads it as a slash, others do not);
3. no `scheme://` followed by a host: `//host`, `https:host`, `https:///host`, `javascript:…`,
   `host:443`;
4. a user name or password, or an `@` before the path's first slash (`https://a#@b`, `https://a?@b`);
5. a host that is not plain (see `hosts.py`);
6. a port with leading zeros, empty, zero, or above 65535;
7. whatever the standard's own parser reads otherwise.

The path is read apart, since it matters only to those who ask for it: see `read_url_path`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import ada_url

from bailiwick.core.texts.hosts import Host, read_host
from bailiwick.core.texts.paths import trick_in

MAX_URL = 8_192
"""Longest URL looked at, in characters."""

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
"""The schemes that the standard calls special, but for `file`, which has no host."""

_SPLIT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]+)([^?#]*)(.*)")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_SYNTAX = "/\\.%:~@?#[]"


@dataclass(frozen=True, slots=True)
class UrlText:
    """A URL that has one meaning.

    Attributes:
        scheme: in lower case.
        host: see `hosts.py`.
        port: the one written, else the scheme's own; None where neither is known.
        path: as written, not yet read.
    """

    scheme: str
    host: Host
    port: int | None
    path: str


def read_url(text: str) -> UrlText | str:
    """The URL that `text` states, or in words why it is not plain (the numbers above)."""
    trick = _trick(text)  # 1, 2
    if trick:
        return trick
    split = _SPLIT.fullmatch(text)
    if split is None:  # 3
        return "is not written out as `scheme://host`"
    scheme, authority, path, rest = split[1].lower(), split[2], split[3], split[4]
    if "@" in authority or (not path and "@" in rest):  # 4
        return "holds an `@` before its path: a user name, or a host in disguise"
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:  # 5
        return "holds a host that is not plain"
    host = read_host(parts[1])
    if isinstance(host, str):  # 5
        return f"names a host that {host}"
    port = DEFAULT_PORTS.get(scheme)
    if parts[2] is not None:
        if not _PORT.fullmatch(parts[2]) or int(parts[2]) > 65_535:  # 6
            return "holds a port that is not a plain number from 1 to 65535"
        port = int(parts[2])
    if not _standard_agrees(text, scheme, host, port):  # 7
        return "leads elsewhere by the URL standard"
    return UrlText(scheme, host, port, path)


def read_url_path(raw: str) -> tuple[str, str]:
    """The path with its percent-encoding undone, and in words why it is not plain, or "".

    Servers differ in when they decode, what they merge and what they cut off. Not plain:

    * encoded characters that mean something once decoded (`.`, `/`, `\\`, `%`, `?`, `#`, `;`) or
      that never need encoding; broken escapes; what is not UTF-8 (so overlong forms too);
    * a `.` or `..` step, an empty step, a step with a space at its edge or a dot at its end;
    * a `;`, after which some servers cut the step off.
    """
    path = raw or "/"
    if "%" in path:
        if _BROKEN_ESCAPE.search(path):
            return path, "holds a broken percent escape"
        if _NEEDLESS_ESCAPE.search(path):
            return path, "holds a percent-encoded character that some servers decode early"
        try:
            path = unquote_to_bytes(path).decode("utf-8")
        except UnicodeDecodeError:
            return path, "holds percent-encoded bytes that are no UTF-8"
    trick = trick_in(path, _SYNTAX)
    if trick:
        return path, trick
    if ";" in path:
        return path, "holds a `;`, after which some servers cut a step off"
    steps = path[1:].split("/")
    if "" in steps[:-1]:
        return path, "holds an empty step"
    if any(step.endswith(".") or step.strip() != step for step in steps):
        return path, "holds a step with a space or dot at its edge"
    return path, ""


_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Unreserved characters, and those that are syntax once decoded, and controls.
_NEEDLESS_ESCAPE = re.compile(
    r"%(?:[01][0-9A-Fa-f]|7[Ff]|2[35DdEeFf]|3[0-9BbFf]|4[1-9A-Fa-f]|5[0-9AaCcFf]|6[1-9A-Fa-f]"
    r"|7[0-9AaEe])"
)


def _trick(text: str) -> str:
    if len(text) > MAX_URL:
        return f"is longer than {MAX_URL} characters"
    if " " in text or not (text.isascii() or text.isprintable()):
        return "holds a space"
    if "\\" in text:
        return "holds a backslash"
    return trick_in(text, _SYNTAX)


def _standard_agrees(text: str, scheme: str, host: Host, port: int | None) -> bool:
    """Whether the standard's own spelling starts with the same scheme, host and port."""
    try:
        href = ada_url.URL(text).href
    except ValueError:
        return False
    written = "" if port == DEFAULT_PORTS.get(scheme) else f":{port}"  # its own is left out
    start = f"{scheme}://{host.name}{written}"
    # Schemes that are not special keep the host's case, and need no path.
    return href[: len(start)].lower() == start and href[len(start) :][:1] in ("", "/", "?", "#")
