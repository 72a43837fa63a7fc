"""The `bailiwick` command: parse, call, print.

`bailiwick --help` and shell completion load this tree on every key press, so modules at the top
are light; what is heavy (the gateway, cryptography, YAML) is imported inside the command that
needs it. It is the one place of the house where imports inside functions are right.
tests/cli/test_main.py holds the start to its budget.
"""

from __future__ import annotations

import json
import os
import sys

import typer

import bailiwick.cli.explain as explaining
import bailiwick.cli.export.command as exporting
import bailiwick.cli.run as running
import bailiwick.cli.simulate as simulating
from bailiwick.cli import (
    calls,
    delegate,
    gateway,
    holds,
    ledger,
    limits,
    mandate,
    models,
    objects,
    people,
    policy,
    show,
)
from bailiwick.cli.connect import command as connecting
from bailiwick.cli.demo import command as demonstrating
from bailiwick.cli.doctor import doctor
from bailiwick.cli.exits import MEANINGS, CliError, Exit
from bailiwick.cli.holidays import holidays
from bailiwick.cli.init import init
from bailiwick.core.errors import (
    BailiwickError,
    ConfigError,
    TheirError,
    UpstreamDown,
    VerificationError,
)
from bailiwick.ledger.errors import LedgerError

_EPILOG = "Exit codes: " + "; ".join(f"{code:d} {what}" for code, what in MEANINGS.items()) + "."


def _group(about: str) -> typer.Typer:
    # Plain help: rich would more than double the time that `--help` and completion take.
    return typer.Typer(
        help=about, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True
    )


def build() -> typer.Typer:
    """The whole tree of commands."""
    app = typer.Typer(
        name="bailiwick",
        help="Agents act under mandates people gave them; what matters waits for a stamp; all of"
        " it can be proved.",
        epilog=_EPILOG,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
    )
    app.command("init")(init)
    app.command("up")(gateway.up)
    app.command("demo")(demonstrating.demo)
    app.command("apply")(objects.apply)
    app.command("calls")(calls.calls)
    app.command("call")(calls.call)
    app.command("runs")(calls.runs)
    works = _group("One piece of work for an agent, and what it was told.")
    works.command("start")(running.start)
    works.command("show")(running.show_run)
    works.command("export")(exporting.export_run)
    works.command("end")(running.end)
    app.add_typer(works, name="run")
    app.command("holds")(holds.holds)
    app.command("stamp")(holds.stamp)
    app.command("mandates")(delegate.mandates)
    mandates = _group("Know what a mandate says before signing it.")
    mandates.command("read")(mandate.mandate_read)
    mandates.command("check")(mandate.mandate_check)
    app.add_typer(mandates, name="mandate")
    app.command("explain")(explaining.explain)
    app.command("delegate")(delegate.delegate)
    app.command("suspend")(delegate.suspend)
    app.command("resume")(delegate.resume)
    app.command("revoke")(holds.revoke)

    books = _group("Verify, prove and export the ledger.")
    books.command("verify")(ledger.ledger_verify)
    books.command("proof")(ledger.ledger_proof)
    books.command("export")(ledger.ledger_export)
    app.add_typer(books, name="ledger")

    app.command("connect")(connecting.connect)
    app.command("stdio")(gateway.stdio)

    agents = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    agents.callback(invoke_without_command=True)(people.agents_list)
    agents.command("token")(people.agents_token)
    agents.command("revoke")(people.agents_revoke)
    app.add_typer(agents, name="agents")
    persons = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    persons.callback(invoke_without_command=True)(people.people_list)
    persons.command("token")(people.people_token)
    app.add_typer(persons, name="people")
    app.command("login")(people.login)

    pins = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    pins.callback(invoke_without_command=True)(objects.pins_list)
    pins.command("accept")(objects.pins_accept)
    app.add_typer(pins, name="pins")

    allowances = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    allowances.callback(invoke_without_command=True)(limits.limits_list)
    allowances.command("audit")(limits.limits_audit)
    allowances.command("settle")(limits.limits_settle)
    app.add_typer(allowances, name="limits")

    policies = _group("The organisation's policies, above every mandate.")
    policies.command("check")(policy.policy_check)
    policies.command("schema")(policy.policy_schema)
    app.add_typer(policies, name="policy")

    app.command("models")(models.models)
    app.command("simulate")(simulating.simulate)
    app.command("schema")(objects.schema)
    app.command("holidays")(holidays)
    app.command("doctor")(doctor)
    app.command("version")(gateway.version)
    return app


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit. Never a traceback: errors are one line on stderr."""
    given = sys.argv[1:] if args is None else args
    sys.exit(run(given))


def run(args: list[str]) -> int:
    """Run one command; returns its exit code."""
    app = build()
    try:
        ended = app(args=args, prog_name="bailiwick", standalone_mode=False)
        sys.stdout.flush()
    except CliError as error:
        return _end(args, error)
    except typer.TyperException as error:
        return _usage(args, error)
    except typer.Abort:
        return 130
    except BailiwickError as error:
        return _end(args, CliError(_exit_of(error), error.code, error.message))
    except LedgerError as error:
        message = f"not verified: {error.message}"
        return _end(args, CliError(Exit.NOT_VERIFIED, error.code, message, "do not rely on it"))
    except BrokenPipeError:
        # The reader (`head`) had enough. Nothing more can be printed, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:  # a defect of ours ends in one line, not in a traceback
        if "BAILIWICK_DEBUG" in os.environ:
            raise
        kind = type(error).__name__
        return _end(
            args,
            CliError(
                Exit.OURS,
                "defect",
                f"a defect of ours ({kind})",
                "run again with BAILIWICK_DEBUG=1 and report it",
            ),
        )
    return ended if isinstance(ended, int) else Exit.OK


def _exit_of(error: BailiwickError) -> Exit:
    match error:
        case VerificationError():
            return Exit.NOT_VERIFIED
        case ConfigError() | TheirError():
            return Exit.USAGE
        case UpstreamDown():
            return Exit.UNREACHABLE
        case _:
            return Exit.OURS


def _usage(args: list[str], error: typer.TyperException) -> int:
    text = error.format_message()
    if "\n" in text:  # a group without a command: its help is the answer
        sys.stderr.write(text + "\n")
        return Exit.USAGE
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "bailiwick")
    # What an option may be is checked by a library that says of what sort its error is.
    text = text.replace("': Value error, ", "': ", 1)
    # What it suggests is a sentence of its own there, and a part of ours.
    text = text.replace(". Did you mean ", ", did you mean ", 1)
    message = text[:1].lower() + text[1:].rstrip(".?")
    return _end(args, CliError(Exit.USAGE, "usage", message, f"see `{path} --help`"))


def _end(args: list[str], error: CliError) -> int:
    if "--json" in args:
        body = {"error": {"code": error.code, "message": error.message}}
        sys.stderr.write(json.dumps(body) + "\n")
    else:
        # Of many problems in declarations each has its line; anything else is one.
        keeps = error.code == "declaration_invalid"
        sys.stderr.write(show.visible(error.line, keep_lines=keeps) + "\n")
    return error.exit_code
