"""`ledger verify`, `proof` and `export` over a real log, and over one that somebody touched."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from bailiwick.cli.exits import Exit
from bailiwick.ledger.checkpoint import sign_checkpoint
from bailiwick.ledger.note import Signer
from bailiwick.ledger.proof import encode_proof, prove_entry
from bailiwick.ledger.tile import BUNDLE, TILE_WIDTH, Resource, encode_bundle
from bailiwick.ledger.tree import Edge, RootHash, leaf_hash
from tests.cli.fakes import Command, FakeGateway

SIZE = 300


@pytest.fixture(scope="module")
def signer() -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Signer("bailiwick.local/test", Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))


@pytest.fixture(scope="module")
def files(signer: Signer) -> dict[str, bytes]:
    """A log of 300 entries: one full bundle and one partial, and their tiles."""
    return log_of(SIZE, signer)


def log_of(size: int, signer: Signer, mark: bytes = b"n") -> dict[str, bytes]:
    entries = [b'{"%b":%d}' % (mark, number) for number in range(size)]
    edge = Edge()
    found: dict[str, bytes] = {}
    for entry in entries:
        for tile, data in edge.append(leaf_hash(entry)):
            found[tile.path] = data
    for tile, data in edge.partial_tiles():
        found[tile.path] = data
    for index in range(2):
        part = entries[index * TILE_WIDTH : (index + 1) * TILE_WIDTH]
        found[Resource(BUNDLE, index, len(part)).path] = encode_bundle(part)
    found["checkpoint"] = sign_checkpoint(size, edge.root(), signer).note
    return found


@pytest.fixture
def log(tmp_path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = tmp_path / "log" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "log"


def test_a_whole_ledger_verifies_from_its_folder_and_key_alone(
    command: Command, log: Path, signer: Signer
) -> None:
    ended = command("ledger", "verify", str(log), "--key", signer.verifier.vkey)
    assert ended.code == Exit.OK
    assert ended.out.startswith("verified\n")
    assert "300, every one hashed" in ended.out
    assert signer.verifier.vkey in ended.out
    answer = command("ledger", "verify", str(log), "--key", signer.verifier.vkey, "--json").json
    assert answer["verified"] is True
    assert answer["size"] == SIZE
    assert len(base64.b64decode(str(answer["root"]))) == 32


def test_the_key_may_stand_in_a_file(
    command: Command, log: Path, signer: Signer, tmp_path: Path
) -> None:
    key = tmp_path / "log.vkey"
    key.write_text(signer.verifier.vkey + "\n")
    assert command("ledger", "verify", str(log), "--key", str(key)).code == Exit.OK


def test_one_changed_byte_in_any_file_is_found(
    command: Command, log: Path, signer: Signer, files: dict[str, bytes]
) -> None:
    for name, data in files.items():
        path = log / name
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        ended = command("ledger", "verify", str(log), "--key", signer.verifier.vkey)
        assert ended.code == Exit.NOT_VERIFIED, name
        assert ended.out == ""
        assert "do not rely on it" in ended.err
        path.write_bytes(data)


def test_another_key_does_not_verify(command: Command, log: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    other = Signer("bailiwick.local/test", Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))
    ended = command("ledger", "verify", str(log), "--key", other.verifier.vkey)
    assert ended.code == Exit.NOT_VERIFIED


@pytest.mark.parametrize("key", ["", "not-a-key", "a+b+c", "/nowhere/key"])
def test_what_is_no_key_is_bad_input(command: Command, log: Path, key: str) -> None:
    assert command("ledger", "verify", str(log), "--key", key).code == Exit.USAGE


def test_a_link_in_the_folder_is_not_followed(
    command: Command, log: Path, signer: Signer, tmp_path: Path
) -> None:
    real = log / "tile" / "0" / "000"
    (tmp_path / "elsewhere").write_bytes(real.read_bytes())
    real.unlink()
    real.symlink_to(tmp_path / "elsewhere")
    assert command("ledger", "verify", str(log), "--key", signer.verifier.vkey).code != Exit.OK


def test_a_pipe_in_the_folder_does_not_hang(command: Command, log: Path, signer: Signer) -> None:
    (log / "checkpoint").unlink()
    os.mkfifo(log / "checkpoint")
    ended = command("ledger", "verify", str(log), "--key", signer.verifier.vkey)
    assert ended.code == Exit.NOT_VERIFIED


def test_a_place_without_a_ledger_is_not_said_to_hold_a_wrong_one(
    command: Command, log: Path, signer: Signer
) -> None:
    ended = command("ledger", "verify", str(log.parent), "--key", signer.verifier.vkey)
    assert ended.code == Exit.NOT_VERIFIED
    assert f"`{log.parent}` has no `checkpoint`, so nothing was verified; name the" in ended.err


def test_a_key_with_a_letter_wrong_is_said_to_be_miscopied(
    command: Command, log: Path, signer: Signer
) -> None:
    name, ident, key = signer.verifier.vkey.split("+", 2)
    for wrong in (f"{name}+{ident}+{key[:-2]}AA", f"x{name}+{ident}+{key}"):
        ended = command("ledger", "verify", str(log), "--key", wrong)
        assert (ended.code, "copy it whole" in ended.err) == (Exit.USAGE, True)
    assert "write NAME+ID+KEY" in command("ledger", "verify", str(log), "--key", "x").err


def test_one_proof_verifies_by_itself(
    command: Command, files: dict[str, bytes], signer: Signer, tmp_path: Path
) -> None:
    checkpoint = sign_checkpoint(SIZE, _root(files), signer)
    proof = tmp_path / "entry.tlog-proof"
    proof.write_bytes(encode_proof(prove_entry(files.get, checkpoint, 7)))
    ended = command("ledger", "verify", str(proof), "--key", signer.verifier.vkey, "--json")
    assert ended.json["index"] == 7
    assert ended.json["leaf"] == '{"n":7}'
    proof.write_bytes(proof.read_bytes().replace(b"index 7\n", b"index 8\n"))
    ended = command("ledger", "verify", str(proof), "--key", signer.verifier.vkey)
    assert ended.code == Exit.NOT_VERIFIED


def test_a_ledger_verifies_over_http(
    command: Command, gateway: FakeGateway, files: dict[str, bytes], signer: Signer
) -> None:
    for name, data in files.items():
        gateway.says(f"GET /ledger/{name}", data)
    url = gateway.url + "/ledger"
    assert command("ledger", "verify", url, "--key", signer.verifier.vkey).code == Exit.OK
    assert not any("authorization" in asked.headers for asked in gateway.asked)


def test_an_export_verifies_and_running_it_again_adds_what_is_new(
    asking: Command, gateway: FakeGateway, files: dict[str, bytes], signer: Signer, tmp_path: Path
) -> None:
    gateway.says("GET /api/v1/ledger", {"key": signer.verifier.vkey, "url": "", "size": SIZE})
    for name, data in files.items():
        gateway.says(f"GET /ledger/{name}", data)
    for _again in range(2):
        ended = asking("ledger", "export", str(tmp_path / "copy"))
        assert ended.code == Exit.OK
    copied = {
        str(path.relative_to(tmp_path / "copy")): path.read_bytes()
        for path in (tmp_path / "copy").rglob("*")
        if path.is_file()
    }
    assert copied == files
    assert f"--key {signer.verifier.vkey}" in ended.out


def serve(gateway: FakeGateway, files: dict[str, bytes], signer: Signer) -> None:
    gateway.says("GET /api/v1/ledger", {"key": signer.verifier.vkey})
    for name, data in files.items():
        gateway.says(f"GET /ledger/{name}", data)


def all_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_copy_grows_with_its_ledger(
    asking: Command, gateway: FakeGateway, files: dict[str, bytes], signer: Signer, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    serve(gateway, log_of(290, signer), signer)
    assert asking("ledger", "export", str(copy)).code == Exit.OK
    serve(gateway, files, signer)
    ended = asking("ledger", "export", str(copy))
    assert (ended.code, ended.out.split()[0]) == (Exit.OK, "300")


def test_a_copy_shows_that_the_ledger_was_changed_and_is_not_made_to_show_it_no_more(
    asking: Command, gateway: FakeGateway, files: dict[str, bytes], signer: Signer, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    serve(gateway, files, signer)
    assert asking("ledger", "export", str(copy)).code == Exit.OK
    kept = all_of(copy)
    for other in (log_of(310, signer, b"x"), log_of(300, signer, b"x"), log_of(290, signer)):
        serve(gateway, other, signer)
        ended = asking("ledger", "export", str(copy))
        assert ended.code == Exit.NOT_VERIFIED
        assert "keep that copy, it is evidence" in ended.err
        assert all_of(copy) == kept
    (copy / "checkpoint").unlink()
    serve(gateway, log_of(310, signer, b"x"), signer)
    ended = asking("ledger", "export", str(copy))
    assert (ended.code, "differs" in ended.err) == (Exit.NOT_VERIFIED, True)


def test_an_export_does_not_go_into_the_copy_of_another_ledger(
    asking: Command, gateway: FakeGateway, files: dict[str, bytes], signer: Signer, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    other = Signer("bailiwick.local/other", Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))
    copy = tmp_path / "copy"
    serve(gateway, log_of(290, other), other)
    assert asking("ledger", "export", str(copy)).code == Exit.OK
    kept = all_of(copy)
    serve(gateway, files, signer)
    ended = asking("ledger", "export", str(copy))
    assert (ended.code, "holds a copy of another ledger" in ended.err) == (Exit.USAGE, True)
    assert all_of(copy) == kept


def test_a_copy_whose_checkpoint_was_damaged_is_kept_as_evidence(
    asking: Command, gateway: FakeGateway, files: dict[str, bytes], signer: Signer, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    serve(gateway, files, signer)
    assert asking("ledger", "export", str(copy)).code == Exit.OK
    note = (copy / "checkpoint").read_bytes()
    for damaged in (note + b"x", note.replace(b"\n300\n", b"\n301\n"), b""):
        (copy / "checkpoint").write_bytes(damaged)
        ended = asking("ledger", "export", str(copy))
        assert ended.code == Exit.NOT_VERIFIED
        assert "its `checkpoint` does not hold" in ended.err
        assert "keep that copy, it is evidence" in ended.err
        assert (copy / "checkpoint").read_bytes() == damaged


def test_an_export_is_not_mixed_with_what_is_no_ledger(
    asking: Command, gateway: FakeGateway, files: dict[str, bytes], signer: Signer, tmp_path: Path
) -> None:
    serve(gateway, files, signer)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / ".hidden").write_text("no part of a log")
    assert asking("ledger", "export", str(mine)).code == Exit.OK
    kept = all_of(mine)
    letter = mine / "letter.txt"
    letter.write_text("Dear auditor")
    for place, told in ((mine, "a folder of its own"), (letter, "is not a folder")):
        ended = asking("ledger", "export", str(place))
        assert (ended.code, told in ended.err) == (Exit.USAGE, True)
    letter.unlink()
    assert all_of(mine) == kept


def test_an_export_of_a_log_with_a_hole_fails_and_leaves_no_checkpoint(
    asking: Command, gateway: FakeGateway, files: dict[str, bytes], signer: Signer, tmp_path: Path
) -> None:
    gateway.says("GET /api/v1/ledger", {"key": signer.verifier.vkey})
    for name, data in files.items():
        if name != "tile/0/000":
            gateway.says(f"GET /ledger/{name}", data)
    ended = asking("ledger", "export", str(tmp_path / "copy"))
    assert ended.code == Exit.NOT_VERIFIED
    assert not (tmp_path / "copy" / "checkpoint").exists()


def test_a_log_that_grows_during_its_export_is_cut_to_its_checkpoint(
    asking: Command, gateway: FakeGateway, files: dict[str, bytes], signer: Signer, tmp_path: Path
) -> None:
    gateway.says("GET /api/v1/ledger", {"key": signer.verifier.vkey})
    for name, data in {**log_of(512, signer), "checkpoint": files["checkpoint"]}.items():
        gateway.says(f"GET /ledger/{name}", data)
    gateway.says("GET /ledger/tile/1/000.p/1", files["tile/1/000.p/1"])
    assert asking("ledger", "export", str(tmp_path / "copy")).code == Exit.OK
    copied = tmp_path / "copy" / "tile" / "entries" / "001.p" / "44"
    assert copied.read_bytes() == files["tile/entries/001.p/44"]


def test_proofs_are_printed_or_written_one_file_each(
    asking: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    texts = [{"text": "c2sp.org/tlog-proof@v1\none\n"}, {"text": "c2sp.org/tlog-proof@v1\ntwo\n"}]
    gateway.says("GET /api/v1/calls/01J/proof", {"call": "01J", "proofs": texts})
    assert asking("ledger", "proof", "01J").out.count("c2sp.org/tlog-proof@v1") == 2
    ended = asking("ledger", "proof", "01J", "--out", str(tmp_path / "proofs"))
    written = [Path(line) for line in ended.out.splitlines()]
    assert [path.read_text() for path in written] == [text["text"] for text in texts]
    written[1].write_text("mine")
    ended = asking("ledger", "proof", "01J", "--out", str(tmp_path / "proofs"))
    assert (ended.code, "replace it with --force" in ended.err) == (Exit.USAGE, True)
    assert written[1].read_text() == "mine"
    ended = asking("ledger", "proof", "01J", "--out", str(tmp_path / "proofs"), "--force")
    assert ended.code == Exit.OK
    assert [path.read_text() for path in written] == [text["text"] for text in texts]
    assert json.dumps(texts[0]) in json.dumps(asking("ledger", "proof", "01J", "--json").json)


def _root(files: dict[str, bytes]) -> RootHash:
    return RootHash(base64.b64decode(files["checkpoint"].split(b"\n")[2]))
