"""Telling runs: a page of steps at a time, however long a run is.

The record is read in the order in which it came; payloads are opened as for a single call, and what
was destroyed with its person's key is told as erased.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from bailiwick.console.agent_spans import AgentSpans
from bailiwick.console.story_steps import leaf_shown, linked, step_of
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import CallQuery, Control, Records
from bailiwick.ports.story import MAX_STEPS, LeafShown, Step, Story

MAX_PAGE_BYTES = 8 * 1024 * 1024
"""Sealed payloads opened for one page; the step that passes it is the last."""

SpansOf = Callable[[str, Sequence[Step]], Awaitable[Mapping[str, Sequence[JsonObject]]]]
"""What the agent's own telemetry tells of a run, by the call it belongs to ("" for none): takes the
run and the steps of a page."""


class Stories:
    """Tells runs, from the record."""

    def __init__(self, records: Records, control: Control, spans: SpansOf | None = None) -> None:
        self._records = records
        self._control = control
        self._spans: SpansOf = spans or AgentSpans(control)

    async def page(self, run_id: str, after: str = "", limit: int = MAX_STEPS) -> Story:
        """A page of a run's story: the steps behind that of the call `after`.

        Raises:
            TheirError: `run_unknown`; `call_unknown`: `after` is no call of this run.
        """
        run = await self._control.run(run_id)
        if run is None:
            raise TheirError("run_unknown", f"no run `{run_id[:64]}`")
        if after:
            call = await self._records.call(after)
            if call is None or call.run != run_id:
                raise TheirError("call_unknown", f"no call `{after[:64]}` in this run")
        limit = max(1, min(limit, MAX_STEPS))
        query = CallQuery(limit=limit + 1, run=run_id, after=after, first="oldest")
        rows = await self._records.calls(query)
        steps: list[Step] = []
        opened = 0
        for row in rows[:limit]:
            path = await self._control.path(row.id)
            if path is None:
                continue
            steps.append(step_of(path))
            opened += path.opened_bytes
            if opened > MAX_PAGE_BYTES:
                break
        following = steps[-1].id if steps and len(rows) > len(steps) else ""
        spans = await self._spans(run_id, steps)
        told = tuple(
            replace(step, spans=tuple(spans[step.id])) if step.id in spans else step
            for step in linked(steps)
        )
        return Story(
            run=run,
            chain=steps[0].chain if steps else (),
            steps=told,
            following=following,
            entry=await self._entry(run.row.entry_index),
            spans=tuple(spans.get("", ())),
        )

    async def _entry(self, index: int | None) -> LeafShown | None:
        if index is None:
            return None
        for stored in await self._records.entries(index, index + 1):
            leaf = parse_leaf(stored.leaf)
            head: dict[str, Json] = {"type": leaf.type, "at": leaf.at_ms}
            return leaf_shown(index, {**head, **leaf.fields})
        return None
