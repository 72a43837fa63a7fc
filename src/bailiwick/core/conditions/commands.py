"""Conditions on commands: which program, with which words (see `core/texts/shell.py`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import MAX_LISTED, Condition, listed
from bailiwick.core.conditions.paths import Under
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.led import NOWHERE, Leads, Led, leads_in
from bailiwick.core.texts.paths import read_path
from bailiwick.core.texts.shell import read_command
from bailiwick.core.texts.urls import read_url, read_url_path
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, show


@dataclass(frozen=True, slots=True)
class CommandForm:
    """One form a command may have.

    Attributes:
        program: the first word, exactly.
        subcommands: if any, the second word is one of these.
        options: words that start with `-` or `+` are like one of these, wherever they stand.
        words: every other word is like one of these …
        under: … or a path in one of these folders.
    """

    program: str
    subcommands: tuple[str, ...] = ()
    options: tuple[Glob, ...] = ()
    words: tuple[Glob, ...] = ()
    under: tuple[str, ...] = ()
    _under: Under | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the folders once. Raises ValueError when one has no single meaning."""
        object.__setattr__(self, "_under", Under((), self.under) if self.under else None)

    def fits(self, words: tuple[str, ...]) -> bool:
        """Whether a command of these words has this form."""
        if words[0] != self.program:
            return False
        rest = words[1:]
        if self.subcommands:
            if not rest or rest[0] not in self.subcommands:
                return False
            rest = rest[1:]
        return all(map(self._takes, rest))

    def _takes(self, word: str) -> bool:
        if word.startswith(("-", "+")):
            return any(_is_like(word, glob) for glob in self.options)
        if any(_is_like(word, glob) for glob in self.words):
            return True
        return self._under is not None and self._under.of(word) is HOLDS

    @property
    def phrase(self) -> str:
        """The form in words."""
        start = [f"{self.program} {sub}" for sub in self.subcommands] or [self.program]
        takes = []
        if self.options:
            takes.append(f"options {listed(show(glob.text) for glob in self.options)}")
        if self.words:
            takes.append(f"words like {listed(show(glob.text) for glob in self.words)}")
        if self.under:
            takes.append(f"paths under {listed(map(show, self.under))}")
        text = " or ".join(map(show, start))
        return f"{text} with {' and '.join(takes)}" if takes else text


@dataclass(frozen=True, slots=True)
class Command(Condition):
    """The value is one plain command, as a line or as a list of words, of one of these forms.

    It plainly fails only where no program of these forms is named in it at all, and the program is
    none that runs others.
    """

    path: ArgumentPath
    forms: tuple[CommandForm, ...]
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        words = read_command(value)
        if isinstance(words, str):
            return CANNOT_TELL
        leads = leads_in(value)
        if self._fits(words, leads) if leads else any(form.fits(words) for form in self.forms):
            return HOLDS
        named = set(_names(words))
        if is_runner(words[0]) or any(_name(form.program) in named for form in self.forms):
            return CANNOT_TELL
        return FAILS

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders its words may lie in."""
        return tuple(folder for form in self.forms for folder in form.under)

    def names_files(self, value: Json) -> Iterable[str]:
        """Its words that may be paths."""
        words = read_command(value)
        if isinstance(words, str):
            return ()
        return (word for word in words[1:] if not word.startswith(("-", "+")))

    def stands(self, value: Json) -> str:
        """How this value stands."""
        words = read_command(value)
        if isinstance(words, str):
            return f"is {show(value)} which {words}"
        leads = leads_in(value)
        if leads and self._fits(words, NOWHERE) and not self._fits(words, leads):
            return f"is {show(value)}, of which a word leads elsewhere or where cannot be told"
        return f"is {show(value)}"

    def _fits(self, words: tuple[str, ...], leads: Leads) -> bool:
        """Whether it has one of the forms, if its words lead where `leads` says."""
        led = tuple(Led(word, leads) for word in words)
        return any(form.fits(led) for form in self.forms)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        hidden = len(self.forms) - MAX_LISTED
        more = f" and {hidden} more" if hidden > 0 else ""
        return f"the command {'; or '.join(form.phrase for form in self.forms[:MAX_LISTED])}{more}"


def _is_like(word: str, glob: Glob) -> bool:
    if not glob.matches(word):
        return False
    # `/work/*` is meant to stay there, and `/work/../etc` would not.
    contained = not glob.literal and "/" in glob.text
    return not contained or _is_contained(word.partition("=")[2] if word[:1] in "-+" else word)


def _is_contained(word: str) -> bool:
    if "://" in word:
        url = read_url(word)
        return not isinstance(url, str) and not read_url_path(url.path)[1]
    return not isinstance(read_path(word), str)


_PIECE = re.compile(r"[^\s/\\'\"`;|&()<>$={},:]+")


def _names(words: tuple[str, ...]) -> Iterator[str]:
    """Everything in the words that may be the name of a program, folded."""
    for word in words:
        yield from map(_name, _PIECE.findall(word))


def _name(program: str) -> str:
    """A program's name without folder, case and ending."""
    name = program.replace("\\", "/").rpartition("/")[2].lower()
    return name.removesuffix(".exe").removesuffix(".com").removesuffix(".cmd").removesuffix(".bat")


def is_runner(program: str) -> bool:
    """Whether it is known to run what its words or its input say."""
    name = _name(program)
    return name in RUNNERS or name.rstrip("0123456789.-") in RUNNERS


RUNNERS = frozenset(
    name
    for names in (
        "sh bash dash zsh ksh mksh csh tcsh fish ash busybox toybox cmd powershell pwsh",
        "eval exec source . command builtin alias trap start call rundll32 wscript cscript mshta",
        "env sudo su doas pkexec runuser setpriv chroot unshare nsenter nice ionice nohup timeout",
        "time setsid stdbuf script expect xargs parallel find fd watch entr at batch cron crontab",
        "systemd-run flock strace ltrace gdb ld.so ld-linux.so ssh scp sftp rsync tmux screen",
        "python perl ruby node nodejs deno bun php lua luajit tclsh awk gawk mawk nawk osascript",
        "sed ed ex vi vim nvim emacs nano less more man m make cmake ninja git tar zip ftp socat",
        "nc ncat npm npx pnpm yarn uv uvx pip pipx cargo go java docker podman kubectl",
    )
    for name in names.split()
)
"""Programs that run what their words or their input say, without the version in their name. The
list cannot be complete."""
