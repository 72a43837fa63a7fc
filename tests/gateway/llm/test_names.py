"""What a model's name means."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.errors import TheirError
from bailiwick.gateway.llm.names import MAX_REMEMBERED, Meant, Names, Serves, meant


class Serving:
    def __init__(self, *models: str) -> None:
        self._models = models

    @property
    def serves_all(self) -> bool:
        return "*" in self._models

    def serves(self, model: str) -> bool:
        return self.serves_all or model in self._models


SERVERS = {
    "local": Serving("tiny", "Qwen/Qwen3", "both"),
    "hosted": Serving("big", "both", "local/odd"),
    "qwen": Serving("own"),
}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("local/tiny", Meant("local", "tiny", served=True)),
        ("tiny", Meant("local", "tiny", served=True)),
        ("Qwen/Qwen3", Meant("local", "Qwen/Qwen3", served=True)),
        ("local/Qwen/Qwen3", Meant("local", "Qwen/Qwen3", served=True)),
        ("local/big", Meant("local", "big", served=False)),
        ("hosted/both", Meant("hosted", "both", served=True)),
        ("qwen/Qwen3", Meant("qwen", "Qwen3", served=False)),
    ],
)
def test_a_name_with_its_server_or_of_one_server(asked: str, found: Meant) -> None:
    assert meant(asked, SERVERS) == found


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("both", "model_ambiguous"),
        ("local/odd", "model_ambiguous"),
        ("nothing", "model_unknown"),
        ("local/", "model_unknown"),
        ("/tiny", "model_unknown"),
        ("Local/tiny", "model_unknown"),
        ("ti ny", "model_name_unusual"),
        ("tin\u00fd", "model_name_unusual"),
        ("tiny\n", "model_name_unusual"),
        ("", "model_name_unusual"),
    ],
)
def test_a_name_that_means_nothing_or_two_things(asked: str, code: str) -> None:
    with pytest.raises(TheirError) as refused:
        meant(asked, SERVERS)
    assert refused.value.code == code


def test_who_asks_for_no_model_is_told_where_the_models_are_listed() -> None:
    with pytest.raises(TheirError) as refused:
        meant("nothing", SERVERS)
    assert refused.value.message == (
        "there is no model `nothing`; `/v1/models` lists those that may be asked for"
    )


@given(st.text(max_size=20) | st.sampled_from(["local", "tiny", "/", "both"]).map(str))
def test_what_is_found_spells_out_as_it_was_asked(asked: str) -> None:
    try:
        found = meant(asked, SERVERS)
    except TheirError:
        return
    assert asked in (found.model, f"{found.server}/{found.model}")


def test_a_server_that_takes_any_name_makes_no_other_server_s_name_ambiguous() -> None:
    servers = {"one": Serving("*"), "two": Serving("*")}
    assert meant("one/tiny", servers) == Meant("one", "tiny", served=True)
    with pytest.raises(TheirError, match="more than one server"):
        meant("tiny", servers)


@given(st.lists(st.sampled_from(["tiny", "both", "local/odd", "own", "none", "local/tiny", "é"])))
def test_what_is_remembered_is_what_would_be_found(asked: list[str]) -> None:
    def told(of: Callable[[str, Mapping[str, Serves]], Meant], name: str) -> Meant | str:
        try:
            return of(name, SERVERS)
        except TheirError as error:
            return error.code

    names = Names()
    assert [told(names.meant, name) for name in asked] == [told(meant, name) for name in asked]


def test_other_servers_make_all_names_forgotten() -> None:
    names = Names()
    assert names.meant("tiny", {"one": Serving("tiny")}).server == "one"
    assert names.meant("tiny", {"two": Serving("tiny")}).server == "two"
    with pytest.raises(TheirError, match="there is no model"):
        names.meant("tiny", {})


def test_so_many_names_are_remembered_and_no_more() -> None:
    names, servers = Names(), {"one": Serving("*")}
    for number in range(MAX_REMEMBERED + 5):
        assert names.meant(f"m{number}", servers).model == f"m{number}"
    assert len(names._known) <= MAX_REMEMBERED
