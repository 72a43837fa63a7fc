"""What one run was told and has read: `Labels`, kept in memory, bounded, deterministic.

The memory hears of everything in the order in which it happened: the instruction and the mandates'
own values, each call as it is sent, each result before the agent sees it, each stamp. From that it
answers what the run has read (by the targets alone: once a call is sent, the run counts as having
read what its target gives) and whether a value is vouched for:

1. it stands whole in the instruction, or is a value that a person wrote into the mandate; or
2. a person has stamped a call for it in this run; or
3. a trusted result gives it out, as a whole field or in plain text, and nothing that the run had
   sent until then held it.

INVARIANT: 3 looks at what was *sent before*: a value that the agent made up (or took from somewhere
untrusted), and that comes back out of a trusted tool it was put into, is not vouched for by that.

Texts are kept in normal form, joined, and searched when asked: to learn is cheap, and nothing has
to be known in advance of what will be asked.

When a bound is reached nothing is vouched for that could not be looked up: what does not fit is not
kept, and once what was sent does not fit, no later result vouches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from bailiwick.core.call import Call, CallKind
from bailiwick.core.canonical import Json
from bailiwick.core.conditions import Condition, Equals, Items, OneOf, Which
from bailiwick.core.conditions.email import Email
from bailiwick.core.flow.kept import MAX_KEPT_CHARS, ReadResult, Seen, Texts
from bailiwick.core.flow.labels import NO_FACTS, Facts, Source, Vouching
from bailiwick.core.flow.leaves import (
    Leaves,
    fields_of_reply,
    given_by_reply,
    leaves_of,
    read_reply,
)
from bailiwick.core.flow.worth import Worth, Worths
from bailiwick.core.mandate import Mandate
from bailiwick.core.texts.whole import BETWEEN, Wanted, normal, wanted
from bailiwick.core.values import fold_inside

MAX_LEARNED_BYTES = 256 * 1024
"""Largest result that is learned from. A larger one is not recorded whole either, so a memory that
is built again from the record knows as much as the first."""

MAX_LEAVES_ASKED = 64
"""Most values in one argument that are looked up; an argument with more is not vouched for."""

MIN_PIECE = 6
"""Letters and digits a value needs to be looked for as a piece of something longer. Shorter ones
are looked for as wholes, or every call would hold them."""

MAX_DIGITS_OF_NAME = 2
"""Digits in a key that passes for the name of a field (`line_2`) and not for a value."""

MAX_ANSWERS = 256
MAX_ANSWER_CHARS = 256
"""Answers remembered until something happens, and the longest value among them: of a held call the
same is asked again and again."""

_NOT_LETTERS = re.compile(r"[^\w\0]+|_+")


class RunMemory:
    """The memory of one run; `with_facts` makes the `Labels` of one call."""

    def __init__(self, worths: Worths, *, texts: bool = True) -> None:
        """Args:
        worths: what results are worth.
        texts: whether it is going to be asked of values; if not, it only keeps labels.
        """
        self.keeps_texts = texts
        self._worths = worths
        self._now = 0
        self._given = Texts()
        self._named = Texts()
        self._trusted_fields = Texts()
        self._trusted_prose = Texts()
        self._sent = Texts()
        self._sent_compact = Texts()
        self._trusting_until: int | None = None
        self._unread: list[tuple[int, Source, bytes, Worth]] = []
        self._trusted_bytes = 0
        self._read: list[ReadResult] = []
        self._read_bytes = 0
        self._answers: dict[str, Vouching] = {}
        self.untrusted: Source | None = None
        self._confidential: dict[str, Source] = {}

    # --- learning --------------------------------------------------------------------------------

    def told(self, instruction: str, supplier: str) -> None:
        """The run's instruction, before anything else. `supplier`: `person` or `agent`."""
        self._give(instruction, Source("instruction", name=supplier))

    def signed(self, mandate: Mandate) -> None:
        """What a person wrote into a root mandate: its purpose, and the values it allows by name.

        Not of a child mandate, which an agent made, and not of what is denied or held for a stamp:
        naming a value in order to stop it vouches for nothing.
        """
        if mandate.parent:
            return
        source = Source("mandate", name=mandate.ref)
        self._give(mandate.purpose, source)
        for rule in mandate.allow:
            for condition in rule.conditions:
                self._give_values(_allowed_by_name(condition), source)

    def endorsed(self, value: Json, person: str) -> None:
        """A person has stamped a call for `value`: from now on it is vouched for."""
        self._give_values((value,), Source("stamp", name=person))

    def sending(self, call: Call) -> None:
        """A call whose intent is durable is about to be sent.

        From here on the run carries the labels of what it asks. A request of a server to the
        agent's side is the other way about: its arguments are what the run reads.

        A model is the agent's own thinking: what it says is news from nobody, so it taints nothing
        and, whatever a mandate calls trusted, vouches for nothing (`learn`).
        """
        self._happened()
        where = Source("result", call.id, str(call.target))
        worth = self._worths.of(call.target)
        if call.target.kind is CallKind.MODEL:
            for label in worth.confidential:
                self._confidential.setdefault(label, where)
            return
        if not worth.wholly_trusted and self.untrusted is None:
            self.untrusted = where
        for label in worth.confidential:
            self._confidential.setdefault(label, where)
        if not self.keeps_texts:
            return
        if call.target.kind is CallKind.CLIENT:
            self._keep_read(call.canonical, where)
            return
        sent = (call.arguments, call.beside) if call.beside else (call.arguments,)
        self._keep_sent(leaves_of(sent), Source("arguments", call.id, str(call.target)))

    def learn(self, call: Call, body: bytes) -> None:
        """What came back of `call`: a result or an error, as JSON text, before the agent sees it.

        What the agent's side answers a server is sent, and read by nobody here.
        """
        if not self.keeps_texts or call.target.kind is CallKind.MODEL:
            return
        self._happened()
        where = Source("result", call.id, str(call.target))
        if call.target.kind is CallKind.CLIENT:
            if len(body) > MAX_LEARNED_BYTES:
                self._stop_trusting()
            else:
                self._keep_sent(leaves_of((read_reply(body),)), where)
        elif len(body) > MAX_LEARNED_BYTES:
            return
        else:
            worth = self._worths.of(call.target)
            if worth.trusted and self._trusted_bytes + len(body) <= MAX_KEPT_CHARS:
                self._unread.append((self._now, where, body, worth))
                self._trusted_bytes += len(body)
            if not worth.wholly_trusted:
                self._keep_read(body, where)

    def lost(self) -> None:
        """Part of what this run has done is not known: doubt means no.

        It counts as having read something untrusted and everything confidential, and no result
        vouches, since the agent may have put into it what it likes.
        """
        unknown = Source("unknown")
        if self.untrusted is None:
            self.untrusted = unknown
        for label in self._worths.every_label:
            self._confidential.setdefault(label, unknown)
        self._trusting_until = 0
        self._answers.clear()

    # --- asking ----------------------------------------------------------------------------------

    @property
    def facts(self) -> Facts:
        """None are known here: see `with_facts`."""
        return NO_FACTS

    @property
    def confidential(self) -> Mapping[str, Source]:
        """Confidentiality labels of what the run has read, with where each first came from."""
        return self._confidential

    @property
    def size(self) -> int:
        """Roughly the bytes this memory takes."""
        texts = (self._given, self._named, self._sent, self._sent_compact)
        return sum(text.size for text in texts) + self._trusted_bytes + self._read_bytes + 1_000

    def with_facts(self, facts: Facts) -> RunLabels:
        """The labels of one call; they go on following this memory."""
        return RunLabels(facts, self)

    def vouching(self, value: Json) -> Vouching:
        """Whether `value` is vouched for; of a list or an object, whether all values in it are."""
        if isinstance(value, Mapping | list | tuple):
            return self._vouching_of_all(value)
        if value is None or isinstance(value, bool):
            return Vouching(vouched=False)
        assert isinstance(value, str | int | float)
        asked = repr(value)
        answer = self._answers.get(asked)
        if answer is None:
            answer = self._look_up(value)
            if len(asked) <= MAX_ANSWER_CHARS and len(self._answers) < MAX_ANSWERS:
                self._answers[asked] = answer
        return answer

    def _look_up(self, value: str | int | float) -> Vouching:
        sought = wanted(value)
        given = self._given.first_whole(sought) or self._named.first_alone(sought)
        if given is not None:
            return Vouching(vouched=True, source=given[1])
        trusted = self._first_trusted(sought)
        sent = self._first_sent(value, sought)
        if trusted is not None and self._unspoken(trusted[0], sent):
            return Vouching(vouched=True, source=trusted[1])
        return Vouching(vouched=False, source=self._origin(value, sought, sent))

    def _vouching_of_all(self, value: Json) -> Vouching:
        result = Vouching(vouched=False)
        for count, leaf in enumerate(scalars(value), start=1):
            result = self.vouching(leaf)
            if not result.vouched:
                return result
            if count > MAX_LEAVES_ASKED:
                return Vouching(vouched=False)
        return result

    # --- inside ----------------------------------------------------------------------------------

    def _happened(self) -> None:
        self._now += 1
        self._answers.clear()

    def _give(self, text: str, source: Source) -> None:
        self._answers.clear()
        if text:
            self._given.add(normal(text.replace(BETWEEN, " ")), 0, source)

    def _give_values(self, values: Sequence[Json], source: Source) -> None:
        """Values, and not texts: nothing that merely stands in one of them is vouched for."""
        self._answers.clear()
        for leaf in scalars(values):
            text = leaf if isinstance(leaf, str) else leaves_of((leaf,)).joined()
            if text and BETWEEN not in text:
                self._named.add(normal(text), 0, source)

    def _keep_read(self, body: bytes, where: Source) -> None:
        if self._read_bytes + len(body) <= MAX_KEPT_CHARS:
            self._read.append(ReadResult(self._now, where, body))
            self._read_bytes += len(body)

    def _keep_sent(self, leaves: Leaves, where: Source) -> None:
        if self._trusting_until is not None:
            return  # no later result vouches, whatever was sent
        text = leaves.joined()
        kept = not text or (
            len(text) <= MAX_KEPT_CHARS
            and self._sent.add(normal(text), self._now, where)
            and self._sent_compact.add(_compact(text), self._now, where)
        )
        if not (kept and leaves.complete):
            self._stop_trusting()

    def _first_trusted(self, sought: tuple[Wanted, ...]) -> Seen | None:
        """Where a trusted result gives one of `sought` out: as a whole field, or in plain text.

        A word inside a field is not what the field gives out: that may be a name or a note which
        somebody else wrote.
        """
        for when, where, body, worth in self._unread:
            parts = bool(worth.fields)
            leaves = fields_of_reply(body, worth.vouches_at) if parts else given_by_reply(body)
            fields, prose = leaves.apart()
            self._trusted_fields.add(normal(fields), when, where)
            self._trusted_prose.add(normal(prose), when, where)
        self._unread.clear()
        alone = self._trusted_fields.first_alone(sought)
        inside = self._trusted_prose.first_whole(sought)
        if alone is None or inside is None:
            return alone or inside
        return min(alone, inside, key=lambda seen: seen[0])

    def _unspoken(self, when: int, sent: Seen | None) -> bool:
        """Whether something was read before the run can have written it itself."""
        if self._trusting_until is not None and when >= self._trusting_until:
            return False
        return sent is None or when < sent[0]

    def _stop_trusting(self) -> None:
        if self._trusting_until is None:
            self._trusting_until = self._now

    def _first_sent(self, value: Json, sought: tuple[Wanted, ...]) -> Seen | None:
        """When the run first sent something that holds `value`, in whatever writing."""
        found = self._sent.first_anywhere(sought)
        if isinstance(value, str):
            compact = _compact(value)
            piece = self._sent_compact.first(compact) if len(compact) >= MIN_PIECE else None
            if piece is not None and (found is None or piece[0] < found[0]):
                return piece
        return found

    def _origin(self, value: Json, sought: tuple[Wanted, ...], sent: Seen | None) -> Source | None:
        """Where something that is not vouched for was first seen: read, or else made up."""
        piece = normal(value) if isinstance(value, str) and len(value) >= MIN_PIECE else ""
        for read in self._read:
            if sent is not None and sent[0] <= read.when:
                break
            place = read.place_of(sought, piece)
            if place >= 0:
                return read.source_at(place)
        return sent[1] if sent is not None else None


class RunLabels:
    """The labels of one call: the memory of its run, with what is known of this call."""

    __slots__ = ("_memory", "facts")

    def __init__(self, facts: Facts, memory: RunMemory) -> None:
        self.facts = facts
        self._memory = memory

    @property
    def untrusted(self) -> Source | None:
        """See `Labels`."""
        return self._memory.untrusted

    @property
    def confidential(self) -> Mapping[str, Source]:
        """See `Labels`."""
        return self._memory.confidential

    def vouching(self, value: Json) -> Vouching:
        """See `Labels`."""
        return self._memory.vouching(value)


def _allowed_by_name(condition: Condition) -> tuple[Json, ...]:
    """Values that a condition of an allow rule spells out in order to let them through."""
    if isinstance(condition, OneOf):
        return condition.values
    if isinstance(condition, Equals):
        return (condition.value,)
    if isinstance(condition, Email):
        return condition.addresses
    if isinstance(condition, Items) and condition.which is not Which.NONE:
        return tuple(value for each in condition.conditions for value in _allowed_by_name(each))
    return ()


def scalars(value: Json) -> Iterator[Json]:
    """Every plain value beneath `value`, nulls left out: they hold nothing to vouch for.

    A key that is no plain name (`{"ann@a.example": "to"}`) is a value as well: the agent chose it.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not _is_name(key):
                yield key
            yield from scalars(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from scalars(item)
    elif value is not None:
        yield value


def _is_name(key: str) -> bool:
    digits = sum(letter.isdigit() for letter in key)  # an account number is a word, too
    return digits <= MAX_DIGITS_OF_NAME and key.replace("-", "_").isidentifier()


def _compact(text: str) -> str:
    """Letters and digits alone, however written: what survives being formatted anew."""
    # Folding takes out what does not print, and so the sign between texts: each is folded alone.
    plain = text if text.isascii() else BETWEEN.join(map(fold_inside, text.split(BETWEEN)))
    return _NOT_LETTERS.sub("", plain.lower())
