"""URLs that lead elsewhere than they seem to: each known trick by its name."""

from __future__ import annotations

import pytest

from bailiwick.core.conditions import permits, triggers
from bailiwick.core.conditions.urls import Url
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.hosts import read_host_pattern
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS

WANTED = Url(
    ("url",),
    schemes=("https",),
    hosts=(read_host_pattern("api.example.com"), read_host_pattern("*.example.org")),
    ports=(443,),
    url_paths=(Glob("/v1/*"),),
)
PUBLIC = Url(("url",), public=True)

IN_TWO_WAYS = {
    "user name that looks like the host": "https://api.example.com@evil.test/v1/a",
    "user name and password": "https://api.example.com:443@evil.test/v1/a",
    "user name before the right host": "https://ada@api.example.com/v1/a",
    "two @": "https://a@evil.test@api.example.com/v1/a",
    "encoded @": "https://api.example.com%40evil.test/v1/a",
    "full-width @": "https://api.example.com\uff20evil.test/v1/a",
    "@ in a fragment without a path": "https://api.example.com#@evil.test/v1/a",
    "@ in a query without a path": "https://api.example.com?@evil.test/v1/a",
    "backslash for slash": "https://evil.test\\@api.example.com/v1/a",
    "backslashes after the scheme": "https:\\\\api.example.com/v1/a",
    "backslash in the path": "https://api.example.com/v1/..\\..\\admin",
    "tab in the scheme": "ht\ttps://api.example.com/v1/a",
    "tab in the host": "https://api.exam\tple.com/v1/a",
    "line break in the host": "https://api.example.com\n.evil.test/v1/a",
    "line break at the end": "https://api.example.com/v1/a\n",
    "header injection": "https://api.example.com/v1/a\r\nHost: evil.test",
    "space at the start": " https://api.example.com/v1/a",
    "no-break space": "https://api.example.com/v1/\u00a0a",
    "NUL": "https://api.example.com\0.evil.test/v1/a",
    "trailing dot": "https://api.example.com./v1/a",
    "empty label": "https://api..example.com/v1/a",
    "encoded host": "https://api.ex%61mple.com/v1/a",
    "encoded dot": "https://api%2eexample.com/v1/a",
    "encoded slash in the host": "https://api.example.com%2fevil.test/v1/a",
    "ideographic full stop": "https://api\u3002example.com/v1/a",
    "full-width letters": "https://\uff41pi.example.com/v1/a",
    "long s, that folds to s": "https://\u017fub.example.org/v1/a",
    "Kelvin sign": "https://\u212aelvin.example.org/v1/a",
    "soft hyphen": "https://api.exam\u00adple.com/v1/a",
    "zero-width joiner": "https://api.exam\u200dple.com/v1/a",
    "right-to-left override": "https://\u202eapi.example.com/v1/a",
    "sharp s, another name in IDNA 2003": "https://fa\u00df.example.org/v1/a",
    "the same in Punycode": "https://xn--fa-hia.example.org/v1/a",
    "final sigma": "https://\u03b2\u03cc\u03bb\u03bf\u03c2.example.org/v1/a",
    "capital beyond ASCII": "https://B\u00dcCHER.example.org/v1/a",
    "account-of sign, that maps to a/c": "https://api.example.com\u2100evil.test/v1/a",
    "Punycode of nothing": "https://xn--.example.org/v1/a",
    "Punycode of ASCII": "https://xn--abc-.example.org/v1/a",
    "no scheme": "//api.example.com/v1/a",
    "no scheme at all": "api.example.com/v1/a",
    "no slashes": "https:api.example.com/v1/a",
    "one slash": "https:/api.example.com/v1/a",
    "three slashes": "https:///api.example.com/v1/a",
    "script": "javascript:alert(1)",
    "script with a comment that looks like a host": "javascript:https://api.example.com/v1/a",
    "data": "data:text/html,<script>",
    "blob": "blob:https://api.example.com/v1/a",
    "view-source": "view-source:https://api.example.com/v1/a",
    "file": "file:///etc/passwd",
    "port with zeros": "https://api.example.com:0443/v1/a",
    "empty port": "https://api.example.com:/v1/a",
    "port zero": "https://api.example.com:0/v1/a",
    "port too high": "https://api.example.com:65979/v1/a",
    "signed port": "https://api.example.com:+443/v1/a",
    "two ports": "https://api.example.com:443:80/v1/a",
    "port in other digits": "https://api.example.com:\u0664\u0664\u0663/v1/a",
    "curly host": "https://{host}/v1/a",
    "star for a host": "https://*.example.org/v1/a",
    "parent": "https://api.example.com/v1/../admin",
    "encoded parent": "https://api.example.com/v1/%2e%2e/admin",
    "half encoded parent": "https://api.example.com/v1/.%2E/admin",
    "doubly encoded parent": "https://api.example.com/v1/%252e%252e/admin",
    "overlong UTF-8": "https://api.example.com/v1/%c0%ae%c0%ae/admin",
    "encoded slash": "https://api.example.com/v1/..%2fadmin",
    "encoded backslash": "https://api.example.com/v1/..%5cadmin",
    "parent before a semicolon": "https://api.example.com/v1/..;/admin",
    "double slash": "https://api.example.com/v1//evil.test",
    "encoded letter": "https://api.example.com/v1/%61dmin",
    "encoded NUL": "https://api.example.com/v1/a%00.txt",
    "encoded line break": "https://api.example.com/v1/a%0d%0aSet-Cookie:x",
    "encoded question mark": "https://api.example.com/v1/a%3Fb",
    "broken escape": "https://api.example.com/v1/%zz",
    "UTF-16 escape": "https://api.example.com/v1/%u002e%u002e/admin",
    "encoded space at the edge": "https://api.example.com/v1/..%20/admin",
    "too long": "https://api.example.com/v1/" + "a" * 9_000,
    "lone surrogate": "https://api.example.com/v1/\ud800",
    "look-alike slash": "https://api.example.com\u2044evil.test/v1/a",
    "nothing": "",
}  # fmt: skip


@pytest.mark.parametrize("url", IN_TWO_WAYS.values(), ids=IN_TWO_WAYS.keys())
def test_a_url_that_can_be_read_in_two_ways_cannot_be_told(url: str) -> None:
    assert WANTED.of(url) is CANNOT_TELL
    assert not permits(WANTED, {"url": url})
    assert triggers(WANTED, {"url": url})


ELSEWHERE = {
    "a domain that ends alike": "https://notexample.org/v1/a",
    "a domain that starts alike": "https://a.example.org.evil.test/v1/a",
    "the host as a subdomain": "https://api.example.com.evil.test/v1/a",
    "the apex of a wildcard": "https://example.org/v1/a",
    "a hyphen for a dot": "https://api-example.com/v1/a",
    "the host in the path": "https://evil.test/https://api.example.com/v1/a",
    "the host in the query": "https://evil.test/v1/?u=https://api.example.com/v1/a",
    "the host in the fragment": "https://evil.test/v1/#api.example.com",
    "Cyrillic letters": "https://\u0430pi.example.com/v1/a",
    "a script g": "https://www.example.or\u0261/v1/a",
    "the same in Punycode": "https://xn--pi-6kc.example.com/v1/a",
    "without encryption": "http://api.example.com:443/v1/a",
    "another scheme": "gopher://api.example.com:443/v1/a",
    "another port": "https://api.example.com:8443/v1/a",
    "another path": "https://api.example.com/v2/a",
    "a path that starts alike": "https://api.example.com/v10/a",
}


@pytest.mark.parametrize("url", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_url_that_leads_elsewhere_does_not_hold(url: str) -> None:
    assert WANTED.of(url) is FAILS


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1/a",
        "HTTPS://API.Example.COM/v1/a",
        "https://api.example.com:443/v1/a",
        "https://api.example.com/v1/a?q=1&r=a@b#top",
        "https://a.b.example.org/v1/",
        "https://b\u00fccher.example.org/v1/a",
        "https://xn--bcher-kva.example.org/v1/a",
        "https://api.example.com/v1/%C3%A4rger",
        "https://api.example.com/v1/\u00e4rger",
        "https://api.example.com/v1/a%20b",
        "https://api.example.com/v1/.hidden",
    ],
)
def test_a_plain_url_holds(url: str) -> None:
    assert WANTED.of(url) is HOLDS


NOT_PUBLIC = {
    "loopback": "http://127.0.0.1/",
    "all of loopback": "http://127.8.9.10/",
    "this host": "http://0.0.0.0/",
    "private": "http://10.1.2.3/",
    "private, 172": "http://172.31.255.255/",
    "private, 192": "http://192.168.1.1/",
    "carrier": "http://100.64.0.1/",
    "link-local: a cloud's metadata": "http://169.254.169.254/latest/meta-data/",
    "a cloud's wire server": "http://168.63.129.16/",
    "multicast": "http://224.0.0.1/",
    "broadcast": "http://255.255.255.255/",
    "loopback, six": "http://[::1]/",
    "unspecified, six": "http://[::]/",
    "mapped loopback": "http://[::ffff:127.0.0.1]/",
    "mapped loopback in hexadecimal": "http://[::ffff:7f00:1]/",
    "compatible loopback": "http://[::127.0.0.1]/",
    "translated": "http://[64:ff9b::7f00:1]/",
    "6to4": "http://[2002:7f00:1::]/",
    "Teredo": "http://[2001:0:7f00:1::]/",
    "unique local: a cloud's metadata": "http://[fd00:ec2::254]/",
    "link-local, six": "http://[fe80::1]/",
    "localhost": "http://localhost/",
    "localhost in capitals": "http://LOCALHOST/",
    "below localhost": "http://a.localhost/",
    "one label": "http://intranet/",
    "metadata by name": "http://metadata.google.internal/",
    "mDNS": "http://printer.local/",
}


@pytest.mark.parametrize("url", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_an_address_that_is_not_public_is_told_from_its_text(url: str) -> None:
    assert PUBLIC.of(url) is FAILS


ADDRESS_IN_DISGUISE = {
    "decimal": "http://2130706433/",
    "octal": "http://0177.0.0.1/",
    "hexadecimal": "http://0x7f.0.0.1/",
    "hexadecimal at once": "http://0x7f000001/",
    "short": "http://127.1/",
    "shortest": "http://0/",
    "leading zeros": "http://127.0.0.01/",
    "with a dot": "http://127.0.0.1./",
    "full-width digits": "http://\uff11\uff12\uff17.0.0.1/",
    "circled digits": "http://\u2460\u2461\u2466.0.0.1/",
    "five parts": "http://127.0.0.1.1/",
    "too big": "http://127.0.0.256/",
    "zone": "http://[fe80::1%25eth0]/",
    "zone, raw": "http://[fe80::1%eth0]/",
    "future address": "http://[v1.x]/",
    "brackets around a name": "http://[localhost]/",
    "brackets around four": "http://[127.0.0.1]/",
}


@pytest.mark.parametrize("url", ADDRESS_IN_DISGUISE.values(), ids=ADDRESS_IN_DISGUISE.keys())
def test_an_address_in_other_notation_cannot_be_told(url: str) -> None:
    assert PUBLIC.of(url) is CANNOT_TELL
    assert Url(("url",), schemes=("http",)).of(url) is CANNOT_TELL


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/", "http://[2606:4700::1111]/", "https://example.com/"]
)
def test_a_public_address_holds(url: str) -> None:
    assert PUBLIC.of(url) is HOLDS


DENIED = Url(("url",), hosts=(read_host_pattern("evil.test"), read_host_pattern("*.evil.test")))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/", "https://EVIL.test/", "https://evil.test./", "https://a.evil.test",
        "https://e\u200bvil.test/", "https://x@evil.test/", "https:evil.test",
        "https://192.0.2.66/", "evil.test", "//evil.test/", "https://evil\u3002test/",
    ],
)  # fmt: skip
def test_a_denied_host_cannot_be_reached_in_another_spelling(url: str) -> None:
    assert triggers(DENIED, {"url": url})


METADATA = Url(("url",), hosts=(read_host_pattern("169.254.169.254"),))


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]",
     "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "169.254.43518", "169.254.169.254."],
)  # fmt: skip
def test_a_denied_address_cannot_be_reached_in_another_notation(host: str) -> None:
    assert triggers(METADATA, {"url": f"http://{host}/latest"})
    assert not triggers(METADATA, {"url": "http://8.8.8.8/latest"})


def test_a_denied_host_leaves_others_alone() -> None:
    assert not triggers(DENIED, {"url": "https://example.com/evil.test"})


@pytest.mark.parametrize(
    "path",
    ["/admin", "/Admin", "/admin/", "/%61dmin", "/x/../admin", "//admin", "/admin;x", "/./admin",
     "/admin.", "/admin%20"],
)  # fmt: skip
def test_a_denied_path_cannot_be_reached_in_another_spelling(path: str) -> None:
    denied = Url(("url",), url_paths=(Glob("/admin"),))
    assert triggers(denied, {"url": f"https://example.com{path}"})
    assert not triggers(denied, {"url": "https://example.com/administrators"})
