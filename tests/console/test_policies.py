"""Organisation policies in the console and its API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from bailiwick.ports import ObjectRow, PolicyReport, Problem
from tests.console.conftest import House

CEDAR = 'forbid (principal, action, resource)\nwhen { context.name like "<b>*" };'


def declare(house: House, **spec: object) -> None:
    document = json.dumps({"kind": "policy", "name": "office", "spec": {"cedar": CEDAR, **spec}})
    house.day.records.object_rows.append(
        ObjectRow("policy", "office", 2, "0" * 64, document, "active", 1_795_341_600_000, "ada")
    )


async def test_a_policy_is_shown_whole_and_escaped(house: House) -> None:
    declare(house, because="Not <i>here</i>.", default="deny", more="\u202eevil")
    page = (await (await house.sign_in("ben")).get("/policies")).text
    assert "office" in page
    assert "&lt;b&gt;*" in page
    assert "Not &lt;i&gt;here&lt;/i&gt;." in page
    assert "what no policy permits is refused" in page
    assert "U+202E" in page, "what is not understood is shown, and what hides is written out"
    assert "entity Agent;" in page


async def test_a_suspended_policy_says_so(house: House) -> None:
    declare(house, suspended=True)
    assert "uspended" in (await (await house.sign_in("ben")).get("/policies")).text


async def test_what_does_not_fit_any_more_is_at_the_top(house: House) -> None:
    declare(house)
    wrong = Problem("error", "declaration_invalid", "there is no `amount`", "policy office@2", 2, 5)

    async def check_policies(files: Mapping[str, str]) -> PolicyReport:
        problems: Sequence[Problem] = () if files else (wrong,)
        return PolicyReport("9f", ("office@2",), "", problems)

    house.day.control.check_policies = check_policies  # type: ignore[method-assign]  # the fake's
    page = (await (await house.sign_in("ben")).get("/policies")).text
    assert page.index("Something does not fit") < page.index("office</code>")
    assert "policy office@2:2:5 there is no `amount`" in page


async def test_the_api_checks_files_for_anyone_who_is_signed_in(house: House) -> None:
    answer = await house.api("ben").send("/api/v1/policies/check", {"files": {"a.cedar": "x"}})
    assert answer.json == {
        "version": "",
        "in_force": [],
        "schema": "entity Agent;\n",
        "problems": [],
    }
    assert house.day.control.acts[-1] == ("check_policies", "a.cedar")
