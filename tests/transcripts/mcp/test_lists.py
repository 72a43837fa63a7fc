"""Lists: the servers' own bytes and order, filtered by policy, merged under safe names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bailiwick.core.errors import StoreError
from bailiwick.gateway.mcp.core import Limits
from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.wire import Client, legacy, modern, tool

ODD = (
    b'{"name" : "odd","x-vendor":{"b":1.50,"a":[ ]},"inputSchema":{"$defs":{"z":true},'
    b'"type":"object"},"description":"\\u00e9"}'
)


async def listed(
    house: House, method: str = "tools/list", path: str = "/mcp", **params: Any
) -> Any:
    reply = await house.wire().post(modern(method, **params), path=path)
    return reply.result


def names(result: Any, member: str = "tools", key: str = "name") -> list[str]:
    return [item[key] for item in result[member]]


@pytest.mark.requirement("both/tool-order-and-schemas")
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_definitions_of_one_server_are_byte_equal_and_in_its_order(era: str) -> None:
    house = make_house(FakeUpstream("fs", tools=[tool("z"), ODD, tool("a")]))
    if era == "modern":
        reply = await house.wire().post(modern("tools/list"), path="/mcp/fs")
    else:
        client = await Client.connect(house.wire(), path="/mcp/fs")
        reply = await client.post(legacy("tools/list"))

    assert ODD in reply.body
    assert names(reply.result) == ["z", "odd", "a"]


@pytest.mark.requirement("both/tool-order-and-schemas")
async def test_on_the_merged_endpoint_only_the_name_changes() -> None:
    house = make_house(
        FakeUpstream("fs", tools=[ODD, tool("a")]), FakeUpstream("bank", tools=[tool("pay")])
    )
    reply = await house.wire().post(modern("tools/list"))

    assert names(reply.result) == ["fs/odd", "fs/a", "bank/pay"]
    assert (
        b'{"name":"fs/odd","x-vendor":{"b":1.50,"a":[ ]},"inputSchema":{"$defs":{"z":true},'
        b'"type":"object"},"description":"\\u00e9"}'
    ) in reply.body


async def test_names_for_models_on_request_and_for_clients_known_to_need_them() -> None:
    house = make_house(FakeUpstream("fs", tools=[tool("read.file"), tool("x" * 70)]))
    asked = names(await listed(house, path="/mcp?names=model"))
    meta = {"io.modelcontextprotocol/clientInfo": {"name": "goose", "version": "1"}}
    known = names(await listed(house, meta=meta))
    plain = names(await listed(house, path="/mcp?names=path", meta=meta))

    assert asked == known != plain
    assert all(len(name) <= 64 for name in asked)
    for spelled, real in zip(asked, ["read.file", "x" * 70], strict=True):
        await house.wire().post(modern("tools/call", name=spelled, arguments={}))
        assert house.gate.seen[-1].target.name == real


@pytest.mark.requirement("both/denied-hidden-and-refused")
@pytest.mark.parametrize(
    ("method", "member", "key", "use"),
    [
        ("tools/list", "tools", "name", "tools/call"),
        ("prompts/list", "prompts", "name", "prompts/get"),
        ("resources/list", "resources", "uri", "resources/read"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate", ""),
    ],
)
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_what_the_mandate_denies_is_absent_from_lists_and_refused_on_use(
    method: str, member: str, key: str, use: str, era: str
) -> None:
    server = FakeUpstream(
        "s",
        tools=[tool("yes"), tool("no")],
        prompts=[{"name": "yes"}, {"name": "no"}],
        resources=[{"uri": "yes", "name": "y"}, {"uri": "no", "name": "n"}],
        templates=[{"uriTemplate": "yes", "name": "y"}, {"uriTemplate": "no", "name": "n"}],
    )
    house = make_house(server)
    house.gate.denied.add("s/no")
    client = await Client.connect(house.wire(), path="/mcp/s")

    async def ask(asked: str, **params: Any) -> Any:
        if era == "legacy":
            return await client.post(legacy(asked, **params))
        return await house.wire().post(modern(asked, **params), path="/mcp/s")

    assert names((await ask(method)).result, member, key) == ["yes"]
    if use:
        reply = await ask(use, **{key: "no"})
        text = json.dumps(reply.messages)
        assert "not in the mandate" in text
        assert use == "tools/call" or "error" in reply.messages[0]
        assert server.of(use) == []


@pytest.mark.requirement("both/cursors")
@pytest.mark.parametrize("page_items", [1, 3, 4, 100])
@pytest.mark.parametrize("page_size", [1, 2, 5])
async def test_following_cursors_yields_every_visible_item_once_and_in_order(
    page_items: int, page_size: int
) -> None:
    one = FakeUpstream("one", tools=[tool(f"t{n}") for n in range(7)], page_size=page_size)
    two = FakeUpstream("two", tools=[tool(f"u{n}") for n in range(5)], page_size=page_size)
    house = make_house(one, FakeUpstream("none"), two, limits=Limits(page_items=page_items))
    house.gate.denied.add("one/t3")
    found: list[str] = []
    cursor: dict[str, str] = {}

    for _ in range(30):
        page = await listed(house, **cursor)
        assert len(page["tools"]) <= page_items
        found += names(page)
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}

    expected = [f"one/t{n}" for n in range(7) if n != 3] + [f"two/u{n}" for n in range(5)]
    assert found == expected


@pytest.mark.requirement("both/cursors")
@pytest.mark.parametrize("cursor", ["", "x", "W10", "é", 5, "WyJub2JvZHkiLG51bGwsMF0", "A" * 9000])
async def test_a_cursor_we_never_gave_is_refused(cursor: Any) -> None:
    house = make_house(FakeUpstream("fs", tools=[tool("a")]))
    reply = await house.wire().post(modern("tools/list", cursor=cursor))
    assert reply.status == 400
    assert reply.error["code"] == -32602


@pytest.mark.requirement("2026-07-28/private-cache")
@pytest.mark.parametrize("path", ["/mcp", "/mcp/fs"])
@pytest.mark.parametrize(
    "method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
)
async def test_lists_are_private_whatever_the_server_says(method: str, path: str) -> None:
    server = FakeUpstream(
        "fs", tools=[tool("a")], prompts=[{"name": "p"}], resources=[{"uri": "a:b", "name": "r"}]
    )
    result = await listed(make_house(server), method, path)
    assert result["cacheScope"] == "private"
    assert isinstance(result["ttlMs"], int)
    assert result["resultType"] == "complete"


@pytest.mark.requirement("2026-07-28/private-cache")
@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
async def test_a_resource_that_was_read_is_private_and_otherwise_unchanged(version: str) -> None:
    server = FakeUpstream("fs", resources=[{"uri": "a:b", "name": "r"}], version=version)

    async def read(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        if version == "2026-07-28":
            return UpstreamReply(
                result=b'{"resultType":"complete","contents":[{"n":1.0}],"ttlMs":9,"cacheScope":"public"}'
            )
        return UpstreamReply(result=b'{"contents":[{"n":1.0}]}')

    server.handlers["resources/read"] = read
    reply = (
        await make_house(server).wire().post(modern("resources/read", uri="a:b"), path="/mcp/fs")
    )

    assert reply.result["cacheScope"] == "private"
    assert reply.result["resultType"] == "complete"
    assert b'"contents":[{"n":1.0}]' in reply.body


async def test_a_missing_server_is_named_and_takes_nothing_from_the_others() -> None:
    house = make_house(FakeUpstream("gone", down=True), FakeUpstream("fs", tools=[tool("a")]))
    result = await listed(house)
    assert names(result) == ["fs/a"]
    assert result["_meta"]["bailiwick/missing"] == [
        {"server": "gone", "because": "it cannot be reached"}
    ]


async def test_the_list_of_a_missing_server_alone_is_an_error() -> None:
    house = make_house(FakeUpstream("gone", down=True))
    reply = await house.wire().post(modern("tools/list"), path="/mcp/gone")
    assert reply.error["code"] == -32603


async def test_a_kind_no_server_has_is_no_method_here() -> None:
    house = make_house(FakeUpstream("fs", tools=[tool("a")]))
    reply = await house.wire().post(modern("prompts/list"))
    assert reply.status == 404
    assert reply.error["code"] == -32601


async def test_garbage_for_a_list_is_a_missing_server() -> None:
    server = FakeUpstream("fs", tools=[tool("a")])

    async def garbage(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=b'{"tools":"none"}')

    server.handlers["tools/list"] = garbage
    result = await listed(make_house(server, FakeUpstream("ok", tools=[tool("b")])))
    assert names(result) == ["ok/b"]
    assert result["_meta"]["bailiwick/missing"][0]["server"] == "fs"


async def test_an_error_for_a_list_is_passed_on_from_a_single_server() -> None:
    server = FakeUpstream("fs", tools=[tool("a")])

    async def refuse(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(error=b'{"code":-32011,"message":"not today"}')

    server.handlers["tools/list"] = refuse
    reply = await make_house(server).wire().post(modern("tools/list"), path="/mcp/fs")
    assert reply.error == {"code": -32011, "message": "not today"}


async def test_malformed_and_shadowing_definitions_are_left_out_and_counted() -> None:
    bad = [
        b'{"name":"a","name":"b"}',
        b'{"name":"pay\\u202e"}',
        b"3",
        json.dumps(tool("ok")).encode(),
    ]
    house = make_house(FakeUpstream("fs", tools=[tool("ok"), *bad]))
    result = await listed(house)
    assert names(result) == ["fs/ok"]
    assert result["_meta"]["bailiwick/missing"] == [
        {"server": "fs", "because": "4 malformed definitions are left out"}
    ]


async def test_a_servers_meta_that_is_none_does_not_hide_what_is_missing() -> None:
    server = FakeUpstream("fs", tools=[tool("a")])

    async def say(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=b'{"tools":[1],"_meta":"text"}')

    server.handlers["tools/list"] = say
    result = await listed(make_house(server), path="/mcp/fs")
    assert list(result["_meta"]) == ["bailiwick/missing"]


async def test_ten_thousand_tools_are_paged_and_pinned() -> None:
    house = make_house(
        FakeUpstream("big", tools=[tool(f"t{n}") for n in range(10_000)], page_size=5000)
    )
    first = await listed(house)
    assert len(first["tools"]) == 1000
    assert "nextCursor" in first
    assert len(house.pins.recorded) == 5000


async def test_what_cannot_be_recorded_is_not_shown_and_not_used() -> None:
    server = FakeUpstream("fs", tools=[tool("a")])
    house = make_house(server)
    house.pins.failing = StoreError("disk_full", "the disk is full")

    result = await listed(house)
    reply = await house.wire().post(modern("tools/call", name="fs/a", arguments={}))

    assert names(result) == []
    assert reply.result["_meta"]["bailiwick/code"] == "ledger_unavailable"
    assert server.of("tools/call") == []

    house.pins.failing = None
    assert names(await listed(house)) == ["fs/a"]


@pytest.mark.requirement("both/completion")
@pytest.mark.parametrize("path", ["/mcp", "/mcp/s"])
async def test_completion_reaches_the_right_server_for_what_may_be_seen(path: str) -> None:
    server = FakeUpstream(
        "s",
        prompts=[{"name": "p"}, {"name": "q"}],
        templates=[{"uriTemplate": "a:{x}", "name": "t"}],
    )
    house = make_house(FakeUpstream("other", prompts=[{"name": "p"}]), server)
    house.gate.denied.add("s/q")
    prefix = "" if path == "/mcp/s" else "s/"
    values = b'{"completion":{"values":["one","two"],"hasMore":false},"resultType":"complete"}'

    async def complete(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=values)

    server.handlers["completion/complete"] = complete
    argument = {"name": "x", "value": "o"}
    context = {"arguments": {"y": "z"}}

    async def ask(ref: Any) -> Any:
        message = modern("completion/complete", ref=ref, argument=argument, context=context)
        return await house.wire().post(message, path=path)

    of_prompt = await ask({"type": "ref/prompt", "name": f"{prefix}p"})
    uri = "a:{x}" if path == "/mcp/s" else "s+a:{x}"
    of_template = await ask({"type": "ref/resource", "uri": uri})
    denied = await ask({"type": "ref/prompt", "name": f"{prefix}q"})

    assert of_prompt.body.endswith(b'"result":' + values + b"}")
    assert of_template.result["completion"]["values"] == ["one", "two"]
    assert denied.error["code"] == -32602
    first, second = server.of("completion/complete")
    assert first.params["ref"] == {"type": "ref/prompt", "name": "p"}
    assert first.params["argument"] == argument
    assert first.params["context"] == context
    assert second.params["ref"] == {"type": "ref/resource", "uri": "a:{x}"}


async def test_resources_and_prompts_are_used_under_their_merged_names() -> None:
    server = FakeUpstream(
        "fs", resources=[{"uri": "file:///a", "name": "a"}], prompts=[{"name": "p"}]
    )
    house = make_house(server)
    listed_resources = await listed(house, "resources/list")
    uri = listed_resources["resources"][0]["uri"]

    await house.wire().post(modern("resources/read", uri=uri))
    await house.wire().post(modern("prompts/get", name="fs/p", arguments={"x": "y"}))

    assert uri == "fs+file:///a"
    assert [str(asked.target) for asked in house.gate.seen] == ["fs/file:///a", "fs/p"]
    assert house.gate.seen[1].arguments == {"x": "y"}
    assert server.of("resources/read")[0].params["uri"] == "file:///a"
    assert server.of("prompts/get")[0].params["name"] == "p"
