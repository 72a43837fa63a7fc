"""Requests of the stateful revisions that a server without sessions cannot be sent.

They change what a session hears; here the gateway keeps that itself.
"""

from __future__ import annotations

from collections import OrderedDict

from bailiwick.ports import UpstreamReply, UpstreamRequest

LOCAL_METHODS = frozenset(
    {"ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)
"""Subscriptions reach a server by `Upstream.listen`, with the URIs a listener wants."""

_MAX_KNOWN = 10_000


class LocalAnswers:
    """Answers `LOCAL_METHODS`, and remembers the log level each session has asked for.

    Attributes:
        log_levels: by session; none for one that has not asked.
    """

    def __init__(self) -> None:
        self.log_levels: OrderedDict[str, str] = OrderedDict()

    def answer(self, request: UpstreamRequest) -> UpstreamReply:
        """The reply; `logging/setLevel` becomes a field of later requests."""
        level = request.params.get("level")
        if request.method == "logging/setLevel" and isinstance(level, str):
            self.log_levels[request.client.session] = level
            self.log_levels.move_to_end(request.client.session)
            if len(self.log_levels) > _MAX_KNOWN:
                self.log_levels.popitem(last=False)
        return UpstreamReply(result=b"{}")

    def forget(self, session: str) -> None:
        """The session has ended."""
        self.log_levels.pop(session, None)
