"""Attacks on the console and its API, by name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.console.guard import SECURITY_HEADERS
from bailiwick.console.rights import why_not
from bailiwick.ports import CallState, Person
from bailiwick.ports.model_status import (
    AliasStatus,
    CandidateStatus,
    ModelServerStatus,
    ModelsStatus,
)
from bailiwick.testing.sample_day import empty_day, sample_day, ulid
from tests.console.client import HOST, ORIGIN, Answer, Client
from tests.console.conftest import House, build

HOLD = ulid(1020)
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>'\"`{{7*7}}"


def code(answer: Answer) -> str:
    return str(answer.json["error"]["code"])


# --- cross-site scripting ---


async def test_xss_in_everything_an_agent_or_server_names(tmp_path: Path) -> None:
    day = sample_day()
    held = day.hold(50, f"bank/{EVIL}", {EVIL: EVIL}, because=EVIL)
    day.records.hold_rows[held.id] = replace(held, rules=(EVIL,))
    day.add(
        51,
        f"{EVIL.replace('/', '')}/x",
        {"nested": [{EVIL: [EVIL]}]},
        CallState.DONE,
        because=EVIL,
        rules=(EVIL,),
        result={"content": [{"type": EVIL, "text": EVIL}], "structuredContent": {EVIL: EVIL}},
    )
    day.control.statuses = [
        replace(each, name=EVIL, state=EVIL, detail=EVIL, stderr_tail=(EVIL,))
        for each in day.control.statuses
    ]
    day.control.models_status = ModelsStatus(
        [ModelServerStatus(EVIL, [EVIL], 0, 0, 1)],
        [AliasStatus(EVIL, [CandidateStatus(EVIL, 1, 1, EVIL, last_failure=EVIL)])],
    )
    day.records.pin_rows = [
        replace(each, upstream=EVIL, name=EVIL, kind=EVIL, definition=f'"{EVIL[:40]}"')
        for each in day.records.pin_rows
    ]
    house = build(day, tmp_path)
    ben = await house.sign_in("ben")
    pages = (
        "/",
        f"/holds/{held.id}",
        "/calls",
        f"/calls/{ulid(51)}",
        f"/calls/{ulid(50)}",
        f"/runs/{ulid(1)}",
        "/servers",
        "/pins",
        f"/calls?agent={EVIL}&run={EVIL}&mandate={EVIL}",
        f"/calls/{EVIL.replace('/', '')}",
    )
    for page in pages:
        text = (await ben.get(page.replace("#", "%23"))).text
        assert "<script>alert" not in text, page
        assert "<img src=x" not in text, page
        assert "onerror=alert(1)>" not in text, page
    assert "&lt;script&gt;alert(1)" in (await ben.get(f"/holds/{held.id}")).text


async def test_xss_in_a_reason(house: House) -> None:
    ben = await house.sign_in("ben")
    form = (await ben.get(f"/holds/{HOLD}")).form
    await ben.post(f"/holds/{HOLD}", {**form, "decision": "refuse", "reason": EVIL})
    for page in (f"/holds/{HOLD}", f"/calls/{ulid(20)}", "/"):
        assert "<script>alert" not in (await ben.get(page)).text
    assert "&lt;script&gt;alert(1)" in (await ben.get(f"/holds/{HOLD}")).text


async def test_no_page_holds_inline_script_or_style(house: House) -> None:
    ben = await house.sign_in("ben")
    for page in ("/", f"/holds/{HOLD}", "/calls", f"/calls/{ulid(12)}", "/pins", "/mandates"):
        text = (await ben.get(page)).text
        assert text.count("<script") == text.count('<script type="module" src="/static/')
        assert "<style" not in text
        assert " style=" not in text
        assert " onclick=" not in text
        assert "http://" not in text.replace("http://127.0.0.1:8750/ledger", ""), "offline"


# --- clickjacking, sniffing, leaking ---


async def test_every_answer_carries_the_security_headers(house: House) -> None:
    ben = await house.sign_in("ben")
    answers = [
        await ben.get("/"),
        await ben.get("/nothing"),
        await ben.get("/static/console.css"),
        await ben.get("/ledger/checkpoint"),
        await house.api("ada").get("/api/v1/me"),
        await Client(house.app).get("/"),
        await Client(house.app, headers={"host": "evil.example"}).get("/"),
    ]
    assert [answer.status for answer in answers] == [200, 404, 200, 404, 200, 401, 403]
    for answer in answers:
        for name, value in SECURITY_HEADERS.items():
            assert answer.header(name) == value


async def test_a_defect_answers_plainly_and_with_the_headers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret-inside")

    monkeypatch.setattr(house.day.control, "path", broken)
    ben = await house.sign_in("ben")
    stream = ben.open("GET", f"/calls/{ulid(2)}")
    with pytest.raises(RuntimeError):
        await stream.task
    page = b"".join(stream.chunks).decode()
    assert stream.status == 500
    assert "secret-inside" not in page
    assert dict(stream.headers)["content-security-policy"]


async def test_the_content_policy_allows_nothing_but_our_own(house: House) -> None:
    policy = SECURITY_HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "data:" not in policy


async def test_pages_are_not_kept_by_caches(house: House) -> None:
    ben = await house.sign_in("ben")
    assert (await ben.get(f"/holds/{HOLD}")).header("cache-control") == "no-store"
    api = house.api("ben")
    assert (await api.get("/api/v1/holds")).header("cache-control") == "no-store"


# --- DNS rebinding, cross-origin use ---


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8750",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "user@127.0.0.1",
        "127.0.0.1/",
        "127.0.0.1:notaport",
        "[::1",
        "",
    ],
)
async def test_dns_rebinding(house: House, host: str) -> None:
    for path in ("/", "/login/x", "/api/v1/me", "/ledger/checkpoint", "/static/console.css"):
        answer = await Client(house.app, headers={"host": host}).get(path)
        assert (answer.status, code(answer)) == (403, "host_not_allowed")
        assert "--allow-host" in answer.body.decode()


@pytest.mark.parametrize("host", ["127.0.0.1:8750", "localhost", "LOCALHOST:1", "[::1]:8750"])
async def test_our_own_names_are_answered(house: House, host: str) -> None:
    assert (await Client(house.app, headers={"host": host}).get("/login/x")).status == 410


async def test_two_host_headers(house: House) -> None:
    stream = Client(house.app).open("GET", "/", headers={"Host": "evil.example"})
    await stream.task
    assert stream.status == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:3000", "https://127.0.0.1:8750", ""],
)
async def test_csrf_by_another_origin(house: House, origin: str) -> None:
    ben = await house.sign_in("ben")
    form = (await ben.get(f"/holds/{HOLD}")).form
    sent = {**form, "decision": "approve"}
    answer = await ben.post(f"/holds/{HOLD}", sent, origin=origin)
    assert (answer.status, code(answer)) == (403, "origin_not_allowed")
    assert house.day.control.acts == []


async def test_csrf_without_an_origin(house: House) -> None:
    ben = await house.sign_in("ben")
    form = (await ben.get(f"/holds/{HOLD}")).form
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = await ben.ask("POST", f"/holds/{HOLD}", b"csrf=" + form["csrf"].encode(), kind)
    assert answer.status == 403
    assert house.day.control.acts == []


@pytest.mark.parametrize("csrf", ["", "x", None])
async def test_csrf_by_a_wrong_token(house: House, csrf: str | None) -> None:
    ben = await house.sign_in("ben")
    form = (await ben.get(f"/holds/{HOLD}")).form
    fields = {**form, "decision": "approve", "csrf": csrf or ""}
    if csrf is None:
        del fields["csrf"]
    assert (await ben.post(f"/holds/{HOLD}", fields)).status in (400, 403)
    assert house.day.control.acts == []


async def test_csrf_by_a_token_of_another_session(house: House) -> None:
    ben, cyd = await house.sign_in("ben"), await house.sign_in("cyd")
    form = (await cyd.get(f"/holds/{HOLD}")).form
    answer = await ben.post(f"/holds/{HOLD}", {**form, "decision": "approve"})
    assert answer.status == 403
    assert house.day.control.acts == []


async def test_a_stamp_by_following_a_link_is_impossible(house: House) -> None:
    ben = await house.sign_in("ben")
    form = (await ben.get(f"/holds/{HOLD}")).form
    await ben.get(f"/holds/{HOLD}?decision=approve&csrf={form['csrf']}")
    assert (await ben.ask("PUT", f"/holds/{HOLD}", b"", {"origin": ORIGIN})).status == 405
    assert house.day.control.acts == []


async def test_another_site_may_not_read_by_scripts_or_frames(house: House) -> None:
    ben = await house.sign_in("ben")
    for site in ("cross-site", "same-site"):
        for mode in ("cors", "no-cors"):
            answer = await ben.get("/live", sec_fetch_site=site, sec_fetch_mode=mode)
            assert (answer.status, code(answer)) == (403, "origin_not_allowed")
    followed = await ben.get("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate")
    assert followed.status == 200


async def test_a_browser_elsewhere_may_not_use_the_api(house: House) -> None:
    ada = house.api("ada")
    answer = await ada.send(f"/api/v1/holds/{HOLD}/stamp", {}, origin="http://evil.example")
    assert (answer.status, code(answer)) == (403, "origin_not_allowed")


# --- sessions ---


async def test_session_fixation(house: House) -> None:
    planted = Client(house.app, cookies={"bailiwick_8750": "planted-by-an-attacker"})
    token = house.sessions.offer("ben").token
    await planted.post(f"/login/{token}", {})
    assert planted.cookies["bailiwick_8750"] != "planted-by-an-attacker"
    other = Client(house.app, cookies={"bailiwick_8750": "planted-by-an-attacker"})
    assert (await other.get("/")).status == 401


async def test_signing_in_again_ends_the_earlier_session(house: House) -> None:
    ben = await house.sign_in("ben")
    stolen = Client(house.app, dict(ben.cookies))
    await ben.post(f"/login/{house.sessions.offer('ben').token}", {})
    assert (await ben.get("/")).status == 200
    assert (await stolen.get("/")).status == 401


async def test_link_replay(house: House) -> None:
    token = house.sessions.offer("ben").token
    assert (await Client(house.app).post(f"/login/{token}", {})).status == 303
    again = Client(house.app)
    assert (await again.post(f"/login/{token}", {})).status == 410
    assert again.cookies == {}


async def test_a_prefetched_link_still_works(house: House) -> None:
    token = house.sessions.offer("ben").token
    for method in ("GET", "HEAD", "GET"):
        answer = await Client(house.app).ask(method, f"/login/{token}", b"", {})
        assert answer.status == 200
        assert answer.header("set-cookie") == ""
    assert (await Client(house.app).post(f"/login/{token}", {})).status == 303


async def test_login_csrf(house: House) -> None:
    """Another site must not sign a person in as the attacker."""
    token = house.sessions.offer("ben").token
    victim = Client(house.app)
    answer = await victim.post(f"/login/{token}", {}, origin="http://evil.example")
    assert answer.status == 403
    assert victim.cookies == {}


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(house: House) -> None:
    token = house.sessions.offer("ben").token
    cookie = (await Client(house.app).post(f"/login/{token}", {})).header("set-cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert "Secure" not in cookie, "plain http on loopback"


async def test_over_tls_the_cookie_is_bound_to_the_host(tmp_path: Path) -> None:
    house = build(empty_day(), tmp_path, "https://console.example")
    client = Client(house.app, headers={"host": "console.example"})
    token = house.sessions.offer("ben").token
    answer = await client.post(f"/login/{token}", {}, origin="https://console.example")
    cookie = answer.header("set-cookie")
    assert cookie.startswith("__Host-bailiwick=")
    assert "Secure" in cookie
    assert (await client.get("/")).status == 200


async def test_signing_out_ends_the_session_on_the_server(house: House) -> None:
    ben = await house.sign_in("ben")
    kept = Client(house.app, dict(ben.cookies))
    form = (await ben.get("/servers")).form
    assert (await ben.post("/logout", {"csrf": "wrong"})).status == 403
    assert (await kept.get("/")).status == 200
    assert (await ben.post("/logout", form)).status == 200
    assert (await kept.get("/")).status == 401


async def test_a_cookie_does_not_open_the_api_nor_a_token_the_pages(house: House) -> None:
    ben = await house.sign_in("ben")
    assert (await ben.get("/api/v1/holds")).status == 401
    api = house.api("ben")
    assert (await api.get("/")).status == 401


async def test_nothing_is_told_to_strangers(house: House) -> None:
    stranger = Client(house.app)
    pages = ["/", f"/holds/{HOLD}", "/calls", f"/calls/{ulid(12)}", f"/calls/{ulid(12)}/proof/1"]
    pages += ["/runs", f"/runs/{ulid(1)}", "/servers", "/mandates", "/mandates/payables", "/pins"]
    for page in [*pages, "/live", "/holds/none"]:
        answer = await stranger.get(page)
        assert answer.status == 401, page
        assert "transfer" not in answer.text
        assert "clerk" not in answer.text
    for path in ("me", "calls", "holds", "objects", "servers", "pins", "runs", "events", "ledger"):
        answer = await stranger.get(f"/api/v1/{path}")
        assert (answer.status, code(answer)) == (401, "token_missing")
        assert answer.header("www-authenticate").startswith("Bearer")


async def test_a_long_open_page_is_signed_out_in_time(house: House) -> None:
    ben = await house.sign_in("ben")
    for _ in range(4):
        house.day.clock.advance(1000)
        await ben.get("/calls", x_bailiwick_live="1")
    assert (await ben.get("/calls")).status == 401


async def test_the_session_key_is_renewed_while_in_use(house: House) -> None:
    ben = await house.sign_in("ben")
    old = dict(ben.cookies)
    house.day.clock.advance(1000)
    await ben.get("/nothing-here")
    assert ben.cookies == old, "no new key goes out with an answer that carries no cookie"
    await ben.get("/")
    assert ben.cookies != old
    house.day.clock.advance(60)
    assert (await ben.get("/")).status == 200
    assert (await Client(house.app, old).get("/")).status == 401


# --- rights ---


async def test_idor_by_an_excluded_person(house: House) -> None:
    ada = await house.sign_in("ada")
    page = await ada.get(f"/holds/{HOLD}")
    assert "excludes you" in page.text
    assert "Approve" not in page.text
    form = {**page.form, "decision": "approve"}
    form["rendering_sha256"] = (await house.api("ada").get(f"/api/v1/holds/{HOLD}")).json["hold"][
        "rendering_sha256"
    ]
    answer = await ada.post(f"/holds/{HOLD}", form)
    assert answer.status == 403
    assert "may not stamp" in answer.text
    over_api = await house.api("ada").send(f"/api/v1/holds/{HOLD}/stamp", {"decision": "approve"})
    assert (over_api.status, code(over_api)) == (403, "stamp_not_allowed")
    assert house.day.control.acts == []


async def test_revoking_and_declaring_need_their_rights(house: House) -> None:
    ben = await house.sign_in("ben")
    form = (await ben.get("/mandates/payables")).form
    assert (await ben.post("/mandates/payables/revoke", form)).status == 403
    api = house.api("ben")
    answer = await api.send("/api/v1/mandates/payables/revoke", {})
    assert code(answer) == "revoke_not_allowed"
    answer = await api.send("/api/v1/apply", {"files": {"a": "b"}, "dry_run": False})
    assert code(answer) == "apply_not_allowed"


async def test_a_login_link_is_only_ever_for_oneself(house: House) -> None:
    answer = await house.api("ben").send("/api/v1/login-links", {"person": "ada"})
    token = answer.json["url"].rpartition("/")[2]
    assert house.sessions.invited(token) == "ben"


# --- what you see is what you stamp ---


async def test_a_hold_whose_arguments_were_swapped_cannot_be_approved(house: House) -> None:
    hold = house.day.records.hold_rows[HOLD]
    path = house.day.control.paths[hold.call]
    assert isinstance(path.intent, dict)
    intent = {**path.intent, "call": {**path.intent["call"], "arguments": {"amount": "1.00"}}}
    house.day.control.paths[hold.call] = replace(path, intent=intent)
    ben = await house.sign_in("ben")
    page = await ben.get(f"/holds/{HOLD}")
    assert "do not match" in page.text
    assert "1.00" not in page.text.partition("The text you stamp")[0]
    assert 'value="approve"' not in page.text
    seen = (await house.api("ben").get(f"/api/v1/holds/{HOLD}")).json["hold"]["rendering_sha256"]
    fields = {**page.form, "rendering_sha256": seen, "decision": "approve"}
    assert (await ben.post(f"/holds/{HOLD}", fields)).status == 409
    over_api = await house.api("ben").send(f"/api/v1/holds/{HOLD}/stamp", {"decision": "approve"})
    assert code(over_api) == "rendering_changed"
    assert house.day.control.acts == []
    refused = await ben.post(f"/holds/{HOLD}", {**fields, "decision": "refuse"})
    assert refused.status == 303, "refusing is always possible"


async def test_a_stamp_on_a_text_that_is_not_the_holds(house: House) -> None:
    ben = await house.sign_in("ben")
    form = (await ben.get(f"/holds/{HOLD}")).form
    for seen in ("", "00" * 32, "é"):
        fields = {**form, "rendering_sha256": seen, "decision": "approve"}
        answer = await ben.post(f"/holds/{HOLD}", fields)
        assert answer.status == 409
        assert "not what waits" in answer.text
    assert house.day.control.acts == []


async def test_invisible_characters_are_pointed_out_where_one_decides(house: House) -> None:
    held = house.day.hold(60, "bank/transfer", {"to": "DE\u200b89\u202e", "for": "\u0430bc"})
    ben = await house.sign_in("ben")
    text = (await ben.get(f"/holds/{held.id}")).text
    assert "Look closely" in text
    assert "\u202e" not in text
    assert "\u200b" not in text
    assert 'title="RIGHT-TO-LEFT OVERRIDE"' in text
    assert "Look closely" not in (await ben.get(f"/holds/{HOLD}")).text


# --- paths ---


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "tile/../../secret",
        "tile/0/../../../secret",
        "/etc/passwd",
        "tile/0/%00",
        "tile/0/%0a000",
        "tile/0/x001/../000",
        "tile/64/000",
        "tile/00/000",
        "tile/0/1000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/٠٠٠",
        "tile/entries",
        "tile/",
        "",
        "secret",
        "checkpoint/",
        "state.db",
    ],
)
async def test_path_traversal_in_the_ledger(house: House, path: str) -> None:
    (house.ledger_dir / "secret").write_text("secret-text")
    (house.ledger_dir.parent / "secret").write_text("secret-text")
    (house.ledger_dir / "tile/0").mkdir(parents=True)
    (house.ledger_dir / "tile/0/000").write_bytes(b"tile")
    answer = await Client(house.app).get(f"/ledger/{path}")
    assert answer.status == 404
    assert b"secret-text" not in answer.body


async def test_a_link_in_the_ledger_folder_is_not_followed(house: House) -> None:
    outside = house.ledger_dir.parent / f"{house.ledger_dir.name}-outside"
    outside.write_text("secret-text")
    (house.ledger_dir / "checkpoint").symlink_to(outside)
    assert (await Client(house.app).get("/ledger/checkpoint")).status == 404


async def test_a_folder_or_pipe_in_the_ledger_folder_is_not_read(house: House) -> None:
    (house.ledger_dir / "tile/0").mkdir(parents=True)
    os.mkfifo(house.ledger_dir / "tile/0/000")
    (house.ledger_dir / "checkpoint").mkdir()
    assert (await Client(house.app).get("/ledger/checkpoint")).status == 404
    assert (await Client(house.app).get("/ledger/tile/0/000")).status == 404


@pytest.mark.parametrize("name", ["..%2fapp.py", "%2e%2e%2fapp.py", "nothing.css", "../app.py"])
async def test_path_traversal_in_static_files(house: House, name: str) -> None:
    assert (await Client(house.app).get(f"/static/{name}")).status == 404


async def test_header_injection_by_ids(house: House) -> None:
    ben = await house.sign_in("ben")
    answer = await ben.get("/calls/x%0d%0aSet-Cookie:%20a=b/proof/1")
    assert answer.status == 404
    assert answer.header("set-cookie") == ""


async def test_open_redirect(house: House) -> None:
    """Every redirect of ours goes to a path of ours, whatever was asked for."""
    held = house.day.records.hold_rows[HOLD]
    house.day.records.hold_rows["//evil.example"] = replace(held, id="//evil.example")
    ben = await house.sign_in("ben")
    token = house.sessions.offer("ben").token
    answer = await ben.post(f"/login/{token}?next=//evil.example", {"next": "//evil.example"})
    assert answer.header("location") == "/"
    form = (await ben.get(f"/holds/{HOLD}")).form
    answer = await ben.post(f"/holds/{HOLD}?next=//evil", {**form, "decision": "approve"})
    assert answer.header("location") == f"/calls/{ulid(20)}?did=approved"


# --- size ---


async def test_a_huge_body_is_refused(house: House) -> None:
    ben = await house.sign_in("ben")
    answer = await ben.post(f"/holds/{HOLD}", {"reason": "x" * 70_000})
    assert answer.status == 413
    answer = await house.api("ada").send("/api/v1/apply", {"files": {"a": "x" * (5 << 20)}})
    assert (answer.status, code(answer)) == (413, "body_too_large")


async def test_host_is_what_the_origin_must_name(house: House) -> None:
    """A person may open the console by any of its names; a form must come from that same one."""
    local = Client(house.app, headers={"host": "localhost:8750"})
    token = house.sessions.offer("ben").token
    assert (await local.post(f"/login/{token}", {}, origin=f"http://{HOST}")).status == 403
    answer = await local.post(f"/login/{token}", {}, origin="http://localhost:8750")
    assert answer.status == 303


def test_people_without_a_role_are_told_so() -> None:
    day = sample_day()
    hold = day.records.hold_rows[HOLD]
    nobody = Person("dee", frozenset(), "link")
    assert "role `approver`" in why_not(nobody, hold, day.clock.wall)
