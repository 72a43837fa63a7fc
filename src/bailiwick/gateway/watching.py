"""The seam for whoever wants to hear how calls go, without a say in it."""

from __future__ import annotations

from typing import Protocol

from bailiwick.core.verdict import Deny, Verdict
from bailiwick.gateway.recorder import CallContext
from bailiwick.ports import CallState, HoldOpened, HoldRow, UpstreamReply


class Watcher(Protocol):
    """Hears of each call after it was made durable. Nothing here may raise, wait or take long."""

    def begun(
        self,
        context: CallContext,
        verdict: Verdict,
        code: str,
        at_ms: int,
        hold: HoldOpened | None = None,
    ) -> None:
        """A call was let run, or waits on `hold`."""
        ...

    def denied(self, context: CallContext, verdict: Deny, at_ms: int) -> None:
        """A call was denied."""
        ...

    def stamped(self, context: CallContext, hold: HoldRow) -> None:
        """A held call was let run."""
        ...

    def ended(
        self,
        context: CallContext,
        state: CallState,
        code: str,
        at_ms: int,
        reply: UpstreamReply | None,
    ) -> None:
        """A call that was let run has ended."""
        ...

    def lapsed(self, hold: HoldRow, state: CallState, code: str, at_ms: int) -> None:
        """A held call ended without having run: refused, expired or withdrawn."""
        ...
