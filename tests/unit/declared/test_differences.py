"""What applying would change, for people."""

from __future__ import annotations

from bailiwick.declared import How, diff, load_text
from tests.unit.declared.house import HOUSE


def changes(before: str, after: str) -> list[tuple[str, list[str]]]:
    current, new = load_text(before).objects.values(), load_text(after).objects.values()
    return [
        (str(each), [str(field) for field in each.fields])
        for each in diff(current, new)
        if each.how is not How.UNCHANGED
    ]


def test_nothing_changes_between_equal_houses() -> None:
    found = diff(load_text(HOUSE).objects.values(), load_text(HOUSE + "\n# note").objects.values())
    assert {each.how for each in found} == {How.UNCHANGED}
    assert [each.kind for each in found] == [
        "server", "server", "person", "person", "agent", "mandate",
    ]  # fmt: skip


def test_a_changed_mandate_shows_each_value_before_and_after() -> None:
    after = HOUSE.replace("at_most: 5000", "at_most: 9000").replace(
        "    purpose: Pay suppliers\n", ""
    )
    assert changes(HOUSE, after) == [
        (
            "mandate `pay` changed",
            [
                "- purpose: `Pay suppliers`",
                "~ allow[1].when.amount.at_most: 5000 → 9000",
            ],
        )
    ]


def test_added_and_removed_objects_are_named() -> None:
    one, other = "people: {ada: {name: Ada}}", "people: {eve: {name: Eve}}"
    assert changes(one, other) == [
        ("person `ada` removed", ["- name: `Ada`"]),
        ("person `eve` added", ["+ name: `Eve`"]),
    ]


def test_a_change_of_type_is_a_change() -> None:
    after = HOUSE.replace("{any: true}", "{equals: 1}")
    before = HOUSE.replace("{any: true}", "{equals: true}")
    assert changes(before, after)[0][1] == ["~ allow[1].when.memo.equals: `true` → 1"]


def test_values_of_variables_and_headers_are_not_shown_unless_they_are_references() -> None:
    before = "servers: {b: {command: [x], env: {A: hunter1, B: '${env:B}', C: hunter3}}}"
    after = "servers: {b: {command: [x], env: {A: hunter2, B: '${env:C}', D: hunter4}}}"
    found = changes(before, after)
    assert "hunter" not in str(found)
    assert found == [
        (
            "server `b` changed",
            [
                "~ env.A: (a value) → (another value)",
                "~ env.B: `${env:B}` → `${env:C}`",
                "- env.C: (a value)",
                "+ env.D: (a value)",
            ],
        )
    ]
