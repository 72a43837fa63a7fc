"""What globs have in common: inclusion, overlap, and texts that fit one and not another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from bailiwick.core.texts.glob import Glob

_STAND_INS = "xqzvkw0123456789"
"""Letters tried for a star in an example; the first that the other globs do not name."""


glob_of = lru_cache(maxsize=4096)(Glob)
"""A glob by its text, compiled once: targets are compared again and again."""


def includes(wide: Glob, narrow: Glob) -> bool:
    """Whether every text that fits `narrow` fits `wide`. Exact, both ways.

    A star stands for any run of any characters. Put for each star of `narrow` a letter that `wide`
    does not name: only a star of `wide` can take it, and that star takes anything else as well.
    """
    return wide.matches(instance(narrow, _fresh((wide,))))


def overlap(one: Glob, other: Glob) -> bool:
    """Whether some text may fit `one` and, but for what lax readers ignore, also `other`.

    True when in doubt: what is not plain ASCII may fold to anything.
    """
    if not (_plain(one) and _plain(other)):
        return True
    first, second = _folded(one), _folded(other)
    if len(first) == 1:
        return Glob(_text(second)).matches(first[0])
    if len(second) == 1:
        return Glob(_text(first)).matches(second[0])
    # Both have a star: between a common beginning and a common end there is room for everything.
    heads = first[0].startswith(second[0]) or second[0].startswith(first[0])
    tails = first[-1].endswith(second[-1]) or second[-1].endswith(first[-1])
    return heads and tails


def instance(glob: Glob, letter: str) -> str:
    """The text that fits `glob` with `letter` for each star."""
    return letter.join(glob.parts)


def examples(glob: Glob, others: Iterable[Glob]) -> Iterator[str]:
    """Texts that fit `glob`: first ones that seem not to fit `others`, then ones that may."""
    others = tuple(others)
    yield instance(glob, _fresh(others))
    if not glob.literal:
        yield instance(glob, "")
        for other in others:
            text = instance(other, "")
            if glob.matches(text):
                yield text
            if glob.matches(text.swapcase()):
                yield text.swapcase()


def _fresh(others: tuple[Glob, ...]) -> str:
    named = set("".join(part for glob in others for part in glob.parts))
    for letter in _STAND_INS:
        if letter not in named:
            return letter
    # Some character is not named: globs are finite, and there are a million characters.
    return next(chr(code) for code in range(0x4E00, 0x10FFFF) if chr(code) not in named)


def _plain(glob: Glob) -> bool:
    return glob.text.isascii() and glob.text.isprintable()


def _folded(glob: Glob) -> tuple[str, ...]:
    parts = [part.lower() for part in glob.parts]
    parts[0] = parts[0].lstrip()
    parts[-1] = parts[-1].rstrip()
    return tuple(parts)


def _text(parts: tuple[str, ...]) -> str:
    return "*".join(part.replace("\\", "\\\\").replace("*", "\\*") for part in parts)
