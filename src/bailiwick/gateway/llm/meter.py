"""Whether a stream has made more than was reserved for it.

Nobody counts tokens while they pass: servers report them at the end. What passes is characters, in
pieces. So a stream is over its bound of N tokens

1. when the server itself has counted more than N, as some do along the way;
2. when it has come in more than 2 N pieces and has more than 8 N characters: servers send a token
   or several in one piece, and the tokens of no language have 8 characters on average. One of both
   alone may be a server that cuts tokens to pieces, or text that is mostly blanks;
3. when it has more characters than N of the longest tokens there are.

A stream within its bound is cut only if both of 2 are so, which would take text like none known
from a server like none known. One that heeds no bound ends at two or three times of it, or later
if its server sends many tokens in one piece.
"""

from __future__ import annotations

from bailiwick.gateway.llm.used import MAX_TOKEN_CHARACTERS
from bailiwick.protocols.llm.hearer import Made

_SLACK_PIECES = 16
_PIECES_EACH = 2
_CHARACTERS_EACH = 8


class Meter:
    """Watches one stream.

    Args:
        bound: tokens of output that it may make.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._pieces = bound * _PIECES_EACH + _SLACK_PIECES
        self._characters = bound * _CHARACTERS_EACH
        self._most = bound * MAX_TOKEN_CHARACTERS

    def is_over(self, made: Made) -> bool:
        """Whether it has made too much."""
        characters, pieces, tokens = made
        if tokens is not None and tokens > self.bound:
            return True
        if characters <= self._characters:
            return False
        return pieces > self._pieces or characters > self._most

    def tokens(self, made: Made) -> int:
        """What a stream that is over is taken to have made: more than its bound."""
        return max(self.bound + 1, made.tokens or 0, -(-made.characters // _CHARACTERS_EACH))
