"""`agents token`, `people token` and `login`: how agents and people prove who they are."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.reach import Reach, reaching

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

TtlOption = Annotated[
    str, typer.Option("--ttl", metavar="TIME", help="How long it lives: 90s, 30m, 8h, 7d.")
]


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
                f" until {show.when(answer.get('expires_ms'))}; shown this once"
            )
        )
    return Exit.OK


@reaching
def people_token(
    reach: Reach,
    name: Annotated[str, typer.Argument(help="The person's name.")],
    ttl: TtlOption = "1h",
) -> int:
    """Make a person's token.

    For the API and --token. Needs the data folder: its keys sign it.
    """
    from bailiwick.app.tokens import mint_person_token

    token = mint_person_token(reach.data, name, seconds(ttl))
    if reach.json:
        show.out_json({"token": token, "person": name})
    else:
        show.out(token)
        show.note(f"person `{show.visible(name)}` for {ttl}; shown this once")
    return Exit.OK


@reaching
def login(
    reach: Reach, name: Annotated[str, typer.Argument(help="The person's name.")] = ""
) -> int:
    """Print a link into the console.

    It signs a person in once, within ten minutes.
    """
    if name and reach.person and name != reach.person:
        raise CliError(Exit.USAGE, "two_people", "NAME and --as say two different people")
    person = Reach(reach.data, reach.url, reach.token, name or reach.person, reach.json)
    answer = person.api().post("login-links", {})
    if reach.json:
        show.out_json(answer)
    else:
        show.out(show.word(answer, "url"))
    return Exit.OK


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
