"""The one exception family of the project.

Decisions are values (see `verdict.py`) and never raised. An exception means that something could
not be done. Five branches, told apart by who has to act:

* `TheirError`: the caller sent something that cannot be accepted.
* `OurError`: a defect or an exhausted resource on our side.
* `StoreError`: durable state could not be read or written.
* `VerificationError`: a proof, signature or digest does not hold.
* `ConfigError`: a declared object or a setting is wrong.

Each carries a stable `code` (snake case, part of the API) and one line for people. A message never
holds a secret; input it quotes stands in backticks.
"""

from __future__ import annotations


class BailiwickError(Exception):
    """Base of everything this project raises on purpose."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class TheirError(BailiwickError):
    """The other side sent something unacceptable; repeating it unchanged cannot help."""


class OurError(BailiwickError):
    """We could not do our part; the request itself may be fine."""


class StoreError(OurError):
    """Durable state is unavailable. Whatever depended on it is denied."""


class Conflict(StoreError):
    """A conditional change did not find what it expected; nothing was written."""


class LimitReached(Conflict):
    """A reservation does not fit a limit; nothing was written."""


class UpstreamDown(OurError):
    """An upstream could not be reached; nothing was sent to it."""


class UpstreamBroken(OurError):
    """An upstream was sent a request and no reply to it is known."""


class VerificationError(BailiwickError):
    """A signature, proof, digest or commitment does not hold."""


class ConfigError(BailiwickError):
    """A declared object or setting is wrong; `message` says where and what would be right."""
