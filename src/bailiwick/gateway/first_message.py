"""A run's instruction, taken from the first message of its first model call.

Only where its mandate says so (`instruction_from: first_message`), and only

1. when that call begins the run: what a run was told never changes;
2. in a session that the agent names itself: a run that all uses of a token share would be told what
   one of them is for;
3. if nobody has said what the run is to do;
4. if no model wrote it. A model that hands work to another agent of the same harness writes that
   one's first message, and it may have read a poisoned page.

It is the agent's word, and counts as much (`supplier` `agent`).
"""

from __future__ import annotations

from bailiwick.core.errors import TheirError
from bailiwick.core.mandate import Mandate
from bailiwick.core.run_words import MAX_INSTRUCTION_CHARS, run_words
from bailiwick.gateway.gate import Asked
from bailiwick.gateway.runs import SESSION_KEY
from bailiwick.gateway.thoughts import Thoughts, dialect_of
from bailiwick.protocols.llm.first_words import first_words


def instruction_of(asked: Asked, mandate: Mandate, thoughts: Thoughts) -> str:
    """What the run that begins with this call is to do, as its first message says; "" for none."""
    if not mandate.first_message_instructs or asked.said.instruction:
        return ""
    dialect = dialect_of(asked.edge)
    if dialect is None or "path" in asked.beside or not asked.run_key.startswith(SESSION_KEY):
        return ""
    words = first_words(dialect, asked.arguments, MAX_INSTRUCTION_CHARS)
    if not words or thoughts.wrote(asked.caller, words):
        return ""
    try:
        return run_words(instruction=words).instruction
    except TheirError:  # no text that a person could read
        return ""
