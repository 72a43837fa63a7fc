"""Command lines that do more than they seem to: each known trick by its name."""

from __future__ import annotations

import pytest

from bailiwick.core.conditions import permits, triggers
from bailiwick.core.conditions.commands import Command, CommandForm
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import CANNOT_TELL

ALLOWED = Command(
    ("command",),
    (
        CommandForm("git", ("log", "status"), (Glob("--oneline"),), (Glob("*"),)),
        CommandForm("ls", (), (Glob("-*"),), (Glob("*"),)),
        CommandForm("cat", (), (), (Glob("/work/*"), Glob("https://a.example/*"))),
    ),
)

NOT_PLAIN = {
    "semicolon": "ls; id",
    "semicolon without space": "ls;id",
    "and": "ls && id",
    "or": "ls || id",
    "background": "ls & id",
    "pipe": "ls | sh",
    "pipe with errors": "ls |& sh",
    "output": "ls > /etc/passwd",
    "append": "ls >>/etc/passwd",
    "input": "ls < /etc/shadow",
    "here-document": "ls <<EOF\nid\nEOF",
    "here-string": "ls <<<x",
    "descriptor": "ls 2>&1",
    "line break": "ls\nid",
    "carriage return": "ls\rid",
    "line continued": "ls \\\nid",
    "substitution": "ls $(id)",
    "backquotes": "ls `id`",
    "substitution in double quotes": 'ls "$(id)"',
    "backquotes in double quotes": 'ls "`id`"',
    "process substitution": "ls <(id)",
    "parameter": "ls $HOME",
    "parameter with code": "ls ${x:=$(id)}",
    "field separator": "ls${IFS}-l",
    "arithmetic": "ls $((1))",
    "ANSI-C quotes": "ls $'\\x2e\\x2e'",
    "locale quotes": 'ls $"a"',
    "home": "ls ~root",
    "star": "ls *",
    "question mark": "ls /???/passwd",
    "class": "ls [a-z]",
    "extended glob": "ls @(a|b)",
    "braces": "ls {/etc,/root}",
    "subshell": "(ls)",
    "group": "{ ls; }",
    "negation": "! ls",
    "history": "ls !!",
    "history in double quotes": 'ls "!x"',
    "quick substitution": "^ls^id",
    "comment": "ls # -l",
    "variable before": "LD_PRELOAD=/tmp/x.so ls",
    "path before": "PATH=/tmp ls",
    "pager before": "GIT_PAGER=id git log",
    "backslash": "l\\s",
    "backslash before an alias": "\\ls",
    "quotes inside": "l's'",
    "empty quotes inside": "l''s",
    "double quotes inside": 'l"s"',
    "quotes one after the other": "ls 'a'\"b\"",
    "quoted program": "'ls' -l",
    "open quote": "ls 'a",
    "open double quote": 'ls "a',
    "quote in quotes": "ls 'a'\\''b'",
    "tab": "ls\t-l",
    "vertical tab": "ls\v-l",
    "no-break space": "ls\u00a0-l",
    "ideographic space": "ls\u3000-l",
    "zero-width space": "ls\u200b -l",
    "NUL": "ls\0 -l",
    "escape": "ls '\x1b]0;x'",
    "right-to-left": "ls '\u202egnp.exe'",
    "full-width semicolon": "ls \uff1b id",
    "space at the start": " ls",
    "function": "ls() { id; }",
    "assignment to an array": "ls a=(b)",
    "equals of zsh": "cat =ls",
    "job": "ls %1",
    "coprocess": "coproc ls",
    "nothing": "",
    "only space": "   ",
}


@pytest.mark.parametrize("line", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_a_line_that_is_more_than_plain_words_is_not_let_through(line: str) -> None:
    assert not permits(ALLOWED, {"command": line})
    assert triggers(ALLOWED, {"command": line})


OTHERWISE = {
    "option before the subcommand": "git -c core.pager=id log",
    "another folder before the subcommand": "git -C /etc log",
    "option that writes": "git log --output=/etc/passwd",
    "option that runs": "git log --ext-diff",
    "option shortened": "git log --onelin",
    "another subcommand": "git push",
    "program by its path": "/tmp/ls",
    "program in capitals": "LS -l",
    "out of the folder": "cat /work/../etc/passwd",
    "out of the folder, encoded": "cat /work/%2e%2e/etc/passwd",
    "end of options": "cat -- /etc/passwd",
    "standard input": "cat -",
    "another host": "cat https://a.example@evil.test/x",
    "out of the path": "cat https://a.example/../x",
    "plus": "cat +x",
}


@pytest.mark.parametrize("line", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_an_allowed_program_is_not_let_through_otherwise(line: str) -> None:
    assert not permits(ALLOWED, {"command": line})
    assert not permits(ALLOWED, {"command": line.split(" ")})


def test_what_is_allowed_is_let_through() -> None:
    assert permits(ALLOWED, {"command": "cat /work/a 'https://a.example/b?c'"})


DENIED = Command(("command",), (CommandForm("rm"),))

AROUND = {
    "itself": "rm",
    "with words": "rm -rf /",
    "by its path": "/bin/rm x",
    "in capitals": "RM x",
    "with an ending": "rm.exe x",
    "through sudo": "sudo rm x",
    "through env": "env rm x",
    "through env, quoted": "env 'r''m' x",
    "through a shell": "sh -c 'rm x'",
    "through a shell, disguised": "sh -c \"r''m x\"",
    "through a shell by its path": "/usr/bin/bash script.sh",
    "through find": "find . -exec rm {} +",
    "through find, plain": "find . -delete",
    "through xargs": "xargs rm",
    "through busybox": "busybox rm x",
    "through a language": "python3 -c 'import shutil'",
    "through a version of a language": "/usr/bin/python3.11 x.py",
    "through git": "git config alias.x '!rm x'",
    "as another command": "ls; rm x",
    "through a variable": "x=rm; $x y",
    "encoded": "echo cm0=|base64 -d|sh",
    "quotes inside": "r'm' x",
    "backslash": "\\rm x",
    "glob": "/bin/r? x",
    "home of a program": "~/rm",
}


@pytest.mark.parametrize("line", AROUND.values(), ids=AROUND.keys())
def test_a_denied_program_is_not_run_around(line: str) -> None:
    assert triggers(DENIED, {"command": line})


def test_a_denied_program_leaves_others_alone() -> None:
    assert not triggers(DENIED, {"command": "ls -l /work/farm.txt"})


def test_a_list_is_one_command_and_no_line() -> None:
    assert ALLOWED.of(["ls -l; id"]) is not None
    assert not permits(ALLOWED, {"command": ["ls -l; id"]})
    assert DENIED.of(["sudo", "rm", "x"]) is CANNOT_TELL
