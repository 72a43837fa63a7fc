"""What one request said in its headers.

Apart from `headers.py`, which is compiled: a compiled class has no `__dict__` to be given.
"""

from __future__ import annotations


class Headers:
    """The headers the edge reads. Values are as received, without white space around them.

    Attributes:
        twice: a routing header of 2026-07-28 that stands twice, or "".
        params: `Mcp-Param-*` pairs, names in lower case, in order.
        asked: `Mcp-Method` as text.
        named: `Mcp-Name` decoded; None where it is absent or malformed.
        trace: `traceparent` if it is one, else "".
    """

    host: bytes | None = None
    origin: bytes | None = None
    authorization: bytes | None = None
    content_type: bytes | None = None
    content_length: bytes | None = None
    accept: bytes | None = None
    version: bytes | None = None
    method: bytes | None = None
    name: bytes | None = None
    session: bytes | None = None
    last_event: bytes | None = None
    traceparent: bytes | None = None
    agent_session: bytes | None = None
    run: bytes | None = None
    instruction: bytes | None = None
    purpose: bytes | None = None
    run_labels: bytes | None = None
    end_user: bytes | None = None

    asked: str | None = None
    named: str | None = None
    trace: str = ""

    def __init__(self, found: dict[str, bytes], params: list[tuple[str, str]], twice: str) -> None:
        # What was received becomes the attributes; the class holds None for the rest.
        self.__dict__ = found
        self.params = params
        self.twice = twice
