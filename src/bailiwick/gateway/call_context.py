"""What is known of a call, from its judgement to its end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from operator import attrgetter

import msgspec

from bailiwick.core.call import Call
from bailiwick.core.flow.labels import Labels
from bailiwick.core.limits.limit import Charge, Charges
from bailiwick.core.mandate import Mandate, authority
from bailiwick.core.thinking.asked_calls import OpenCall
from bailiwick.core.thinking.said_and_did import Retold, Thought


class CallContext(msgspec.Struct, frozen=True):
    """What stays the same over the life of one call.

    `subject` is the person whose key seals its payloads: the principal, for whom the agent acts.

    Attributes:
        chain: the mandates it was judged under, root first.
        labels: what its run has read; looked at anew whenever the call is judged.
        charges: what it takes of limits, as judged last.
        policies: version of the organisation's policies it was judged under; "" for none.
        asked_in: the run that asks, where the call was held for `run`, maybe another; else "".
        thought: of a tool call, how it stands to what the model asked for.
        retold: of a model call, how the results it repeats to the model stand to what came back.
        asked_for: what a tool call uses up of what its run's models asked for.
        offered: of a model call, the names of the tools that are offered to the model.
        address: where it came from, "" if that is not known or nothing depends on it.
    """

    call: Call
    run: str
    agent: str
    owner: str
    chain: tuple[Mandate, ...]
    edge: str
    traceparent: str
    token: str
    labels: Labels
    charges: tuple[Charge, ...] = ()
    policies: str = ""
    asked_in: str = ""
    thought: Thought | None = None
    retold: tuple[Retold, ...] = ()
    asked_for: OpenCall | None = None
    offered: tuple[str, ...] = ()
    address: str = ""

    @property
    def mandate(self) -> Mandate:
        """The one its agent acts under."""
        return self.chain[-1]

    @property
    def authority(self) -> str:
        """All of its chain, with versions: what a stamp is given for."""
        return authority(self.chain)

    @property
    def subject(self) -> str:
        """The principal."""
        return self.chain[-1].principal


class _Charged(msgspec.Struct, omit_defaults=True):
    """A charge as it is recorded, in this order: what is as usual is left out."""

    rule: str
    account: str
    amount: int | msgspec.Raw
    ceiling: int
    unit: str = ""
    scale: int = 1
    key: str = ""
    member: str = ""
    since: int | msgspec.Raw = 0


_of_charge = attrgetter(
    "rule", "account", "amount", "ceiling", "unit", "scale", "key", "member", "since_ms"
)

_encode = msgspec.json.Encoder().encode

_MARK = b"\0"
"""Stands for a number that is yet to come; in JSON it stands nowhere else."""


def charged(reserved: Sequence[Charge]) -> list[_Charged] | msgspec.Raw:
    """What a call reserves, as it is recorded."""
    if type(reserved) is not Charges:
        return list(starmap(_Charged, map(_of_charge, reserved)))
    # What calls of one form reserve is written once, and each puts its numbers in.
    form = reserved.form
    if not form.text:
        form.text = _text(reserved)
    return msgspec.Raw(form.text % tuple(reserved.numbers))


def _text(reserved: Charges) -> bytes:
    """What is recorded of charges of one form, with `%d` for each number in which they differ."""
    rows = list(starmap(_Charged, map(_of_charge, reserved)))
    for each in reserved.form.varying:
        if each.slides_ms:
            rows[each.at].since = msgspec.Raw(_MARK)
        else:
            rows[each.at].amount = msgspec.Raw(_MARK)
    return _encode(rows).replace(b"%", b"%%").replace(_MARK, b"%d")
