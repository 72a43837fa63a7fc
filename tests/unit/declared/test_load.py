"""Reading declarations: every problem at once, each where it stands, with what would be right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.declared import DeclarationError, load, load_text, load_texts
from tests.unit.declared.house import HOUSE, MANDATE, PEOPLE, SERVERS, problems, warnings

ENVIRONMENT = {"BANK_TOKEN": "hunter2"}


def test_a_sound_house_has_no_problems_and_no_warnings() -> None:
    assert problems(HOUSE) == []
    assert warnings(HOUSE) == []


BROKEN: dict[str, tuple[str, list[str]]] = {
    "an unknown key, with the nearest right one": (
        HOUSE.replace("email: ada", "emial: ada"),
        ["f.yaml:10:20: unknown key `emial`, did you mean `email`?"],
    ),
    "an unknown section": (
        "mandate: {}\n",
        ["f.yaml:1:1: unknown key `mandate`, did you mean `mandates`?"],
    ),
    "a mandate of an unknown person for an unknown agent on an unknown server": (
        HOUSE.replace("from: ada", "from: adda")
        .replace("to: clerk", "to: clark")
        .replace("bank/balance", "bnak/balance"),
        [
            "f.yaml:16:11: there is no person `adda`, did you mean `ada`?",
            "f.yaml:17:9: there is no agent `clark`, did you mean `clerk`?",
            "f.yaml:27:30: there is no server `bnak`, did you mean `bank`?",
        ],
    ),
    "an agent of an unknown owner": (
        HOUSE.replace("owner: grace", "owner: joan"),
        ["f.yaml:13:18: there is no person `joan`; known are `ada`, `grace`"],
    ),
    "an unknown word or person among those who may not stamp": (
        HOUSE.replace("[requester]", "[requestor, nobody]"),
        [
            "f.yaml:37:15: there is no person `requestor`, did you mean `requester`?",
            "f.yaml:37:26: there is no person `nobody`; "
            "known are `ada`, `grace`, `owner`, `requester`",
        ],
    ),
    "a person with a reserved name": (
        "people: {owner: {name: O}}",
        ["f.yaml:1:10: a person cannot be called `owner`"],
    ),
    "duplicate keys": (
        "people:\n  ada: {name: A}\n  ada: {name: B}\n",
        ["f.yaml:3:3: `ada` is there already (line 2, column 3)"],
    ),
    "one name in two documents": (
        "people: {ada: {name: A}}\n---\npeople: {ada: {name: B}}\n",
        ["f.yaml:3:10: the person `ada` is declared already, at f.yaml:1:10"],
    ),
    "a wrong type": ("people: 3", ["f.yaml:1:9: expected a table, found a number"]),
    "a number where text belongs": (
        "people: {ada: {name: 12}}",
        ["f.yaml:1:22: expected text, found a number; put it in quotes"],
    ),
    "nothing where a table belongs": (
        "people:",
        ["f.yaml:1:8: expected a table, found nothing"],
    ),
    "a missing key": ("people: {ada: {}}", ["f.yaml:1:15: a person needs `name`"]),
    "both ways to reach a server": (
        "servers: {b: {command: [x], url: 'http://a'}}",
        ["f.yaml:1:14: a server cannot have both `command` and `url`"],
    ),
    "no way to reach a server": (
        "servers: {b: {description: x}}",
        ["f.yaml:1:14: a server needs `command` or `url`"],
    ),
    "headers for a program": (
        "servers: {b: {command: [x], headers: {}}}",
        ["f.yaml:1:29: `headers` goes with `url` only"],
    ),
    "a name that no server can have": (
        "servers: {Bank/1: {command: [x]}}",
        [
            "f.yaml:1:11: `Bank/1` is not a server name: lower-case letters and digits, "
            "with single `-` or `_` between"
        ],
    ),
    "a number out of its bounds": (
        "servers: {b: {command: [x], timeout_seconds: 0}}",
        ["f.yaml:1:46: 0 is not a whole number from 1 to 3600"],
    ),
    "an unknown choice": (
        "servers: {b: {command: [x], instances: sesion}}",
        ["f.yaml:1:40: `sesion` is not known, did you mean `session`?"],
    ),
    "an empty command": ("servers: {b: {command: []}}", ["f.yaml:1:24: the list is empty"]),
    "an amount that is none": (
        HOUSE.replace("at_most: 5000", "at_most: 5_000"),
        ['f.yaml:24:29: expected a number, or one in quotes such as `"12.50"`, found text'],
    ),
    "a malformed path to an argument": (
        HOUSE.replace("payee.country", "payee..country"),
        ["f.yaml:25:11: `payee..country`: a name is empty: write `payee.iban`"],
    ),
    "a duration without its unit": (
        HOUSE.replace("expires: 1h", "expires: '60'"),
        ["f.yaml:38:18: `60` is not a duration such as `90s`, `15m`, `1h` or `2d`"],
    ),
    "a day where a moment belongs": (
        HOUSE.replace('"2026-01-01T00:00:00Z"', "2026-01-01"),
        [
            "f.yaml:19:19: `2026-01-01` is not a time with its offset, "
            "such as `2026-12-31T18:00:00+01:00`"
        ],
    ),
    "a moment that never was": (
        HOUSE.replace('"2026-01-01T00:00:00Z"', "2026-02-30T00:00:00Z"),
        ["f.yaml:19:19: `2026-02-30T00:00:00Z`: there is no such time"],
    ),
    "a time that ends before it starts": (
        HOUSE.replace("2027-01-01", "2025-01-01"),
        ["f.yaml:19:50: ends before it starts"],
    ),
    "a target without its server": (
        HOUSE.replace("bank/balance", '"*"'),
        [
            "f.yaml:27:30: `*` is not `SERVER/NAME`; `SERVER/*` is everything of a server, "
            "`*/*` of all"
        ],
    ),
    "a client rule for what no server can ask": (
        HOUSE.replace("tools: [bank/list_*, bank/balance]", "client: bank/smapling"),
        [
            "f.yaml:27:17: `bank/smapling`: after the slash stands `sampling`, `elicitation`, "
            "`roots` or `*`"
        ],
    ),
    "a condition that asks nothing": (
        HOUSE.replace("{any: true}", "{optional: true}"),
        [
            "f.yaml:26:17: a condition needs `any`, `present`, `one_of`, `equals`, `at_least`, "
            "`at_most`, `matches`, `under` or another of its keys"
        ],
    ),
    "bounds that exclude each other": (
        HOUSE.replace("at_most: 5000", "at_most: 5, at_least: 6"),
        ["f.yaml:24:29: `amount` can never be both: 6 > 5"],
    ),
    "`any` beside another condition": (
        HOUSE.replace("{any: true}", "{any: true, at_most: 1}"),
        [
            "f.yaml:26:23: `any` stands alone: it asks nothing of the value, which may be missing "
            "too"
        ],
    ),
    "a value asked of an argument that must not be given": (
        HOUSE.replace("{any: true}", "{present: false, at_most: 1}"),
        ["f.yaml:26:27: `present: false` stands alone: there is no value to ask"],
    ),
    "a folder that can be read in two ways": (
        HOUSE.replace("{any: true}", "{under: /work/..}"),
        ["f.yaml:26:25: `/work/..`: the folder `/work/..` holds a `..` step"],
    ),
    "two rules of one name": (
        HOUSE.replace("other_arguments: allow", "id: small"),
        ["f.yaml:28:13: the rule `small` is there already, at f.yaml:22:13"],
    ),
    "a rule named like a number": (
        HOUSE.replace("id: small", "id: '2'"),
        ["f.yaml:22:13: a rule's name cannot be a number"],
    ),
    "several at once": (
        "people: {ada: {nam: A}}\nagents: {clerk: {owner: x}}\nfoo: 1\n",
        [
            "f.yaml:1:15: a person needs `name`",
            "f.yaml:1:16: unknown key `nam`, did you mean `name`?",
            "f.yaml:2:25: there is no person `x`; known are `ada`",
            "f.yaml:3:1: unknown key `foo`; known are `agents`, `aliases`, `calendars`, "
            "`mandates`, `models`, `people`, `policies`, `proxies`, `servers`, `zones`",
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_a_mistake_is_reported_where_it_stands(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


# --- YAML ----------------------------------------------------------------------------------------

MALFORMED = {
    "a tab": ("people:\n\tada: 1", "f.yaml:2:1: a tab indents here: use spaces"),
    "a line out of line": ("a:\n  b: 1\n c: 2", "f.yaml:3:2: does not stand in line"),
    "a word behind a quote": ("a: {b: 'x' y}", "f.yaml:1:12: not YAML: "),
    "an open bracket": ("people: [1", "f.yaml:1:11: not YAML: expected ',' or ']'"),
    "an open quote": ("people: 'x", "f.yaml:1:11: not YAML: found unexpected end of stream"),
    "two colons": ("a: b: c", "f.yaml:1:5: not YAML: mapping values are not allowed here"),
    "a control character": ("people:\n  a: \x07", "f.yaml:2:6: holds a character that YAML"),
    "an unknown alias": ("a: *b", "f.yaml:1:4: `*b` stands for nothing above it"),
    "an alias of itself": ("a: &x [*x]", "f.yaml:1:8: `*x` stands for nothing above it"),
    "a tag": ("a: !!python/name:os.system x", "f.yaml:1:4: tags such as"),
    "a merge key": ("a: {<<: {b: 1}}", "f.yaml:1:5: merge keys (`<<`) are not used here"),
    "a key that is a list": ("[a]: 1", "f.yaml:1:1: a key must be text; put it in quotes"),
    "a key that is a number": ("1: 1", "f.yaml:1:1: a key must be text; put it in quotes"),
    "a leading zero": ("a: 007", "f.yaml:1:4: `007` starts with a zero"),
    "infinity": ("a: .inf", "f.yaml:1:4: `.inf` is not a number"),
    "a huge integer": ("a: 9007199254740992", "f.yaml:1:4: a number of this size"),
    "a float with no exact form": ("a: 0.12345678901234567890", "f.yaml:1:4: `0.123456789012"),
    "deep nesting": ("[" * 40, "f.yaml:1:33: nested more than 32 deep"),
    "nothing": ("", "f.yaml:1:1: declares nothing: the file is empty"),
    "only a comment": ("# nothing\n", "f.yaml:1:1: declares nothing: the file is empty"),
    "a list": ("[1]", "f.yaml:1:1: expected a file of declarations (a table), found a list"),
    "another version": ("%YAML 3.0\n---\na: 1", "f.yaml:1:1: not YAML: found incompatible"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "start"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_the_yaml_we_take_is_refused_with_its_place(text: str, start: str) -> None:
    found = problems(text)
    assert found
    assert found[0].startswith(start)


def test_aliases_are_counted_as_what_they_stand_for() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)
    ]
    found = problems("\n".join(lines))
    assert len(found) == 1
    assert found[0].endswith("more than 100000 values, counting what aliases stand for")


def test_an_alias_does_not_hide_a_duplicate_key_or_rule() -> None:
    assert (
        "`ada` is there already"
        in problems(
            "people: {&k ada: {name: A}, *k : {name: B}}",
        )[0]
    )
    rule = "- tool: bank/transfer\n        id: small"
    anchored = HOUSE.replace(rule, rule.replace("- ", "- &r\n        "))
    twice = anchored.replace("      - tools: [", "      - *r\n      - tools: [")
    assert "the rule `small` is there already" in problems(twice)[0]


def test_an_alias_saves_writing_a_rule_twice() -> None:
    anchored = HOUSE.replace("roles: [treasurer]", "roles: &r [treasurer]", 1)
    text = anchored.replace("Grace, roles: [treasurer]", "Grace, roles: *r ")
    assert "*r" in text
    assert problems(text) == []


def test_words_that_older_yaml_took_for_booleans_are_text() -> None:
    declared = load_text(HOUSE)
    assert "NO" in declared.objects["mandate", "pay"].document


def refusal(text: str) -> DeclarationError | None:
    try:
        load_text(text, environment=ENVIRONMENT)
    except DeclarationError as error:
        return error
    return None


anything = st.text(
    st.sampled_from("abt:-?[]{}&*!|>'\"%@`#, \n\t.0123~<$\\=\u2028é\x00\ufeff"), max_size=60
)


@settings(max_examples=300)
@given(anything | st.text(max_size=40))
def test_loading_raises_nothing_but_its_own_error(text: str) -> None:
    error = refusal(text)
    assert error is None or error.problems


lines = HOUSE.splitlines()


@settings(max_examples=100)
@given(st.integers(0, len(lines) - 1), st.integers(0, 60), anything)
def test_a_damaged_house_is_read_or_refused_and_nothing_else(
    line: int, column: int, noise: str
) -> None:
    damaged = list(lines)
    damaged[line] = damaged[line][:column] + noise + damaged[line][column:]
    error = refusal("\n".join(damaged))
    assert error is None or "hunter2" not in error.message


# --- files ---------------------------------------------------------------------------------------


def test_a_folder_is_read_file_by_file_and_objects_may_refer_across(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(PEOPLE)
    (tmp_path / "a.yaml").write_text(MANDATE)
    (tmp_path / "c.yaml").write_text(SERVERS)
    (tmp_path / "notes.txt").write_text("not: [read")
    assert len(load([tmp_path]).objects) == 6


def test_one_name_in_two_files_names_both_places(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("people:\n  ada: {name: A}\n")
    second.write_text("people:\n  ada: {name: B}\n")
    with pytest.raises(DeclarationError) as caught:
        load([first, second])
    assert caught.value.message == (
        f"{second}:2:3: the person `ada` is declared already, at {first}:2:3"
    )


def test_files_that_cannot_be_used_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"people:\n  ada: {name: Z\xfcrich}\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * 1_048_577)
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(DeclarationError) as caught:
        load([tmp_path, tmp_path / "gone.yaml", tmp_path / "empty", Path("nul\0byte")])
    found = {str(each).removeprefix(f"{tmp_path}/") for each in caught.value.problems}
    assert {each for each in found if not each.startswith("nul")} == {
        "latin.yaml:2:16: is not UTF-8 text",
        "large.yaml:1:1: larger than 1048576 bytes",
        "gone.yaml:1:1: cannot be read: No such file or directory",
        "pipe.yaml:1:1: is not a plain file",
        "empty:1:1: holds no `.yaml`, `.yml` or `.cedar` file",
    }
    assert len(found) == 6


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.symlink_to(path)
    with pytest.raises(DeclarationError, match=r"a.yaml:1:1: cannot be read"):
        load([path])


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + HOUSE.encode())
    assert len(load([tmp_path]).objects) == 6


def test_objects_may_refer_to_what_is_stored_and_replace_it() -> None:
    stored = list(load_text(SERVERS + PEOPLE).objects.values())
    assert problems(MANDATE) != []
    assert problems(MANDATE, stored=stored) == []
    declared = load_text("people: {ada: {name: New}}", stored=stored)
    assert list(declared.objects) == [("person", "ada")]


# --- secrets -------------------------------------------------------------------------------------


def test_a_secret_that_is_not_there_is_reported_where_it_is_referred_to() -> None:
    assert problems(HOUSE, environment={"BANK_TOKEN": ""}) == [
        "f.yaml:4:23: `${env:BANK_TOKEN}` is empty: start the gateway with it in its environment",
        "f.yaml:7:30: `${file:/run/token}` cannot be read: No such file or directory",
    ]


MISPLACED = {
    "in a command, where every process sees it": "servers: {b: {command: [x, '${env:A}']}}",
    "in an address": "servers: {b: {url: 'https://a/${env:A}'}}",
    "in a name": "people: {ada: {name: '${env:A}'}}",
    "in a condition": HOUSE.replace("CH,", '"${env:A}",'),
    "in a reason": HOUSE.replace("Sanctions", "${file:/etc/passwd}"),
}


@pytest.mark.parametrize("text", MISPLACED.values(), ids=MISPLACED.keys())
def test_a_secret_where_none_belongs_is_refused(text: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert "a secret does not belong here" in found[0]


@pytest.mark.parametrize(
    "reference", ["${env:}", "${env:A B}", "${ENV:A}", "${A}", "${file:relative}", "${env:A", "${}"]
)
def test_a_malformed_reference_is_refused(reference: str) -> None:
    text = f"servers: {{b: {{command: [x], env: {{K: 'pre {reference}'}}}}}}"
    assert len(problems(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "servers: {b: {url: 'https://a/', headers: {authorization: 'Bearer hunter2'}}}",
        "servers: {b: {url: 'https://ada:hunter2@a/'}}",
        "servers: {b: {url: 'https://a/', headers: {X: [hunter2]}}}",
        "servers: {b: {url: 'https://a/', headers: {X: \"hunter2\\n\"}}}",
        "servers: {b: {url: 'https://a/', headers: {X: '${hunter2}'}}}",
    ],
)
def test_a_secret_written_out_is_refused_and_not_repeated(text: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert "hunter2" not in found[0]


# --- warnings ------------------------------------------------------------------------------------

TOOLS = {"bank": ["transfer", "list_accounts", "balance"], "web": ["get"]}


def test_a_tool_that_nobody_has_is_a_warning_with_near_names() -> None:
    assert warnings(HOUSE, tools=TOOLS) == []
    assert warnings(HOUSE.replace("bank/balance", "bank/balence"), tools=TOOLS) == [
        "f.yaml:27:30: `bank/balence` fits no known tool; near is `balance`"
    ]
    assert warnings(HOUSE.replace("bank/balance", "bank/balence"), tools={}) == []


def test_ten_thousand_tools_and_many_unknown_ones_do_not_take_forever() -> None:
    tools = {"bank": [f"list_{n}_accounts" for n in range(10_000)] + ["transfer"], "web": ["x"]}
    many = ", ".join(f"bank/lst_{n}_account" for n in range(300))
    found = warnings(HOUSE.replace("bank/list_*, bank/balance", many), tools=tools)
    assert len(found) == 300
    assert sum("near are" in each for each in found) == 10


def test_a_glob_over_servers_that_fits_none_is_a_warning() -> None:
    assert warnings(HOUSE.replace("bank/balance", "bnk*/balance")) == [
        "f.yaml:27:30: `bnk*/balance` fits no declared server"
    ]


def test_an_allow_rule_that_names_no_arguments_is_a_warning() -> None:
    found = warnings(HOUSE.replace("        other_arguments: allow\n", ""))
    assert found == [
        "f.yaml:27:9: allows calls without any arguments only: name them in `when`, or say "
        "`other_arguments: allow`"
    ]


def test_a_stamp_that_nobody_can_give_is_a_warning() -> None:
    assert warnings(HOUSE.replace("[requester]", "[requester, owner]")) == [
        "f.yaml:36:15: needs 1 person with the role `treasurer` to stamp, and nobody may"
    ]
    (misspelt,) = warnings(HOUSE.replace("role: treasurer", "role: tresurer"))
    assert misspelt.endswith("and nobody may, did you mean `treasurer`?")
    assert len(warnings(HOUSE.replace("expires: 1h", "people: 2"))) == 1


def test_a_variable_that_looks_like_a_secret_written_out_is_a_warning() -> None:
    found = warnings(HOUSE.replace('"${env:BANK_TOKEN}"', "hunter2"))
    assert len(found) == 1
    assert "`BANK_TOKEN` looks like a secret" in found[0]
    assert "hunter2" not in found[0]


def test_several_texts_may_refer_to_each_other_by_their_names() -> None:
    declared = load_texts({"a.yaml": MANDATE, "b.yaml": PEOPLE, "c.yaml": SERVERS})
    assert len(declared.objects) == 6
    with pytest.raises(DeclarationError, match=r"big\.yaml:1:1: larger than 1048576 bytes"):
        load_texts({"a.yaml": HOUSE, "big.yaml": "#" * 1_048_577})
