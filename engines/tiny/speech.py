"""What the tiny model knows: its tokens, and which one follows which.

A model of random weights says nothing that a test could expect. This one has weights that were
written instead of learned, so that real engines, with their own samplers, grammars and parsers,
give answers that are known beforehand. It is a chain: each token has one that follows it. Which
chain is taken is said by the last token of the prompt, a *mode*, which the chat template chooses
from what the request asks for; where chains part, the mode decides, through real attention.

Under a grammar the next token of the chain is often not allowed. Then each byte has a preference,
which ends JSON as soon as it may end.
"""

from __future__ import annotations

from itertools import pairwise

END = "<|end|>"
USER, ASSISTANT, SYSTEM, TOOL = "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>"
SAY, ACT, GO_ON = "<|say|>", "<|act|>", "<|on|>"
THINK_AND_SAY, THINK_AND_ACT = "<|think-say|>", "<|think-act|>"
MODES = (SAY, ACT, GO_ON, THINK_AND_SAY, THINK_AND_ACT)
CONTROL = (END, USER, ASSISTANT, SYSTEM, TOOL, *MODES)

SAID = ("Two", " and", " forty", " make", " forty-two.")
THOUGHT = ("They", " want", " a", " sum;", " I", " add", " it.")
CALL = ("<tool_call>", '\n{"name": "add", ', '"arguments": {', '"a": 2, ', '"b": 40}', "}\n",
        "</tool_call>")  # fmt: skip
ENDLESS = (" on", " yet")
THINK, THOUGHT_ENDS = "<think>", "</think>"
PIECES = (THINK, *THOUGHT, THOUGHT_ENDS, *SAID, *CALL, *ENDLESS)  # none is a single character

# What follows what; several where the mode decides.
FOLLOWS: dict[str, tuple[str, ...]] = {
    SAY: SAID[:1],
    ACT: CALL[:1],
    GO_ON: ENDLESS[:1],
    THINK_AND_SAY: (THINK,),
    THINK_AND_ACT: (THINK,),
    THINK: THOUGHT[:1],
    THOUGHT[-1]: (THOUGHT_ENDS,),
    THOUGHT_ENDS: (SAID[0], CALL[0]),
    SAID[-1]: (END,),
    CALL[-1]: (END,),
    ENDLESS[-1]: ENDLESS[:1],
    **{one: (other,) for words in (SAID, THOUGHT, CALL, ENDLESS) for one, other in pairwise(words)},
}
PREFERS = {SAY: SAID[0], THINK_AND_SAY: SAID[0], ACT: CALL[0], THINK_AND_ACT: CALL[0]}


def byte_characters() -> list[str]:
    """The character that stands for each byte, as GPT-2 wrote them and all engines read them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = (chr(256 + number) for number in range(256 - len(plain)))
    return [chr(byte) if byte in plain else next(other) for byte in range(256)]


TOKENS = (*byte_characters(), *PIECES, *CONTROL)


def preference(piece: str) -> float:
    """How much a token is liked where the chain has nothing to say: 1 the most, -4 the least."""
    if piece == END:
        return 1.0
    if len(piece) > 1:
        return -4.0
    order = '"}],:{[1x'
    if piece in order:
        return -order.index(piece) / 4
    return -2.5 if piece.isascii() and piece.isprintable() and piece != "\\" else -3.5


def template(*, thinks: bool) -> str:
    """The chat template, in Jinja. It thinks first always, or only when the last words ask for it.

    "without end" in the last message makes it go on; offered tools make it call one, once.
    """
    # Who always thinks, as DeepSeek's R1, begins with the tag open.
    opened = THINK if thinks else ""
    return (
        "{%- for message in messages -%}"
        "{{ '<|' ~ (message.role if message.role in ['user', 'assistant', 'tool'] else 'system')"
        " ~ '|>' }}"
        "{%- if message.content is string -%}{{ message.content }}"
        "{%- elif message.content -%}"
        "{%- for part in message.content -%}{{ part.text }}{%- endfor -%}"
        "{%- endif -%}"
        "{{ '<|end|>' }}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}"
        "{%- set last = messages[-1] -%}"
        "{%- set words = last.content | string -%}"
        f"{{%- set thinks = {'true' if thinks else 'false'} or 'think' in words -%}}"
        "{{ '<|assistant|>' }}"
        "{%- if 'without end' in words -%}{{ '<|on|>' }}"
        "{%- elif tools and last.role == 'user' -%}"
        f"{{{{ '<|think-act|>{opened}' if thinks else '<|act|>' }}}}"
        f"{{%- else -%}}{{{{ '<|think-say|>{opened}' if thinks else '<|say|>' }}}}"
        "{%- endif -%}"
        "{%- endif -%}"
    )
