"""What requests of each dialect ask, and which are refused because two readers could differ."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.protocols.llm.asked import objects, with_model
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.first_words import first_words
from bailiwick.protocols.llm.messages_request import read_count_request
from bailiwick.protocols.llm.requests import read_request
from bailiwick.protocols.llm.told import read_told
from bailiwick.protocols.strict_json import encode

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = Dialect

MODEL: JsonObject = {"model": "local/qwen"}


def function(name: str) -> JsonObject:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def test_a_chat_request_says_what_it_asks() -> None:
    asking = read_request(
        CHAT,
        {
            "model": "assistant",
            "messages": [
                {"role": "system", "content": "You keep books."},
                {"role": "user", "content": [{"type": "text", "text": "Pay the rent"}]},
                {"role": "user", "content": "at once"},
            ],
            "stream": True,
            "max_completion_tokens": 200,
            "tools": [function("pay"), function("look_up"), function("pay")],
            "x_unknown": {"kept": True},
        },
    )
    assert asking.model == "assistant"
    assert asking.stream
    assert asking.tools == ("pay", "look_up")
    assert asking.max_output == 200
    assert asking.unsized == ()
    assert asking.hosted == ()


def test_a_responses_request_says_what_it_asks() -> None:
    asking = read_request(
        RESPONSES,
        {
            "model": "assistant",
            "instructions": "You keep books.",
            "input": [
                {"type": "message", "role": "developer", "content": "Be brief"},
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Pay"},
                        {"type": "input_text", "text": "the rent"},
                    ],
                },
                {"type": "function_call", "call_id": "c1", "name": "pay", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "paid"},
                {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"},
            ],
            "tools": [
                {"type": "function", "name": "pay", "parameters": {}},
                {"type": "custom", "name": "apply"},
                {
                    "type": "namespace",
                    "name": "mcp__bank",
                    "tools": [{"type": "function", "name": "see"}],
                },
                {"type": "local_shell"},
                {"type": "shell", "environment": {"type": "local"}},
            ],
            "max_output_tokens": 64,
        },
    )
    assert asking.tools == ("pay", "apply", "mcp__bank__see", "local_shell", "shell")
    assert (asking.max_output, asking.stream, asking.unsized) == (64, False, ())


def test_a_messages_request_says_what_it_asks() -> None:
    body: JsonObject = {
        "model": "assistant",
        "system": [{"type": "text", "text": "You keep books."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Pay the rent"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "pay"}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
        ],
        "tools": [{"name": "pay", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}],
        "max_tokens": 1_000,
        "stream": True,
    }  # fmt: skip
    asking = read_request(MESSAGES, body)
    assert asking.tools == ("pay", "bash")
    assert (asking.max_output, asking.stream, asking.unsized) == (1_000, True, ())
    counting = read_count_request({**body, "max_tokens": None})
    assert (counting.max_output, counting.stream) == (0, False)


def test_tools_that_an_item_offers_on_the_way_are_offered() -> None:
    asking = read_request(
        RESPONSES,
        {
            **MODEL,
            "tools": [{"type": "tool_search", "execution": "client"}],
            "input": [
                {"type": "additional_tools", "tools": [{"type": "function", "name": "pay"}]},
                {"type": "tool_search_output", "tools": [{"type": "mcp", "server_label": "x"}]},
            ],
        },
    )
    assert asking.tools == ("tool_search", "pay", "mcp")
    assert asking.hosted == ("mcp",)


def test_an_embedding_has_no_output_to_bound() -> None:
    asking = read_request(EMBEDDINGS, {"model": "m", "input": ["one", "two"]})
    assert (asking.max_output, asking.tools, asking.unsized) == (0, (), ())


def test_more_choices_take_more_output() -> None:
    assert read_request(CHAT, {**MODEL, "max_tokens": 10, "n": 3}).max_output == 30
    assert read_request(CHAT, {**MODEL, "max_tokens": 10, "n": 2, "best_of": 5}).max_output == 50
    assert read_request(CHAT, {**MODEL, "max_tokens": 10, "n": None}).max_output == 10
    assert read_request(CHAT, {**MODEL, "n": 3}).max_output is None


def test_of_two_bounds_the_larger_counts_since_servers_differ_in_which_they_read() -> None:
    body: JsonObject = {**MODEL, "max_tokens": 10, "max_completion_tokens": 1_000}
    assert read_request(CHAT, body).max_output == 1_000


def test_a_bound_under_another_dialects_name_is_no_bound() -> None:
    assert read_request(CHAT, {**MODEL, "max_output_tokens": 5}).max_output is None
    assert read_request(RESPONSES, {**MODEL, "max_tokens": 5}).max_output is None


def test_a_bound_of_zero_is_none_for_some_servers_so_it_is_none() -> None:
    assert read_request(CHAT, {**MODEL, "max_tokens": 0}).max_output is None
    two: JsonObject = {**MODEL, "max_tokens": 0, "max_completion_tokens": 10}
    assert read_request(CHAT, two).max_output is None


@pytest.mark.parametrize("name", ["n_predict", "num_predict", "max_new_tokens"])
@pytest.mark.parametrize(
    ("dialect", "own"),
    [(CHAT, "max_tokens"), (RESPONSES, "max_output_tokens"), (MESSAGES, "max_tokens")],
)
def test_a_bound_that_only_some_servers_read_can_only_make_it_more(
    dialect: Dialect, own: str, name: str
) -> None:
    assert read_request(dialect, {**MODEL, name: 5}).max_output is None
    assert read_request(dialect, {**MODEL, own: 10, name: 5}).max_output == 10
    assert read_request(dialect, {**MODEL, own: 10, name: 500}).max_output == 500
    for unbounded in (-1, 0, "500", 2.5, True, [1]):
        assert read_request(dialect, {**MODEL, own: 10, name: unbounded}).max_output is None
    assert read_request(dialect, {**MODEL, own: 10, name: None}).max_output == 10


def test_interleaved_thinking_may_take_more_than_max_tokens() -> None:
    thinking: JsonObject = {"type": "enabled", "budget_tokens": 9_000}
    asking = read_request(MESSAGES, {**MODEL, "max_tokens": 100, "thinking": thinking})
    assert asking.max_output == 9_000


@pytest.mark.parametrize(
    ("dialect", "body", "code"),
    [
        (CHAT, {}, "model_not_text"),
        (CHAT, {"model": None}, "model_not_text"),
        (CHAT, {"model": ["a", "b"]}, "model_not_text"),
        (RESPONSES, {"model": ""}, "model_not_text"),
        (MESSAGES, {"model": "m" * 257}, "model_not_text"),
        (EMBEDDINGS, {"input": "a"}, "model_not_text"),
        (CHAT, {**MODEL, "stream": "true"}, "stream_not_boolean"),
        (MESSAGES, {**MODEL, "stream": 1}, "stream_not_boolean"),
        (CHAT, {**MODEL, "max_tokens": "10"}, "max_output_not_integer"),
        (CHAT, {**MODEL, "max_tokens": 10.0}, "max_output_not_integer"),
        (CHAT, {**MODEL, "max_completion_tokens": -1}, "max_output_not_integer"),
        (RESPONSES, {**MODEL, "max_output_tokens": True}, "max_output_not_integer"),
        (MESSAGES, {**MODEL, "max_tokens": [1]}, "max_output_not_integer"),
        (CHAT, {**MODEL, "n": 1.5}, "n_not_integer"),
        (CHAT, {**MODEL, "best_of": "9"}, "n_not_integer"),
        (CHAT, {**MODEL, "tools": {"name": "pay"}}, "tools_not_list"),
        (CHAT, {**MODEL, "tools": ["pay"]}, "tool_without_name"),
        (CHAT, {**MODEL, "tools": [{"type": "function"}]}, "tool_without_name"),
        (CHAT, {**MODEL, "tools": [{"type": 7}]}, "tool_without_name"),
        (CHAT, {**MODEL, "tools": [{"type": "function", "Function": {}}]}, "tool_without_name"),
        (CHAT, {**MODEL, "functions": [{"description": "d"}]}, "tool_without_name"),
        (CHAT, {**MODEL, "tools": [function("f")] * 1_025}, "too_many_tools"),
        (RESPONSES, {**MODEL, "tools": [{"name": "pay"}]}, "tool_without_name"),
        (RESPONSES, {**MODEL, "tools": [{"type": "function"}]}, "tool_without_name"),
        (MESSAGES, {**MODEL, "tools": [{"input_schema": {}}]}, "tool_without_name"),
        (MESSAGES, {**MODEL, "tools": [{"type": 1, "name": "a"}]}, "tool_without_name"),
        (RESPONSES, {**MODEL, "background": True}, "background_not_supported"),
        (RESPONSES, {**MODEL, "background": "yes"}, "background_not_boolean"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused(dialect: Dialect, body: JsonObject, code: str) -> None:
    with pytest.raises(TheirError) as refused:
        read_request(dialect, body)
    assert refused.value.code == code


@pytest.mark.parametrize("name", ["models", "fallbacks"])
@pytest.mark.parametrize("dialect", Dialect)
def test_a_model_to_fall_back_on_is_refused_since_only_one_was_judged(
    dialect: Dialect, name: str
) -> None:
    with pytest.raises(TheirError) as refused:
        read_request(dialect, {**MODEL, name: ["dear/model"]})
    assert refused.value.code == "more_than_one_model"
    assert read_request(dialect, {**MODEL, name: None}).model == MODEL["model"]


@pytest.mark.parametrize("name", ["Stream", "MAX_TOKENS", "toolS", "\u017ftream", "Model"])
def test_a_judged_name_in_other_letters_is_refused_since_go_servers_ignore_case(name: str) -> None:
    for dialect in (CHAT, MESSAGES):
        with pytest.raises(TheirError) as refused:
            read_request(dialect, {**MODEL, name: None})
        assert refused.value.code == "name_misspelt"


@pytest.mark.parametrize(
    ("dialect", "more", "hosted"),
    [
        (CHAT, {"tools": [{"type": "web_search"}]}, "web_search"),
        (CHAT, {"web_search_options": {}}, "web_search"),
        (RESPONSES, {"tools": [{"type": "mcp", "server_url": "https://x", "name": "pay"}]}, "mcp"),
        (RESPONSES, {"tools": [{"type": "code_interpreter"}]}, "code_interpreter"),
        (RESPONSES, {"tools": [{"type": "mcp", "execution": "client"}]}, "mcp"),
        (RESPONSES, {"tools": [{"type": "tool_search"}]}, "tool_search"),
        (RESPONSES, {"tools": [{"type": "shell"}]}, "shell"),
        (
            RESPONSES,
            {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]},
            "shell",
        ),
        (MESSAGES, {"mcp_servers": [{"type": "url", "url": "https://x"}]}, "mcp"),
        (
            MESSAGES,
            {"tools": [{"type": "web_search_20250305", "name": "pay"}]},
            "web_search_20250305",
        ),
    ],
)
def test_a_tool_that_runs_where_no_gateway_sees_it_goes_by_its_type(
    dialect: Dialect, more: JsonObject, hosted: str
) -> None:
    asking = read_request(dialect, {**MODEL, **more})
    assert asking.hosted == (hosted,)
    assert asking.tools == (hosted,)
    assert hosted in asking.unsized


@pytest.mark.parametrize(
    ("dialect", "more", "kind"),
    [
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "image_url",
        ),
        (CHAT, {"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "audio"),
        (CHAT, {"messages": [{"role": "user", "content": [{}]}]}, "unknown"),
        (RESPONSES, {"previous_response_id": "resp_1"}, "previous_response_id"),
        (RESPONSES, {"conversation": {"id": "c"}}, "conversation"),
        (RESPONSES, {"prompt": {"id": "p"}}, "prompt"),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "i"}]}, "item_reference"),
        (
            RESPONSES,
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input_file",
        ),
        (
            RESPONSES,
            {"input": [{"type": "function_call_output", "output": [{"type": "input_image"}]}]},
            "input_image",
        ),
        (
            MESSAGES,
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "image",
        ),
        (
            MESSAGES,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "content": [{"type": "document"}]}],
                    }
                ]
            },
            "document",
        ),
        (
            CHAT,
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "content": [{}]}]},
                ]
            },
            "unknown",
        ),
        (RESPONSES, {"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "reasoning"),
        (MESSAGES, {"container": "c"}, "container"),
        (EMBEDDINGS, {"messages": []}, "messages"),
        (CHAT, {"chat_template": "{% for i in range(9999999) %}x{% endfor %}"}, "chat_template"),
        (CHAT, {"plugins": [{"id": "web"}]}, "plugins"),
        (RESPONSES, {"chat_template": "t"}, "chat_template"),
        (MESSAGES, {"thread": {"id": "t"}}, "thread"),
        (EMBEDDINGS, {"input": [{"type": "image"}]}, "image"),
    ],
)
def test_input_that_its_bytes_do_not_bound_is_named(
    dialect: Dialect, more: JsonObject, kind: str
) -> None:
    assert read_request(dialect, {**MODEL, **more}).unsized == (kind,)


def test_only_a_streamed_chat_has_to_be_told_to_report_usage() -> None:
    streamed: JsonObject = {**MODEL, "stream": True}
    assert not read_request(CHAT, streamed).reports_usage
    assert read_request(CHAT, {**streamed, "stream_options": {"include_usage": True}}).reports_usage
    assert read_request(CHAT, MODEL).reports_usage
    assert read_request(RESPONSES, streamed).reports_usage
    assert read_request(MESSAGES, streamed).reports_usage


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("type", "role", "content", "name", "function", "text", "tools", "output", "input")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
BODY = st.dictionaries(
    st.sampled_from(
        ("model", "messages", "input", "tools", "functions", "stream", "n", "max_tokens",
         "max_output_tokens", "thinking", "system", "stream_options", "background")
    ),
    JSON | st.just("user"),
)  # fmt: skip


@given(dialect=st.sampled_from(Dialect), body=BODY, model=st.booleans())
def test_no_request_breaks_the_reader(dialect: Dialect, body: dict[str, Json], model: bool) -> None:
    if model:
        body["model"] = "m"
    try:
        asking = read_request(dialect, body)
    except TheirError:
        return
    assert asking.model == body["model"]
    assert all(isinstance(name, str) and name for name in asking.tools)


@pytest.mark.parametrize(
    "more", [{"encrypted_content": "gAAA"}, {"content": [{"type": "reasoning_text", "text": "x"}]}]
)
def test_reasoning_that_is_told_whole_is_bounded_by_its_bytes(more: JsonObject) -> None:
    item: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": [], **more}
    assert read_request(RESPONSES, {**MODEL, "input": [item]}).unsized == ()


@pytest.mark.parametrize("kind", [[], {}, 1, None], ids=str)
@pytest.mark.parametrize(
    ("dialect", "within"),
    [
        (CHAT, {"messages": [{"role": "tool", "content": [{"type": "KIND", "text": "x"}]}]}),
        (RESPONSES, {"input": [{"type": "KIND"}]}),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "KIND"}]}]}),
        (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "KIND"}]}]}),
        (EMBEDDINGS, {"input": [{"type": "KIND"}]}),
    ],
)
def test_a_type_that_is_no_text_is_unknown_and_breaks_no_reader(
    dialect: Dialect, within: JsonObject, kind: Json
) -> None:
    body = json.loads(json.dumps({**MODEL, **within}).replace('"KIND"', json.dumps(kind)))
    assert read_request(dialect, body).unsized == ("unknown",)
    assert all(told.text == "" for told in read_told(dialect, body))
    assert first_words(dialect, body, 100) == ""


def test_what_is_no_object_among_objects_is_passed_over() -> None:
    image = {"role": "user", "content": ["text", {"type": "image_url"}, None]}
    assert read_request(CHAT, {**MODEL, "messages": ["text", image]}).unsized == ("image_url",)
    recorded: Json = MappingProxyType({"role": "user", "content": ({"type": "image_url"},)})
    assert objects((recorded,)) == [recorded]
    assert objects([recorded, "text"]) == [recorded]
    assert (objects("text"), objects({"type": "text"}), objects(None)) == ((), (), ())


def test_a_request_is_kept_as_it_is_sent() -> None:
    for dialect in Dialect:
        asking = read_request(dialect, {**MODEL, "user": "é", "input": [1.5]})
        assert asking.text == '{"model":"local/qwen","user":"é","input":[1.5]}'.encode()
        assert asking.input_bytes == len(asking.text)


NAMES = st.sampled_from(("m", 'a"b', "a\\", '"model":"m"', "é")) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1
)
TRICKS = st.sampled_from(
    (
        '"model":"m"',
        'x"model',
        '\\"model":"m"',
        {"model": "m"},
        [{"model": "m"}],
        {'x"model': "m"},
        {"x": '"model":"m"'},
    )
)


@given(
    before=st.dictionaries(st.text('xmodel"\\', max_size=6), TRICKS | JSON, max_size=2),
    after=st.dictionaries(st.text('xmodel"\\', max_size=6), TRICKS | JSON, max_size=2),
    old=NAMES,
    new=NAMES,
)
def test_another_name_of_the_model_changes_nothing_else(
    before: dict[str, Json], after: dict[str, Json], old: str, new: str
) -> None:
    body: JsonObject = {**before, "model": old, **{k: v for k, v in after.items() if k != "model"}}
    assert with_model(encode(body), body, new) == encode({**body, "model": new})


def test_a_model_s_name_that_stands_elsewhere_too_stays_there() -> None:
    body: JsonObject = {"metadata": {"model": "m"}, "model": "m", "user": '"model":"m"'}
    expected = b'{"metadata":{"model":"m"},"model":"new","user":"\\"model\\":\\"m\\""}'
    assert with_model(encode(body), body, "new") == expected
    assert with_model(encode({"model": "m"}), {"model": "m"}, "new") == b'{"model":"new"}'
