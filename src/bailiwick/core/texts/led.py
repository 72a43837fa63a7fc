"""Texts that know where they lead.

A path of a call may lead elsewhere than it says, by symbolic links. Whoever sees the same files as
the server has looked, and tells it with the text itself: so conditions stay functions of a value,
and whatever else looks at that sees the text it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.core.canonical import Json, JsonObject

Leads = Mapping[str, str]
"""Where paths lead, by their text: absolute and without links. "" where that cannot be told."""

NOWHERE: Leads = {}


class Led(str):
    """A text of a call of which some paths lead elsewhere.

    Attributes:
        leads: of all paths of the call, and of the folders they are held to.
    """

    __slots__ = ("leads",)
    leads: Leads

    def __new__(cls, text: str, leads: Leads) -> Led:
        """Any text; that it is a path is up to who asks."""
        led = str.__new__(cls, text)
        led.leads = leads
        return led


def elsewhere(leads: Leads) -> list[tuple[str, str]]:
    """Those paths that lead elsewhere than they say, with the place ("": it cannot be told)."""
    return [(text, there) for text, there in leads.items() if there != text]


def leads_in(value: Json) -> Leads:
    """What a text, or the texts of a list, know of where they lead; empty if nothing."""
    texts = value if isinstance(value, list | tuple) else (value,)
    return next((text.leads for text in texts if isinstance(text, Led)), NOWHERE)


def marked(arguments: JsonObject, leads: Leads) -> JsonObject:
    """The same arguments, of which all texts know where they lead."""
    return {name: _marked(value, leads) for name, value in arguments.items()}


def _marked(value: Json, leads: Leads) -> Json:
    if isinstance(value, str):
        return Led(value, leads)
    if isinstance(value, Mapping):
        return marked(value, leads)
    if isinstance(value, list | tuple):
        return [_marked(item, leads) for item in value]
    return value
