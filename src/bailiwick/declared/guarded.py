"""Objects whose changes wait for people: what they declare of it, and what a change would be.

An object with `changes` stays in force as it is when it is declared differently. The change is kept
beside it until enough people with the role have accepted exactly that change. What guards a change
is what was declared before it: removing or weakening `changes` is a change like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.declared.names import NAME
from bailiwick.declared.objects import Declaration, texts
from bailiwick.declared.shapes import Field, ListOf, Record, Whole

KINDS = ("alias", "model")
"""Kinds of objects that may be guarded: which model answers, and where it stands."""

REQUESTER = "requester"
"""In `not`: whoever declared the change."""

MAX_PEOPLE = 10

CHANGES = Field(
    Record(
        "a guard of changes",
        {
            "stamp": Field(
                Record(
                    "a stamp of changes",
                    {
                        "role": Field(NAME, "The role a person needs to accept a change."),
                        "not": Field(
                            ListOf(NAME, or_one=True, most=64),
                            "Who may not: `requester` (who declared the change), or a person.",
                        ),
                        "people": Field(
                            Whole(1, MAX_PEOPLE), "How many different people must accept; 1."
                        ),
                    },
                    some_of=("role", "not", "people"),
                ),
                "What it takes for a change to come into force.",
                required=True,
            )
        },
    ),
    "Changes wait until people have accepted them; until then it stays as it is.",
)


@dataclass(frozen=True, slots=True)
class Guard:
    """What it takes for a change to come into force.

    Attributes:
        role: "" for any person.
        excluded: people who may not accept, and `REQUESTER`.
        people: how many different ones.
    """

    role: str = ""
    excluded: frozenset[str] = frozenset()
    people: int = 1

    def objection(self, person: str, roles: frozenset[str], requester: str) -> str:
        """Why this person may not accept a change that `requester` declared; "" if they may."""
        if self.role and self.role not in roles:
            return f"it takes the role `{self.role}`"
        if person in self.excluded:
            return f"`{person}` may not accept changes of it"
        if REQUESTER in self.excluded and person == requester:
            return "whoever declared a change may not accept it"
        return ""

    @property
    def phrase(self) -> str:
        """`2 different people with the role `reviewer` (not `requester`)`."""
        people = "1 person" if self.people == 1 else f"{self.people} different people"
        role = f" with the role `{self.role}`" if self.role else ""
        excluded = ", ".join(f"`{name}`" for name in sorted(self.excluded))
        return people + role + (f" (not {excluded})" if excluded else "")


def guard_of(declaration: Declaration) -> Guard | None:
    """What guards changes of this object; None for nothing."""
    changes = declaration.spec.get("changes") if declaration.kind in KINDS else None
    stamp = changes.get("stamp") if isinstance(changes, Mapping) else None
    if not isinstance(stamp, Mapping):
        return None
    people, role = stamp.get("people"), stamp.get("role")
    return Guard(
        role if isinstance(role, str) else "",
        frozenset(texts(stamp, "not")),
        people if isinstance(people, int) else 1,
    )
