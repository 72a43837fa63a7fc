"""Change members of a YAML file; comments, order and quotes stay."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bailiwick.cli.exits import CliError, Exit

if TYPE_CHECKING:
    from ruamel.yaml import YAML


def get_member(text: str, path: Sequence[str]) -> object | None:
    """The value at `path`, or None when there is none. Raises CliError as `read_yaml`."""
    node: object = read_yaml(text)[1]
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def set_member(text: str, path: Sequence[str], value: object) -> str:
    """Write `value` at `path`, making the mappings on the way.

    Raises:
        CliError: the text is not a YAML mapping, or something on the way is none.
    """
    yaml, document = read_yaml(text)
    node = document
    for depth, name in enumerate(path[:-1]):
        below = node.setdefault(name, {})
        if not isinstance(below, dict):
            stated = ".".join(path[: depth + 1])
            raise CliError(Exit.USAGE, "settings_unusable", f"`{stated}` is not a mapping")
        node = below
    if path[-1] in node and node[path[-1]] == value:
        return text
    node[path[-1]] = value
    return _dumped(yaml, document)


def remove_member(text: str, path: Sequence[str]) -> str:
    """Take the member at `path` out; the text as it is when there is none. Raises as above."""
    yaml, document = read_yaml(text)
    node: object = document
    for name in path[:-1]:
        node = node.get(name) if isinstance(node, dict) else None
    if not isinstance(node, dict) or path[-1] not in node:
        return text
    del node[path[-1]]
    return _dumped(yaml, document)


def read_yaml(text: str) -> tuple[YAML, dict[str, object]]:
    """A YAML mapping, to be written again as it was.

    Raises:
        CliError: it is not YAML, or no mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()  # round trip
    yaml.preserve_quotes = True
    yaml.width = 1 << 16
    try:
        document = yaml.load(text) if text.strip() else {}
    except YAMLError as error:
        raise CliError(Exit.USAGE, "settings_unusable", "the settings are not YAML") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise CliError(Exit.USAGE, "settings_unusable", "the settings are not a mapping")
    return yaml, document


def _dumped(yaml: YAML, document: dict[str, object]) -> str:
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
