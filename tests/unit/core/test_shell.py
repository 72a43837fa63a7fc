"""Reading command lines: total, and word for word what real shells make of them."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.conditions.commands import Command, CommandForm
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.shell import read_command
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth

PIECES = st.sampled_from(
    [
        *("git", "ls", "-l", "--x=", "a", "/work/a", " ", " ", "  ", "'", '"', "'a b'", '"c d"'),
        *("$", "$HOME", "$(id)", "`id`", "\\", "\n", "\t", ";", "&", "|", ">", "<", "*", "?", "["),
        *("~", "{a,b}", "!", "!!", "#", "^", "=", "%", "@", "é", "\u00a0", "\0", "''", '""', "$''"),
    ]
)
LINES = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=10).map("".join))
PLAIN = st.lists(
    st.sampled_from(
        [
            "a",
            "-l",
            "--x='a b'",
            '--y="c  d"',
            "'$HOME'",
            '"*"',
            "/work/a",
            "k=v",
            "''",
            "%s",
            "'é'",
        ]
    ),
    max_size=8,
).map(lambda words: " ".join(["echo", *words]))

SHELLS = [shell for shell in ("dash", "bash", "sh") if shutil.which(shell)]


@given(LINES | st.lists(LINES, max_size=4))
def test_reading_a_command_is_total(value: str | list[str]) -> None:
    assert isinstance(read_command(value), tuple | str)
    form = CommandForm("git", options=(Glob("-*"),), words=(Glob("/work/*"),))
    assert isinstance(Command(("c",), (form,)).of(value), Truth)


@given(LINES | PLAIN)
def test_what_is_read_is_what_the_standard_library_reads(line: str) -> None:
    words = read_command(line)
    if not isinstance(words, str):
        assert list(words) == shlex.split(line)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=60, deadline=None)
@given(line=LINES | PLAIN)
def test_what_is_read_is_what_a_real_shell_reads(shell: str, line: str) -> None:
    words = read_command("echo " + line)
    if isinstance(words, str):
        return
    # `set --` takes the words as they are; `printf` writes them apart.
    script = f"set -- {line}\nfor word; do printf '%s\\0' \"$word\"; done"
    done = subprocess.run([shell, "-c", script], capture_output=True, check=True, timeout=10)
    assert done.stdout.decode().split("\0")[:-1] == list(words[1:])


def test_a_plain_line_has_its_words() -> None:
    line = """git log --format="%H %s" -n 5 'a b' "it's" -- /work/x.txt"""
    words = ("git", "log", "--format=%H %s", "-n", "5", "a b", "it's", "--", "/work/x.txt")
    assert read_command(line) == words


def test_a_list_of_words_is_split_by_no_shell() -> None:
    assert read_command(["git", "commit", "-m", "a; $b"]) == ("git", "commit", "-m", "a; $b")


@pytest.mark.parametrize("value", [[], [""], ["git", 1], ["git", "a\nb"], None, 1, {"a": 1}, [[]]])
def test_what_is_no_command_has_no_words(value: object) -> None:
    assert isinstance(read_command(value), str)  # type: ignore[arg-type]


def test_lines_and_lists_are_bounded() -> None:
    assert isinstance(read_command("a " * 300), str)
    assert isinstance(read_command("a" * 9_000), str)
    assert isinstance(read_command(["a"] * 300), str)
    assert isinstance(read_command(["a" * 9_000]), str)


LOG = Command(
    ("command",),
    (
        CommandForm("git", ("log", "diff"), (Glob("--oneline"), Glob("--format=*")), (Glob("v*"),)),
        CommandForm("ls", (), (Glob("-l"),), under=("/work",)),
        CommandForm("pwd"),
    ),
)


@pytest.mark.parametrize(
    "line",
    ["pwd", "ls", "ls -l", "ls -l /work/a", "ls /work", "git log", "git diff --oneline v1.0",
     "git log '--format=%H %s' v1"],
)  # fmt: skip
def test_a_command_of_a_form_holds(line: str) -> None:
    assert LOG.of(line) is HOLDS
    assert LOG.of(shlex.split(line)) is HOLDS


@pytest.mark.parametrize(
    "line",
    ["pwd x", "ls -la", "ls -l -a", "ls /etc", "ls /work/../etc", "ls -- /work/a", "git",
     "git push", "git -c core.pager=x log", "git log HEAD", "git log -p", "git log --form=x",
     "git diff log2"],
)  # fmt: skip
def test_a_known_program_in_another_form_cannot_be_told(line: str) -> None:
    assert LOG.of(line) is CANNOT_TELL


def test_another_program_plainly_fails() -> None:
    assert LOG.of("cat /etc/passwd") is FAILS


def test_the_phrase_says_each_form() -> None:
    assert LOG.sentence() == (
        "`command` is the command `git log` or `git diff` with options `--oneline`, `--format=*` "
        "and words like `v*`; or `ls` with options `-l` and paths under `/work`; or `pwd`"
    )
    assert LOG.stands("a;b") == "is `a;b` which holds more than plain words, at character 2"
    assert LOG.stands(1) == "is 1 which is neither text nor a list of words"
