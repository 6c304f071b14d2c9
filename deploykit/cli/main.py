"""The door: the list of verbs, and the one place where an error becomes words and an exit status."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from deploykit import __version__
from deploykit.cli import context as shared
from deploykit.errors import DeploykitError, Exit

VERBS = {
    "init": "write profiles/, .env.example, CI workflow and pre-commit hook into a repository",
    "lint": "check profiles, .env files, Railway's config files, Dockerfile, Procfile, package.json",
    "explain": "what a rule means, why, bad and good example, cure",
    "schema": "print the JSON Schema of a profile, for editors",
    "render": "write every artefact of a profile",
    "plan": "what would change on Railway, in which order, at what cost",
    "apply": "carry out the saved plan, exactly as reviewed",
    "rollback": "plan the way back to a profile that was applied before",
    "verify": "prove what is alive",
    "doctor": "name the cause of a sick system, with the fix",
    "ghosts": "list every process that should not be there; end them after confirmation",
    "watch": "verify, again and again, on one screen",
    "pull": "write a profile from what is live on Railway",
    "rehearse": "plan, apply and verify against a sandbox on this machine, then clean up",
    "sandbox": "a local Railway: start, stop, status, logs, fault",
    "unlock": "show who holds the apply lock, and release it",
    "map": "the process map: text, mermaid, svg",
    "advise": "stay, move up or move down a profile, and why",
}


class Door(click.Group):
    """A group that imports a verb's module only when that verb runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in VERBS if _exists(name)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS or not _exists(name):
            return None
        module = importlib.import_module(f"deploykit.cli.{name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Written from the table above, so that --help imports no verb.
        verbs = self.list_commands(ctx)
        if not verbs:
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name]) for name in verbs])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message.rstrip('.')}. Did you mean {near[0]!r}?", ctx) from None
            raise


def _exists(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(f"deploykit.cli.{name}") is not None


@click.group(cls=Door, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deploykit")
@click.pass_context
def door(ctx: click.Context, /, **values: Any) -> None:
    """Run background processes on Railway and prove what is running: one schedule daemon, no ghosts.

    \b
    Exit codes: 0 done, clean, healthy; 1 findings, or failed; 2 changes pending (plan --detailed-exitcode);
    3 invalid profile or configuration; 4 authentication; 5 stale plan; 6 locked; 7 applied in part;
    8 unhealthy or ghost; 9 inconclusive; 10 cost above budget; 64 wrong usage; 70 internal error;
    75 rate-limited or unreachable; 130 interrupted.
    """
    ctx.obj = values


door.params.extend(shared._GLOBALS)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the documented status."""
    status = run(list(sys.argv[1:] if args is None else args))
    gc.freeze()  # The memory goes back as a whole: a last search for garbage would cost a twentieth of a short run.
    sys.exit(status)


def run(args: list[str]) -> int:
    """Run the command line; the exit status. The only place that turns an error into words."""
    # `kill` and a closed pipe end us like Ctrl-C and like `head`: without a traceback.
    signal.signal(signal.SIGTERM, _terminate)
    debug = "--debug" in args
    try:
        status = door.main(args, prog_name="deploykit", standalone_mode=False)
        sys.stdout.flush()
        return int(status) if isinstance(status, int) else Exit.OK
    except click.exceptions.Exit as error:
        return int(error.exit_code)
    except click.ClickException as error:
        return _usage(error)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted", None, "run the same command again: it goes on from what is there")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except DeploykitError as error:
        if debug:
            _traceback()
        _say(error.message, error.where, error.hint)
        return error.exit_code
    except OSError as error:
        if debug:
            _traceback()
        _say(error.strerror or str(error), str(error.filename) if error.filename else None, "check the file's rights")
        return Exit.FAILED
    except Exception as error:
        if debug:
            _traceback()
        _say(f"internal error: {type(error).__name__}", None, "run it again with --debug and report what it prints")
        return Exit.INTERNAL


def _terminate(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _usage(error: click.ClickException) -> int:
    # A file that does not exist is a click error too, but every click error is wrong usage to us.
    _say(error.format_message(), None, "deploykit --help lists commands and options")
    return Exit.USAGE


def _traceback() -> None:
    import traceback  # and with it all that reads source files: only for those who asked

    traceback.print_exc()


def _say(message: str, where: str | None, hint: str | None) -> None:
    place = f"{where}: " if where else ""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {place}{message}", err=True)
    if hint:
        click.echo(f"  {click.style('hint', fg='cyan')}: {hint}", err=True)
