"""``deploykit apply``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from deploykit.cli.context import Context, verb
from deploykit.commands import database_url as urls, lock, profiles
from deploykit.commands.applied import Attempt, Place
from deploykit.commands.apply import ApplyResult, apply
from deploykit.commands.plan import Planned, as_json, check_budget, mark_used, plan, read_saved, secret_values
from deploykit.errors import DeploykitError, StalePlanError
from deploykit.planning import plan as paper
from deploykit.profile.schema import Profile
from deploykit.railway.client import Railway, connect
from deploykit.report.apply import apply_text
from deploykit.report.plan import plan_text


@verb("apply")
@click.argument("what", required=False, metavar="[PROFILE | PLANFILE]")
@click.option("--yes", is_flag=True, help="Do not ask. Never covers a destructive step.")
@click.option("--allow-destructive", is_flag=True, help="Let destructive steps happen, as the plan shows them.")
@click.option("--allow-over-budget", is_flag=True, help="Apply although the estimate is above the profile's budget.")
@click.option(
    "--secret-from-env", "secrets", multiple=True, metavar="NAME", help="Take a !secret from your environment."
)
@click.option("--remove", multiple=True, metavar="SERVICE", help="Delete a service the profile does not know.")
@click.option("--database-url", envvar="DEPLOYKIT_DATABASE_URL", help="Where heartbeats and the lock are.")
@click.option("--lock-wait", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Wait for another apply.")
@click.option("--patience", type=click.FloatRange(1), default=900.0, show_default=True, help="Seconds for one wait.")
def command(
    context: Context,
    what: str | None,
    yes: bool,
    allow_destructive: bool,
    allow_over_budget: bool,
    secrets: tuple[str, ...],
    remove: tuple[str, ...],
    database_url: str | None,
    lock_wait: float,
    patience: float,
) -> None:
    """Carry out the saved plan exactly as reviewed; with PROFILE, plan and apply in one go. Waits for health."""
    database_url = urls.checked(database_url)
    named = remove  # what the operator typed; a saved plan brings its own list of what goes
    plan_path = _plan_path(context, what)
    saved: dict[str, Any] | None = read_saved(plan_path) if plan_path else None
    name = str(saved["profile_path"]) if saved else str(what)
    wanted, loaded, _ = profiles.checked(context.project_dir, name)
    if saved:
        _check_saved(saved, wanted)
        remove = tuple(saved["remove"])
    check_budget(wanted, allowed=allow_over_budget)
    with ExitStack() as cleanup:
        check_lock = cleanup.enter_context(lock.held(database_url, wait_seconds=lock_wait, report=context.progress))
        railway = connect(environment_name=wanted.environment, report=context.progress)
        cleanup.callback(railway.close)
        secret = secret_values(wanted, secrets)
        if saved:
            _check_place(saved, railway)
            review, reviewed, key = saved, saved["drift"], bytes.fromhex(saved["key"])
        else:
            planned = plan(wanted, railway, secret=secret, remove=remove, report=context.progress)
            _show(context, planned, yes=yes)
            review, reviewed, key = as_json(planned.plan), dict(planned.plan.drift), planned.key
        changes = review["changes"]
        _check_destructive(changes, allow_destructive)
        if changes or review["steps"]:
            _confirm(context, changes, yes=yes, names=named)
        place = Place(railway.project_id, railway.environment_id)
        attempt = Attempt(context.project_dir, loaded, profiles.find(context.project_dir, name), place, review)
        with interruptible() as asked:

            def stopping() -> bool:
                check_lock()
                return asked()

            result = apply(
                wanted,
                railway,
                reviewed=reviewed,
                key=key,
                secret=secret,
                remove=remove,
                database_url=database_url,
                report=context.progress,
                stopping=stopping,
                begun=attempt.begun,
                patience_seconds=patience,
            )
    attempt.reached()
    if saved and plan_path:
        mark_used(plan_path, saved)
    _tell(context, result, database_named=bool(database_url))


def _plan_path(context: Context, what: str | None) -> Path | None:
    if what is None:
        return context.project_dir / ".deploykit" / "plan.json"
    return Path(what) if what.endswith(".json") else None


def _check_saved(saved: dict[str, Any], wanted: Profile) -> None:
    if paper.fingerprint(wanted) != saved["fingerprint"]:
        raise StalePlanError("the profile changed since the plan was made", where=wanted.name, hint="plan again")


def _check_place(saved: dict[str, Any], railway: Railway) -> None:
    here = (railway.project_id, railway.environment_id)
    if here != (saved["project_id"], saved["environment_id"]):
        raise StalePlanError("the plan was made for another project or environment", hint="plan again")


def _check_destructive(changes: list[dict[str, Any]], allowed: bool) -> None:
    destructive = [change["summary"] for change in changes if change["destructive"]]
    if destructive and not allowed:
        raise DeploykitError(
            f"the plan destroys something: {'; '.join(destructive)}; nothing was changed",
            hint="read the plan; if you mean it, pass --allow-destructive",
        )


def _confirm(context: Context, changes: list[dict[str, Any]], *, yes: bool, names: tuple[str, ...]) -> None:
    deleted = [
        change["summary"].removeprefix("delete service ") for change in changes if change["kind"] == "resource.delete"
    ]
    if not context.confirm_deletions(deleted, yes=yes, named=names):
        context.confirm("Apply this plan?", yes=yes)


def _show(context: Context, planned: Planned, *, yes: bool) -> None:
    text = plan_text(planned.plan) + "\n"
    if not context.json:
        context.result(text)
    elif not yes:
        context.asks_about(text, yes=yes)  # stdout carries the one JSON object, and nobody agrees to what is not shown


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C or SIGTERM lets the step in flight finish, the second leaves at once."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        os.write(2, b"stopping after the step in flight; once more to leave at once\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(context: Context, result: ApplyResult, *, database_named: bool) -> None:
    if context.json:
        context.result_json(
            {
                "schema": "deploykit.apply/1",
                "profile": result.profile,
                "actions": list(result.actions),
                "notes": list(result.notes),
                "seconds": round(result.seconds, 1),
                "api_requests": result.api_requests,
                "heartbeats_read": result.heartbeats_read,
            }
        )
        return
    context.result(
        apply_text(
            result.profile,
            result.actions,
            result.notes,
            seconds=result.seconds,
            requests=result.api_requests,
            heartbeats_read=result.heartbeats_read,
            database_named=database_named,
        )
    )
