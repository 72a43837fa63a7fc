"""Rows as the JSON of docs/reference/api.md."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from bailiwick.console.rights import why_not
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports import (
    ApplyReport,
    CallExplained,
    CallPath,
    CallRow,
    HoldRow,
    MadeChild,
    MandateRead,
    ObjectRow,
    Person,
    Pinned,
    PolicyReport,
    RunShown,
    StampRow,
    UpstreamStatus,
)


def call_json(call: CallRow) -> JsonObject:
    """One call."""
    return asdict(call)


def stamp_json(stamp: StampRow) -> JsonObject:
    """One stamp; the hold it is on is told by where it stands."""
    shape: dict[str, Json] = asdict(stamp)
    del shape["hold"]
    return shape


def hold_json(hold: HoldRow, person: Person, now_ms: int) -> JsonObject:
    """One hold, as `person` sees it now."""
    because = why_not(person, hold, now_ms)
    shape: dict[str, Json] = asdict(hold)
    shape["stamps"] = [stamp_json(stamp) for stamp in hold.stamps]
    shape["rendering_sha256"] = rendering_sha256(hold)
    shape["you"] = {"may_stamp": not because, "because": because}
    return shape


def rendering_sha256(hold: HoldRow) -> str:
    """Lower-case hex SHA-256 of the text a stamp on this hold binds."""
    return hashlib.sha256(hold.rendering.encode()).hexdigest()


def path_json(path: CallPath, person: Person, now_ms: int) -> JsonObject:
    """The whole path of one call."""
    return {
        "call": call_json(path.call),
        "hold": None if path.hold is None else hold_json(path.hold, person, now_ms),
        "intent": path.intent,
        "outcome": path.outcome,
        "leaves": [{"index": index, "leaf": leaf} for index, leaf in path.leaves],
    }


def explained_json(told: CallExplained) -> JsonObject:
    """Why a call was judged as it was."""
    return asdict(told)


def reading_json(read: MandateRead) -> JsonObject:
    """One version of a mandate in sentences."""
    return {**asdict(read), "sentences": list(read.sentences), "above": list(read.above)}


def run_json(shown: RunShown) -> JsonObject:
    """One run with what it was told."""
    told = {**asdict(shown.words), "labels": list(shown.words.labels), "erased": shown.erased}
    return {**asdict(shown.row), "states": dict(shown.row.states), **told}


def object_json(row: ObjectRow) -> JsonObject:
    """One declared object, its document parsed."""
    return {**asdict(row), "document": parsed(row.document)}


def pin_json(pin: Pinned) -> JsonObject:
    """One pinned definition, parsed."""
    return {**asdict(pin), "definition": parsed(pin.definition)}


def server_json(status: UpstreamStatus) -> JsonObject:
    """One upstream's state."""
    return {**asdict(status), "stderr_tail": list(status.stderr_tail)}


def child_json(made: MadeChild) -> JsonObject:
    """A child mandate just made, with the token for its agent."""
    return {**asdict(made), "document": parsed(made.document)}


def report_json(report: ApplyReport) -> JsonObject:
    """What `apply` found."""
    return {
        "applied": report.applied,
        "changes": [asdict(change) for change in report.changes],
        "problems": [asdict(problem) for problem in report.problems],
    }


def policies_json(report: PolicyReport) -> JsonObject:
    """The organisation's policies, and what is wrong with them."""
    return {
        "version": report.version,
        "in_force": list(report.in_force),
        "schema": report.schema,
        "problems": [asdict(problem) for problem in report.problems],
    }


def person_json(person: Person) -> JsonObject:
    """Who is asking."""
    return {"name": person.name, "roles": sorted(person.roles), "method": person.method}


def parsed(document: str) -> Json:
    """Stored JSON text as a value; text that is no JSON (a damaged record) as it is."""
    try:
        value: Json = json.loads(document)
    except ValueError:
        return document
    return value
