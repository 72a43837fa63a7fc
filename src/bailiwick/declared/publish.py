"""Print the JSON Schema of declarations, for docs/reference/schema and for editors."""

from __future__ import annotations

import json
import sys

from bailiwick.declared.schema import schema


def published() -> str:
    """The schema as it is published: indented, in the order of the definition."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(published())
