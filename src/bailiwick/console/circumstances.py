"""`only:` of a declared mandate or rule in words. What is not understood is shown as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from bailiwick.core.canonical import Json

_ASKED = {
    "matched": "when a model asked for exactly this",
    "altered": "when a model asked for it with other arguments",
    "unasked": "when no model asked for it",
}


def said_only(only: Json) -> list[str]:
    """Each circumstance as one phrase, to follow "only"; [] when none is asked for."""
    if not isinstance(only, Mapping):
        return [] if only is None else [_plain(only)]
    trusted = _words(only.get("agent_may_say"))
    return [
        _phrase(key, value) + (" (the agent's word will do)" if key in trusted else "")
        for key, value in only.items()
        if key != "agent_may_say"
    ]


def _phrase(key: str, value: Json) -> str:
    match key:
        case "hours":
            return " or ".join(_hours(each) for each in _list(value))
        case "outside_hours":
            return "at other times than " + " or ".join(_hours(each) for each in _list(value))
        case "run_labels":
            return f"in a run labelled {_or(value)}"
        case "purpose":
            return f"in a run for the purpose {_or(value)}"
        case "end_users":
            return f"for the end user {_or(value)}"
        case "zones":
            return f"from the network zone {_or(value)}"
        case "model_call" if isinstance(value, Mapping):
            return " and ".join(_of_model(name, asked) for name, asked in value.items())
        case "asked_by_model":
            return " or ".join(_ASKED.get(word, word) for word in _words(value))
        case "started_by":
            return f"in a run that a {_plain(value)} started"
        case _:
            return f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _of_model(key: str, value: Json) -> str:
    match key:
        case "asked_as":
            return f"for a model asked for as {_or(value)}"
        case "substitute":
            return "in place of another model" if value is True else "in no other model's place"
        case "max_output":
            return f"with an answer of at most {_plain(value)} tokens"
        case "more_output_than":
            return f"with an answer that may take more than {_plain(value)} tokens"
        case "tools":
            return f"offering no tools but {_or(value) or 'none'}"
        case "hosted_tools":
            return f"offering no tools of the model's server but {_or(value) or 'none'}"
        case "any_tool":
            return f"offering the tool {_or(value)}"
        case _:
            return f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _hours(hours: Json) -> str:
    if not isinstance(hours, Mapping):
        return _plain(hours)
    parts = [" and ".join(_words(hours.get("days"))) or "every day"]
    if "from" in hours or "to" in hours:
        parts.append(f"from {_plain(hours.get('from'))} to {_plain(hours.get('to'))}")
    parts.append(f"in {_plain(hours.get('zone'))}")
    without = [*_words(hours.get("except"))]
    without += [f"the days of the calendar {name}" for name in _words(hours.get("calendar"))]
    known = {"days", "from", "to", "zone", "except", "calendar"}
    rest = {key: value for key, value in hours.items() if key not in known}
    more = f" ({json.dumps(rest, ensure_ascii=False)})" if rest else ""
    return " ".join(parts) + (f", except {', '.join(without)}" if without else "") + more


def _or(value: Json) -> str:
    return " or ".join(_words(value))


def _words(value: Json) -> list[str]:
    return [_plain(item) for item in _list(value)]


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _list(value: Json) -> Sequence[Json]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)
