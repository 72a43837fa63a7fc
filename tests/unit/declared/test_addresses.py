"""Conditions on URLs and email addresses as they are written in a mandate."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from bailiwick.core.conditions import sentence
from bailiwick.core.conditions.email import Email
from bailiwick.core.conditions.urls import Url
from bailiwick.declared import load_text
from tests.unit.declared.house import HOUSE, compiled, problems, warnings

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "mandates.md").read_text()


def with_condition(text: str) -> str:
    return HOUSE.replace("{any: true}", text)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (
            "{url: {schemes: https, hosts: [a.example, '*.b.example'], ports: 8443}}",
            "`memo` is a URL by `https` at `a.example`, `*.b.example` on port 8443",
        ),
        (
            "{url: {paths: ['/v1/*', /ping], address: public}, optional: true}",
            "`memo` is a public URL with a path like `/v1/*`, `/ping`, if given",
        ),
        (
            "{email: {domains: '*.example.org', addresses: [ada@example.com]}}",
            "`memo` is one of `ada@example.com` or an email address at `*.example.org`",
        ),
    ],
)
def test_a_condition_reads_back_as_a_sentence(written: str, read: str) -> None:
    mandate = compiled(load_text(with_condition(written)))
    (rule,) = (rule for rule in mandate.allow if rule.id.endswith("small"))
    assert read in [sentence(condition) for condition in rule.conditions]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{url: {}}", "26:23: a condition on URLs needs `schemes` or `hosts` or"),
        ("{url: {host: a.example}}", "26:24: unknown key `host`, did you mean `hosts`?"),
        ("{url: {schemes: HTTPS}}", "26:33: `HTTPS` is not a scheme in lower case"),
        ("{url: {hosts: 'a.*'}}", "26:31: `a.*`: the host `a.*` holds something else than"),
        ("{url: {hosts: '*'}}", "26:31: `*`: the host `*` holds something else than"),
        ("{url: {hosts: a.example.}}", "26:31: `a.example.`: the host `a.example.` ends with"),
        ("{url: {hosts: '0x7f.1'}}", "26:31: `0x7f.1`: the host `0x7f.1` ends in a number"),
        ("{url: {hosts: 'https://a.example'}}", "26:31: `https://a.example`: the host"),
        ("{url: {ports: 0}}", "26:31: 0 is not a whole number from 1 to 65535"),
        ("{url: {paths: v1}}", "26:31: `v1`: a path starts with `/`"),
        ("{url: {paths: /a%20b}}", "26:31: `/a%20b`: write the path as it reads once decoded"),
        ("{url: {address: private}}", "26:33: `private` is not known"),
        ("{email: {}}", "26:25: a condition on email addresses needs `domains` or `addresses`"),
        ("{email: {addresses: ada}}", "26:37: `ada` is not an email address"),
        ("{email: {domains: '@example.com'}}", "26:35: `@example.com`: the host"),
    ],
)
def test_a_mistake_is_reported_where_it_stands(written: str, problem: str) -> None:
    found = problems(with_condition(written))
    assert found[-1].startswith(f"f.yaml:{problem}"), found


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("{url: {hosts: 'https://*.a.example/x'}}", "*.a.example"),
        ("{url: {hosts: 'http://b.example:80'}}", "b.example"),
        ("{email: {domains: '@c.example'}}", "c.example"),
    ],
)
def test_a_host_written_as_more_than_one_is_told_how_to_write_it(written: str, host: str) -> None:
    assert problems(with_condition(written))[-1].endswith(f"; write the host alone: `{host}`")


def test_a_url_of_any_host_is_probably_not_meant() -> None:
    (warning,) = warnings(with_condition("{url: {schemes: https}}"))
    assert warning.startswith("f.yaml:26:23: `url` lets any host be reached")
    assert warnings(with_condition("{url: {schemes: https, address: public}}")) == []


def test_the_example_of_the_page_is_sound() -> None:
    (example,) = re.findall(r"#### URLs.*?```yaml\nwhen:\n(.*?)```", PAGE, re.DOTALL)
    text = HOUSE.replace("          memo: {any: true}\n", textwrap.indent(example, " " * 8))
    (rule,) = (rule for rule in compiled(load_text(text)).allow if rule.id.endswith("small"))
    assert {type(condition) for condition in rule.conditions} >= {Url, Email}
