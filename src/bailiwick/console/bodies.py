"""Request bodies, read with a limit and parsed strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from bailiwick.core.errors import TheirError

MAX_FORM_BYTES = 64 * 1024
MAX_JSON_BYTES = 4 * 1024 * 1024

Body = TypeVar("Body", bound=msgspec.Struct)


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of an urlencoded form.

    Raises:
        TheirError: `not_a_form`, `body_too_large`, `bad_request` (not UTF-8, a field twice).
    """
    if _media_type(request) != "application/x-www-form-urlencoded":
        raise TheirError("not_a_form", "expected a form")
    raw = await _read(request, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise TheirError("bad_request", "the form is not readable") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise TheirError("bad_request", "a field of the form is there twice")
    return fields


async def read_json(request: Request, kind: type[Body], limit_bytes: int = MAX_JSON_BYTES) -> Body:
    """The JSON body as a `kind`.

    Raises:
        TheirError: `not_json`, `body_too_large`, `bad_json`.
    """
    if _media_type(request) != "application/json":
        raise TheirError("not_json", "send `Content-Type: application/json`")
    raw = await _read(request, limit_bytes)
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TheirError("bad_json", f"the body is not as expected: {error}") from error


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read(request: Request, limit_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise TheirError("body_too_large", f"the body is larger than {limit_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
