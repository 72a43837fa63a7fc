"""Reading the small languages inside declarations: durations, moments, targets, web addresses.

Each takes text and raises ValueError with the reason in words for people.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from bailiwick.core.call import CallKind
from bailiwick.core.conditions import Under
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.texts.glob import Glob

DURATION = r"[1-9][0-9]{0,5}[smhd]"
MAX_DURATION_SECONDS = 366 * 86_400
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

MOMENT = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)

TARGET_KINDS = {
    "tool": CallKind.TOOL,
    "tools": CallKind.TOOL,
    "resource": CallKind.RESOURCE,
    "resources": CallKind.RESOURCE,
    "prompt": CallKind.PROMPT,
    "prompts": CallKind.PROMPT,
    "client": CallKind.CLIENT,
    "model": CallKind.MODEL,
    "models": CallKind.MODEL,
}
"""The keys of a rule that say what it is about."""

CLIENT_NAMES = ("sampling", "elicitation", "roots")
"""What a server may ask of the agent's side."""


def read_duration(text: str) -> int:
    """Seconds in `90s`, `15m`, `1h` or `2d`; at most a year."""
    if not re.fullmatch(DURATION, text):
        raise ValueError("is not a duration such as `90s`, `15m`, `1h` or `2d`")
    seconds = int(text[:-1]) * _UNIT_SECONDS[text[-1]]
    if seconds > MAX_DURATION_SECONDS:
        raise ValueError("is longer than a year")
    return seconds


def read_moment(text: str) -> int:
    """Unix milliseconds of an RFC 3339 time with its offset."""
    if not re.fullmatch(MOMENT, text):
        raise ValueError("is not a time with its offset, such as `2026-12-31T18:00:00+01:00`")
    try:
        moment = datetime.fromisoformat(text)
        # Whole milliseconds, without going through a float.
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such time") from error


def read_target(text: str, kind: CallKind) -> TargetPattern:
    """The pattern in `SERVER/NAME`, split at the first slash."""
    upstream, slash, name = text.partition("/")
    if not slash or not upstream or not name:
        raise ValueError("is not `SERVER/NAME`; for everything of a server write `SERVER/*`")
    Glob(upstream)
    if kind is CallKind.CLIENT and "*" not in name and name not in CLIENT_NAMES:
        raise ValueError("after the slash stands `sampling`, `elicitation`, `roots` or `*`")
    Glob(name)
    return TargetPattern(kind, upstream, name)


def read_any_target(text: str) -> TargetPattern:
    """`read_target` for what is not a `client` rule."""
    return read_target(text, CallKind.TOOL)


def read_client_target(text: str) -> TargetPattern:
    """`read_target` for a `client` rule."""
    return read_target(text, CallKind.CLIENT)


def read_folder(text: str) -> None:
    """Check a root for `under`."""
    Under(("path",), (text,))


def read_web_address(text: str) -> str:
    """An absolute http(s) address without user, password or fragment."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("is not a web address") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("is not an `http://` or `https://` address")
    if "@" in parts.netloc:
        raise ValueError("holds a user or password; use `headers` with a reference")
    if parts.fragment or not text.isprintable() or " " in text:
        raise ValueError("holds a fragment, a space or a control character")
    return text
