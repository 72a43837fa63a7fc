"""TLS to upstreams: verified, or not at all."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bailiwick.core.errors import UpstreamDown
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.wire import Template, parse_url
from tests.gateway.upstreams.site import Got, Wire, site, soon


def certificate(folder: Path, address: str, *, expired: bool = False) -> tuple[Path, Path]:
    """A self-signed certificate and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    end = now - datetime.timedelta(days=1) if expired else now + datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(end)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


async def ask(folder: Path, address: str, *, trusted: bool, expired: bool = False) -> bytes:
    certificate_file, key_file = certificate(folder, address, expired=expired)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate_file, key_file)
    trusting = ssl.create_default_context(cafile=str(certificate_file)) if trusted else None

    async def answer(got: Got, wire: Wire) -> None:
        await wire.json({})

    async with site(answer, tls=served) as here:
        origin, target = parse_url(here.url)
        client = HttpClient("bank", origin, HttpLimits(), trusting)
        try:
            template = Template("POST", origin, target, ())
            return (await soon(client.send(template, body=b"{}"))).body
        finally:
            client.close()


async def test_a_server_whose_certificate_is_trusted_is_spoken_to(tmp_path: Path) -> None:
    assert await ask(tmp_path, "127.0.0.1", trusted=True) == b"{}"


@pytest.mark.parametrize(
    ("address", "trusted", "expired"),
    [("127.0.0.1", False, False), ("127.0.0.2", True, False), ("127.0.0.1", True, True)],
    ids=["unknown authority", "another's name", "expired"],
)
async def test_a_server_that_cannot_prove_itself_is_not_spoken_to(
    tmp_path: Path, address: str, trusted: bool, expired: bool
) -> None:
    with pytest.raises(UpstreamDown) as caught:
        await ask(tmp_path, address, trusted=trusted, expired=expired)
    assert caught.value.code == "upstream_tls"
