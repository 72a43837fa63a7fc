"""`ledger verify`, `ledger proof` and `ledger export`: check it all without trusting anybody.

`verify` needs a ledger and a public key. It opens no database and asks no gateway.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.calls import listed
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.files import ForceOption, make_folder, may_write, whole_file
from bailiwick.cli.ledger_source import MAX_FILE_BYTES, Folder, Source, open_source
from bailiwick.cli.reach import JsonOption, Reach, reaching

if TYPE_CHECKING:
    from bailiwick.ledger.audit import VerifiedLog
    from bailiwick.ledger.checkpoint import SignedCheckpoint
    from bailiwick.ledger.note import Verifier

_MAX_KEY_BYTES = 4096
_READABLE = 0o644  # a ledger is for others to read
_TOP_NAMES = ("checkpoint", "tile")  # all that a tlog-tiles folder has of its own


def ledger_verify(
    place: Annotated[
        str,
        typer.Argument(metavar="PATH|URL", help="A ledger's folder or URL, or one proof's file."),
    ],
    key: Annotated[
        str,
        typer.Option("--key", metavar="VKEY", help="Public key NAME+ID+KEY, or a file with it."),
    ],
    as_json: JsonOption = False,
) -> int:
    """Verify a ledger from its public key.

    A whole ledger (folder or URL), or one proof; needs no database and no gateway.
    """
    verifier = _verifier(key)
    if Path(place).is_file():
        return _verify_proof(Path(place), verifier, as_json)
    with open_source(place) as source:
        _need_ledger(source, place)
        log = _verify(source, verifier)
    root = base64.b64encode(log.checkpoint.root).decode()
    if as_json:
        show.out_json(
            {
                "verified": True,
                "origin": log.checkpoint.checkpoint.origin,
                "size": log.checkpoint.size,
                "root": root,
                "key": verifier.vkey,
                "files": log.files,
                "beyond": list(log.beyond),
            }
        )
        return Exit.OK
    show.out(show.styled("verified", "green"))
    show.facts(
        [
            ("ledger", log.checkpoint.checkpoint.origin),
            ("entries", f"{log.checkpoint.size}, every one hashed"),
            ("files", f"{log.files}, every one compared"),
            ("root", root),
            ("signed by", verifier.vkey),
        ]
    )
    if log.beyond:
        show.note(f"{len(log.beyond)} newer files wait for the next checkpoint")
    return Exit.OK


@reaching
def ledger_proof(
    reach: Reach,
    call_id: Annotated[str, typer.Argument(metavar="CALL", help="The call's id.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write one file for each entry instead."),
    ] = None,
    force: ForceOption = False,
) -> int:
    """Print the proofs of one call.

    A c2sp.org/tlog-proof@v1 for each of its ledger entries.
    """
    answer = reach.api().get(f"calls/{segment(call_id)}/proof")
    texts = [show.word(proof, "text") for proof in listed(answer, "proofs")]
    if out is not None:
        paths = [out / f"{segment(call_id)}-{at}.tlog-proof" for at in range(len(texts))]
        make_folder(out)
        for path in paths:
            may_write(path, force)
        for path, text in zip(paths, texts, strict=True):
            with whole_file(path, force, _READABLE) as file:
                file.write(text.encode())
        if not reach.json:
            show.out("\n".join(str(path) for path in paths))
    if reach.json:
        show.out_json(answer)
    elif out is None:
        show.out("\n".join(show.visible(text, keep_lines=True) for text in texts))
    return Exit.OK


@reaching
def ledger_export(
    reach: Reach,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if missing.")],
) -> int:
    """Copy the ledger, verified.

    For somebody who trusts neither you nor us; run again, it adds what is new. A copy that the
    ledger no longer goes on from is left as it is, and says so: exit code 5.
    """
    from bailiwick.ledger.audit import CHECKPOINT_PATH
    from bailiwick.ledger.checkpoint import open_checkpoint
    from bailiwick.ledger.note import parse_vkey
    from bailiwick.ledger.proof import read_resource
    from bailiwick.ledger.tile import resources

    about = reach.api().get("ledger")
    vkey = show.word(about, "key")
    with open_source(reach.address() + "/ledger") as source:
        note = _present(source, CHECKPOINT_PATH)
        checkpoint = open_checkpoint(note, parse_vkey(vkey))
        _check_copy(folder, source, checkpoint, parse_vkey(vkey))
        for resource in resources(checkpoint.size):
            _add(folder, resource.path, read_resource(source.fetch, resource))
    # Last, so that a copy that was cut short never looks complete.
    make_folder(folder)
    with whole_file(folder / CHECKPOINT_PATH, force=True, mode=_READABLE) as file:
        file.write(note)
    with open_source(str(folder)) as copy:
        log = _verify(copy, parse_vkey(vkey))
    if reach.json:
        show.out_json({"folder": str(folder), "size": log.checkpoint.size, "key": vkey})
        return Exit.OK
    show.out(f"{log.checkpoint.size} entries in {folder}, verified")
    show.out(f"check it anywhere: bailiwick ledger verify {folder} --key {vkey}")
    show.note("give the key by another way than the copy: whoever changes one must not own both")
    return Exit.OK


def _check_copy(folder: Path, ledger: Source, now: SignedCheckpoint, verifier: Verifier) -> None:
    """Let a copy be added to only by the ledger that it is of, if that has only grown since.

    INVARIANT: a copy that shows what was changed since is never made to show it no more.

    Raises:
        CliError: the folder holds something else, another ledger, or one that `now` does not go
            on from.
        LedgerError: the ledger lacks a file.
    """
    from bailiwick.ledger.audit import CHECKPOINT_PATH
    from bailiwick.ledger.checkpoint import open_checkpoint
    from bailiwick.ledger.errors import LedgerError
    from bailiwick.ledger.proof import prove_consistency

    _need_no_strangers(folder)
    note = Folder(folder).fetch(CHECKPOINT_PATH)
    if note is None:
        return
    try:
        before = open_checkpoint(note, verifier)
    except LedgerError as error:
        if error.code not in ("signature_missing", "origin_mismatch"):
            text = f"its `{CHECKPOINT_PATH}` does not hold, {error.message}"
            raise _changed(folder, text) from error
        text = f"`{folder}` holds a copy of another ledger"
        raise CliError(Exit.USAGE, "file_in_the_way", text, "name another folder") from error
    if before.size > now.size:
        raise _changed(folder, f"its {before.size} entries are {now.size} in the ledger now")
    try:
        prove_consistency(ledger.fetch, before, now)
    except LedgerError as error:
        if error.code == "file_missing":
            raise
        text = f"the ledger does not go on from its first {before.size} entries"
        raise _changed(folder, text) from error


def _need_no_strangers(folder: Path) -> None:
    """Say that a folder is for something else before a copy is mixed with that.

    Names with a leading dot may stand beside a log (`verify_files`).
    """
    if folder.exists() and not folder.is_dir():
        text = f"`{folder}` is not a folder"
        raise CliError(Exit.USAGE, "file_in_the_way", text, "name another")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in _TOP_NAMES and not path.name.startswith("."):
            text = f"`{path}` is in the way: a copy of a ledger has a folder of its own"
            raise CliError(Exit.USAGE, "file_in_the_way", text, "name another folder")


def _changed(folder: Path, how: str) -> CliError:
    text = f"`{folder}` is not of what the ledger says now: {how}"
    hint = "keep that copy, it is evidence; name another folder"
    return CliError(Exit.NOT_VERIFIED, "ledger_changed", text, hint)


def _add(folder: Path, name: str, data: bytes) -> None:
    """Add one file of a log, or leave it as it is: files of a log never change."""
    there = Folder(folder).fetch(name)
    if there == data:
        return
    if there is not None:
        raise _changed(folder, f"`{name}` differs")
    make_folder((folder / name).parent)
    with whole_file(folder / name, mode=_READABLE) as file:
        file.write(data)


def _need_ledger(source: Source, place: str) -> None:
    """Say that a place is none of a ledger, before saying that one does not hold."""
    from bailiwick.ledger.audit import CHECKPOINT_PATH

    if source.fetch(CHECKPOINT_PATH) is None:
        raise CliError(
            Exit.NOT_VERIFIED,
            "file_missing",
            f"`{place}` has no `{CHECKPOINT_PATH}`, so nothing was verified",
            "name the ledger itself: `ledger` in a data folder, /ledger of a gateway, or a copy",
        )


def _verify(source: Source, verifier: Verifier) -> VerifiedLog:
    from bailiwick.ledger.audit import verify_files, verify_log

    names = source.names()
    if names is None:
        return verify_log(source.fetch, verifier)
    return verify_files(source.fetch, verifier, names)


def _verify_proof(path: Path, verifier: Verifier, as_json: bool) -> int:
    from bailiwick.ledger.proof import verify_entry

    proven = verify_entry(_read(path, MAX_FILE_BYTES), verifier)
    leaf = proven.leaf.decode("utf-8", "replace")
    root = base64.b64encode(proven.checkpoint.root).decode()
    if as_json:
        show.out_json(
            {
                "verified": True,
                "index": proven.index,
                "size": proven.checkpoint.size,
                "root": root,
                "leaf": leaf,
                "key": verifier.vkey,
            }
        )
        return Exit.OK
    show.out(show.styled("verified", "green"))
    show.facts(
        [
            ("entry", f"{proven.index} of {proven.checkpoint.size}"),
            ("leaf", leaf),
            ("root", root),
            ("signed by", verifier.vkey),
        ]
    )
    return Exit.OK


def _verifier(key: str) -> Verifier:
    from bailiwick.ledger.errors import LedgerError
    from bailiwick.ledger.note import parse_vkey

    text = key
    if "+" not in key and Path(key).is_file():
        text = _read(Path(key), _MAX_KEY_BYTES).decode("utf-8", "replace")
    try:
        return parse_vkey(text.strip())
    except LedgerError as error:
        mistyped = text.count("+") >= 2  # the key itself is base64, which may have more
        raise CliError(
            Exit.USAGE,
            "bad_key",
            f"`{key}` is not a public key",
            "a part of it does not fit the others: copy it whole"
            if mistyped
            else "write NAME+ID+KEY",
        ) from error


def _present(source: Source, name: str) -> bytes:
    data = source.fetch(name)
    if data is None:
        raise CliError(Exit.NOT_VERIFIED, "file_missing", f"the ledger has no `{name}`")
    return data


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise CliError(
            Exit.USAGE, "file_unreadable", f"cannot read `{path}`: {error.strerror}"
        ) from error
    if len(data) > most_bytes:
        raise CliError(Exit.USAGE, "file_too_large", f"`{path}` is too large")
    return data
