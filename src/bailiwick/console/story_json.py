"""A run's story as the JSON of docs/reference/api.md."""

from __future__ import annotations

from dataclasses import asdict

from bailiwick.console.shapes import run_json
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports.story import Step, Story


def story_json(story: Story) -> JsonObject:
    """A page of a story."""
    return {
        "run": run_json(story.run),
        "chain": list(story.chain),
        "entry": None if story.entry is None else asdict(story.entry),
        "steps": [step_json(step) for step in story.steps],
        "spans": list(story.spans),
        "next": story.following or None,
    }


def step_json(step: Step) -> JsonObject:
    """One step; what only other kinds of calls have is left out."""
    whole: dict[str, Json] = asdict(step)
    without = ("arguments", "result", "failed") if step.model is not None else ("model",)
    for name in without:
        del whole[name]
    return whole
