"""The people's side: server-rendered pages and the HTTP API, over the ports."""

from bailiwick.console.app import console_app
from bailiwick.console.parts import Parts

__all__ = ["Parts", "console_app"]
