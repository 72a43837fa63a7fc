"""`agents`, `people` and `login`: who acts, and what agents and people prove themselves with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.calls import listed
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.reach import Reach, lists, reaching
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import BailiwickError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

TtlOption = Annotated[
    str, typer.Option("--ttl", metavar="TIME", help="How long it lives: 90s, 30m, 8h, 7d.")
]


@reaching
def agents_list(
    context: typer.Context,
    reach: Reach,
    every: Annotated[
        bool, typer.Option("--all", help="Also mandates that let nothing through any more.")
    ] = False,
) -> int:
    """List agents: who answers for each, its mandates, its last call.

    Tokens are not kept, so there is no list of them: the id of the one that the last call was made
    with stands beside it, and each that was made or revoked is in the ledger.
    """
    if not lists(context):
        return Exit.OK
    answer = reach.api().get("agents")
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    rows = listed(answer, "agents")
    if not rows:
        show.note("no agent is declared, so nobody can call anything")
        return Exit.OK
    show.table(
        ("agent", "owner", "last call", "with token", "mandates"),
        [_agent(row, every) for row in rows],
    )
    return Exit.OK


def _agent(row: JsonObject, every: bool) -> tuple[str, ...]:
    call = row.get("last_call")
    heard = call if isinstance(call, dict) else {}
    given = []
    for mandate in listed(row, "mandates"):
        state, stopped_by = show.word(mandate, "state"), show.word(mandate, "stopped_by")
        if state in ("revoked", "expired") and not every:
            continue
        said = state if state != "active" else f"stopped by {stopped_by}" if stopped_by else ""
        name = f"{show.word(mandate, 'name')}@{show.word(mandate, 'version')}"
        given.append(f"{name} ({said})" if said else name)
    return (
        show.word(row, "name"),
        show.word(row, "owner"),
        show.when(heard.get("at_ms")) or "never",
        show.word(heard, "token"),
        ", ".join(given) or "none in force",
    )


@reaching
def agents_token(
    reach: Reach,
    name: Annotated[str, typer.Argument(help="The agent's name.")],
    mandate: Annotated[
        str, typer.Option("--mandate", help="Which of its mandates, where it has several.")
    ] = "",
    ttl: TtlOption = "1h",
) -> int:
    """Make a token for an agent.

    It is shown once; whoever has it is that agent.
    """
    answer = reach.api().post(
        f"agents/{segment(name)}/tokens",
        {"mandate": mandate, "lifetime_seconds": seconds(ttl)},
    )
    if reach.json:
        show.out_json(answer)
    else:
        show.out(show.word(answer, "token"))
        show.note(
            show.visible(
                f"agent `{show.word(answer, 'agent')}` under `{show.word(answer, 'mandate')}`"
                f" until {show.when(answer.get('expires_ms'))}; shown this once\n"
                f"to end it before: bailiwick agents revoke {show.word(answer, 'id')}",
                keep_lines=True,
            )
        )
    return Exit.OK


@reaching
def agents_revoke(
    reach: Reach,
    token_id: Annotated[str, typer.Argument(metavar="[ID]", help="The token's id.")] = "",
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="A file that holds the token, instead."),
    ] = None,
) -> int:
    """Revoke one token.

    When it returns, the token opens nothing. Its id stands beside each call in the ledger. To stop
    an agent under a mandate, whatever its tokens: `revoke`.
    """
    if bool(token_id) == (token_file is not None):
        raise CliError(Exit.USAGE, "which_token", "give either an ID or --token-file")
    known = token_id_in(token_file) if token_file else token_id
    if not re.fullmatch("[0-9a-f]{32}", known):
        raise CliError(
            Exit.USAGE,
            "token_unknown",
            f"`{known}` is not the id of a token",
            "it was printed with the token, and stands beside each call and in `bailiwick agents`",
        )
    answer = reach.api().post(f"tokens/{segment(known)}/revoke", {})
    if reach.json:
        show.out_json(answer)
    else:
        show.out(f"revoked token `{show.visible(known)}`; it opens nothing any more")
    return Exit.OK


@reaching
def people_list(context: typer.Context, reach: Reach) -> int:
    """List people, and the roles by which they stamp."""
    if not lists(context):
        return Exit.OK
    answer = reach.api().get("objects", kind="person")
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    show.table(("person", "name", "roles"), [_person(row) for row in listed(answer, "objects")])
    return Exit.OK


def _person(row: JsonObject) -> tuple[str, ...]:
    document = row.get("document")
    spec = document.get("spec") if isinstance(document, dict) else None
    told = spec if isinstance(spec, dict) else {}
    roles = told.get("roles")
    shown = ", ".join(map(str, roles)) if isinstance(roles, list) else ""
    return show.word(row, "name"), show.word(told, "name"), shown


@reaching
def people_token(
    reach: Reach,
    name: Annotated[str, typer.Argument(help="The person's name.")],
    ttl: TtlOption = "1h",
) -> int:
    """Make a person's token.

    For the API and --token. Needs the data folder: its keys sign it. Where a gateway runs on it,
    the person must be declared.
    """
    from bailiwick.app.tokens import mint_person_token

    token = mint_person_token(reach.data, name, seconds(ttl))
    _need_declared(reach, name, token)
    if reach.json:
        show.out_json({"token": token, "person": name})
    else:
        show.out(token)
        show.note(f"person `{show.visible(name)}` for {ttl}; shown this once")
    return Exit.OK


def _need_declared(reach: Reach, name: str, token: str) -> None:
    # INVARIANT: it goes to this folder's own gateway only, so no URL.
    own = Reach(reach.data, "", token, "", reach.json)
    try:
        own.api().get("me")
    except CliError as error:
        if error.exit_code is Exit.UNREACHABLE:
            return  # nobody to ask: it is looked at where it is used
        if error.code != "token_invalid":
            raise
        raise CliError(
            Exit.USAGE,
            "person_unknown",
            f"there is no person `{name}`",
            "`bailiwick people` lists them",
        ) from error


@reaching
def login(
    reach: Reach, name: Annotated[str, typer.Argument(help="The person's name.")] = ""
) -> int:
    """Print a link into the console.

    It signs a person in once, within ten minutes.
    """
    person = Reach(reach.data, reach.url, reach.token, name or reach.person, reach.json)
    answer = person.api().post("login-links", {})
    made_for = show.word(answer, "person")
    if name and name != made_for:
        raise CliError(
            Exit.NOT_ALLOWED, "another_person", f"the token given is `{made_for}`'s, not `{name}`'s"
        )
    if reach.json:
        show.out_json(answer)
    else:
        show.out(show.word(answer, "url"))
    return Exit.OK


def token_id_in(file: Path) -> str:
    """The id of the token in a file. Whether it is one of its own, the gateway knows.

    Raises:
        CliError: the file cannot be read, or holds no token.
    """
    from bailiwick.identity.tokens import unverified_id

    try:
        return unverified_id(file.read_text(encoding="ascii").strip())[0]
    except (OSError, ValueError, BailiwickError) as error:
        raise CliError(Exit.USAGE, "no_token", f"`{file}` holds no token") from error


def seconds(time: str) -> int:
    """Seconds of `90s`, `30m`, `8h` or `7d`.

    Raises:
        CliError: not of that form, or zero.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", time)
    if match is None:
        raise CliError(
            Exit.USAGE, "bad_time", f"`{time}` is not a time", "write 90s, 30m, 8h or 7d"
        )
    return int(match[1]) * _UNITS[match[2]]
