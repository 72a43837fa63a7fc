"""Tokens made from the data folder's keys, for people who hold the folder: its operators."""

from __future__ import annotations

from pathlib import Path

from bailiwick.app.data_folder import open_folder
from bailiwick.app.system_clock import SystemClock


def mint_person_token(data: Path, person: str, ttl_seconds: int) -> str:
    """A person's token, signed with the keys in `data`. Works with or without a gateway.

    Whether the person is declared is checked where the token is used.

    Raises:
        ConfigError: `data_folder_missing`, or its keys cannot be used.
        TheirError: `ttl_out_of_range`.
    """
    key = open_folder(data).token_key()
    return key.issue_person(person, ttl_seconds, SystemClock().wall_ms()).token
