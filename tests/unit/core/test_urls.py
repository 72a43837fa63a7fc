"""Reading URLs and hosts: total, and equal to what independent readers make of them."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import ada_url
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.conditions.urls import Url
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.hosts import (
    Host,
    is_public_address,
    read_host,
    read_host_pattern,
)
from bailiwick.core.texts.urls import DEFAULT_PORTS, UrlText, read_url, read_url_path
from bailiwick.core.values import CANNOT_TELL, Truth

PIECES = st.sampled_from(
    [
        *("http", "https", "HTTPS", "ftp", "git+ssh", "javascript", "://", ":", "//", "/", "\\"),
        *("@", "?", "#", ".", "..", "%2e", "%2F", "%41", "%", ";", "[", "]", "::1", "::ffff:"),
        *("a", "b.example", "example.com", "EVIL.test", "localhost", "127.0.0.1", "0x7f", "1", "0"),
        *("xn--bcher-kva", "bücher", "ß", "。", "ａ", "\u200d", "\t", "\n", " ", "\0", ":443"),
        *(":80", ":0080", "*", "{", "|", "~", "_", "-", "é", "\u0301", "\ud800", "℀", "K"),
    ]
)
URLS = st.one_of(
    st.text(max_size=60),
    st.lists(PIECES, max_size=14).map("".join),
    st.lists(PIECES, max_size=10).map(lambda pieces: "https://" + "".join(pieces)),
)


@given(URLS)
def test_reading_a_url_is_total(text: str) -> None:
    assert isinstance(read_url(text), UrlText | str)
    assert isinstance(Url(("u",), public=True, url_paths=(Glob("/*"),)).of(text), Truth)


@given(URLS)
def test_what_is_read_is_what_the_standard_reads(text: str) -> None:
    ours = read_url(text)
    if isinstance(ours, str):
        return
    theirs = ada_url.URL(text)
    assert theirs.protocol == ours.scheme + ":"
    assert theirs.hostname.lower() == ours.host.name
    assert (int(theirs.port) if theirs.port else DEFAULT_PORTS.get(ours.scheme)) == ours.port
    assert theirs.username == theirs.password == ""


def by_idna_2003(name: str) -> str | None:
    """The name in ASCII; None where letters are not known to it."""
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return None


@given(st.text(st.characters(min_codepoint=0xA0, categories=["L", "M", "N", "S", "Cf"])))
def test_a_name_is_the_same_one_in_idna_2003_and_2008(letters: str) -> None:
    host = read_host(letters + ".example")
    if isinstance(host, Host):
        assert by_idna_2003(letters + ".example") in (host.name, None)
        assert by_idna_2003(host.name) == host.name


def test_every_letter_of_the_first_plane_is_the_same_in_idna_2003_and_2008() -> None:
    for code in (*range(0x80, 0xD800), *range(0xE000, 0x10000)):
        name = f"{chr(code)}.example"
        host = read_host(name)
        if isinstance(host, Host):
            assert by_idna_2003(name) in (host.name, None), hex(code)


@given(URLS)
def test_what_is_read_is_what_older_readers_read(text: str) -> None:
    ours = read_url(text)
    if isinstance(ours, str):
        return
    theirs = urlsplit(text)
    assert theirs.scheme == ours.scheme
    assert theirs.hostname is not None
    bracketed = ":" in theirs.hostname
    if bracketed:
        assert ip_address(theirs.hostname) == ours.host.address
    else:
        assert by_idna_2003(theirs.hostname) in (ours.host.name, None)
    assert theirs.port in (ours.port, None)
    assert theirs.path == ours.path


@given(URLS)
def test_a_plain_path_is_the_one_the_standard_reads(text: str) -> None:
    ours = read_url(text)
    if isinstance(ours, str):
        return
    path, trick = read_url_path(ours.path)
    if not trick and ours.scheme in DEFAULT_PORTS:
        assert ada_url.URL(f"https://h{ours.path}").pathname == ada_url.URL(text).pathname
        assert ".." not in path.split("/")
        assert "//" not in path


@given(st.text(max_size=80) | st.lists(PIECES, max_size=6).map("".join))
def test_reading_a_host_is_total_and_gives_what_it_reads_back(text: str) -> None:
    host = read_host(text)
    if isinstance(host, Host):
        assert read_host(host.name) == host
        assert ada_url.URL(f"https://{text}/").hostname == host.name


@given(st.ip_addresses())
def test_a_public_address_is_one_for_the_standard_library_too(address: object) -> None:
    parsed = ip_address(str(address))
    if is_public_address(parsed):
        assert parsed.is_global
        assert not parsed.is_multicast


@pytest.mark.parametrize("text", ["*.", "*", "a.*.b", "*a.example", "", "a b", "*.192.0.2.1"])
def test_a_host_of_a_mandate_must_be_plain(text: str) -> None:
    with pytest.raises(ValueError, match="the host"):
        read_host_pattern(text)


@pytest.mark.parametrize("value", [None, 1, True, ["https://a.example"], {"url": "x"}])
def test_what_is_not_text_cannot_be_told(value: object) -> None:
    assert Url(("u",), schemes=("https",)).of(value) is CANNOT_TELL  # type: ignore[arg-type]


def test_a_port_is_unknown_where_the_scheme_has_none_here() -> None:
    ssh = Url(("u",), schemes=("ssh",), ports=(22,))
    assert ssh.of("ssh://git.example.com/x") is CANNOT_TELL
    assert ssh.of("ssh://git.example.com:22/x") is Truth.HOLDS


def test_the_phrase_says_all_that_is_asked() -> None:
    wanted = Url(
        ("u",),
        schemes=("https",),
        hosts=(read_host_pattern("*.example.org"),),
        ports=(443,),
        url_paths=(Glob("/v1/*"),),
        public=True,
    )
    assert wanted.sentence() == (
        "`u` is a public URL by `https` at `*.example.org` on port 443 with a path like `/v1/*`"
    )
    assert "holds an `@`" in wanted.stands("https://a@b/")
    assert "a space or dot" in wanted.stands("https://a.example.org/v1/../x")
    assert wanted.stands(3) == "is a number and not text"
