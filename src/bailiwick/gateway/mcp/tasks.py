"""Who may ask about a task: the authority that created it, at the server that runs it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from bailiwick.core.call import Target

MAX_TASKS = 50_000
MAX_TASK_ID_CHARS = 512


@dataclass(frozen=True, slots=True)
class TaskOwner:
    """Whose task it is, and what call it came from."""

    authority: str
    target: Target


class TaskBook:
    """Task ids by server. The oldest are forgotten first; a forgotten task is unknown to all."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[tuple[str, str], TaskOwner] = OrderedDict()

    def keep(self, server: str, task_id: str, owner: TaskOwner) -> bool:
        """Bind a task to its creator; False when it is another's already."""
        known = self._tasks.get((server, task_id))
        if known is not None:
            return known.authority == owner.authority
        self._tasks[server, task_id] = owner
        if len(self._tasks) > MAX_TASKS:
            self._tasks.popitem(last=False)
        return True

    def owner(self, server: str, task_id: str, authority: str) -> TaskOwner | None:
        """The owner's record; None for anyone else and for unknown tasks alike."""
        known = self._tasks.get((server, task_id))
        return known if known is not None and known.authority == authority else None
