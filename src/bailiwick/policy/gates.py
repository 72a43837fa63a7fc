"""Prepared deciding: for one tool, the statements that concern it and what they look at.

A gate is made at the first call of a tool and kept as long as policies and definitions stay. It
holds no more than the calls of that tool need: statements of which the scope lets them be about
it, a schema of its one action, and of its arguments those that are looked at. So the size of the
organisation does not matter, and an argument no policy looks at need not be expressible.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import cedarpy
from cedarpy import PolicySet, Schema

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.policy.circumstances import Found, Moment, finders
from bailiwick.policy.expressing import Expression
from bailiwick.policy.schema import Action, schema_json
from bailiwick.policy.statements import Statement, Wanted
from bailiwick.policy.types import Attribute, RecordOf, only

BASE_PERMIT = "permit(principal, action, resource);"
"""Mandates say what is allowed, policies what is not, unless the organisation says otherwise."""

_NUMBER = re.compile(r"policy([0-9]+)")


@dataclass(frozen=True, slots=True)
class Gate:
    """What decides about the calls of one action.

    Attributes:
        statements: in the order of the ids Cedar gives them (`policy0`, …).
        input_type: of the arguments that are looked at; None if none is.
        undeclared: whether the names of undeclared arguments are looked at.
        asks_who: whether it may matter which agent acts.
    """

    action: Action
    statements: Sequence[Statement]
    policies: PolicySet
    schema: Schema
    input_type: RecordOf | None
    undeclared: bool
    found: Sequence[tuple[str, Found]]
    asks_who: bool
    action_ref: JsonObject = field(init=False)
    resource_ref: JsonObject = field(init=False)

    def __post_init__(self) -> None:
        """Prepare what is the same in every request."""
        object.__setattr__(self, "action_ref", {"type": "Action", "id": self.action.id})
        object.__setattr__(self, "resource_ref", {"type": "Server", "id": self.action.server})

    def context(self, moment: Moment) -> JsonObject:
        """What the statements look at.

        Raises:
            Inexpressible: an argument they look at has no exact form.
        """
        context: dict[str, Json] = {name: of(moment) for name, of in self.found}
        arguments = moment.call.arguments
        expression = Expression()
        if self.input_type is not None:
            context["input"] = expression.of(arguments, self.input_type, "")
        if self.undeclared:
            names = [name for name in arguments if name not in self.action.declared]
            context["undeclared"] = expression.texts(names)
        return context

    def named(self, policy_id: str) -> Statement | None:
        """The statement Cedar speaks of; None for the base permit."""
        found = _NUMBER.fullmatch(policy_id)
        number = int(found.group(1)) if found else len(self.statements)
        return self.statements[number] if number < len(self.statements) else None


@dataclass(frozen=True, slots=True)
class Unfit:
    """Statements that do not fit the action as it is now. They refuse every call of it."""

    statements: Sequence[Statement]
    because: str


def make_gate(
    action: Action, statements: Sequence[Statement], *, deny_by_default: bool
) -> Gate | Unfit:
    """Prepare the gate of an action from the statements that concern it."""
    wrong = misfits(action, statements)
    if wrong:
        unfit = [statement for statement in statements if statement.id in wrong]
        return Unfit(unfit, next(iter(wrong.values())))
    wanted = Wanted()
    for statement in statements:
        wanted.merge(statement.wanted)
    context = only(action.context, wanted)
    assert isinstance(context, RecordOf)
    base = [] if deny_by_default else [BASE_PERMIT]
    text = "\n".join([*(statement.text for statement in statements), *base])
    looked_at: Attribute | None = context.attributes.get("input")
    return Gate(
        action=action,
        statements=tuple(statements),
        policies=PolicySet.from_str(text),
        schema=Schema.from_json_str(
            schema_json(
                [Action(action.id, action.group, action.server, context)], named_actions(statements)
            )
        ),
        input_type=looked_at.type if looked_at and isinstance(looked_at.type, RecordOf) else None,
        undeclared="undeclared" in context.attributes,
        found=finders(
            Wanted(inside={name: wanted.at(name) or Wanted() for name in context.attributes})
        ),
        asks_who=any(statement.asks_who for statement in statements),
    )


def misfits(action: Action, statements: Sequence[Statement]) -> Mapping[str, str]:
    """The first thing wrong with each statement, by its id, as the engine's validator words it."""
    if not statements:
        return {}
    schema = Schema.from_json_str(schema_json([action], named_actions(statements)))
    wrong: dict[str, str] = {}
    for number, message in validate(statements, schema):
        wrong.setdefault(statements[number].id, message)
    return wrong


def validate(
    statements: Sequence[Statement], schema: Schema, *, in_thread: bool = False
) -> list[tuple[int, str]]:
    """What is wrong with statements under a schema: which one, and the validator's words.

    Args:
        in_thread: let other threads run meanwhile.
    """
    text = "\n".join(one.text for one in statements)
    result = cedarpy.validate_policies(text, schema, release_gil=in_thread)
    if result.validation_passed:
        return []
    found: list[tuple[int, str]] = []
    for error in result.errors:
        match = _NUMBER.fullmatch(error.policy_id)
        # What cannot be told to be of one statement is held against each of them.
        numbers = [int(match.group(1))] if match else range(len(statements))
        message = re.sub(r"^for policy `policy[0-9]+`[:,] ", "", error.error)
        found += [(number, message) for number in numbers]
    return found or [(number, "it does not fit") for number in range(len(statements))]


def named_actions(statements: Collection[Statement]) -> set[str]:
    """Ids of the actions that statements name."""
    return {entity.id for one in statements for entity in one.entities if entity.type == "Action"}
